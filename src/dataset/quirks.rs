//! What was odd and let pass.

/// Phrases beyond this are dropped: each is one kind of oddness, and a peer's device has a few.
const MAX_PHRASES: usize = 32;

/// Collects one short phrase for each kind of oddness, with the first attribute that showed it.
#[derive(Debug, Default)]
pub(crate) struct Quirks {
    kinds: Vec<&'static str>,
    phrases: Vec<String>,
}

impl Quirks {
    /// Notes an oddness of an attribute.
    pub(crate) fn note(&mut self, kind: &'static str, tag: u32) {
        if self.is_new(kind) {
            self.phrases
                .push(format!("{kind} ({:04X},{:04X})", tag >> 16, tag & 0xFFFF));
        }
    }

    /// Notes an oddness of the whole.
    pub(crate) fn note_whole(&mut self, kind: &'static str) {
        if self.is_new(kind) {
            self.phrases.push(kind.to_owned());
        }
    }

    fn is_new(&mut self, kind: &'static str) -> bool {
        if self.kinds.len() >= MAX_PHRASES || self.kinds.contains(&kind) {
            return false;
        }
        self.kinds.push(kind);
        true
    }

    pub(crate) fn into_phrases(self) -> Vec<String> {
        self.phrases
    }
}

//! Putting a data set together as a document tells it.

use filmroom_storage::model::Tag;

use super::{
    super::{Builder, DataSetError, scan::name},
    BulkReference, ReadDataSet,
};

/// Sequences within sequences beyond this are refused.
const MAX_NESTING: usize = 64;

/// A data set being put together, with the sequences that are open.
#[derive(Default)]
pub(super) struct Assembly {
    root: Builder,
    open: Vec<OpenSequence>,
    path: String,
    bulk: Vec<BulkReference>,
}

struct OpenSequence {
    tag: Tag,
    /// Its items so far, encoded.
    value: Vec<u8>,
    items: u32,
    item: Option<Builder>,
    path_before: usize,
}

impl Assembly {
    fn list(&mut self) -> &mut Builder {
        match self.open.last_mut() {
            Some(OpenSequence { item: Some(item), .. }) => item,
            _ => &mut self.root,
        }
    }

    pub(super) fn value(&mut self, tag: Tag, vr: [u8; 2], value: &[u8]) {
        self.list().value(tag, vr, value);
    }

    /// The tag of a private attribute whose block is named by its creator.
    pub(super) fn private_tag(&mut self, tag: Tag, creator: &str) -> Result<Tag, DataSetError> {
        if tag & 0xFF00 != 0 || (tag >> 16).is_multiple_of(2) {
            return Ok(tag);
        }
        let block = self.list().private_block(tag >> 16, creator);
        block
            .map(|block| tag | block << 8)
            .ok_or_else(|| DataSetError::Malformed(format!("no private block is free for {}", name(tag))))
    }

    pub(super) fn refer(&mut self, tag: Tag, vr: [u8; 2], uri: String) {
        self.list().value(tag, vr, &[]);
        self.bulk.push(BulkReference {
            path: format!("{}{tag:08X}", self.path),
            vr,
            uri,
        });
    }

    pub(super) fn start_sequence(&mut self, tag: Tag) -> Result<(), DataSetError> {
        if self.open.len() >= MAX_NESTING {
            return Err(DataSetError::Limit("64 sequences within each other"));
        }
        let path_before = self.path.len();
        self.open.push(OpenSequence {
            tag,
            value: Vec::new(),
            items: 0,
            item: None,
            path_before,
        });
        Ok(())
    }

    pub(super) fn start_item(&mut self) -> Result<(), DataSetError> {
        match self.open.last_mut() {
            Some(sequence) => {
                self.path.truncate(sequence.path_before);
                self.path.push_str(&format!("{:08X}.{}.", sequence.tag, sequence.items));
                sequence.items += 1;
                sequence.item = Some(Builder::new());
                Ok(())
            }
            None => Err(DataSetError::Malformed("an item outside of any sequence".into())),
        }
    }

    pub(super) fn end_item(&mut self) {
        if let Some(sequence) = self.open.last_mut()
            && let Some(item) = sequence.item.take()
        {
            item.append_item(&mut sequence.value);
            self.path.truncate(sequence.path_before);
            if item.needs_character_set() {
                self.root.set_needs_character_set();
            }
        }
    }

    pub(super) fn end_sequence(&mut self) -> Result<(), DataSetError> {
        let Some(sequence) = self.open.pop() else { return Ok(()) };
        if u32::try_from(sequence.value.len()).is_err() {
            return Err(DataSetError::Malformed(format!("{} is too long", name(sequence.tag))));
        }
        self.path.truncate(sequence.path_before);
        self.list().value(sequence.tag, *b"SQ", &sequence.value);
        Ok(())
    }

    pub(super) fn finish(self) -> ReadDataSet {
        ReadDataSet {
            attributes: self.root.build(),
            bulk: self.bulk,
        }
    }
}

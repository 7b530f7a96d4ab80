//! Names by their words: which words there are (the lexicon), and which studies have them.
//!
//! The lexicon grows with the names that there are, not with studies. A word has a row at each of its letters, what stands
//! before that letter written behind it: `jane` is `^jane$`, `ane$j`, `ne$ja`, `e$jan`, with control characters for `^` and
//! `$`. So whatever stands in a word, begins it or ends it begins a row. Of a whole group there is the first row only.

use std::{collections::BTreeSet, ops::ControlFlow};

use super::{
    Catalog, IndexError,
    engine::Batch,
    keys::{self, LEXICON, NAME_WORD},
};
use crate::model::NameWord;

/// Where in a word of a name a text stands. Texts are letters as [`crate::model::word_letters`] gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordPart<'a> {
    /// Words that begin so.
    Beginning(&'a str),
    /// Words that end so.
    End(&'a str),
    /// Words that it stands in, wherever.
    Inside(&'a str),
    /// Groups that begin so, run together.
    WholeBeginning(&'a str),
}

const WORD: char = '\u{2}';
const WHOLE: char = '\u{3}';
const ANY: char = '\u{4}';
const END: char = '\u{1}';

fn text_of(word: &NameWord) -> String {
    match word {
        NameWord::Word(word) => word.clone(),
        NameWord::Whole(whole) => format!("{WHOLE}{whole}"),
        NameWord::Any => ANY.to_string(),
    }
}

/// The row of a study under one of its words.
pub(super) fn posting(word: &NameWord, place: &[u8]) -> Vec<u8> {
    keys::by_text(NAME_WORD, &text_of(word), place)
}

/// The row that tells that the lexicon has a word.
fn first_row(word: &NameWord) -> Option<Vec<u8>> {
    let text = match word {
        NameWord::Word(word) => format!("{WORD}{word}{END}"),
        NameWord::Whole(whole) => format!("{WHOLE}{whole}{END}"),
        NameWord::Any => return None,
    };
    Some(keys::by_text(LEXICON, &text, &[]))
}

fn lexicon_rows(word: &NameWord) -> impl Iterator<Item = Vec<u8>> {
    let letters = match word {
        NameWord::Word(word) => word.as_str(),
        NameWord::Whole(_) | NameWord::Any => "",
    };
    let turned = letters.char_indices().skip(1).map(|(at, _)| {
        let (before, after) = letters.split_at(at);
        keys::by_text(LEXICON, &format!("{after}{END}{before}"), &[])
    });
    first_row(word).into_iter().chain(turned)
}

pub(super) fn put_in_lexicon(batch: &mut Batch, word: &NameWord) {
    for row in lexicon_rows(word) {
        batch.put(row, Vec::new());
    }
}

pub(super) fn remove_from_lexicon(batch: &mut Batch, word: &NameWord) {
    for row in lexicon_rows(word) {
        batch.remove(row);
    }
}

impl Catalog {
    pub(super) fn knows_word(&self, word: &NameWord) -> Result<bool, IndexError> {
        match first_row(word) {
            Some(row) => Ok(self.engine.get(&row)?.is_some()),
            None => Ok(true),
        }
    }

    /// True when no study has the word but the one at `place`.
    pub(super) fn is_only_place_of(&self, word: &NameWord, place: &[u8]) -> Result<bool, IndexError> {
        let prefix = keys::text_prefix(NAME_WORD, &text_of(word));
        let mut is_only = true;
        self.scan_prefix(&prefix, &[], &mut |key, _| {
            is_only &= key.get(prefix.len()..) == Some(place);
            if is_only {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        Ok(is_only)
    }

    /// Visits the words of the lexicon that `part` stands in so.
    pub(super) fn visit_words(
        &self,
        part: WordPart<'_>,
        visit: &mut dyn FnMut(NameWord) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        // A word that a text begins, or that it is all of, has it in its first row.
        let beginnings = match part {
            WordPart::Beginning(text) => [Some(format!("{WORD}{text}")), None],
            WordPart::WholeBeginning(text) => [Some(format!("{WHOLE}{text}")), None],
            WordPart::End(text) => [Some(format!("{WORD}{text}{END}")), Some(format!("{text}{END}"))],
            WordPart::Inside(text) => [Some(format!("{WORD}{text}")), Some(text.to_owned())],
        };
        for beginning in beginnings.into_iter().flatten() {
            if self.visit_rows(&beginning, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn visit_rows(
        &self,
        beginning: &str,
        visit: &mut dyn FnMut(NameWord) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, IndexError> {
        let mut flow = ControlFlow::Continue(());
        self.scan_prefix(&keys::text_beginning(LEXICON, beginning), &[], &mut |key, _| {
            if let Some(word) = word_of_row(key) {
                flow = visit(word);
            }
            flow
        })?;
        Ok(flow)
    }

    /// The first `limit` places after `after` of studies with any of the words, or with names that may hold any.
    pub(super) fn places_of_words(
        &self,
        words: &[NameWord],
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, IndexError> {
        let mut places: BTreeSet<Vec<u8>> = BTreeSet::new();
        for word in words.iter().chain(std::iter::once(&NameWord::Any)) {
            let prefix = keys::text_prefix(NAME_WORD, &text_of(word));
            self.scan_prefix(&prefix, after, &mut |key, _| {
                let place = key.get(prefix.len()..).unwrap_or_default();
                if places.len() >= limit && places.last().is_none_or(|last| place >= last.as_slice()) {
                    return ControlFlow::Break(());
                }
                places.insert(place.to_vec());
                if places.len() > limit {
                    places.pop_last();
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(places.into_iter().collect())
    }
}

fn word_of_row(key: &[u8]) -> Option<NameWord> {
    let text = std::str::from_utf8(key.get(1..)?.strip_suffix(&[0])?).ok()?;
    let (after, before) = text.split_once(END)?;
    Some(if let Some(whole) = after.strip_prefix(WHOLE) {
        NameWord::Whole(whole.to_owned())
    } else if let Some(word) = after.strip_prefix(WORD) {
        NameWord::Word(word.to_owned())
    } else {
        NameWord::Word(format!("{before}{after}"))
    })
}

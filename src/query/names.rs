//! Which words of names a search can begin at, so that it reads what may match and not the archive.

use std::{collections::BTreeSet, ops::ControlFlow};

use filmroom_storage::{
    index::{Index, IndexError, StudyCursor, StudySelector, WordPart},
    model::NameWord,
};

use super::likeness::is_like;

/// A search that more words answer begins elsewhere: among so many names, one of few studies matches.
const WORDS_MAX: usize = 1_024;
/// Rows of the lexicon that are read for a key: some 0.3 us each.
const ROWS_MAX: usize = 16_384;
/// Parts of one key that are looked up.
const WANTED_MAX: usize = 4;
/// Studies by which ways are compared.
const SAMPLE: usize = 256;
/// Of more words no sample is taken: it costs about as much as it saves.
const SAMPLED_WORDS_MAX: usize = 64;

/// Where in a word of a name a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Beginning(String),
    End(String),
    Inside(String),
    WholeBeginning(String),
}

/// A word that every matching name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This one.
    Exactly(NameWord),
    /// One with this part.
    Part(Part),
    /// One in these places that is like one of these words, or a whole group.
    Like { parts: Vec<Part>, like: Vec<Vec<char>> },
}

impl Part {
    fn as_word_part(&self) -> WordPart<'_> {
        match self {
            Self::Beginning(text) => WordPart::Beginning(text),
            Self::End(text) => WordPart::End(text),
            Self::Inside(text) => WordPart::Inside(text),
            Self::WholeBeginning(text) => WordPart::WholeBeginning(text),
        }
    }

    fn letters(&self) -> usize {
        let (Self::Beginning(text) | Self::End(text) | Self::Inside(text) | Self::WholeBeginning(text)) = self;
        text.chars().count()
    }
}

impl Wanted {
    /// How much it promises to leave out; the higher, the more.
    fn promise(&self) -> usize {
        match self {
            Self::Exactly(NameWord::Whole(_)) => 200,
            Self::Exactly(_) => 100,
            Self::Part(part) => part.letters(),
            Self::Like { like, .. } => like.first().map_or(0, Vec::len),
        }
    }

    fn accepts(&self, word: &NameWord) -> bool {
        match (self, word) {
            (Self::Like { like, .. }, NameWord::Word(word)) => {
                let word: Vec<char> = word.chars().collect();
                like.iter().any(|wanted| is_like(wanted, &word))
            }
            _ => true,
        }
    }

    /// The words; `None` when there are too many.
    fn words(&self, index: &dyn Index) -> Result<Option<Vec<NameWord>>, IndexError> {
        let parts = match self {
            Self::Exactly(word) => return Ok(Some(vec![word.clone()])),
            Self::Part(part) => std::slice::from_ref(part),
            Self::Like { parts, .. } => parts.as_slice(),
        };
        let mut found = BTreeSet::new();
        let mut rows = 0;
        for part in parts {
            index.name_words(part.as_word_part(), &mut |word| {
                rows += 1;
                if self.accepts(&word) {
                    found.insert(word);
                }
                if rows > ROWS_MAX || found.len() > WORDS_MAX {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            if rows > ROWS_MAX || found.len() > WORDS_MAX {
                return Ok(None);
            }
        }
        Ok(Some(found.into_iter().collect()))
    }
}

/// The narrowest way in by names that have all that is wanted; `None` when it leaves out too little.
pub(super) fn narrowest(index: &dyn Index, wanted: &[Wanted]) -> Result<Option<StudySelector>, IndexError> {
    let mut wanted: Vec<&Wanted> = wanted.iter().collect();
    wanted.sort_by_key(|wanted| std::cmp::Reverse(wanted.promise()));
    let mut ways: Vec<Vec<NameWord>> = Vec::new();
    for wanted in wanted.into_iter().take(WANTED_MAX) {
        if let Some(words) = wanted.words(index)? {
            if matches!(wanted, Wanted::Exactly(NameWord::Whole(_))) || words.is_empty() {
                return Ok(Some(StudySelector::NameWords(words.into())));
            }
            ways.push(words);
        }
    }
    ways.sort_by_key(Vec::len);
    let few = ways.iter().take_while(|words| words.len() <= SAMPLED_WORDS_MAX).count();
    if few < 2 {
        return Ok(ways
            .into_iter()
            .next()
            .map(|words| StudySelector::NameWords(words.into())));
    }
    let mut best: Option<(Option<StudyCursor>, StudySelector)> = None;
    for words in ways.into_iter().take(few) {
        let way = StudySelector::NameWords(words.into());
        // The further back the last of a sample lies, the fewer there are.
        let last = match index.study_places(&way, None, SAMPLE)? {
            places if places.len() < SAMPLE => return Ok(Some(way)),
            places => places.into_iter().next_back(),
        };
        if best.as_ref().is_none_or(|(other, _)| last > *other) {
            best = Some((last, way));
        }
    }
    Ok(best.map(|(_, way)| way))
}

//! The words of person names, as the index keeps them and as queries look for them.
//!
//! A name is taken apart the same way wherever it comes from, so that what is a substring of a name's word stays one of the
//! word that is kept: each letter is kept, changed to one other, or left out, whatever stands beside it.

use std::collections::BTreeSet;

/// A word of more letters is not kept; its name counts as [`NameWord::Any`].
const LETTERS_MAX: usize = 48;
/// A group that run together has more bytes is not kept; PN has 64 characters (PS3.5 §6.2).
const WHOLE_MAX_BYTES: usize = 240;
/// A name of more words is not kept.
const WORDS_MAX: usize = 48;

/// What studies are found by of their patients' names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameWord {
    /// A word of a component group.
    Word(String),
    /// A component group run together.
    Whole(String),
    /// A name too long to be kept by its words: it may hold any.
    Any,
}

/// Between words.
#[must_use]
pub fn is_word_break(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control() || matches!(letter, '^' | '=' | ',' | ';' | '/' | '_')
}

/// Within a word, yet often left out or put in: `Jean-Luc`, `O'Neill`.
#[must_use]
pub fn is_word_joint(letter: char) -> bool {
    matches!(letter, '-' | '\'' | '’' | '.' | '‐' | '・' | '·')
}

/// The letters of a word that are compared: katakana as hiragana; breaks and joints are left out.
pub fn word_letters(folded: &str) -> impl Iterator<Item = char> {
    folded
        .chars()
        .filter(|letter| !is_word_joint(*letter) && !is_word_break(*letter))
        .map(|letter| match letter {
            '\u{30A1}'..='\u{30F6}' => char::from_u32(letter as u32 - 0x60).unwrap_or(letter),
            other => other,
        })
}

/// Calls with each word of a folded component group: the words themselves, the parts of words with joints, and the words of
/// one component run together, since `van der Berg` is written `Vanderberg` too.
pub fn each_word(group: &str, mut visit: impl FnMut(&str)) {
    for component in group.split('^') {
        let mut words = 0;
        for piece in component.split(is_word_break).filter(|piece| !piece.is_empty()) {
            words += 1;
            visit(piece);
            if piece.contains(is_word_joint) {
                piece
                    .split(is_word_joint)
                    .filter(|part| !part.is_empty())
                    .for_each(&mut visit);
            }
        }
        if words > 1 {
            visit(component);
        }
    }
}

/// All words that a study with these folded component groups is found by.
#[must_use]
pub fn name_words(groups: &[String]) -> BTreeSet<NameWord> {
    let mut words = BTreeSet::new();
    let mut count = 0;
    let mut is_long = false;
    for group in groups {
        each_word(group, |piece| {
            count += 1;
            let word: String = word_letters(piece).take(LETTERS_MAX + 1).collect();
            is_long |= word.chars().count() > LETTERS_MAX || count > WORDS_MAX;
            if !word.is_empty() && !is_long {
                words.insert(NameWord::Word(word));
            }
        });
        let whole: String = word_letters(group).take(WHOLE_MAX_BYTES + 1).collect();
        is_long |= whole.len() > WHOLE_MAX_BYTES;
        if !whole.is_empty() && !is_long {
            words.insert(NameWord::Whole(whole));
        }
    }
    if is_long {
        return BTreeSet::from([NameWord::Any]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(groups: &[&str], expected: &[&str]) {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let found: Vec<String> = name_words(&groups)
            .into_iter()
            .map(|word| match word {
                NameWord::Word(word) => word,
                NameWord::Whole(whole) => format!("={whole}"),
                NameWord::Any => "*".to_owned(),
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn takes_names_apart() {
        check(&["doe^jane"], &["doe", "jane", "=doejane"]);
        check(
            &["picard^jean-luc"],
            &["jean", "jeanluc", "luc", "picard", "=picardjeanluc"],
        );
        check(
            &["van der berg^a"],
            &["a", "berg", "der", "van", "vanderberg", "=vanderberga"],
        );
        check(&["山田^タロウ"], &["たろう", "山田", "=山田たろう"]);
        check(&["-", ""], &[]);
        check(&["doe", &"x".repeat(49)], &["*"]);
        check(&[&"a b ".repeat(60)], &["*"]);
    }
}

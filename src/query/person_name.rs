//! Person names (PS3.5 §6.2.1): component groups, trailing `^`, letter case and diacritics do not matter.

use filmroom_dataset::fold;
use filmroom_storage::model::{NameWord, is_word_break, word_letters};

use super::{
    names::{Part, Wanted},
    wildcard::{Pattern, has_wildcard},
};

/// A key for a PN attribute: every group that it names must match some group of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameTest {
    groups: Vec<GroupTest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum GroupTest {
    Exact(String),
    Pattern(Pattern),
}

/// Components of a group: a name with fewer is the same as one with empty ones.
const COMPONENTS: usize = 5;

impl NameTest {
    /// Reads one value of a key; `None` when it matches all.
    pub(super) fn new(text: &str) -> Option<Self> {
        let groups: Vec<GroupTest> = groups_of(text)
            .filter_map(|group| {
                if !has_wildcard(&group) {
                    return Some(GroupTest::Exact(group));
                }
                let pattern = Pattern::new(&group);
                (!pattern.is_universal()).then_some(GroupTest::Pattern(pattern))
            })
            .collect();
        (!groups.is_empty()).then_some(Self { groups })
    }

    /// What every name that matches has words of: each of these.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        self.groups
            .iter()
            .flat_map(|group| match group {
                GroupTest::Exact(text) => {
                    let whole: String = word_letters(text).collect();
                    let is_known = !whole.is_empty();
                    is_known
                        .then_some(Wanted::Exactly(NameWord::Whole(whole)))
                        .into_iter()
                        .collect()
                }
                GroupTest::Pattern(pattern) => wanted_by(pattern),
            })
            .collect()
    }

    /// Matches a value by its folded groups.
    pub(super) fn matches_folded(&self, groups: &[String]) -> bool {
        self.groups
            .iter()
            .all(|test| groups.iter().any(|group| test.matches(group)) || test.matches_across(groups))
    }

    /// Matches a value as it stands in a data set.
    pub(super) fn matches(&self, value: &str) -> bool {
        self.matches_folded(&groups_of(value).collect::<Vec<_>>())
    }
}

impl GroupTest {
    fn matches(&self, group: &str) -> bool {
        let group = group.trim_end_matches(['^', ' ']);
        match self {
            Self::Exact(text) => text == group,
            Self::Pattern(pattern) => {
                let carets = group.bytes().filter(|byte| *byte == b'^').count();
                let padding = (COMPONENTS - 1).saturating_sub(carets);
                pattern.matches(group.chars())
                    || (pattern.has('^') && pattern.matches(group.chars().chain(std::iter::repeat_n('^', padding))))
            }
        }
    }

    /// A pattern such as `wang*王*` was written for the whole value.
    fn matches_across(&self, groups: &[String]) -> bool {
        match self {
            Self::Pattern(pattern) if groups.len() > 1 && pattern.has('*') => pattern.matches(groups.join("=").chars()),
            _ => false,
        }
    }
}

/// The words that stand in a pattern between its wild cards.
fn wanted_by(pattern: &Pattern) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let runs: Vec<&[char]> = pattern.runs().collect();
    for (place, run) in runs.iter().enumerate() {
        let text: String = run.iter().collect();
        let pieces: Vec<&str> = text.split(is_word_break).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let letters: String = word_letters(piece).collect();
            if letters.is_empty() {
                continue;
            }
            // A word begins behind a break, and where the pattern begins.
            let begins = at > 0 || place == 0;
            let ends = at + 1 < pieces.len() || place + 1 == runs.len();
            wanted.push(match (begins, ends) {
                (true, true) => Wanted::Exactly(NameWord::Word(letters)),
                (true, false) => Wanted::Part(Part::Beginning(letters)),
                (false, true) => Wanted::Part(Part::End(letters)),
                (false, false) => Wanted::Part(Part::Inside(letters)),
            });
        }
        let words = pieces.iter().filter(|piece| !piece.is_empty()).count();
        if place == 0 && words > 1 {
            wanted.push(Wanted::Part(Part::WholeBeginning(word_letters(&text).collect())));
        }
    }
    wanted
}

/// The groups of a name that are not empty, folded, without trailing `^`.
pub(super) fn groups_of(value: &str) -> impl Iterator<Item = String> {
    value
        .split('=')
        .map(|group| group.trim_matches(' ').trim_end_matches(['^', ' ']))
        .filter(|group| !group.is_empty())
        .map(fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, value: &str, expected: bool) {
        let matched = NameTest::new(key).is_none_or(|test| test.matches(value));
        assert_eq!(matched, expected, "{key} on {value}");
    }

    #[test]
    fn ignores_case_diacritics_and_trailing_carets() {
        check("doe^jane", "Doe^Jane^^^", true);
        check("DOE^JANE^^", "Doe^Jane", true);
        check("muller^jorg", "Müller^Jörg", true);
        check("Müller^Jörg", "MULLER^JORG", true);
        check("doe", "Doe^Jane", false);
        check("Doe^Jane", "Doe^Janet", false);
    }

    #[test]
    fn matches_each_group() {
        let yamada = "Yamada^Tarou=山田^太郎=やまだ^たろう";
        check("yamada^tarou", yamada, true);
        check("山田^太郎", yamada, true);
        check("=山田*", yamada, true);
        check("yamada*=山田*", yamada, true);
        check("yamada*=鈴木*", yamada, false);
        check("*山田^太郎*", yamada, true);
        check("yama*やまだ*", yamada, true);
    }

    #[test]
    fn matches_wild_cards_over_components() {
        check("doe^*", "Doe", true);
        check("*^jane^*", "Doe^Jane", true);
        check("d?e^j*", "Doe^Jane", true);
        check("doe*", "Doerr^A", true);
        check("*", "", true);
        check("edge?empty_sequence", "Edge^empty_sequence", true);
        check("doe^j*", "Doe", false);
    }

    #[test]
    fn tells_words_for_the_index() {
        let wanted = |key: &str| NameTest::new(key).unwrap().wanted();
        let exactly = |word: &str| Wanted::Exactly(NameWord::Word(word.to_owned()));
        let part = |part: fn(String) -> Part, text: &str| Wanted::Part(part(text.to_owned()));
        let whole = |text: &str| Wanted::Exactly(NameWord::Whole(text.to_owned()));
        assert_eq!(wanted("Doe^Jane^^"), [whole("doejane")]);
        assert_eq!(wanted("Doe^*"), [exactly("doe")]);
        assert_eq!(
            wanted("Doe^J*"),
            [
                exactly("doe"),
                part(Part::Beginning, "j"),
                part(Part::WholeBeginning, "doej")
            ]
        );
        assert_eq!(wanted("*oe"), [part(Part::End, "oe")]);
        assert_eq!(wanted("*o-e*"), [part(Part::Inside, "oe")]);
        assert_eq!(wanted("*^jane^*"), [exactly("jane")]);
        assert_eq!(
            wanted("d?e^x"),
            [part(Part::Beginning, "d"), part(Part::End, "e"), exactly("x")]
        );
        assert_eq!(
            wanted("ya*=*山*"),
            [part(Part::Beginning, "ya"), part(Part::Inside, "山")]
        );
        assert_eq!(wanted("*^*"), []);
        assert_eq!(wanted("-"), []);
    }
}

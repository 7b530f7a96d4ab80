//! Wild card matching (PS3.4 §C.2.2.2.4): `*` any characters, none among them; `?` any one character.

/// A folded pattern. Matching never takes more steps than pattern length × text length, whatever the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    letters: Vec<char>,
}

impl Pattern {
    /// Takes a pattern that is folded already; runs of `*` become one.
    pub(super) fn new(folded: &str) -> Self {
        let mut letters: Vec<char> = folded.chars().collect();
        letters.dedup_by(|next, before| *next == '*' && *before == '*');
        Self { letters }
    }

    /// True when only `*` stands in the pattern: universal matching.
    pub(super) fn is_universal(&self) -> bool {
        self.letters == ['*']
    }

    /// What stands before, between and behind the wild cards, empty where nothing does.
    pub(super) fn runs(&self) -> impl Iterator<Item = &[char]> {
        self.letters.split(|letter| matches!(letter, '*' | '?'))
    }

    /// True when `letter` stands in the pattern.
    pub(super) fn has(&self, letter: char) -> bool {
        self.letters.contains(&letter)
    }

    /// Matches the whole of a folded text.
    pub(super) fn matches(&self, text: impl Iterator<Item = char> + Clone) -> bool {
        let mut text = text;
        let mut place = 0;
        // Where to go on after the latest `*` when what follows it does not fit: one character further each time.
        let mut retry = None;
        loop {
            let wanted = self.letters.get(place).copied();
            if wanted == Some('*') {
                place += 1;
                retry = Some((place, text.clone()));
                continue;
            }
            let mut ahead = text.clone();
            match (wanted, ahead.next()) {
                (None, None) => return true,
                (Some(letter), Some(found)) if letter == '?' || letter == found => {
                    place += 1;
                    text = ahead;
                }
                _ => {
                    let Some((after_star, mut from)) = retry.take() else {
                        return false;
                    };
                    if from.next().is_none() {
                        return false;
                    }
                    place = after_star;
                    text = from.clone();
                    retry = Some((after_star, from));
                }
            }
        }
    }
}

/// True when the text holds a wild card.
pub(super) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(
            Pattern::new(pattern).matches(text.chars()),
            expected,
            "{pattern} on {text}"
        );
    }

    #[test]
    fn follows_the_standard() {
        check("doe*", "doe^jane", true);
        check("*jane", "doe^jane", true);
        check("d?e*", "doe^jane", true);
        check("*o*j*e", "doe^jane", true);
        check("doe", "doe^jane", false);
        check("?", "", false);
        check("*", "", true);
        check("", "", true);
        check("", "a", false);
        check("王?小*", "王^小東", true);
        check("a*b", "ab", true);
        check("a*b*", "acbcb", true);
        check("a*?", "a", false);
        check("100%_", "100xy", false);
    }

    #[test]
    fn tells_what_stands_between_its_wild_cards() {
        let runs = |pattern: &str| Pattern::new(pattern).runs().map(String::from_iter).collect::<Vec<_>>();
        assert_eq!(runs("doe^j*x"), ["doe^j", "x"]);
        assert_eq!(runs("?oe*"), ["", "oe", ""]);
        assert!(Pattern::new("***").is_universal());
    }

    #[test]
    fn stays_bounded_on_patterns_built_to_explode() {
        let text = "a".repeat(5000);
        let pattern = format!("{}b", "a*".repeat(120));
        let begin = Instant::now();
        check(&pattern, &text, false);
        assert!(begin.elapsed() < Duration::from_secs(1));
    }

    /// Slow and plainly right: what `*` stands for is tried at every length.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|taken| reference(rest, &text[taken..])),
            Some((letter, rest)) => text
                .split_first()
                .is_some_and(|(found, after)| (*letter == '?' || letter == found) && reference(rest, after)),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_definition(pattern in "[ab*?]{0,7}", text in "[abc]{0,9}") {
            let letters: Vec<char> = pattern.chars().collect();
            let characters: Vec<char> = text.chars().collect();
            prop_assert_eq!(Pattern::new(&pattern).matches(text.chars()), reference(&letters, &characters));
        }
    }
}

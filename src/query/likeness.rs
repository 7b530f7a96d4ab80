//! Names by likeness (fuzzy semantic matching, PS3.4 §C.2.2.2.1.2): words in any order, their beginnings, diacritics,
//! hyphens, spellings that differ in a letter or two, and each component group on its own.

use filmroom_dataset::fold;
use filmroom_storage::model::{each_word, is_word_break, word_letters};

use super::names::{Part, Wanted};

/// More words of a key are refused; a name of more words is looked at up to here.
const WORDS_MAX: usize = 16;
/// Words of a name, their parts and what they are run together; more are not looked at.
const FOUND_MAX: usize = 64;
/// Longer words are compared by their beginnings alone.
const LETTERS_MAX: usize = 32;

/// A word as it is compared.
type Word = Vec<char>;

/// A key for a PN attribute, to be matched by likeness: all its words must be found in one group of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LikeTest {
    groups: Vec<LikeGroup>,
}

/// The words that one group of the value must have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LikeGroup {
    words: Vec<Word>,
    /// All of them run together.
    whole: Word,
}

impl LikeTest {
    /// Reads one value of a key; `None` when no letter is in it, so that it matches all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(text: &str) -> Result<Option<Self>, &'static str> {
        let mut groups = Vec::new();
        for group in text.split('=') {
            let folded = fold(&group.replace(['*', '?'], " "));
            let words: Vec<Word> = folded
                .split(is_word_break)
                .map(|word| word_letters(word).collect())
                .filter(|word: &Word| !word.is_empty())
                .collect();
            if words.len() > WORDS_MAX {
                return Err("a name to be matched by likeness has at most 16 words");
            }
            if !words.is_empty() {
                let whole = words.concat();
                groups.push(LikeGroup { words, whole });
            }
        }
        Ok((!groups.is_empty()).then_some(Self { groups }))
    }

    /// Matches a value by its folded groups.
    pub(super) fn matches_folded(&self, groups: &[String]) -> bool {
        self.groups
            .iter()
            .all(|wanted| groups.iter().any(|group| wanted.likes(group)))
    }

    /// Matches a value as it stands in a data set.
    pub(super) fn matches(&self, value: &str) -> bool {
        self.matches_folded(&super::person_name::groups_of(value).collect::<Vec<_>>())
    }

    /// What every name that matches has words of: each of these.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let of_group = |group: &LikeGroup| {
            let wanted = |word: &Word| {
                let mut parts = like_parts(word);
                let mut like = vec![word.clone()];
                if group.words.len() > 1 {
                    parts.extend(like_parts(&group.whole));
                    like.push(group.whole.clone());
                }
                if group.crosses_words() {
                    parts.push(Part::WholeBeginning(group.whole.iter().collect()));
                }
                Wanted::Like { parts, like }
            };
            group.words.iter().map(wanted).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(of_group).collect()
    }
}

impl LikeGroup {
    /// True when the words run together are to be found over the words of a name too: `太郎` and `山田` are written without a
    /// space between them, `smithjohn` is not.
    fn crosses_words(&self) -> bool {
        self.words.len() > 1 || (self.whole.len() > 1 && self.whole.first().is_some_and(|letter| !letter.is_ascii()))
    }

    /// Every wanted word finds a word of its own in the group, or all of them run together are one word of it or its
    /// beginning.
    fn likes(&self, group: &str) -> bool {
        // Each word of the group, parts of words with joints, and components run together: using a part uses that part only.
        let mut found: Vec<Word> = Vec::new();
        each_word(group, |word| {
            if found.len() < FOUND_MAX {
                found.push(word_letters(word).collect());
            }
        });
        pair_up(&self.words, &found)
            || (self.words.len() > 1 && found.iter().any(|word| is_like(&self.whole, word)))
            || (self.crosses_words() && begins_with(word_letters(group), &self.whole))
    }
}

fn begins_with(mut letters: impl Iterator<Item = char>, beginning: &[char]) -> bool {
    beginning.iter().all(|letter| letters.next() == Some(*letter))
}

/// Where all words lie that are like this one: a few edits leave some part of it as it is (each edit touches one part, or
/// swaps two letters at the border of two, which is looked for by itself).
fn like_parts(word: &[char]) -> Vec<Part> {
    let text = |letters: &[char]| letters.iter().collect::<String>();
    let mut parts = vec![Part::Beginning(text(word))];
    let edits = match word.len() {
        0..=3 => 0,
        4..=7 => 1,
        8..=LETTERS_MAX => 2,
        _ => 0,
    };
    if edits == 1 {
        parts.extend(once_edited(word));
    }
    if edits == 2 {
        let (first, second) = (word.len().div_ceil(3), word.len() - word.len() / 3);
        parts.push(Part::Beginning(text(word.get(..first).unwrap_or_default())));
        parts.push(Part::Inside(text(word.get(first..second).unwrap_or_default())));
        parts.push(Part::End(text(word.get(second..).unwrap_or_default())));
        for border in [first, second] {
            parts.extend(once_edited(&swapped(word, border)));
        }
    }
    parts
}

/// Where all words lie that are this one but for one edit.
fn once_edited(word: &[char]) -> [Part; 3] {
    let (before, after) = word.split_at_checked(word.len() / 2).unwrap_or_default();
    [
        Part::Beginning(before.iter().collect()),
        Part::End(after.iter().collect()),
        Part::Beginning(swapped(word, before.len()).iter().collect()),
    ]
}

/// The letters before and after a border swapped.
fn swapped(word: &[char], border: usize) -> Word {
    let mut word = word.to_vec();
    if border > 0 && border < word.len() {
        word.swap(border - 1, border);
    }
    word
}

/// A matching of all wanted words to different found ones (Kuhn's augmenting paths; at most 16 wanted, 64 found).
fn pair_up(wanted: &[Word], found: &[Word]) -> bool {
    let likes = |word: &Word| {
        let like = found.iter().enumerate().filter(|(_, other)| is_like(word, other));
        like.fold(0_u64, |mask, (place, _)| mask | 1 << (place % FOUND_MAX))
    };
    let mut masks = [0; WORDS_MAX];
    for (mask, word) in masks.iter_mut().zip(wanted) {
        *mask = likes(word);
        if *mask == 0 {
            return false;
        }
    }
    let mut holder = [usize::MAX; FOUND_MAX];
    (0..wanted.len()).all(|start| augment(start, &masks, &mut holder, &mut 0))
}

/// Depth is bounded by [`FOUND_MAX`], since each step marks one more found word as seen.
fn augment(start: usize, likes: &[u64], holder: &mut [usize; FOUND_MAX], seen: &mut u64) -> bool {
    let candidates = likes.get(start).copied().unwrap_or(0);
    for place in 0..FOUND_MAX {
        let bit = 1_u64 << place;
        if candidates & bit == 0 || *seen & bit != 0 {
            continue;
        }
        *seen |= bit;
        let held = holder.get(place).copied().unwrap_or(usize::MAX);
        if held == usize::MAX || augment(held, likes, holder, seen) {
            if let Some(slot) = holder.get_mut(place) {
                *slot = start;
            }
            return true;
        }
    }
    false
}

/// The same word, its beginning, or a spelling within few letters: none up to 3 letters, one up to 7, two beyond.
pub(super) fn is_like(wanted: &[char], found: &[char]) -> bool {
    if found.starts_with(wanted) {
        return true;
    }
    let allowed = match wanted.len().min(found.len()) {
        0..=3 => return false,
        4..=7 => 1,
        _ => 2,
    };
    wanted.len().abs_diff(found.len()) <= allowed
        && wanted.len().max(found.len()) <= LETTERS_MAX
        && distance_within(wanted, found, allowed)
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, at most `allowed` of them.
fn distance_within(one: &[char], two: &[char], allowed: usize) -> bool {
    let width = two.len() + 1;
    let mut rows = [[0_usize; LETTERS_MAX + 1]; 3];
    let [before_last, last, current] = &mut rows;
    let (mut before_last, mut last, mut current) = (before_last, last, current);
    for (place, cell) in last.iter_mut().enumerate().take(width) {
        *cell = place;
    }
    let at = |row: &[usize; LETTERS_MAX + 1], place: usize| row.get(place).copied().unwrap_or(usize::MAX / 2);
    for (row, letter) in one.iter().enumerate() {
        let mut least = row + 1;
        for place in 0..width {
            let cell = if place == 0 {
                row + 1
            } else {
                let other = two.get(place - 1);
                let differs = usize::from(other != Some(letter));
                let mut cell = (at(last, place) + 1)
                    .min(at(current, place - 1) + 1)
                    .min(at(last, place - 1) + differs);
                let swapped = row > 0 && place > 1 && one.get(row - 1) == other && two.get(place - 2) == Some(letter);
                if swapped {
                    cell = cell.min(at(before_last, place - 2) + 1);
                }
                cell
            };
            if let Some(slot) = current.get_mut(place) {
                *slot = cell;
            }
            least = least.min(cell);
        }
        if least > allowed {
            return false;
        }
        (before_last, last, current) = (last, current, before_last);
    }
    at(last, two.len()) <= allowed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(key: &str, value: &str, expected: bool) {
        let matched = LikeTest::new(key).unwrap().is_none_or(|test| test.matches(value));
        assert_eq!(matched, expected, "{key} on {value}");
    }

    #[test]
    fn finds_misspelt_names() {
        check("Jonson", "Johnson^Mary", true);
        check("Meier", "Meyer^Hans", true);
        check("Schmid", "Schmidt^Eva", true);
        check("Muller", "Müller^Jörg", true);
        check("Mueller", "Müller^Jörg", true);
        check("Strasse", "Straße^A", true);
        check("Wiliams", "Williams^Robin", true);
        check("Gracia", "Garcia^Ana", true);
        check("Smith", "Jones^Amy", false);
        check("Li", "Lu^Wei", false);
        check("Kim", "Kem^A", false);
    }

    #[test]
    fn finds_words_in_any_order() {
        check("jane doe", "Doe^Jane", true);
        check("Doe, Jane", "Doe^Jane", true);
        check("edge private", "Edge^private_block", true);
        check("ja do", "Doe^Jane", true);
        check("jane jane", "Doe^Jane", false);
        check("jane smith", "Doe^Jane", false);
    }

    #[test]
    fn looks_past_hyphens_and_apostrophes() {
        check("jeanluc", "Picard^Jean-Luc", true);
        check("jean luc picard", "Picard^Jean-Luc", true);
        check("luc", "Picard^Jean-Luc", true);
        check("jean-luc", "Picard^Jeanluc", true);
        check("oneill", "O'Neill^Jack", true);
        check("meier-schulz", "Meier Schulz^A", true);
        check("van der berg", "Vanderberg^A", true);
        check("vanderburg", "Van der Berg^A", true);
        check("jeanluc", "Picard^Jean Luc", true);
        check("smithjohn", "Smith^John", false);
    }

    #[test]
    fn reads_every_group() {
        let yamada = "Yamada^Tarou=山田^太郎=やまだ^たろう";
        check("太郎 山田", yamada, true);
        check("山田太郎", yamada, true);
        check("ヤマダ", yamada, true);
        check("tarou yamada", yamada, true);
        check("山田太", yamada, true);
        check("鈴木", yamada, false);
        check("yamada=鈴木", yamada, false);
    }

    #[test]
    fn an_empty_key_matches_all() {
        check("", "Doe", true);
        check("*", "Doe", true);
        assert!(LikeTest::new(&"a ".repeat(17)).is_err());
    }

    /// The whole table, without bands or early ends.
    fn distance(one: &[char], two: &[char]) -> usize {
        let mut table = vec![vec![0; two.len() + 1]; one.len() + 1];
        for (place, row) in table.iter_mut().enumerate() {
            row[0] = place;
        }
        table[0] = (0..=two.len()).collect();
        for a in 1..=one.len() {
            for b in 1..=two.len() {
                let differs = usize::from(one[a - 1] != two[b - 1]);
                table[a][b] = (table[a - 1][b] + 1)
                    .min(table[a][b - 1] + 1)
                    .min(table[a - 1][b - 1] + differs);
                if a > 1 && b > 1 && one[a - 1] == two[b - 2] && one[a - 2] == two[b - 1] {
                    table[a][b] = table[a][b].min(table[a - 2][b - 2] + 1);
                }
            }
        }
        table[one.len()][two.len()]
    }

    /// True when a word lies where the parts say.
    fn lies_in(parts: &[Part], found: &str) -> bool {
        parts.iter().any(|part| match part {
            Part::Beginning(text) => found.starts_with(text.as_str()),
            Part::End(text) => found.ends_with(text.as_str()),
            Part::Inside(text) => found.contains(text.as_str()),
            Part::WholeBeginning(_) => false,
        })
    }

    proptest! {
        #[test]
        fn whatever_is_like_a_word_lies_in_its_parts(
            word in "[abc]{1,12}",
            edits in prop::collection::vec((0_usize..12, 0..4_u8, prop::char::range('a', 'c')), 0..3),
        ) {
            let word: Word = word.chars().collect();
            let mut found = word.clone();
            for (place, edit, letter) in edits {
                let place = place % found.len().max(1);
                match edit {
                    0 => found.insert(place, letter),
                    1 if found.len() > 1 => drop(found.remove(place)),
                    2 if place + 1 < found.len() => found.swap(place, place + 1),
                    _ => found[place] = letter,
                }
            }
            if is_like(&word, &found) {
                let text: String = found.iter().collect();
                prop_assert!(lies_in(&like_parts(&word), &text), "{text}");
            }
        }

        #[test]
        fn measures_as_the_whole_table_does(one in "[abc]{0,9}", two in "[abc]{0,9}", allowed in 0_usize..4) {
            let (one, two): (Vec<char>, Vec<char>) = (one.chars().collect(), two.chars().collect());
            prop_assert_eq!(distance_within(&one, &two, allowed), distance(&one, &two) <= allowed);
        }

        #[test]
        fn never_panics(key in ".{0,60}", value in ".{0,80}") {
            if let Ok(Some(test)) = LikeTest::new(&key) {
                let _ = test.matches(&value);
            }
        }

        #[test]
        fn a_name_is_like_itself_in_any_order(words in prop::collection::vec("[a-z]{1,9}", 1..5)) {
            let backwards = words.iter().rev().cloned().collect::<Vec<_>>().join(" ");
            prop_assert!(LikeTest::new(&backwards).unwrap().unwrap().matches(&words.join("^")));
        }
    }
}

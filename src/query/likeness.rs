//! Names by likeness (fuzzy semantic matching, PS3.4 §C.2.2.2.1.2): words in any order, their beginnings, diacritics,
//! hyphens, spellings that differ in a letter or two, and each component group on its own.

use filmroom_dataset::fold;

/// More words of a key are refused; a name of more words is looked at up to here.
const WORDS_MAX: usize = 16;
/// Longer words are compared by their beginnings alone.
const LETTERS_MAX: usize = 32;

/// A word as it is compared.
type Word = Vec<char>;

/// A key for a PN attribute, to be matched by likeness: all its words must be found in one group of the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LikeTest {
    groups: Vec<Vec<Word>>,
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
                .split(is_break)
                .map(word)
                .filter(|word| !word.is_empty())
                .collect();
            if words.len() > WORDS_MAX {
                return Err("a name to be matched by likeness has at most 16 words");
            }
            if !words.is_empty() {
                groups.push(words);
            }
        }
        Ok((!groups.is_empty()).then_some(Self { groups }))
    }

    /// Matches a value by its folded groups.
    pub(super) fn matches_folded(&self, groups: &[String]) -> bool {
        self.groups
            .iter()
            .all(|wanted| groups.iter().any(|group| likes(wanted, group)))
    }

    /// Matches a value as it stands in a data set.
    pub(super) fn matches(&self, value: &str) -> bool {
        self.matches_folded(&super::person_name::groups_of(value).collect::<Vec<_>>())
    }
}

/// Between words.
fn is_break(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '^' | ',' | ';' | '/' | '_')
}

/// Within a word, yet often left out or put in: `Jean-Luc`, `O'Neill`.
fn is_joint(letter: char) -> bool {
    matches!(letter, '-' | '\'' | '’' | '.' | '‐' | '・' | '·')
}

/// The letters of a word, katakana as hiragana, joints left out.
fn word(folded: &str) -> Word {
    folded
        .chars()
        .filter(|letter| !is_joint(*letter))
        .map(|letter| match letter {
            '\u{30A1}'..='\u{30F6}' => char::from_u32(letter as u32 - 0x60).unwrap_or(letter),
            other => other,
        })
        .collect()
}

/// Every wanted word finds a word of its own in the group, or all of them run together are the group run together.
fn likes(wanted: &[Word], group: &str) -> bool {
    // Each word of the group, and the parts of words with joints, with the place of the word: using a part uses the word's
    // part only, using the whole uses its parts.
    let mut found: Vec<Word> = Vec::new();
    for piece in group.split(is_break).filter(|piece| !piece.is_empty()) {
        if found.len() >= WORDS_MAX {
            break;
        }
        found.push(word(piece));
        if piece.contains(is_joint) {
            let room = WORDS_MAX - found.len();
            found.extend(
                piece
                    .split(is_joint)
                    .filter(|part| !part.is_empty())
                    .map(word)
                    .take(room),
            );
        }
    }
    if pair_up(wanted, &found) {
        return true;
    }
    let squash = |words: &[Word]| words.iter().flatten().copied().collect::<Word>();
    let whole: Word = group.split(is_break).flat_map(word).collect();
    is_like(&squash(wanted), &whole)
}

/// A matching of all wanted words to different found ones (Kuhn's augmenting paths; at most 16 on each side).
fn pair_up(wanted: &[Word], found: &[Word]) -> bool {
    let mut holder = [usize::MAX; WORDS_MAX];
    let likes: Vec<u16> = wanted
        .iter()
        .map(|word| {
            let bits = found
                .iter()
                .take(WORDS_MAX)
                .enumerate()
                .filter(|(_, other)| is_like(word, other));
            bits.fold(0, |mask, (place, _)| mask | 1 << place)
        })
        .collect();
    (0..wanted.len()).all(|start| {
        let mut seen = 0_u16;
        augment(start, &likes, &mut holder, &mut seen)
    })
}

/// Depth is bounded by [`WORDS_MAX`], since each step marks one more found word as seen.
fn augment(start: usize, likes: &[u16], holder: &mut [usize; WORDS_MAX], seen: &mut u16) -> bool {
    let candidates = likes.get(start).copied().unwrap_or(0);
    for place in 0..WORDS_MAX {
        let bit = 1_u16 << place;
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
fn is_like(wanted: &[char], found: &[char]) -> bool {
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
    }

    #[test]
    fn reads_every_group() {
        let yamada = "Yamada^Tarou=山田^太郎=やまだ^たろう";
        check("太郎 山田", yamada, true);
        check("山田太郎", yamada, true);
        check("ヤマダ", yamada, true);
        check("tarou yamada", yamada, true);
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

    proptest! {
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

//! Answers in an order of the asker's choice: all matches are read, and those that may be on the page are kept.

use std::cmp::Ordering;

use filmroom_storage::model::{Attributes, Tag};

use filmroom_dataset::fold;

use super::{Answer, Answers, Direction, Include, Level, OrderBy, Query, QueryError, QueryRoom};

/// A page that ends further back is not sorted: each answer up to there costs about a kilobyte meanwhile.
const KEPT_MAX: usize = 20_000;
/// More matches are not read to be sorted: some 10 us each.
const READ_MAX: u64 = 250_000;
const STUDY_DATE: Tag = 0x0008_0020;
const GATHERED_AT_A_TIME: usize = 1_000;

/// What answers are compared by.
#[derive(Debug, PartialEq)]
enum SortValue {
    Number(f64),
    Text(String),
    Missing,
}

/// True when the order of the index will do: studies newest first.
pub(super) fn is_natural(query: &Query) -> bool {
    match query.order.as_slice() {
        [] => true,
        [first] => query.level == Level::Study && first.tag == STUDY_DATE && first.direction == Direction::Descending,
        _ => false,
    }
}

pub(super) fn find_sorted(room: &QueryRoom, query: &Query) -> Result<Answers, QueryError> {
    // The attributes to compare must stand in the answers.
    let mut asked = query.clone();
    if let Include::Listed(tags) | Include::Exactly(tags) = &mut asked.include {
        tags.extend(query.order.iter().map(|order| order.tag));
    }
    let mut search = room.search(&asked)?;
    let offset = usize::try_from(query.offset).unwrap_or(usize::MAX);
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let kept = offset.saturating_add(limit).min(KEPT_MAX);
    let mut found: Vec<(Vec<SortValue>, Answer)> = Vec::new();
    let mut total: u64 = 0;
    loop {
        let page = search.page(GATHERED_AT_A_TIME)?;
        let ended = page.len() < GATHERED_AT_A_TIME;
        total += page.len() as u64;
        found.extend(
            page.into_iter()
                .map(|answer| (sort_values(&answer.attributes, &query.order), answer)),
        );
        if ended || found.len() >= 2 * kept.max(GATHERED_AT_A_TIME / 2) {
            // Stable: equals stay in the order of the index, and those that come later stand behind.
            found.sort_by(|(one, _), (two, _)| compare(one, two, &query.order));
            found.truncate(kept);
        }
        if ended {
            break;
        }
        if total >= READ_MAX {
            return Err(QueryError::TooBroad(format!(
                "more than {READ_MAX} matches would have to be sorted: ask for fewer, or leave the order to the archive"
            )));
        }
    }
    if offset.saturating_add(limit) > KEPT_MAX && total > KEPT_MAX as u64 {
        return Err(QueryError::TooBroad(format!(
            "only the first {KEPT_MAX} of {total} answers can be sorted: ask for fewer, or leave the order to the archive"
        )));
    }
    let answers: Vec<Answer> = found
        .into_iter()
        .skip(offset)
        .take(limit)
        .map(|(_, answer)| answer)
        .collect();
    let remaining = total.saturating_sub(query.offset).saturating_sub(answers.len() as u64);
    Ok(Answers {
        answers,
        remaining: Some(remaining),
        ignored: search.ignored().to_vec(),
    })
}

fn sort_values(attributes: &Attributes, order: &[OrderBy]) -> Vec<SortValue> {
    order.iter().map(|order| sort_value(attributes, order.tag)).collect()
}

fn sort_value(attributes: &Attributes, tag: Tag) -> SortValue {
    let Some(element) = attributes.get(tag).filter(|element| !element.value.is_empty()) else {
        return SortValue::Missing;
    };
    match (&element.vr, element.value) {
        (b"US", [a, b, ..]) => SortValue::Number(u16::from_le_bytes([*a, *b]).into()),
        (b"UL", [a, b, c, d, ..]) => SortValue::Number(u32::from_le_bytes([*a, *b, *c, *d]).into()),
        (b"IS" | b"DS", _) => match element.text().split('\\').next().unwrap_or_default().trim().parse() {
            Ok(number) => SortValue::Number(number),
            Err(_) => SortValue::Missing,
        },
        _ => SortValue::Text(fold(element.text())),
    }
}

fn compare(one: &[SortValue], two: &[SortValue], order: &[OrderBy]) -> Ordering {
    for ((one, two), order) in one.iter().zip(two).zip(order) {
        let ordering = match (one, two) {
            (SortValue::Missing, SortValue::Missing) => Ordering::Equal,
            (SortValue::Missing, _) => return Ordering::Greater,
            (_, SortValue::Missing) => return Ordering::Less,
            (SortValue::Number(one), SortValue::Number(two)) => one.total_cmp(two),
            (SortValue::Text(one), SortValue::Text(two)) => one.cmp(two),
            (SortValue::Number(_), SortValue::Text(_)) => Ordering::Less,
            (SortValue::Text(_), SortValue::Number(_)) => Ordering::Greater,
        };
        let ordering = match order.direction {
            Direction::Ascending => ordering,
            Direction::Descending => ordering.reverse(),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}

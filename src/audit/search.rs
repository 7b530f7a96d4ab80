//! Finds entries: who saw this patient, what did this user do, what failed. Pages are bounded, and so is the work of each.

use time::OffsetDateTime;

use crate::{
    codes::{Action, EventId, EventType, Outcome},
    entry::Entry,
    error::AuditError,
    event::{Event, Network, Object},
    facets::{Facet, FacetKey},
    segment::Segment,
    shared::Shared,
};

/// Most entries of one page.
pub const PAGE_ENTRIES_MAX: usize = 1000;
/// Most entries that are looked at for one page: then it ends, with a cursor to go on from.
pub const PAGE_EXAMINED_MAX: usize = 50_000;

/// What is looked for. Conditions hold together; several values of one are alternatives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Patient ID (0010,0020).
    pub patient_id: Option<String>,
    /// Issuer of Patient ID (0010,0021), beside the ID.
    pub issuer_of_patient_id: Option<String>,
    /// Study Instance UID.
    pub study_instance_uid: Option<String>,
    /// Accession number.
    pub accession_number: Option<String>,
    /// Name of anybody who took part; small and capital letters are the same.
    pub user: Option<String>,
    /// Address of anybody who took part.
    pub address: Option<String>,
    /// Kinds of events.
    pub events: Vec<EventId>,
    /// Types of events.
    pub types: Vec<EventType>,
    /// Actions.
    pub actions: Vec<Action>,
    /// Outcomes.
    pub outcomes: Vec<Outcome>,
    /// Not before.
    pub from: Option<OffsetDateTime>,
    /// Before, not at.
    pub until: Option<OffsetDateTime>,
    /// What comes first.
    pub order: Order,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// Most entries of the page; 0 or more than [`PAGE_ENTRIES_MAX`]: that many.
    pub limit: usize,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// What was recorded last.
    #[default]
    NewestFirst,
    /// What was recorded first.
    OldestFirst,
}

/// Where a page ended: the index of the next entry to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub u64);

/// A page of what was found.
#[derive(Debug, Default)]
pub struct Page {
    /// In the order that was asked for.
    pub entries: Vec<Entry>,
    /// Where to go on; `None`: there is no more.
    pub next: Option<Cursor>,
    /// Entries that could not be read, and are not among those found: from 0, at most a page of them.
    pub damaged: Vec<u64>,
}

impl Search {
    fn limit(&self) -> usize {
        match self.limit {
            0 => PAGE_ENTRIES_MAX,
            limit => limit.min(PAGE_ENTRIES_MAX),
        }
    }

    /// Hashes that an entry has to have: one at least of each list.
    fn hashes(&self, facets: &FacetKey) -> Vec<Vec<u64>> {
        let mut all = Vec::new();
        let mut one = |facet, value: &Option<String>| {
            all.extend(value.as_ref().map(|value| vec![facets.of(facet, value)]));
        };
        one(Facet::Patient, &self.patient_id);
        one(Facet::Study, &self.study_instance_uid);
        one(Facet::Accession, &self.accession_number);
        one(Facet::User, &self.user);
        one(Facet::Address, &self.address.as_deref().map(place));
        if !self.types.is_empty() {
            let kinds = self.types.iter().map(|kind| facets.of(Facet::Type, kind.code().value));
            all.push(kinds.collect());
        }
        if !self.events.is_empty() {
            let events = self
                .events
                .iter()
                .map(|event| facets.of(Facet::Event, event.code().value));
            all.push(events.collect());
        }
        if !self.outcomes.is_empty() && !self.outcomes.contains(&Outcome::Success) {
            all.push(vec![facets.of(Facet::Failure, "")]);
        }
        all
    }

    /// True when an event is looked for.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let is_patient = |id: &String| {
            event.patients().any(|patient| {
                let issuer = self.issuer_of_patient_id.as_deref();
                patient.id.value() == Some(id) && issuer.is_none_or(|issuer| patient.issuer.value() == Some(issuer))
            })
        };
        let is_study = |uid: &String| event.studies().any(|study| study.study_instance_uid == *uid);
        let is_accession = |number: &String| {
            event.objects.iter().any(|object| match object {
                Object::Study(study) => study.accession_number.value() == Some(number),
                Object::Order(order) => order.accession_number.value() == Some(number),
                _ => false,
            })
        };
        let is_user = |name: &String| {
            let name = name.to_lowercase();
            let is_subject = event.objects.iter().any(|object| match object {
                Object::Security(subject) => {
                    subject.kind == crate::event::SecurityKind::User && subject.id.to_lowercase() == name
                }
                _ => false,
            });
            is_subject
                || event.participants.iter().any(|participant| {
                    participant.user_id.to_lowercase() == name || participant.user_name.to_lowercase() == name
                })
        };
        let is_address = |address: &String| {
            let address = place(address);
            event
                .participants
                .iter()
                .filter_map(|participant| participant.network.as_ref())
                .any(|network| network.text() == address)
        };
        self.patient_id.as_ref().is_none_or(is_patient)
            && self.study_instance_uid.as_ref().is_none_or(is_study)
            && self.accession_number.as_ref().is_none_or(is_accession)
            && self.user.as_ref().is_none_or(is_user)
            && self.address.as_ref().is_none_or(is_address)
            && (self.events.is_empty() || self.events.contains(&event.event))
            && (self.types.is_empty() || self.types.iter().any(|kind| event.types.contains(kind)))
            && (self.actions.is_empty() || self.actions.contains(&event.action))
            && (self.outcomes.is_empty() || self.outcomes.contains(&event.outcome))
            && self.from.is_none_or(|from| event.at >= from)
            && self.until.is_none_or(|until| event.at < until)
    }

    /// True when the segment may hold something of the time that is looked at.
    fn may_hold(&self, segment: &Segment) -> bool {
        let span = segment.span();
        let is_late = self.from.is_none_or(|from| span.latest >= from.unix_timestamp());
        let is_early = self.until.is_none_or(|until| span.earliest <= until.unix_timestamp());
        span.earliest > span.latest || (is_late && is_early)
    }
}

/// An address as it stands in entries.
fn place(address: &str) -> String {
    Network::of(address).map_or_else(|| address.to_owned(), |network| network.text().to_owned())
}

/// Finds a page of entries.
pub(crate) fn search(shared: &Shared, search: &Search) -> Result<Page, AuditError> {
    let hashes = search.hashes(&shared.facets);
    let size = shared.size();
    let mut page = Page::default();
    let mut examined = 0;
    let mut segments = shared.segments();
    if search.order == Order::NewestFirst {
        segments.reverse();
    }
    for segment in segments {
        let is_behind = match (search.order, search.cursor) {
            (_, None) => false,
            (Order::NewestFirst, Some(cursor)) => segment.first > cursor.0,
            (Order::OldestFirst, Some(cursor)) => segment.first + u64::from(segment.len()) <= cursor.0,
        };
        if is_behind || !search.may_hold(&segment) {
            continue;
        }
        for number in candidates(shared, &segment, &hashes, search.order)? {
            let index = segment.first + u64::from(number);
            let is_passed = index >= size
                || search.cursor.is_some_and(|cursor| match search.order {
                    Order::NewestFirst => index > cursor.0,
                    Order::OldestFirst => index < cursor.0,
                });
            if is_passed {
                continue;
            }
            let is_full = page.entries.len() >= search.limit() || page.damaged.len() >= PAGE_ENTRIES_MAX;
            if is_full || examined >= PAGE_EXAMINED_MAX {
                page.next = Some(Cursor(index));
                return Ok(page);
            }
            examined += 1;
            match segment.entry(number, &shared.sealer) {
                Ok(entry) if search.matches(&entry.event) => page.entries.push(entry),
                Ok(_) => {}
                Err(AuditError::Damaged { index, .. }) => page.damaged.push(index),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(page)
}

/// Numbers of the entries that have all hashes, in the order asked for.
fn candidates(
    shared: &Shared,
    segment: &Segment,
    hashes: &[Vec<u64>],
    order: Order,
) -> Result<Box<dyn Iterator<Item = u32>>, AuditError> {
    let found = match having_all(segment, hashes) {
        // An index that is damaged is made anew.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            segment.reindex(&shared.sealer, &shared.facets)?;
            having_all(segment, hashes)?
        }
        other => other?,
    };
    Ok(match (found, order) {
        (Some(numbers), Order::NewestFirst) => Box::new(numbers.into_iter().rev()),
        (Some(numbers), Order::OldestFirst) => Box::new(numbers.into_iter()),
        (None, Order::NewestFirst) => Box::new((0..segment.len()).rev()),
        (None, Order::OldestFirst) => Box::new(0..segment.len()),
    })
}

/// Entries that have one at least of each list; `None` when there are no lists: all.
fn having_all(segment: &Segment, hashes: &[Vec<u64>]) -> std::io::Result<Option<Vec<u32>>> {
    let mut found: Option<Vec<u32>> = None;
    for alternatives in hashes {
        let mut numbers = Vec::new();
        for hash in alternatives {
            numbers.extend(segment.having(*hash)?);
        }
        numbers.sort_unstable();
        numbers.dedup();
        if let Some(before) = found {
            numbers.retain(|number| before.binary_search(number).is_ok());
        }
        if numbers.is_empty() {
            return Ok(Some(numbers));
        }
        found = Some(numbers);
    }
    Ok(found)
}

//! By what entries are found: keyed hashes of patient, user, address, study, accession number, kind, type and failure.
//!
//! Hashes and not values, so that no patient's identity stands in what is made for searching.

use ring::hmac;

use crate::{
    codes::Outcome,
    event::{Event, Object, SecurityKind},
};

/// Kinds of values that entries are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Facet {
    Patient = 1,
    User = 2,
    Address = 3,
    Study = 4,
    Accession = 5,
    Event = 6,
    Type = 7,
    Failure = 8,
}

/// Makes the hashes.
#[derive(Clone)]
pub(crate) struct FacetKey(hmac::Key);

impl FacetKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The hash of a value: 8 bytes. Others may have the same, so that what is found is looked at.
    pub(crate) fn of(&self, facet: Facet, value: &str) -> u64 {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[facet as u8]);
        if facet == Facet::User {
            context.update(value.to_lowercase().as_bytes());
        } else {
            context.update(value.as_bytes());
        }
        let tag = context.sign();
        tag.as_ref()
            .first_chunk::<8>()
            .map_or_else(|| 0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// All hashes that an event is found by, each once.
    pub(crate) fn of_event(&self, event: &Event) -> Vec<u64> {
        let mut all = vec![self.of(Facet::Event, event.event.code().value)];
        for kind in &event.types {
            all.push(self.of(Facet::Type, kind.code().value));
        }
        if event.outcome != Outcome::Success {
            all.push(self.of(Facet::Failure, ""));
        }
        for participant in &event.participants {
            all.push(self.of(Facet::User, &participant.user_id));
            if !participant.user_name.is_empty() {
                all.push(self.of(Facet::User, &participant.user_name));
            }
            if let Some(network) = &participant.network {
                all.push(self.of(Facet::Address, network.text()));
            }
        }
        for object in &event.objects {
            match object {
                Object::Study(study) => all.push(self.of(Facet::Study, &study.study_instance_uid)),
                Object::Security(security) if security.kind == SecurityKind::User => {
                    all.push(self.of(Facet::User, &security.id));
                }
                _ => {}
            }
        }
        all.extend(self.of_patient(event));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Those hashes of an event that go when its values are erased.
    pub(crate) fn of_patient(&self, event: &Event) -> Vec<u64> {
        let mut all = Vec::new();
        for object in &event.objects {
            let (facet, value) = match object {
                Object::Patient(patient) => (Facet::Patient, &patient.id),
                Object::Study(study) => (Facet::Accession, &study.accession_number),
                Object::Order(order) => (Facet::Accession, &order.accession_number),
                _ => continue,
            };
            all.extend(value.value().map(|value| self.of(facet, value)));
        }
        all
    }
}

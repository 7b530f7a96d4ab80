//! Erases what stands beside the tree about a patient. Every hash and every proof still holds.

use std::sync::PoisonError;

use crate::{
    error::AuditError,
    event::{Event, Object, Patient},
    facets::Facet,
    shared::Shared,
};

/// What was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Entries whose values are gone.
    pub entries: u64,
}

/// Erases in the first `size` entries.
pub(crate) fn erase(shared: &Shared, patient: &Patient, size: u64) -> Result<Erased, AuditError> {
    let _alone = shared.erasing.lock().unwrap_or_else(PoisonError::into_inner);
    let mut erased = Erased::default();
    let Some(id) = patient.id.value() else {
        return Ok(erased);
    };
    let hash = shared.facets.of(Facet::Patient, id);
    let queries = ["110112", "110101"].map(|event| shared.facets.of(Facet::Event, event));
    for segment in shared.segments() {
        let mut numbers = segment.having(hash)?;
        for of_queries in queries {
            numbers.extend(segment.having(of_queries)?);
        }
        numbers.sort_unstable();
        numbers.dedup();
        let mut gone = Vec::new();
        for number in numbers {
            if segment.first + u64::from(number) >= size {
                continue;
            }
            let entry = match segment.entry(number, &shared.sealer) {
                Ok(entry) => entry,
                // `verify` says what is wrong with it.
                Err(AuditError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            if is_about(&entry.event, patient) {
                segment.erase(number)?;
                erased.entries += 1;
                gone.extend(
                    shared
                        .facets
                        .of_patient(&entry.event)
                        .into_iter()
                        .map(|hash| (hash, number)),
                );
            }
        }
        if !gone.is_empty() {
            segment.sync()?;
            segment.forget(&gone, &shared.sealer, &shared.facets)?;
        }
    }
    Ok(erased)
}

fn is_about(event: &Event, patient: &Patient) -> bool {
    let names: Vec<&str> = [patient.id.value(), patient.name.value()]
        .into_iter()
        .flatten()
        .collect();
    event.objects.iter().any(|object| match object {
        Object::Patient(other) => {
            let issuer = patient.issuer.value();
            other.id.value() == patient.id.value() && issuer.is_none_or(|issuer| other.issuer.value() == Some(issuer))
        }
        Object::Query(query) => query
            .text
            .value()
            .is_some_and(|text| names.iter().any(|name| text.contains(name))),
        _ => false,
    })
}

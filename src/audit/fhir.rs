//! Events as FHIR R4 AuditEvent (IHE BALP), and searches for them (ITI-81).

mod resource;
mod search;

pub use resource::resource;
pub use search::{FhirSearch, SearchProblem, bundle, outcome, parse};

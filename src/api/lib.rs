//! The door for programs that run the archive: JSON over HTTP, below `/api/v1`.
//!
//! Where nobody is authenticated, only this machine is answered, and no page of a browser that came from elsewhere.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod accounts;
mod audit;
mod commitments;
mod forwards;
mod local;
mod openapi;
mod page;
mod peers;
mod privacy;
mod problem;
mod procedure_steps;
mod records;
mod session;
#[cfg(test)]
mod tests;
mod tokens;
mod worklist;

use std::sync::Arc;

use axum::{
    extract::{DefaultBodyLimit, FromRef},
    middleware,
};

use filmroom_access::Action;
use filmroom_admission::{Admission, Routes, Rule};
use filmroom_commitment::Commitments;
use filmroom_forwarding::Forwarding;
use filmroom_peers::Peers;
use filmroom_privacy::Privacy;
use filmroom_records::Records;
use filmroom_worklist::Worklist;

pub use audit::AuditRoom;

/// Longest body of a request, in bytes: a policy has up to 1 MiB, a table of 10,000 facts less than 4.
const BODY_BYTES_MAX: usize = 4 << 20;

/// The rooms that the door leads to.
#[derive(Clone)]
pub struct Rooms {
    /// Knows who may come in.
    pub admission: Admission,
    /// Knows other application entities.
    pub peers: Arc<Peers>,
    /// Passes instances on.
    pub forwarding: Forwarding,
    /// Answers for storage commitment.
    pub commitment: Commitments,
    /// Knows what is scheduled and what was performed.
    pub worklist: Worklist,
    /// Knows who sees what.
    pub privacy: Privacy,
    /// Decides how long studies are kept.
    pub records: Records,
    /// Knows who did what.
    pub audit: AuditRoom,
    /// The path of DICOMweb, without a slash at its end: viewers reject below it.
    pub dicomweb: Arc<str>,
}

impl FromRef<Rooms> for AuditRoom {
    fn from_ref(rooms: &Rooms) -> Self {
        rooms.audit.clone()
    }
}

/// All routes.
pub fn routes(rooms: Rooms) -> Routes {
    const OPERATE: Rule = Rule::May(Action::Operate);
    const ADMINISTER: Rule = Rule::May(Action::Administer);
    const ACCOUNTS: Rule = Rule::May(Action::ManageAccounts);
    const QUERY: Rule = Rule::May(Action::Query);
    const WORKLIST: Rule = Rule::May(Action::Worklist);
    const AUDIT: Rule = Rule::May(Action::ReadAudit);
    const SCHEDULE: Rule = Rule::May(Action::Schedule);
    let all = Routes::new()
        .get(Rule::Open, "/api/v1/session", session::read)
        .put(Rule::Open, "/api/v1/session/passcode", session::change_passcode)
        .put(Rule::Open, "/api/v1/session/proof", session::prove)
        .get(ACCOUNTS, "/api/v1/accounts", accounts::list)
        .get(ACCOUNTS, "/api/v1/accounts/{name}", accounts::read)
        .put(ACCOUNTS, "/api/v1/accounts/{name}", accounts::write)
        .delete(ACCOUNTS, "/api/v1/accounts/{name}", accounts::remove)
        .get(ACCOUNTS, "/api/v1/tokens", tokens::list)
        .post(ACCOUNTS, "/api/v1/tokens", tokens::create)
        .delete(ACCOUNTS, "/api/v1/tokens/{id}", tokens::revoke)
        .get(OPERATE, "/api/v1/peers", peers::list)
        .get(OPERATE, "/api/v1/peers/{ae_title}", peers::read)
        .put(ADMINISTER, "/api/v1/peers/{ae_title}", peers::write)
        .delete(ADMINISTER, "/api/v1/peers/{ae_title}", peers::remove)
        .get(OPERATE, "/api/v1/forwards", forwards::list)
        .get(OPERATE, "/api/v1/forwards/{id}", forwards::read)
        .delete(OPERATE, "/api/v1/forwards/{id}", forwards::remove)
        .post(OPERATE, "/api/v1/forwards/{id}/retry", forwards::retry)
        .get(OPERATE, "/api/v1/commitments", commitments::list)
        .get(WORKLIST, "/api/v1/worklist", worklist::list)
        .get(WORKLIST, "/api/v1/worklist/{*id}", worklist::read)
        .put(SCHEDULE, "/api/v1/worklist/{*id}", worklist::write)
        .delete(SCHEDULE, "/api/v1/worklist/{*id}", worklist::remove)
        .get(WORKLIST, "/api/v1/procedure-steps", procedure_steps::list)
        .get(WORKLIST, "/api/v1/procedure-steps/{uid}", procedure_steps::read)
        .get(QUERY, "/api/v1/studies/incomplete", procedure_steps::incomplete)
        .get(AUDIT, "/api/v1/audit/checkpoint", audit::checkpoint)
        .get(AUDIT, "/fhir/AuditEvent", audit::search)
        .get(AUDIT, "/fhir/AuditEvent/{id}", audit::read)
        .merge(records::routes(&rooms.dicomweb))
        .merge(privacy::routes());
    let description = openapi::describe(all.table());
    all.get(Rule::Open, "/api/v1/openapi.json", move || {
        openapi::read(description.clone())
    })
    .around(|router| {
        router
            .layer(middleware::from_fn_with_state(
                records::once::Answers::default(),
                records::once::once,
            ))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn(local::only))
            .with_state(rooms)
    })
}

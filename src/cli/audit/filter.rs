//! What is looked for in the audit trail.

use clap::Args;
use filmroom_audit::{Search, fhir};

use crate::cli::failure::{Failure, Status};

/// Conditions, all of which have to hold.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Patient ID (0010,0020): who saw this patient
    #[arg(long, value_name = "ID")]
    patient: Option<String>,
    /// Issuer of Patient ID (0010,0021), beside the ID
    #[arg(long, value_name = "ISSUER", requires = "patient")]
    issuer: Option<String>,
    /// Study Instance UID
    #[arg(long, value_name = "UID")]
    study: Option<String>,
    /// Accession number
    #[arg(long, value_name = "NUMBER")]
    accession: Option<String>,
    /// User, AE title or process that took part
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Address of one that took part
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Kinds of events by their codes (PS3.16 CID 400), with commas between: 110104,110112
    #[arg(long, value_name = "CODES")]
    event: Option<String>,
    /// Types of events by their codes (PS3.16 CID 401)
    #[arg(long = "type", value_name = "CODES")]
    kind: Option<String>,
    /// Actions: C, R, U, D, E
    #[arg(long, value_name = "LETTERS")]
    action: Option<String>,
    /// Outcomes: 0 success, 4 minor, 8 serious, 12 major failure
    #[arg(long, value_name = "OUTCOMES")]
    outcome: Option<String>,
    /// Not before: a year, month, day or time such as 2026-11-23T08:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before, not at
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Filter {
    pub(super) fn search(&self) -> Result<Search, Failure> {
        let from = self.from.as_ref().map(|time| format!("ge{time}"));
        let until = self.until.as_ref().map(|time| format!("lt{time}"));
        let patient = self.patient.as_ref().map(|id| match &self.issuer {
            Some(issuer) => format!("{issuer}|{id}"),
            None => format!("|{id}"),
        });
        let given = [
            ("patient", &patient),
            ("study", &self.study),
            ("accession", &self.accession),
            ("agent", &self.user),
            ("address", &self.address),
            ("type", &self.event),
            ("subtype", &self.kind),
            ("action", &self.action),
            ("outcome", &self.outcome),
            ("date", &from),
            ("date", &until),
        ];
        let parameters = given
            .iter()
            .filter_map(|(name, value)| value.as_deref().map(|value| (*name, value)));
        let parsed = fhir::parse(parameters).map_err(|problem| Failure::new(Status::Usage, problem.to_string(), ""))?;
        Ok(Search {
            limit: 0,
            ..parsed.search
        })
    }
}

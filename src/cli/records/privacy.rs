//! `filmroom privacy`: who sees what.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Body, Link, Manner, escaped, plain};
use crate::cli::{
    failure::{Failure, Status},
    settings_flags::SettingsFlags,
};

const GRANTS: [(&str, &str); 5] = [
    ("ID", "/id"),
    ("TO", "/to"),
    ("SCOPE", "/scope"),
    ("UNTIL", "/until"),
    ("REASON", "/reason"),
];
const EMERGENCIES: [(&str, &str); 7] = [
    ("ID", "/id"),
    ("PERSON", "/person"),
    ("SCOPE", "/scope"),
    ("BEGAN", "/beganAt"),
    ("CODE", "/code"),
    ("REASON", "/reason"),
    ("REVIEW", "/review/finding"),
];

/// Arguments of `privacy`.
#[derive(Debug, Args)]
pub struct PrivacyCommand {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    manner: Manner,
}

/// What a grant or an emergency is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// A study
    #[arg(long, value_name = "UID")]
    study: Option<String>,
    /// All studies of a patient: ID, or ID^^^ISSUER
    #[arg(long, value_name = "ID")]
    patient: Option<String>,
    /// All studies with a label
    #[arg(long)]
    label: Option<String>,
}

impl Scope {
    fn json(&self) -> serde_json::Value {
        match (&self.study, &self.patient, &self.label) {
            (Some(study), ..) => json!({ "study": study }),
            (_, Some(patient), _) => {
                let (id, issuer) = patient.split_once("^^^").unwrap_or((patient, ""));
                json!({ "patient": { "id": id, "issuer": issuer } })
            }
            (.., label) => json!({ "label": label }),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the labels of a study
    Labels {
        /// Its Study Instance UID
        study: String,
    },
    /// Give a study these labels and no others: vip, sensitive, part2, research:NAME, tenant:NAME
    Label {
        /// Its Study Instance UID
        study: String,
        /// All labels that it has from now on; none takes them off
        labels: Vec<String>,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// List what was granted to whom
    Grants,
    /// Let somebody see what they would not
    Grant {
        /// The person; or token:NAME, peer:AE_TITLE
        to: String,
        #[command(flatten)]
        scope: Scope,
        /// Why
        #[arg(long)]
        reason: String,
        /// Until when (RFC 3339) [revoked]
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Take a grant back
    Revoke {
        /// Its id
        id: String,
    },
    /// List access that was taken in an emergency
    Emergencies {
        /// Only what nobody has reviewed
        #[arg(long)]
        unreviewed: bool,
    },
    /// Say what a look at access that was taken found
    Review {
        /// Its id
        id: String,
        /// justified or not-justified
        finding: String,
        /// In words
        #[arg(long)]
        text: String,
    },
}

impl PrivacyCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let link = Link::new(settings, &self.manner)?;
        let path = |study: &str| format!("studies/{}/labels", escaped(study));
        let labels = |value: &serde_json::Value| format!("{}\n", plain(value.get("labels")));
        match &self.action {
            Action::Labels { study } => link.show(&link.ask("GET", &path(study), Body::None)?, labels),
            Action::Label {
                study,
                labels: wanted,
                reason,
            } => {
                let body = json!({ "labels": wanted, "reason": reason });
                link.show(&link.ask("PUT", &path(study), Body::Json(body))?, labels);
            }
            Action::Grants => link.show_list(&link.all("grants", "grants")?, &GRANTS),
            Action::Grant {
                to,
                scope,
                reason,
                until,
            } => {
                let body = json!({ "to": to, "scope": scope.json(), "reason": reason, "until": until });
                let made = link.ask("POST", "grants", Body::Json(body))?;
                link.show(&made, |made| format!("{}\n", plain(made.get("id"))));
            }
            Action::Revoke { id } => {
                let done = link.ask("DELETE", &format!("grants/{}", escaped(id)), Body::None)?;
                link.show(&done, |_| format!("{id} is taken back\n"));
            }
            Action::Emergencies { unreviewed } => {
                let path = match unreviewed {
                    true => "emergencies?unreviewed=true",
                    false => "emergencies",
                };
                link.show_list(&link.all(path, "emergencies")?, &EMERGENCIES);
            }
            Action::Review { id, finding, text } => {
                let body = json!({ "finding": finding, "text": text });
                let path = format!("emergencies/{}/review", escaped(id));
                let reviewed = link.ask("POST", &path, Body::Json(body))?;
                link.show(&reviewed, |_| format!("{id} is reviewed\n"));
            }
        }
        Ok(Status::Done)
    }
}

//! `filmroom disposal`.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use filmroom_records::verify_certificate;
use serde_json::{Value, json};

use super::{Body, Link, Manner, escaped, plain, read, table};
use crate::cli::{
    failure::{Failure, Status},
    settings_flags::SettingsFlags,
    standard_output,
};

/// How often a batch that is carried out is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long it is waited for.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

const ITEMS: [(&str, &str); 7] = [
    ("STUDY", "/study"),
    ("STATE", "/state"),
    ("DATE", "/studyDate"),
    ("UNTIL", "/retainUntil"),
    ("RULES", "/binding"),
    ("BYTES", "/bytes"),
    ("WHY", "/reason"),
];

/// Arguments of `disposal`.
#[derive(Debug, Args)]
pub struct DisposalCommand {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    manner: Manner,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Propose studies that have expired: those named, or all there are
    Propose {
        /// Study Instance UIDs
        studies: Vec<String>,
        /// Only say which would be taken
        #[arg(long)]
        dry_run: bool,
    },
    /// List batches
    List,
    /// Show a batch, after everything in it was decided on anew
    Show {
        /// Its id
        id: String,
    },
    /// Approve a batch that somebody else proposed
    Approve {
        /// Its id
        id: String,
        /// In this role [the first that is missing]
        #[arg(long)]
        role: Option<String>,
        /// An opinion in writing
        #[arg(long, default_value = "")]
        opinion: String,
    },
    /// Say no to a batch
    Veto {
        /// Its id
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Take one study out of a batch
    Exclude {
        /// The batch's id
        id: String,
        /// Study Instance UID
        study: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Have a batch carried out that is approved and has cooled off
    Execute {
        /// Its id
        id: String,
        /// Wait until it is over
        #[arg(long)]
        wait: bool,
    },
    /// Print the certificate of a batch that was carried out
    Certificate {
        /// Its id
        id: String,
        /// As a page to be printed
        #[arg(long)]
        html: bool,
    },
    /// Check a certificate; needs no archive
    Verify {
        /// The certificate
        file: PathBuf,
        /// The public key that it must have been signed with
        #[arg(long, value_name = "HEXADECIMAL")]
        key: Option<String>,
    },
    /// List what stays of studies that were destroyed
    Tombstones,
    /// List studies that were destroyed and are sent again, by whom and how often
    Returned,
    /// Ask that a destroyed study may come again, or confirm it as a second person
    Reinstate {
        /// Study Instance UID
        study: String,
        /// Why, where nobody has asked yet
        #[arg(long, default_value = "")]
        reason: String,
        /// Say no to it
        #[arg(long)]
        refuse: bool,
    },
}

impl DisposalCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        if let Action::Verify { file, key } = &self.action {
            return verify(&read(file)?, key.as_deref());
        }
        let link = Link::new(settings, &self.manner)?;
        let of = |id: &str, verb: &str| format!("disposal-batches/{}/{verb}", escaped(id));
        match &self.action {
            Action::Verify { .. } => {}
            Action::Propose { studies, dry_run } => {
                let body = match studies.is_empty() {
                    true => json!({}),
                    false => json!({ "studies": studies }),
                };
                let path = format!("disposal-batches?dryRun={dry_run}");
                let proposal = link.ask("POST", &path, Body::Json(body))?;
                link.show(&proposal, proposed);
                let refused = proposal.get("refused").and_then(Value::as_array).map_or(0, Vec::len);
                return Ok(if refused > 0 { Status::Partly } else { Status::Done });
            }
            Action::List => {
                let columns = [
                    ("ID", "/id"),
                    ("STATE", "/state"),
                    ("STUDIES", "/studies"),
                    ("PROPOSED BY", "/proposedBy"),
                    ("AT", "/proposedAt"),
                    ("APPROVED AT", "/approvedAt"),
                ];
                link.show_list(&link.all("disposal-batches?limit=500", "batches")?, &columns);
            }
            Action::Show { id } => {
                let path = format!("disposal-batches/{}", escaped(id));
                link.show(&link.ask("GET", &path, Body::None)?, batch);
            }
            Action::Approve { id, role, opinion } => {
                let body = json!({ "role": role, "opinion": opinion });
                link.show(&link.ask("POST", &of(id, "approve"), Body::Json(body))?, batch);
            }
            Action::Veto { id, reason } => {
                let body = json!({ "reason": reason });
                link.show(&link.ask("POST", &of(id, "veto"), Body::Json(body))?, batch);
            }
            Action::Exclude { id, study, reason } => {
                let body = json!({ "study": study, "reason": reason });
                link.show(&link.ask("POST", &of(id, "exclude"), Body::Json(body))?, batch);
            }
            Action::Execute { id, wait } => {
                let mut begun = link.ask("POST", &of(id, "execute"), Body::None)?;
                let since = Instant::now();
                while *wait && plain(begun.get("state")) == "destroying" && since.elapsed() < PATIENCE {
                    std::thread::sleep(LOOK);
                    begun = link.ask("GET", &format!("disposal-batches/{}", escaped(id)), Body::None)?;
                }
                link.show(&begun, batch);
            }
            Action::Certificate { id, html } => {
                let certificate = link.ask("GET", &format!("certificates/{}", escaped(id)), Body::None)?;
                let text = match html {
                    true => filmroom_records::to_html(&certificate),
                    false => format!("{certificate:#}\n"),
                };
                standard_output(&text);
            }
            Action::Reinstate { study, reason, refuse } => {
                let verb = if *refuse { "refuse-reinstating" } else { "reinstate" };
                let path = format!("tombstones/{}/{verb}", escaped(study));
                let body = if *refuse {
                    Body::None
                } else {
                    Body::Json(json!({ "reason": reason }))
                };
                link.show(&link.ask("POST", &path, body)?, |tombstone| {
                    let what = match (tombstone.get("reinstated"), tombstone.get("reinstateAsked")) {
                        (Some(_), _) => "may come again",
                        (None, Some(_)) => "may come again when another person confirms it",
                        (None, None) => "stays destroyed",
                    };
                    format!("{} {what}\n", plain(tombstone.get("study")))
                });
            }
            Action::Returned => {
                let columns = [
                    ("STUDY", "/study"),
                    ("REFUSED", "/refused"),
                    ("FIRST AT", "/firstAt"),
                    ("LAST AT", "/lastAt"),
                    ("SENDERS", "/senders"),
                ];
                link.show_list(&link.all("returned?limit=500", "returned")?, &columns);
            }
            Action::Tombstones => {
                let columns = [
                    ("STUDY", "/study"),
                    ("DATE", "/studyDate"),
                    ("INSTANCES", "/instances"),
                    ("BYTES", "/bytes"),
                    ("DESTROYED AT", "/destroyedAt"),
                    ("BATCH", "/batch"),
                    ("APPROVED BY", "/approvedBy"),
                ];
                link.show_list(&link.all("tombstones?limit=500", "tombstones")?, &columns);
            }
        }
        Ok(Status::Done)
    }
}

fn verify(text: &str, key: Option<&str>) -> Result<Status, Failure> {
    let wrong = |why: String| {
        let advice = "compare it with the certificate that the archive gives, `filmroom disposal certificate ID`";
        Failure::new(Status::Data, format!("the certificate does not hold: {why}"), advice)
    };
    let certificate: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let verified = verify_certificate(&certificate, key).map_err(wrong)?;
    let mut said = format!(
        "certificate {} of {} studies holds\nsigned with  {}\nSHA-256      {}\n",
        verified.certificate, verified.studies, verified.public_key, verified.digest
    );
    if key.is_none() {
        said.push_str("compare the key with that of the archive: GET /api/v1/certificate-key\n");
    }
    standard_output(&said);
    Ok(Status::Done)
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn proposed(proposal: &Value) -> String {
    let head = match proposal.pointer("/batch/id") {
        Some(id) => format!("batch {} is proposed\n", plain(Some(id))),
        None => "nothing is proposed yet\n".to_owned(),
    };
    let refused = list(proposal, "refused");
    let refusals = match refused.is_empty() {
        true => String::new(),
        false => format!("\n{}", table(&refused, &[("REFUSED", "/study"), ("WHY", "/reason")])),
    };
    format!("{head}{}{refusals}", table(&list(proposal, "taken"), &ITEMS))
}

fn batch(batch: &Value) -> String {
    let of = |name: &str| plain(batch.get(name));
    let approvals = [
        ("APPROVED BY", "/subject"),
        ("AS", "/role"),
        ("AT", "/at"),
        ("OPINION", "/opinion"),
    ];
    format!(
        "batch {} is {}\nproposed by {} at {}\nasked for: {}\n\n{}\n{}",
        of("id"),
        of("state"),
        of("proposedBy"),
        of("proposedAt"),
        plain(batch.pointer("/approval/steps")),
        table(&list(batch, "approvals"), &approvals),
        table(&list(batch, "items"), &ITEMS)
    )
}

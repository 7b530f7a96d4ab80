//! `filmroom hold`.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{Body, Link, Manner, escaped, plain};
use crate::cli::{
    failure::{Failure, Status},
    settings_flags::SettingsFlags,
};

const HOLDS: [(&str, &str); 8] = [
    ("ID", "/id"),
    ("MATTER", "/matter"),
    ("KIND", "/kind"),
    ("EFFECT", "/effect"),
    ("SCOPE", "/scope"),
    ("OPENED", "/opened"),
    ("CLOSED", "/closed"),
    ("RELEASE ASKED BY", "/release/askedBy"),
];

/// Arguments of `hold`.
#[derive(Debug, Args)]
pub struct HoldCommand {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    manner: Manner,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List holds
    List {
        /// Only those that are open
        #[arg(long)]
        open: bool,
    },
    /// Open a hold on a study, a patient, or all that matches a query, now or later
    Open(Box<Open>),
    /// Ask for a release, or confirm the one that somebody else asked for
    Release {
        /// Its id
        id: String,
        /// Why; needed where it is asked for
        #[arg(long, default_value = "")]
        reason: String,
        /// The day from which it is not in force [today]
        #[arg(long, value_name = "DAY")]
        closed: Option<String>,
    },
    /// Say no to a release that was asked for
    Refuse {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Args)]
struct Open {
    /// The case, inquiry or project
    matter: String,
    /// legal, research or inquiry
    #[arg(long, default_value = "legal")]
    kind: String,
    /// block, toll or capped
    #[arg(long, default_value = "block")]
    effect: String,
    /// A study
    #[arg(long, value_name = "UID")]
    study: Option<String>,
    /// All studies of a patient
    #[arg(long, value_name = "ID")]
    patient: Option<String>,
    /// Who gave the patient's ID
    #[arg(long)]
    issuer: Option<String>,
    /// All studies that match: an attribute and its value; repeatable
    #[arg(long = "match", value_name = "KEYWORD=VALUE")]
    query: Vec<String>,
    /// Of these only those of a site
    #[arg(long)]
    site: Option<String>,
    /// From this day on [today]
    #[arg(long, value_name = "DAY")]
    opened: Option<String>,
    /// When a capped hold ends by itself: study.date+P12Y
    #[arg(long, value_name = "ANCHOR+PERIOD")]
    cap: Option<String>,
    /// Who looks after it
    #[arg(long, default_value = "")]
    custodian: String,
    /// In words
    #[arg(long, default_value = "")]
    note: String,
    /// Only say what is wrong
    #[arg(long)]
    dry_run: bool,
}

impl HoldCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let link = Link::new(settings, &self.manner)?;
        match &self.action {
            Action::List { open } => {
                link.show_list(&link.all(&format!("holds?limit=500&open={open}"), "holds")?, &HOLDS);
            }
            Action::Open(open) => {
                let path = format!("holds?dryRun={}", open.dry_run);
                let opened = link.ask("POST", &path, Body::Json(open.body()?))?;
                link.show(&opened, |hold| match open.dry_run {
                    true => "nothing is wrong with it\n".to_owned(),
                    false => format!(
                        "{} is open since {}\n",
                        plain(hold.get("id")),
                        plain(hold.get("opened"))
                    ),
                });
            }
            Action::Release { id, reason, closed } => {
                let body = json!({ "reason": reason, "closed": closed });
                let released = link.ask("POST", &format!("holds/{}/release", escaped(id)), Body::Json(body))?;
                link.show(&released, |hold| match hold.get("closed") {
                    Some(Value::String(day)) => format!("{} is released as of {day}\n", plain(hold.get("id"))),
                    _ => format!(
                        "{} stays until somebody else confirms its release\n",
                        plain(hold.get("id"))
                    ),
                });
            }
            Action::Refuse { id } => {
                let path = format!("holds/{}/refuse-release", escaped(id));
                link.show(&link.ask("POST", &path, Body::None)?, |hold| {
                    format!("{} stays\n", plain(hold.get("id")))
                });
            }
        }
        Ok(Status::Done)
    }
}

impl Open {
    fn body(&self) -> Result<Value, Failure> {
        let wrong = |what: String| {
            Failure::new(
                Status::Usage,
                what,
                "`filmroom hold open --help` lists what can be said",
            )
        };
        let mut scope = Map::new();
        for (name, value) in [
            ("study", &self.study),
            ("patient", &self.patient),
            ("issuer", &self.issuer),
            ("site", &self.site),
        ] {
            if let Some(value) = value {
                scope.insert(name.to_owned(), value.as_str().into());
            }
        }
        if !self.query.is_empty() {
            let mut query = Map::new();
            for pair in &self.query {
                let (name, value) = pair
                    .split_once('=')
                    .ok_or_else(|| wrong(format!("\"{pair}\" is not KEYWORD=VALUE")))?;
                query.insert(name.to_owned(), value.into());
            }
            scope.insert("query".to_owned(), query.into());
        }
        let mut body = json!({
            "matter": self.matter, "kind": self.kind, "effect": self.effect, "scope": scope,
            "custodian": self.custodian, "note": self.note,
        });
        if let Some(fields) = body.as_object_mut() {
            if let Some(opened) = &self.opened {
                fields.insert("opened".to_owned(), opened.as_str().into());
            }
            if let Some(cap) = &self.cap {
                let (from, period) = cap
                    .split_once('+')
                    .ok_or_else(|| wrong(format!("\"{cap}\" is not ANCHOR+PERIOD, such as study.date+P12Y")))?;
                fields.insert("cap".to_owned(), json!({ "from": from, "for": period }));
            }
        }
        Ok(body)
    }
}

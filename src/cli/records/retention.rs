//! `filmroom retention`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use filmroom_retention::{Severity, read_toml, templates};
use serde_json::{Value, json};

use super::{Body, Link, Manner, escaped, plain, read, table};
use crate::cli::{
    failure::{Failure, Status},
    settings_flags::SettingsFlags,
    standard_output,
};

const DECISIONS: [(&str, &str); 6] = [
    ("STUDY", "/study"),
    ("STATUS", "/status"),
    ("UNTIL", "/retainUntil"),
    ("BINDING", "/binding"),
    ("HOLDS", "/holds"),
    ("REASON", "/reason"),
];

/// Arguments of `retention`.
#[derive(Debug, Args)]
pub struct RetentionCommand {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    manner: Manner,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say how long a study is kept, and why
    Explain {
        /// Study Instance UID
        study: String,
        /// As it is on this day [today]
        #[arg(long, value_name = "DAY")]
        as_of: Option<String>,
    },
    /// List what was decided of all studies
    List {
        /// Only of this status: retained, expired, held, barred or indeterminate
        #[arg(long)]
        status: Option<String>,
        /// Only what is kept longer than it may be
        #[arg(long)]
        overdue: bool,
        /// As it is on this day [today]
        #[arg(long, value_name = "DAY")]
        as_of: Option<String>,
    },
    /// Say how long all studies are kept, in numbers
    Survey,
    /// Say what is wrong with a policy; needs no archive
    Lint {
        /// A pack in TOML
        file: PathBuf,
    },
    /// List the templates that come with Filmroom, or print one; needs no archive
    Templates {
        /// Print this one
        name: Option<String>,
    },
    /// List what was published, and where it is in force
    Policies,
    /// List what was submitted
    Submissions,
    /// Submit a policy, or where policies are in force, or both
    Submit {
        /// A pack in TOML
        file: Option<PathBuf>,
        /// Where policies are in force from then on, all of it; repeatable
        #[arg(long = "bind", value_name = "PACK[@SITE]")]
        bindings: Vec<String>,
    },
    /// Say what a submission would do to all studies
    Simulate {
        /// Its id
        id: String,
    },
    /// Publish a submission of somebody else
    Publish {
        /// Its id
        id: String,
        /// By it studies may go earlier, and that is meant
        #[arg(long)]
        acknowledge_shortening: bool,
    },
    /// Take a submission back
    Withdraw {
        /// Its id
        id: String,
    },
    /// List what was said of a patient or a study, or of all
    Facts {
        /// Patient ID
        #[arg(long, conflicts_with = "study")]
        patient: Option<String>,
        /// Who gave the ID
        #[arg(long)]
        issuer: Option<String>,
        /// Study Instance UID
        #[arg(long)]
        study: Option<String>,
    },
    /// Say something of a patient or a study
    Assert {
        /// What: patient.birth, patient.death, patient.last_encounter, flag …
        fact: String,
        /// The value
        value: String,
        /// Patient ID
        #[arg(long, conflicts_with = "study", required_unless_present = "study")]
        patient: Option<String>,
        /// Who gave the ID
        #[arg(long, default_value = "")]
        issuer: String,
        /// Study Instance UID
        #[arg(long)]
        study: Option<String>,
        /// Of a flag its day
        #[arg(long)]
        date: Option<String>,
        /// Where it comes from
        #[arg(long, default_value = "him")]
        source: String,
        /// Facts that do not count any more; repeatable
        #[arg(long, value_name = "ID")]
        supersedes: Vec<String>,
    },
    /// Take in facts from a table (CSV), all or none
    Import {
        /// The table
        file: PathBuf,
        /// Only say what is wrong
        #[arg(long)]
        dry_run: bool,
    },
}

impl RetentionCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        match &self.action {
            Action::Lint { file } => return lint(&read(file)?),
            Action::Templates { name } => return show_templates(name.as_deref()),
            _ => {}
        }
        let link = Link::new(settings, &self.manner)?;
        match &self.action {
            Action::Lint { .. } | Action::Templates { .. } => {}
            Action::Explain { study, as_of } => {
                let day = as_of
                    .as_ref()
                    .map(|day| format!("?asOf={}", escaped(day)))
                    .unwrap_or_default();
                let path = format!("studies/{}/retention{day}", escaped(study));
                link.show(&link.ask("GET", &path, Body::None)?, explained);
            }
            Action::List { status, overdue, as_of } => {
                let mut path = format!("retention-decisions?limit=500&overdue={overdue}");
                for (name, value) in [("status", status), ("asOf", as_of)] {
                    if let Some(value) = value {
                        path.push_str(&format!("&{name}={}", escaped(value)));
                    }
                }
                link.show_list(&link.all(&path, "decisions")?, &DECISIONS);
            }
            Action::Policies => link.show(&link.ask("GET", "policies", Body::None)?, |found| {
                let list = |name: &str| found.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
                let versions = [
                    ("PACK", "/pack"),
                    ("VERSION", "/version"),
                    ("FROM", "/effective_from"),
                    ("TITLE", "/title"),
                ];
                let bindings = [
                    ("IN FORCE", "/pack"),
                    ("SITE", "/site"),
                    ("SOURCE", "/source"),
                    ("PROGRAMME", "/programme"),
                ];
                format!(
                    "{}\n{}",
                    table(&list("versions"), &versions),
                    table(&list("bindings"), &bindings)
                )
            }),
            Action::Submissions => {
                let columns = [
                    ("ID", "/id"),
                    ("STATE", "/state"),
                    ("PACK", "/pack/pack"),
                    ("VERSION", "/pack/version"),
                    ("BY", "/submittedBy"),
                    ("PUBLISHED BY", "/publishedBy"),
                ];
                link.show_list(&link.all("policy-submissions", "submissions")?, &columns);
            }
            Action::Survey => link.show(&link.ask("GET", "retention-survey", Body::None)?, surveyed),
            Action::Submit { file, bindings } => {
                let mut body = json!({});
                if let Some(file) = file {
                    body = json!({ "toml": read(file)? });
                }
                if let (false, Some(fields)) = (bindings.is_empty(), body.as_object_mut()) {
                    let bindings: Vec<Value> = bindings.iter().map(|text| binding(text)).collect();
                    fields.insert("bindings".to_owned(), bindings.into());
                }
                let submitted = link.ask("POST", "policy-submissions", Body::Json(body))?;
                link.show(&submitted, |submitted| {
                    let id = plain(submitted.get("id"));
                    format!("{id} is submitted: simulate it, then let somebody else publish it\n")
                });
            }
            Action::Simulate { id } => {
                let path = format!("policy-submissions/{}/simulate", escaped(id));
                link.show(&link.ask("POST", &path, Body::None)?, simulated);
            }
            Action::Publish {
                id,
                acknowledge_shortening,
            } => {
                let path = format!("policy-submissions/{}/publish", escaped(id));
                let body = json!({ "acknowledgeShortening": acknowledge_shortening });
                link.show(&link.ask("POST", &path, Body::Json(body))?, |found| {
                    format!("{} is published\n", plain(found.get("id")))
                });
            }
            Action::Withdraw { id } => {
                let path = format!("policy-submissions/{}/withdraw", escaped(id));
                link.show(&link.ask("POST", &path, Body::None)?, |found| {
                    format!("{} is withdrawn\n", plain(found.get("id")))
                });
            }
            Action::Facts { patient, issuer, study } => {
                let mut path = "facts?limit=500".to_owned();
                for (name, value) in [("patient", patient), ("issuer", issuer), ("study", study)] {
                    if let Some(value) = value {
                        path.push_str(&format!("&{name}={}", escaped(value)));
                    }
                }
                link.show_list(&link.all(&path, "facts")?, &FACTS);
            }
            Action::Assert {
                fact,
                value,
                patient,
                issuer,
                study,
                date,
                source,
                supersedes,
            } => {
                let said = json!({
                    "fact": fact, "value": value, "patient": patient, "issuer": issuer, "study": study,
                    "date": date, "source": source, "supersedes": supersedes,
                });
                let taken = link.ask("POST", "facts", Body::Json(json!({ "facts": [said] })))?;
                link.show(&taken, taken_in);
            }
            Action::Import { file, dry_run } => {
                let table = read(file)?;
                let path = format!("facts?dryRun={dry_run}");
                let taken = link.ask("POST", &path, Body::Text("text/csv", &table))?;
                link.show(&taken, |taken| match dry_run {
                    true => "nothing is wrong with it\n".to_owned(),
                    false => taken_in(taken),
                });
            }
        }
        Ok(Status::Done)
    }
}

fn surveyed(survey: &Value) -> String {
    let mut rows = Vec::new();
    let mut add = |what: String, count: &Value| {
        rows.push(json!({ "what": what, "studies": count["studies"], "bytes": count["bytes"] }));
    };
    let each = |name: &str| survey[name].as_object().cloned().unwrap_or_default();
    add("all".to_owned(), &survey["all"]);
    for (status, count) in each("byStatus") {
        add(status, &count);
    }
    add("overdue".to_owned(), &survey["overdue"]);
    add("in conflict".to_owned(), &survey["inConflict"]);
    for (year, count) in each("byYear") {
        add(format!("may go in {year}"), &count);
    }
    let columns = [("WHAT", "/what"), ("STUDIES", "/studies"), ("BYTES", "/bytes")];
    let behind = if survey["isBehind"] == true {
        "; something changed since that is not in it yet"
    } else {
        ""
    };
    format!(
        "as of {}{behind}\n{}",
        plain(survey.get("asOf")),
        table(&rows, &columns)
    )
}

const FACTS: [(&str, &str); 9] = [
    ("ID", "/id"),
    ("PATIENT", "/patient"),
    ("STUDY", "/study"),
    ("FACT", "/fact"),
    ("VALUE", "/value"),
    ("DATE", "/date"),
    ("SOURCE", "/source"),
    ("BY", "/assertedBy"),
    ("COUNTS", "/active"),
];

fn taken_in(taken: &Value) -> String {
    let facts = taken
        .get("facts")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    table(&facts, &FACTS)
}

fn binding(text: &str) -> Value {
    match text.split_once('@') {
        Some((pack, site)) => json!({ "pack": pack, "site": site }),
        None => json!({ "pack": text }),
    }
}

fn lint(text: &str) -> Result<Status, Failure> {
    let (lints, sentence) = match read_toml(text) {
        Ok((pack, warnings)) => (
            warnings,
            format!("{} reads: {} rules\n", pack.reference(), pack.rule.len()),
        ),
        Err(lints) => {
            let errors = lints.iter().filter(|lint| lint.severity == Severity::Error).count();
            (lints, format!("{errors} errors: it cannot be used\n"))
        }
    };
    let is_wrong = lints.iter().any(|lint| lint.severity == Severity::Error);
    let lines: String = lints.iter().map(|lint| format!("{lint}\n")).collect();
    standard_output(&format!("{lines}{sentence}"));
    Ok(if is_wrong { Status::Data } else { Status::Done })
}

fn show_templates(name: Option<&str>) -> Result<Status, Failure> {
    let Some(name) = name else {
        let list: Vec<Value> = templates::TEMPLATES
            .iter()
            .filter_map(|(name, text)| {
                let (pack, _) = read_toml(text).ok()?;
                Some(json!({ "name": name, "rules": pack.rule.len(), "title": pack.title }))
            })
            .collect();
        standard_output(&table(
            &list,
            &[("NAME", "/name"), ("RULES", "/rules"), ("TITLE", "/title")],
        ));
        return Ok(Status::Done);
    };
    let text = templates::template(name).ok_or_else(|| {
        let sentence = format!("there is no template {name}");
        Failure::new(Status::NoInput, sentence, "`filmroom retention templates` lists all")
    })?;
    standard_output(text);
    Ok(Status::Done)
}

fn explained(found: &Value) -> String {
    let of = |name: &str| plain(found.get(name));
    let mut text = format!("{}\n\n", of("reason"));
    for (title, name) in [
        ("status", "status"),
        ("kept until", "retainUntil"),
        ("may go from", "eligibleFrom"),
        ("as of", "asOf"),
        ("policies", "policy"),
        ("facts", "factsDigest"),
    ] {
        text.push_str(&format!("{title:<12} {}\n", of(name)));
    }
    let list = |name: &str| found.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    for (title, name) in [
        ("assumed", "assumed"),
        ("conflict", "conflicts"),
        ("to do", "tasks"),
        ("hold", "holds"),
    ] {
        for one in list(name) {
            text.push_str(&format!("{title:<12} {}\n", plain(Some(&one))));
        }
    }
    let rules = [
        ("RULE", "/rule"),
        ("CLASS", "/class"),
        ("VERDICT", "/verdict"),
        ("CITE", "/cite"),
        ("WHY", "/why"),
    ];
    format!(
        "{text}\n{}\n{}",
        table(&list("considered"), &[("CONSIDERED", "/rule"), ("UNTIL", "/until")]),
        table(&list("trace"), &rules)
    )
}

fn simulated(found: &Value) -> String {
    let mut text = String::new();
    for (title, name) in [
        ("studies", "studies"),
        ("unchanged", "unchanged"),
        ("earlier", "earlier"),
        ("later", "later"),
        ("newly eligible", "newlyEligible"),
        ("their bytes", "newlyEligibleBytes"),
    ] {
        text.push_str(&format!("{title:<16} {}\n", plain(found.get(name))));
    }
    let changes = found
        .get("changes")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let columns = [
        ("STUDY", "/study"),
        ("SHIFT", "/shift"),
        ("BEFORE", "/before"),
        ("AFTER", "/after"),
        ("AT ONCE", "/newlyEligible"),
        ("RULES", "/bindingAfter"),
    ];
    let more = match found.get("truncated") {
        Some(Value::Bool(true)) => "more are not listed\n",
        _ => "",
    };
    format!("{text}\n{}{more}", table(&changes, &columns))
}

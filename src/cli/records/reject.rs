//! `filmroom reject`, `restore` and `rejected`: what is kept and not shown.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Body, Link, Manner, escaped, plain};
use crate::cli::{
    failure::{Failure, Status},
    settings_flags::SettingsFlags,
};

/// Arguments of `reject`.
#[derive(Debug, Args)]
pub struct RejectCommand {
    #[command(flatten)]
    which: Which,
    /// A code of DCM: 113001 (quality), 113037 (patient safety) or 113038 (incorrect worklist entry)
    #[arg(long, value_name = "CODE")]
    reason: String,
    #[command(flatten)]
    manner: Manner,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct RestoreCommand {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    manner: Manner,
}

/// Arguments of `rejected`.
#[derive(Debug, Args)]
pub struct RejectedCommand {
    /// Of this study
    #[arg(long)]
    study: Option<String>,
    /// For this reason
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    #[command(flatten)]
    manner: Manner,
}

#[derive(Debug, Args)]
struct Which {
    /// Study Instance UID
    study: String,
    /// Series Instance UID
    #[arg(long)]
    series: Option<String>,
    /// SOP Instance UID; repeatable
    #[arg(long = "instance", value_name = "UID")]
    instances: Vec<String>,
    /// Why, in words
    #[arg(long)]
    why: String,
    /// Only say which instances that would be
    #[arg(long)]
    dry_run: bool,
}

impl Which {
    fn said(&self) -> Map<String, Value> {
        let mut said = Map::new();
        said.insert("study".to_owned(), self.study.as_str().into());
        said.insert("why".to_owned(), self.why.as_str().into());
        if let Some(series) = &self.series {
            said.insert("series".to_owned(), series.as_str().into());
        }
        if !self.instances.is_empty() {
            said.insert("instances".to_owned(), json!(self.instances));
        }
        said
    }

    fn told(&self, done: &Value, verb: &str) -> String {
        let count = done.get("instances").and_then(Value::as_array).map_or(0, Vec::len);
        let would = if self.dry_run { "would be" } else { "are" };
        format!("{count} instances of {} {would} {verb}\n", plain(done.get("study")))
    }
}

impl RejectCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let link = Link::new(settings, &self.manner)?;
        let mut said = self.which.said();
        said.insert("reason".to_owned(), self.reason.as_str().into());
        let path = format!("rejections?dryRun={}", self.which.dry_run);
        let rejected = link.ask("POST", &path, Body::Json(Value::Object(said)))?;
        link.show(&rejected, |rejected| self.which.told(rejected, "rejected"));
        Ok(Status::Done)
    }
}

impl RestoreCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let link = Link::new(settings, &self.manner)?;
        let path = format!("rejections/restore?dryRun={}", self.which.dry_run);
        let restored = link.ask("POST", &path, Body::Json(Value::Object(self.which.said())))?;
        link.show(&restored, |restored| self.which.told(restored, "restored"));
        Ok(Status::Done)
    }
}

impl RejectedCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let link = Link::new(settings, &self.manner)?;
        let mut path = "rejections?limit=1000".to_owned();
        for (name, value) in [("study", &self.study), ("reason", &self.reason)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", escaped(value)));
            }
        }
        let columns = [
            ("STUDY", "/study"),
            ("INSTANCE", "/instance"),
            ("REASON", "/reason"),
            ("WHY", "/why"),
            ("BY", "/by"),
            ("AT", "/at"),
        ];
        link.show_list(&link.all(&path, "rejections")?, &columns);
        Ok(Status::Done)
    }
}

//! `filmroom config`.

use clap::{Args, Subcommand};

use super::{
    failure::{Failure, Status},
    settings_flags::{DoorFlags, SettingsFlags},
    standard_output,
};
use crate::config::{self, Config};

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check file, environment and flags; print every effective value and where it came from
    Check {
        #[command(flatten)]
        doors: DoorFlags,
    },
    /// List every setting: default, what is allowed, what it does and why (Markdown)
    Settings,
}

impl ConfigCommand {
    /// Checks or lists.
    ///
    /// # Errors
    /// [`Failure`] with every problem.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        match &self.action {
            Action::Check { doors } => {
                let loaded = settings.load(Some(doors))?;
                standard_output(&loaded.report());
                config::check_exposure(&loaded.config)?;
            }
            Action::Settings => standard_output(&settings_table()),
        }
        Ok(Status::Done)
    }
}

/// Every setting as a Markdown table; `README.md` holds the same.
#[must_use]
pub fn settings_table() -> String {
    let mut table = "| setting | default | what it does, and why so |\n|---|---|---|\n".to_owned();
    for setting in Config::settings() {
        let unit = if setting.unit.is_empty() {
            String::new()
        } else {
            format!(" {}", setting.unit)
        };
        let default = match setting.default.as_str() {
            "\"\"" | "[]" => "none".to_owned(),
            default if default.starts_with('"') || default.starts_with('[') => format!("`{default}`"),
            default => format!("`{default}`{unit}"),
        };
        table.push_str(&format!(
            "| `{}` | {default} | {} {} Allowed: {}. |\n",
            setting.key, setting.about, setting.why, setting.allowed
        ));
    }
    table
}

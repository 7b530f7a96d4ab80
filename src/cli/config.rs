//! `filmroom config`.

use clap::{Args, Subcommand};
use filmroom_storage::store::check_objects;

use super::{
    failure::{Failure, Status},
    runtime,
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
    /// Check file, environment and flags, and reach the object store; print every effective value and where it came from
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
                let reached =
                    runtime::build(&loaded.config.run)?.block_on(check_objects(&loaded.config.store_options()));
                reached.map_err(|error| Failure::store(&loaded.config.data.folder, &error))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../README.md");

    #[test]
    fn the_readme_holds_every_setting() {
        let table = settings_table();
        assert!(
            README.contains(&table),
            "README.md is to hold what `filmroom config settings` prints:\n{table}"
        );
    }

    #[test]
    fn the_readme_holds_every_exit_status() {
        for (status, meaning) in Status::ALL {
            let row = format!("| {} | {meaning} |\n", status.code());
            assert!(README.contains(&row), "README.md is to hold {row}");
        }
    }

    #[test]
    fn the_example_of_a_settings_file_is_one() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/filmroom.toml");
        let loaded = config::load(Some(&path), [], &[]).unwrap();
        assert!(config::check_exposure(&loaded.config).is_ok());
    }
}

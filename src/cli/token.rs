//! `filmroom token`: what programs show to be let in, by way of the archive where one runs on the data folder, else in the folder.

use std::time::Duration;

use clap::{Args, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    failure::{Failure, Status},
    running::Running,
    settings_flags::SettingsFlags,
    standard_output,
    user::{in_folder, look},
};
use filmroom_access::{NewToken, Role};

const ADVICE: &str = "`filmroom token list` lists all tokens";
const DAY: Duration = Duration::from_secs(86_400);

/// Arguments of `token`.
#[derive(Debug, Args)]
pub struct TokenCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all tokens
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a token and print it; it is not to be had again
    Create {
        /// What it is for
        name: String,
        /// What it may do; repeatable, or separated by commas
        #[arg(long = "role", value_name = "ROLE", required = true, value_delimiter = ',')]
        roles: Vec<Role>,
        /// How many days it is worth something, 366 at most
        #[arg(long, value_name = "DAYS", default_value_t = 90)]
        days: u32,
        /// The account that it acts for: it ends with the account, and may do nothing that the account may not
        #[arg(long, value_name = "ACCOUNT")]
        owner: Option<String>,
        /// It sees what is granted to it (`filmroom privacy grant token:NAME`), and nothing else
        #[arg(long)]
        confined: bool,
    },
    /// Make a token worth nothing
    Revoke {
        /// Its id, as `token list` prints it
        id: String,
    },
}

impl TokenCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        match &self.action {
            Action::List { json: is_json } => {
                let tokens = look(&config)?.tokens();
                let lines = tokens.iter().map(|token| {
                    if *is_json {
                        let value = json!({
                            "id": token.id,
                            "name": token.name,
                            "roles": token.roles,
                            "made_at": token.made_at,
                            "expires_at": token.expires_at,
                            "made_by": token.made_by,
                            "owner": token.owner,
                            "is_confined": token.is_confined,
                        });
                        return format!("{value}\n");
                    }
                    let roles: Vec<&str> = token.roles.iter().map(|role| role.word()).collect();
                    let until = day(token.expires_at);
                    format!(
                        "{}  {:<24} {:<24} until {until}\n",
                        token.id,
                        token.name,
                        roles.join(", ")
                    )
                });
                standard_output(&lines.collect::<String>());
            }
            Action::Create {
                name,
                roles,
                days,
                owner,
                confined,
            } => {
                let text = match Running::find(&config)? {
                    Some(archive) => {
                        let body = json!({ "name": name, "roles": roles, "days": days, "owner": owner, "is_confined": confined });
                        let made = archive.ask("POST", "tokens", Some(&body))?.done(ADVICE)?;
                        made.get("token").and_then(Value::as_str).unwrap_or_default().to_owned()
                    }
                    None => in_folder(&config, "tokens", |directory| {
                        directory.add_token(NewToken {
                            name: name.clone(),
                            roles: roles.iter().copied().collect(),
                            life: DAY.saturating_mul(*days),
                            made_by: "this machine".to_owned(),
                            owner: owner.clone(),
                            is_confined: *confined,
                        })
                    })
                    .map(|(_, text)| text)?,
                };
                standard_output(&format!("{text}\n"));
            }
            Action::Revoke { id } => {
                let path = format!("tokens/{}", utf8_percent_encode(id, NON_ALPHANUMERIC));
                match Running::find(&config)? {
                    Some(archive) => {
                        archive.ask("DELETE", &path, None)?.done(ADVICE)?;
                    }
                    None => in_folder(&config, &path, |directory| directory.revoke_token(id))?,
                }
                standard_output(&format!("{id} is worth nothing any more\n"));
            }
        }
        Ok(Status::Done)
    }
}

fn day(seconds: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap_or(i64::MAX)).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_else(|| seconds.to_string())
}

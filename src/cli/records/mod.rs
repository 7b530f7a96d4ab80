//! `filmroom retention`, `hold`, `disposal` and `privacy`: records, by way of the archive that runs on the data folder, which knows who asks.

mod disposal;
mod hold;
mod privacy;
mod reject;
mod retention;
mod table;

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::Value;

use super::{
    failure::{Failure, Status},
    running::Running,
    settings_flags::SettingsFlags,
    standard_output,
    user::own_passcode,
};

pub use disposal::DisposalCommand;
pub use hold::HoldCommand;
pub use privacy::PrivacyCommand;
pub use reject::{RejectCommand, RejectedCommand, RestoreCommand};
pub use retention::RetentionCommand;
use table::{Column, table};

/// Who acts, and how answers are shown.
#[derive(Debug, Clone, Args)]
struct Manner {
    /// Act as this account; its passcode is asked for, or read from standard input (one line), or taken from FILMROOM_PASSCODE.
    /// Without it FILMROOM_TOKEN says who acts
    #[arg(long = "as", value_name = "NAME", global = true)]
    name: Option<String>,
    /// Show JSON
    #[arg(long, global = true)]
    json: bool,
}

/// A body that is sent.
enum Body<'a> {
    None,
    Json(Value),
    Text(&'static str, &'a str),
}

/// The archive, asked as somebody.
struct Link {
    running: Running,
    manner: Manner,
    /// What is shown; `None` where nobody is named.
    authorization: Option<String>,
}

impl Manner {
    /// What is shown of who acts (RFC 7617, RFC 6750).
    fn authorization(&self) -> Result<Option<String>, Failure> {
        if let Some(name) = &self.name {
            let passcode = match std::env::var("FILMROOM_PASSCODE") {
                Ok(passcode) => passcode,
                Err(_) => own_passcode(&format!("Passcode of {}: ", name.escape_debug()))?,
            };
            return Ok(Some(format!("Basic {}", STANDARD.encode(format!("{name}:{passcode}")))));
        }
        let Ok(token) = std::env::var("FILMROOM_TOKEN") else {
            return Ok(None);
        };
        let token = token.trim();
        if token.chars().any(char::is_control) {
            return Err(Failure::new(Status::Usage, "FILMROOM_TOKEN has control characters", ""));
        }
        Ok(Some(format!("Bearer {token}")))
    }
}

impl Link {
    fn new(settings: &SettingsFlags, manner: &Manner) -> Result<Self, Failure> {
        let config = settings.load(None)?.config;
        let running = Running::find(&config)?.ok_or_else(|| {
            let sentence = format!("no archive runs on {}", config.data.folder.display());
            let advice = "records are decided by a running archive, which knows who asks: start `filmroom serve` on it";
            Failure::new(Status::Unavailable, sentence, advice)
        })?;
        Ok(Self {
            running,
            authorization: manner.authorization()?,
            manner: manner.clone(),
        })
    }

    /// Asks; the path is below `/api/v1`.
    fn ask(&self, method: &str, path: &str, body: Body<'_>) -> Result<Value, Failure> {
        let mut headers = Vec::new();
        headers.extend(self.authorization.clone().map(|shown| ("Authorization", shown)));
        let (kind, body) = match body {
            Body::None => ("application/json", String::new()),
            Body::Json(value) => ("application/json", value.to_string()),
            Body::Text(kind, text) => (kind, text.to_owned()),
        };
        headers.push(("Content-Type", kind.to_owned()));
        let answer = self.running.ask_with(method, path, &headers, &body)?;
        answer.done(
            "`filmroom retention --help`, `hold --help`, `disposal --help` and `privacy --help` say what there is",
        )
    }

    /// Goes through all pages of a list.
    fn all(&self, path: &str, list: &str) -> Result<Vec<Value>, Failure> {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = match &cursor {
                None => path.to_owned(),
                Some(cursor) => format!("{path}{separator}cursor={}", escaped(cursor)),
            };
            let mut page = self.ask("GET", &page, Body::None)?;
            if let Some(found) = page.get_mut(list).and_then(Value::as_array_mut) {
                all.append(found);
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(all),
            }
        }
    }

    fn show(&self, value: &Value, plain: impl FnOnce(&Value) -> String) {
        if self.manner.json {
            standard_output(&format!("{value:#}\n"));
        } else {
            standard_output(&plain(value));
        }
    }

    fn show_list(&self, list: &[Value], columns: &[Column]) {
        if self.manner.json {
            let lines: String = list.iter().map(|value| format!("{value}\n")).collect();
            standard_output(&lines);
        } else {
            standard_output(&table(list, columns));
        }
    }
}

/// A part of a path or a query.
fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn read(path: &std::path::Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))
}

/// A value as one line of plain text.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.replace(char::is_control, " "),
        Some(Value::Array(list)) => list
            .iter()
            .map(|value| plain(Some(value)))
            .collect::<Vec<_>>()
            .join(", "),
        Some(Value::Object(fields)) => fields
            .iter()
            .map(|(name, value)| format!("{name} {}", plain(Some(value))))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}

//! How and what is logged.

use super::{Value, quoted, words};

words! {
    /// How log lines look.
    LogFormat "text or json" {
        /// For people: one line an event.
        Text "text",
        /// For collectors: one JSON object a line.
        Json "json",
    }
}

/// What is logged: a level, or a level for each part of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The directives as `tracing` reads them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for LogFilter {
    const ALLOWED: &'static str = "error, warn, info, debug or trace, also for one part: warn,filmroom_dimse=debug";
    fn from_text(text: &str) -> Result<Self, String> {
        let is_directive = |part: &str| {
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
            ["off", "error", "warn", "info", "debug", "trace"].contains(&level)
        };
        if text.split(',').all(is_directive) && tracing_subscriber::EnvFilter::try_new(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("\"{text}\" names no level"))
        }
    }
    fn show(&self) -> String {
        quoted(&self.0)
    }
}

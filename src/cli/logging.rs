//! Log lines go to standard error: standard output belongs to what a command was asked for.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Begins to log, panics included. A second call in one process changes nothing.
pub fn start(settings: &Log) {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(message, place, "a task ended by a panic: please report it");
    }));
    let filter = EnvFilter::try_new(settings.level.as_str()).unwrap_or_else(|_| EnvFilter::new("info"));
    // What a decoder says of a stream, a line or more a frame, is part of the answer to who asked for it.
    let filter = match "jpeg2k=off".parse() {
        Ok(silence) if !settings.level.as_str().contains("jpeg2k") => filter.add_directive(silence),
        _ => filter,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // Only the first subscriber of a process counts; tests start several servers.
    let _ = match settings.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
    };
}

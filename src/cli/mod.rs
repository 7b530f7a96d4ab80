//! Commands: each has a file, runs to an end, and says one clear sentence when it fails.

mod audit;
mod carried_through;
mod config;
mod demo;
mod encrypt;
mod failure;
mod health;
mod hl7;
mod http;
mod http_trail;
mod import;
mod key;
mod logging;
mod patient_stream;
mod peer;
mod rebuild;
mod records;
mod registry;
mod running;
mod runtime;
mod serve;
mod server;
mod settings_flags;
mod token;
mod trail;
mod user;
mod verify;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand, error::ErrorKind};

pub use config::settings_table;
pub use failure::{Failure, Status};
pub use server::Server;
use settings_flags::SettingsFlags;

/// A medical imaging archive and DICOM server.
#[derive(Debug, Parser)]
#[command(name = "filmroom", version, about, propagate_version = false, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: SettingsFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the archive: DICOM node, DICOMweb and web pages
    Serve(serve::Serve),
    /// Take in files, folders, ZIP archives and media; works on the data folder while no server runs
    Import(import::Import),
    /// Run the archive with phantom studies in a temporary folder, to look around
    Demo(demo::Demo),
    /// Ask a peer whether it answers (C-ECHO)
    Echo(peer::Echo),
    /// Search at a peer (C-FIND)
    Find(peer::Find),
    /// Have a peer send to another (C-MOVE)
    Move(peer::MoveTo),
    /// Fetch from a peer into the data folder (C-GET)
    Get(peer::Get),
    /// Send what the data folder holds to a peer (C-STORE)
    Send(peer::Send),
    /// Ask a peer whether it keeps what the data folder holds (storage commitment)
    Commit(peer::Commit),
    /// List, register or forget peers, also while the archive runs
    Peer(registry::PeerCommand),
    /// List, make, change or remove the accounts of people, also while the archive runs
    User(user::UserCommand),
    /// List, make or revoke the tokens of programs, also while the archive runs
    Token(token::TokenCommand),
    /// How long studies are kept, and why: policies, facts, decisions
    Retention(records::RetentionCommand),
    /// Open, list and release holds on studies
    Hold(records::HoldCommand),
    /// Reject a study, a series or instances: they are kept, and not shown any more where the reason says so
    Reject(records::RejectCommand),
    /// Take back what was rejected
    Restore(records::RestoreCommand),
    /// List what is rejected
    Rejected(records::RejectedCommand),
    /// Propose, approve and carry out what is to be destroyed, and check its certificates
    Disposal(records::DisposalCommand),
    /// Labels of studies, grants, and access that was taken in an emergency
    Privacy(records::PrivacyCommand),
    /// Make the index anew from packs and intake, while no server runs
    Rebuild(rebuild::Rebuild),
    /// Read everything that is stored and compare it with what is known of it, while no server runs
    Verify(verify::Verify),
    /// Verify, search and export the audit trail
    Audit(audit::AuditCommand),
    /// Make, list and rotate the master keys of an encrypted archive
    Key(key::Key),
    /// Encrypt what was stored before encryption was turned on, while no server runs
    Encrypt(encrypt::Encrypt),
    /// Check settings, or list them all
    Config(config::ConfigCommand),
    /// Print the version
    Version,
}

/// Runs the command that the process was given.
#[must_use]
pub fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version come this way too.
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            let _ = error.print();
            return if asked { Status::Done } else { Status::Usage }.into();
        }
    };
    match line.run() {
        Ok(status) => status.into(),
        Err(failure) => {
            eprintln!("{failure}");
            failure.status.into()
        }
    }
}

impl CommandLine {
    fn run(&self) -> Result<Status, Failure> {
        match &self.command {
            Command::Serve(serve) => serve.run(&self.settings),
            Command::Import(import) => import.run(&self.settings),
            Command::Demo(demo) => demo.run(&self.settings),
            Command::Echo(echo) => echo.run(&self.settings),
            Command::Find(find) => find.run(&self.settings),
            Command::Move(move_to) => move_to.run(&self.settings),
            Command::Get(get) => get.run(&self.settings),
            Command::Send(send) => send.run(&self.settings),
            Command::Commit(commit) => commit.run(&self.settings),
            Command::Peer(peer) => peer.run(&self.settings),
            Command::User(user) => user.run(&self.settings),
            Command::Token(token) => token.run(&self.settings),
            Command::Retention(retention) => retention.run(&self.settings),
            Command::Hold(hold) => hold.run(&self.settings),
            Command::Reject(reject) => reject.run(&self.settings),
            Command::Restore(restore) => restore.run(&self.settings),
            Command::Rejected(rejected) => rejected.run(&self.settings),
            Command::Disposal(disposal) => disposal.run(&self.settings),
            Command::Privacy(privacy) => privacy.run(&self.settings),
            Command::Rebuild(rebuild) => rebuild.run(&self.settings),
            Command::Verify(verify) => verify.run(&self.settings),
            Command::Audit(audit) => audit.run(&self.settings),
            Command::Key(key) => key.run(&self.settings),
            Command::Encrypt(encrypt) => encrypt.run(&self.settings),
            Command::Config(config) => config.run(&self.settings),
            Command::Version => {
                standard_output(&format!("filmroom {}\n", env!("CARGO_PKG_VERSION")));
                Ok(Status::Done)
            }
        }
    }
}

/// Writes what a command was asked for. A reader that went away (`| head`) is no failure.
fn standard_output(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

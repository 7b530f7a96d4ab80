//! Flags that set settings.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use super::failure::Failure;
use crate::config::{self, FlagValue, Given, Loaded};

/// Settings on the command line. They win over the environment and the file.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingsFlags {
    /// File of settings (default: $FILMROOM_CONFIG, else ./filmroom.toml when it is there)
    #[arg(long, value_name = "FILE", global = true, help_heading = "Settings")]
    pub config: Option<PathBuf>,
    /// Folder that holds everything [data.folder, default ./filmroom-data]
    #[arg(long, value_name = "DIR", global = true, help_heading = "Settings")]
    pub data: Option<PathBuf>,
    /// Any setting, as `config settings` lists them; lists separated by commas
    #[arg(
        long = "set",
        value_name = "SECTION.NAME=VALUE",
        global = true,
        help_heading = "Settings"
    )]
    pub set: Vec<String>,
}

/// Settings of the doors on the command line.
#[derive(Debug, Clone, Default, Args)]
pub struct DoorFlags {
    /// Where to answer DICOM associations; port 0 takes any that is free [dicom.listen, default 127.0.0.1:11112]
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Settings")]
    pub dicom: Option<String>,
    /// Where to answer HTTP; port 0 takes any that is free [http.listen, default 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Settings")]
    pub http: Option<String>,
    /// Application entity title of the archive [dicom.ae_title, default FILMROOM]
    #[arg(long, value_name = "TITLE", help_heading = "Settings")]
    pub ae_title: Option<String>,
    /// Another application entity: C-MOVE destination; repeatable; replaces the peers of file and environment [dicom.peers]
    #[arg(long, value_name = "AET=HOST:PORT", help_heading = "Settings")]
    pub peer: Vec<String>,
    /// Listen on addresses that other machines reach without what protects them: dicom, http or both [access.insecure]
    #[arg(
        long,
        value_name = "DOOR",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "both",
        help_heading = "Settings"
    )]
    pub insecure: Option<String>,
}

impl SettingsFlags {
    /// The effective settings.
    ///
    /// # Errors
    /// [`Failure`] with every problem.
    pub fn load(&self, doors: Option<&DoorFlags>) -> Result<Loaded, Failure> {
        let mut flags = Vec::new();
        for pair in &self.set {
            let Some((key, value)) = pair.split_once('=') else {
                return Err(Failure::new(
                    super::failure::Status::Usage,
                    format!("--set {pair}: not of the form SECTION.NAME=VALUE"),
                    "`filmroom config settings` lists every setting",
                ));
            };
            flags.push(flag("--set", key.trim(), Given::Text(value.trim().to_owned())));
        }
        if let Some(folder) = &self.data {
            flags.push(flag(
                "--data",
                "data.folder",
                Given::Text(folder.to_string_lossy().into_owned()),
            ));
        }
        if let Some(doors) = doors {
            doors.collect(&mut flags);
        }
        Ok(config::load(self.config.as_deref(), environment(), &flags)?)
    }
}

impl DoorFlags {
    fn collect(&self, flags: &mut Vec<FlagValue>) {
        let single = [
            ("--dicom", "dicom.listen", &self.dicom),
            ("--http", "http.listen", &self.http),
            ("--ae-title", "dicom.ae_title", &self.ae_title),
        ];
        for (name, key, value) in single {
            if let Some(value) = value {
                flags.push(flag(name, key, Given::Text(value.clone())));
            }
        }
        if !self.peer.is_empty() {
            let peers = self.peer.iter().cloned().map(Given::Text).collect();
            flags.push(flag("--peer", "dicom.peers", Given::List(peers)));
        }
        if let Some(doors) = &self.insecure {
            flags.push(flag("--insecure", "access.insecure", Given::Text(doors.clone())));
        }
    }
}

fn flag(flag: &str, key: &str, value: Given) -> FlagValue {
    FlagValue {
        flag: flag.to_owned(),
        key: key.to_owned(),
        value,
    }
}

/// The variables of the environment that are texts; others cannot be ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// The address as a link or a client's argument needs it: "every address" is reached through this machine's own.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

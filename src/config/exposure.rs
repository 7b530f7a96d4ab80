//! What listening beyond this machine gives away.

use super::{Config, ConfigError};

/// Refuses addresses that other machines reach, unless `access.insecure` accepts what that gives up.
///
/// # Errors
/// [`ConfigError`], a sentence for each such address.
pub fn check_exposure(config: &Config) -> Result<(), ConfigError> {
    if config.access.insecure {
        return Ok(());
    }
    let problems: Vec<String> = [
        (
            "dicom.listen",
            config.dicom.listen,
            "store instances, find and fetch every study under any AE title, and read all of it on the way",
        ),
        (
            "http.listen",
            config.http.listen,
            "store instances, search, read and preview every study, and read all of it on the way",
        ),
    ]
    .into_iter()
    .filter(|(_, address, _)| !address.ip().to_canonical().is_loopback())
    .map(|(key, address, loss)| {
        format!(
            "{key} = {address} is reached by other machines, and this version neither authenticates nor encrypts: whoever \
             reaches the port can {loss}. Listen on 127.0.0.1 and let a VPN, an SSH tunnel or an authenticating \
             TLS proxy in front of it admit people and devices; or accept the loss with --insecure"
        )
    })
    .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { problems })
    }
}

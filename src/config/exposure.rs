//! What listening beyond this machine gives away.

use super::{Config, ConfigError, value::TlsCallers};

/// Refuses addresses that other machines reach, unless `access.insecure` accepts what that gives up.
///
/// # Errors
/// [`ConfigError`], a sentence for each such address.
pub fn check_exposure(config: &Config) -> Result<(), ConfigError> {
    if config.access.insecure {
        return Ok(());
    }
    // Callers with a certificate of an authority of ours are known, and nobody listens in.
    let tls_without_callers = config
        .dicom
        .tls_listen
        .filter(|_| config.dicom.tls_callers != TlsCallers::Required)
        .map(|address| {
            let loss = "take the AE title of a peer, store instances, find and fetch every study";
            ("dicom.tls_listen", address, loss)
        });
    let problems: Vec<String> = [
        (
            "dicom.listen",
            config.dicom.listen,
            "take the AE title of a peer, store instances, find and fetch every study, and read all of it on the way",
        ),
        (
            "http.listen",
            config.http.listen,
            "store instances, search, read and preview every study, and read all of it on the way",
        ),
    ]
    .into_iter()
    .chain(tls_without_callers)
    .filter(|(_, address, _)| !address.ip().to_canonical().is_loopback())
    .map(|(key, address, loss)| {
        format!(
            "{key} = {address} is reached by other machines, and nobody is authenticated there: whoever reaches the port can \
             {loss}. Listen on 127.0.0.1 and let a VPN, an SSH tunnel or an authenticating TLS proxy in front of it admit \
             people and devices; for DICOM, dicom.tls_listen with dicom.tls_callers = \"required\" admits devices by their \
             certificates; or accept the loss with --insecure"
        )
    })
    .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { problems })
    }
}

//! What listening beyond this machine gives away.

use std::net::SocketAddr;

use super::{
    Config, ConfigError,
    value::{Authentication, TlsCallers},
};
use filmroom_access::Demand as UserDemand;

/// True when only this machine reaches an address.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Refuses addresses that other machines reach and where something is missing that protects the archive, unless
/// `access.insecure` accepts what that gives up.
///
/// # Errors
/// [`ConfigError`], for each such address what to do.
pub fn check_exposure(config: &Config) -> Result<(), ConfigError> {
    let insecure = config.access.insecure;
    let mut problems = Vec::new();
    if !insecure.covers_dicom() {
        problems.extend(dicom(config));
        problems.extend(dicom_tls(config));
    }
    if !insecure.covers_http() {
        problems.extend(http(config));
    }
    problems.extend(hl7(config));
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ConfigError { problems }),
    }
}

/// What is given up where other machines reach a door and `access.insecure` lets them; a sentence for each door.
#[must_use]
pub fn given_up(config: &Config) -> Vec<String> {
    let insecure = config.access.insecure;
    let mut sentences = Vec::new();
    if insecure.covers_dicom() && (dicom(config).is_some() || dicom_tls(config).is_some()) {
        sentences.push(format!(
            "whoever reaches the DICOM port can {DICOM_LOSS}, and read all of it on the way"
        ));
    }
    if insecure.covers_http() && http(config).is_some() {
        let loss = match (
            config.demand() == filmroom_admission::Demand::Credentials,
            has_tls(config),
        ) {
            (true, _) => "whoever is on the way can read passcodes, tokens and images",
            (false, true) => {
                "nobody is asked who they are: whoever reaches the HTTP port can store, search and read every study"
            }
            (false, false) => {
                "nobody is asked who they are: whoever reaches the HTTP port can store, search and read every study, and read \
                 all of it on the way"
            }
        };
        sentences.push(loss.to_owned());
    }
    sentences
}

const DICOM_LOSS: &str = "take the AE title of a peer, store instances, find and fetch every study";

fn has_tls(config: &Config) -> bool {
    config.http.tls_certificate.is_some() && config.http.tls_key.is_some()
}

fn dicom(config: &Config) -> Option<String> {
    let address = Some(config.dicom.listen).filter(|address| !is_loopback(*address))?;
    Some(format!(
        "dicom.listen = {address} is reached by other machines, and DICOM without TLS knows nobody: whoever reaches the port can \
         {DICOM_LOSS}, and read all of it on the way. Either\n  \
         - leave dicom.listen on 127.0.0.1, and answer devices that speak TLS: dicom.tls_listen = \"{address}\" with \
         dicom.tls_certificate, dicom.tls_key and dicom.tls_authorities, or\n  \
         - accept it, on a network that is for modalities alone: --insecure=dicom"
    ))
}

/// Callers with a certificate of an authority of ours, or a user of ours, are known, and nobody listens in.
fn dicom_tls(config: &Config) -> Option<String> {
    let dicom = &config.dicom;
    let address = dicom.tls_listen.filter(|address| !is_loopback(*address))?;
    let is_known = dicom.tls_callers == TlsCallers::Required || dicom.user_identity == UserDemand::Required;
    (!is_known).then(|| {
        format!(
            "dicom.tls_listen = {address} is reached by other machines, and callers need neither certificate nor user: whoever \
             reaches the port can {DICOM_LOSS}. Say dicom.tls_callers = \"required\" or dicom.user_identity = \"required\", or \
             accept it with --insecure=dicom"
        )
    })
}

/// What messages tell decides how long studies are kept, so that nobody may tell it who is not known. Plain MLLP knows addresses alone.
fn hl7(config: &Config) -> Option<String> {
    let address = config.hl7.listen.filter(|address| !is_loopback(*address))?;
    let senders = &config.hl7.senders;
    let is_known = !senders.is_empty() && senders.iter().all(|sender| sender.address.is_some());
    (!is_known).then(|| {
        format!(
            "hl7.listen = {address} is reached by other machines, and whoever reaches the port could tell of deaths and visits that \
             never were. Either\n  \
             - name each system that may send with its address: hl7.senders = [\"APPLICATION|FACILITY@10.0.0.5\"], or\n  \
             - answer by TLS those that show a certificate: hl7.tls_listen = \"{address}\" with dicom.tls_certificate, \
             dicom.tls_key and dicom.tls_authorities"
        )
    })
}

fn http(config: &Config) -> Option<String> {
    let address = Some(config.http.listen).filter(|address| !is_loopback(*address))?;
    let is_open = config.access.authentication == Authentication::Off;
    if has_tls(config) && !is_open {
        return None;
    }
    let mut steps = Vec::new();
    if is_open {
        steps.push("leave access.authentication at \"auto\"".to_owned());
    }
    if !has_tls(config) {
        steps.push("name a certificate and its key (PEM): http.tls_certificate and http.tls_key".to_owned());
    }
    let folder = config.data.folder.display();
    steps.push(format!(
        "make the first account: filmroom user add NAME --role administrator --data {folder}"
    ));
    steps.push(
        "start again, and make accounts for people and tokens for programs: filmroom user add, filmroom token create"
            .to_owned(),
    );
    let steps: Vec<String> = (1..)
        .zip(&steps)
        .map(|(number, step)| format!("\n  {number}. {step}"))
        .collect();
    Some(format!(
        "http.listen = {address} is reached by other machines, so that callers have to be known and nobody may listen in:{}\nOr \
         listen on 127.0.0.1, with access.authentication = \"required\" where a TLS proxy in front of it passes requests on; or \
         accept with --insecure=http that whoever reaches the port can store, search, read and preview every study, and read all \
         of it on the way",
        steps.concat()
    ))
}

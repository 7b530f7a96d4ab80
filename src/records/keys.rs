//! The archive's own keys: one that certificates are signed with, one that patients' identifiers are hashed with where they must
//! not stand.

use filmroom_storage::state::{StateFolder, StatePlace};
use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use serde::{Deserialize, Serialize};

use super::{
    PatientKey, RecordsError,
    canonical::{from_hexadecimal, hexadecimal},
};

const STATE: &str = "records-keys";
const KEY: &str = "keys";

#[derive(Serialize, Deserialize)]
struct Kept {
    /// PKCS #8, in hexadecimal.
    signing: String,
    /// In hexadecimal.
    hashing: String,
}

pub(crate) struct Keys {
    signing: Ed25519KeyPair,
    hashing: hmac::Key,
}

impl Keys {
    /// Reads the keys, or makes them where there are none.
    pub(crate) fn open(state: StatePlace) -> Result<Self, RecordsError> {
        let (folder, loaded) = StateFolder::open::<Kept>(state, STATE)?;
        if let Some(damaged) = loaded.damaged.first() {
            // New keys would not know the patients of tombstones.
            return Err(RecordsError::Failed(format!(
                "the keys of the records at {} are damaged ({}): bring them back from a backup",
                damaged.path.display(),
                damaged.why
            )));
        }
        let kept = match loaded.records.into_iter().find(|(key, _)| key == KEY) {
            Some((_, kept)) => kept,
            None => {
                let kept = made()?;
                folder.put(KEY, &kept)?;
                kept
            }
        };
        let unusable =
            || RecordsError::Failed("the keys of the records cannot be used: bring them back from a backup".into());
        let signing = from_hexadecimal(&kept.signing).ok_or_else(unusable)?;
        let hashing = from_hexadecimal(&kept.hashing).ok_or_else(unusable)?;
        Ok(Self {
            signing: Ed25519KeyPair::from_pkcs8(&signing).map_err(|_| unusable())?,
            hashing: hmac::Key::new(hmac::HMAC_SHA256, &hashing),
        })
    }

    pub(crate) fn public_key(&self) -> String {
        hexadecimal(self.signing.public_key().as_ref())
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        hexadecimal(self.signing.sign(text.as_bytes()).as_ref())
    }

    /// What stands for a patient where no identifier may.
    pub(crate) fn hashed(&self, patient: &PatientKey) -> String {
        let text = format!("{}:{}{}", patient.issuer.len(), patient.issuer, patient.id);
        format!(
            "hmac-sha256:{}",
            hexadecimal(hmac::sign(&self.hashing, text.as_bytes()).as_ref())
        )
    }
}

fn made() -> Result<Kept, RecordsError> {
    let failed = |_| RecordsError::Failed("the system gives no random numbers".to_owned());
    let random = SystemRandom::new();
    let mut hashing = [0; 32];
    random.fill(&mut hashing).map_err(failed)?;
    let signing = Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?;
    Ok(Kept {
        signing: hexadecimal(signing.as_ref()),
        hashing: hexadecimal(&hashing),
    })
}

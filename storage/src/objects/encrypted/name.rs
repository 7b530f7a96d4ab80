//! Where an encrypted object lies: under `encrypted/`, with the UIDs of its name sealed.

use super::keys::{Scope, named};
use crate::{
    encryption::{EncryptionError, NameKey},
    objects::{DAMAGED, ObjectError, ObjectName},
};

/// Where all encrypted objects lie.
pub(super) const ENCRYPTED: &str = "encrypted/";
const STUDIES: &str = "studies";
const STUDY: &str = "study";
const SERIES: &str = "series";

/// Seals and opens the names of objects.
pub(super) struct Names {
    key: NameKey,
}

impl Names {
    pub(super) fn new(key: NameKey) -> Self {
        Self { key }
    }

    /// The name under which an object lies, and what its data key is for.
    pub(super) fn place(&self, name: &ObjectName) -> Result<(ObjectName, Scope), ObjectError> {
        let place = self.sealed(name.as_str()).map_err(super::keys::no_randomness)?;
        let of_study = place
            .strip_prefix(ENCRYPTED)
            .map(|rest| rest.strip_prefix(DAMAGED).unwrap_or(rest));
        let of_study = of_study.and_then(|rest| rest.strip_prefix("studies/"));
        let scope = match of_study.and_then(|rest| rest.split_once('/')) {
            Some((study, _)) => Scope::Study(study.to_owned()),
            None => Scope::Archive,
        };
        Ok((named(&place)?, scope))
    }

    /// What the keys of a study are for.
    pub(super) fn study(&self, study_instance_uid: &str) -> Result<Scope, ObjectError> {
        let sealed = self.key.seal(STUDY, study_instance_uid);
        sealed.map(Scope::Study).map_err(super::keys::no_randomness)
    }

    /// What the places of objects begin with whose names begin with `prefix`: as much of it as whole parts tell.
    pub(super) fn prefix(&self, prefix: &str) -> Result<String, ObjectError> {
        if let Some(rest) = prefix.strip_prefix(DAMAGED) {
            let begin = self.prefix(rest)?;
            return Ok(format!(
                "{ENCRYPTED}{DAMAGED}{}",
                begin.strip_prefix(ENCRYPTED).unwrap_or_default()
            ));
        }
        let is_in_studies = prefix.strip_prefix(STUDIES).is_some_and(|rest| rest.starts_with('/'));
        let known = match prefix.match_indices('/').nth(2) {
            _ if !is_in_studies => prefix,
            // The names of packs are not sealed.
            Some(_) => prefix,
            None => prefix
                .rsplit_once('/')
                .map_or("", |(whole, _)| prefix.get(..=whole.len()).unwrap_or(whole)),
        };
        self.sealed(known).map_err(super::keys::no_randomness)
    }

    fn sealed(&self, name: &str) -> Result<String, EncryptionError> {
        let mut place = String::from(ENCRYPTED);
        let name = match name.strip_prefix(DAMAGED) {
            Some(rest) => {
                place.push_str(DAMAGED);
                rest
            }
            None => name,
        };
        let mut in_studies = false;
        for (at, part) in name.split('/').enumerate() {
            if at > 0 {
                place.push('/');
            }
            let is_last = name.split('/').count() == at + 1;
            match at {
                0 => in_studies = part == STUDIES,
                1 | 2 if in_studies && !is_last => {
                    place.push_str(&self.key.seal(if at == 1 { STUDY } else { SERIES }, part)?);
                    continue;
                }
                _ => {}
            }
            place.push_str(part);
        }
        Ok(place)
    }

    /// The name of the object that lies at a place; `None` where it is none of ours.
    pub(super) fn name(&self, place: &ObjectName) -> Option<ObjectName> {
        let text = place.as_str().strip_prefix(ENCRYPTED)?;
        if let Some(rest) = text.strip_prefix(DAMAGED) {
            return Some(self.name(&ObjectName::new(&format!("{ENCRYPTED}{rest}"))?)?.damaged());
        }
        let Some(rest) = text.strip_prefix("studies/") else {
            return ObjectName::new(text);
        };
        let mut parts: Vec<String> = rest.split('/').map(str::to_owned).collect();
        let last = parts.len() - 1;
        for (part, kind) in parts.iter_mut().take(last).zip([STUDY, SERIES]) {
            *part = self.key.open(kind, part)?;
        }
        ObjectName::new(&format!("studies/{}", parts.join("/")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encryption::Secret;

    fn names() -> Names {
        Names::new(NameKey::new(&Secret::random().unwrap()).unwrap())
    }

    #[test]
    fn names_come_back_from_their_places() {
        let names = names();
        for text in [
            "studies/1.2/3.4/00000001.tar",
            "studies/1.2/3.4/00000001.headers",
            "journal/000000000001.jsonl",
            "quarantine/ab.tar",
            "studies/1.2/x",
            "replaced",
            "damaged/studies/1.2/3.4/00000001.tar",
            "damaged/quarantine/ab.tar",
        ] {
            let name = ObjectName::new(text).unwrap();
            let (place, scope) = names.place(&name).unwrap();
            assert_eq!(names.name(&place), Some(name));
            assert_eq!(matches!(scope, Scope::Study(_)), text.contains("studies/"));
            assert!(!place.as_str().contains("1.2"), "{place}");
        }
        let longest = format!("studies/{0}/{0}/00000001.headers", "1".repeat(64));
        names.place(&ObjectName::new(&longest).unwrap()).unwrap();
    }

    #[test]
    fn places_begin_as_prefixes_say() {
        let names = names();
        let (place, _) = names
            .place(&ObjectName::new("studies/1.2/3.4/00000001.tar").unwrap())
            .unwrap();
        for prefix in [
            "",
            "st",
            "studies/",
            "studies/1.",
            "studies/1.2/",
            "studies/1.2/3",
            "studies/1.2/3.4/",
            "studies/1.2/3.4/0000",
        ] {
            let begin = names.prefix(prefix).unwrap();
            assert!(place.as_str().starts_with(&begin), "{prefix}: {begin}");
        }
        let (place, _) = names
            .place(&ObjectName::new("damaged/studies/1.2/3.4/00000001.tar").unwrap())
            .unwrap();
        for prefix in [
            "",
            "dam",
            "damaged/",
            "damaged/studies/1.2/",
            "damaged/studies/1.2/3.4/",
        ] {
            let begin = names.prefix(prefix).unwrap();
            assert!(place.as_str().starts_with(&begin), "{prefix}: {begin}");
        }
        assert!(
            names.prefix("studies/1.2/").unwrap().len() > 60,
            "the study is part of it"
        );
    }
}

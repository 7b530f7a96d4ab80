//! A digest of what is known of a study: it changes when anything does that a decision may rest on.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::{Death, Encounter, Flag, PartialDate, StudyFacts};

/// `sha256:` and 64 digits.
pub(crate) fn facts_digest(facts: &StudyFacts) -> String {
    let mut text = Text(String::with_capacity(512));
    text.word(&facts.study_instance_uid);
    text.word(&facts.site);
    text.words(facts.programmes.iter());
    text.word(facts.source.word());
    text.words(facts.modalities.iter());
    text.words(facts.sop_classes.iter());
    text.number(facts.instances);
    text.date(Some(facts.received.into()));
    text.date(Some(facts.last_received.into()));
    text.date(facts.study_date);
    text.word(facts.purpose().word());
    text.date(facts.completed);
    text.date(facts.encounter_end);
    text.flags(&facts.flags);
    text.words(facts.rejected_as.iter());
    let patient = &facts.patient;
    text.date(patient.birth);
    match patient.death {
        None => text.word("alive"),
        Some(Death::On(date)) => text.date(Some(date)),
        Some(Death::KnownOn(date)) => {
            text.word("known");
            text.date(Some(date.into()));
        }
    }
    text.date(patient.last_encounter);
    let mut encounters: Vec<&Encounter> = patient.encounters.iter().collect();
    encounters.sort();
    text.number(encounters.len() as u64);
    for encounter in encounters {
        text.date(Some(encounter.start));
        text.date(encounter.end);
    }
    text.flags(&patient.flags);
    text.date(patient.trial_end);
    text.date(patient.employment_end);
    let mut studies: Vec<_> = patient.studies.iter().collect();
    studies.sort();
    text.number(studies.len() as u64);
    for study in studies {
        text.word(&study.study_instance_uid);
        text.date(study.date);
        text.words(study.modalities.iter());
        text.word(&study.site);
        text.word(study.source.word());
    }
    let hash = Sha256::digest(text.0.as_bytes());
    let mut digest = String::with_capacity(71);
    digest.push_str("sha256:");
    for byte in hash {
        // Writing to a String does not fail.
        let _ = write!(digest, "{byte:02x}");
    }
    digest
}

/// Words with their lengths before them, so that no two inputs give one text.
struct Text(String);

impl Text {
    fn word(&mut self, word: &str) {
        let _ = write!(self.0, "{}:{word}", word.len());
    }

    fn number(&mut self, number: u64) {
        let _ = write!(self.0, "{number};");
    }

    fn words<'a>(&mut self, words: impl ExactSizeIterator<Item = &'a String>) {
        let mut sorted: Vec<&String> = words.collect();
        sorted.sort();
        self.number(sorted.len() as u64);
        for word in sorted {
            self.word(word);
        }
    }

    fn date(&mut self, date: Option<PartialDate>) {
        match date {
            Some(date) => {
                let _ = write!(self.0, "{date};");
            }
            None => self.0.push_str("-;"),
        }
    }

    fn flags(&mut self, flags: &[Flag]) {
        let mut sorted: Vec<&Flag> = flags.iter().collect();
        sorted.sort();
        self.number(sorted.len() as u64);
        for flag in sorted {
            self.word(&flag.name);
            self.date(flag.date);
            self.date(Some(flag.known_on.into()));
        }
    }
}

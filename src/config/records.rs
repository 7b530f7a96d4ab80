//! Retention and disposal: settings of the records.

use filmroom_records::Zone;

use super::{
    Config,
    section::section,
    value::{Value, quoted},
};

impl Value for Zone {
    const ALLOWED: &'static str = "a time zone such as Europe/Berlin, or hours and minutes from UTC such as +01:00";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }

    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

section! {
    /// How long studies are kept.
    Records "records" {
        site: String = "main".to_owned(),
            unit "",
            about "The site of studies of which neither a person nor the name of the institution says another; policies are bound to sites.",
            why "A house with one site needs no name for it.";
        time_zone: Zone = Zone::default(),
            unit "",
            about "Time zone of the site: what is kept until a day is kept until that day is over there, in summer and in winter.",
            why "Only the house knows where it is.";
        public: bool = false,
            unit "",
            about "It is a public house: approvals that policies ask for only there are asked for.",
            why "In France, for one, the archives have to agree to what public hospitals destroy.";
        backups_kept: u32 = 0, range 0 => 36_500,
            unit "days",
            about "How long backups are kept: certificates of destruction say when the last copy in one is gone; 0: there are none.",
            why "The archive knows nothing of backups that others make.";
    }
}

impl Config {
    /// How the room of records is set up; who is told of what is destroyed is for the caller to say.
    #[must_use]
    pub fn records(&self) -> filmroom_records::Options {
        let records = &self.records;
        filmroom_records::Options {
            site: records.site.clone(),
            zone: records.time_zone.clone(),
            is_public: records.public,
            backups_days: (records.backups_kept > 0).then_some(records.backups_kept),
            ..filmroom_records::Options::default()
        }
    }
}

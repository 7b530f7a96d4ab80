//! Retention and disposal: settings of the records.

use time::UtcOffset;

use super::{
    Config,
    section::section,
    value::{Value, quoted},
};

/// How far clocks are from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset(pub UtcOffset);

impl Value for ClockOffset {
    const ALLOWED: &'static str = "hours and minutes from UTC such as +01:00 or -05:00";

    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no offset");
        let (sign, rest) = match text.split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(wrong()),
        };
        let (hours, minutes) = rest.split_once(':').ok_or_else(wrong)?;
        let number = |text: &str, most: i8| {
            let number = text
                .parse::<i8>()
                .ok()
                .filter(|_| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()));
            number.filter(|number| *number <= most).ok_or_else(wrong)
        };
        let (hours, minutes) = (number(hours, 14)?, number(minutes, 59)?);
        UtcOffset::from_hms(sign * hours, sign * minutes, 0)
            .map(Self)
            .map_err(|_| wrong())
    }

    fn show(&self) -> String {
        let (hours, minutes, _) = self.0.as_hms();
        let sign = if self.0.is_negative() { '-' } else { '+' };
        quoted(&format!(
            "{sign}{:02}:{:02}",
            hours.unsigned_abs(),
            minutes.unsigned_abs()
        ))
    }
}

section! {
    /// How long studies are kept.
    Records "records" {
        site: String = "main".to_owned(),
            unit "",
            about "The site of studies of which neither a person nor the name of the institution says another; policies are bound to sites.",
            why "A house with one site needs no name for it.";
        utc_offset: ClockOffset = ClockOffset(UtcOffset::UTC),
            unit "",
            about "How far the site's clocks are from UTC in winter: what is kept until a day is kept until that day is over there.",
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
            utc_offset: records.utc_offset.0,
            is_public: records.public,
            backups_days: (records.backups_kept > 0).then_some(records.backups_kept),
            ..filmroom_records::Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_and_shown() {
        for text in ["+00:00", "+05:30", "-03:30", "-12:00"] {
            assert_eq!(ClockOffset::from_text(text).unwrap().show(), format!("\"{text}\""));
        }
        for wrong in ["", "5", "+5:00", "05:00", "+15:00", "+01:60", "+0100", "+-1:00", "UTC"] {
            assert!(ClockOffset::from_text(wrong).is_err(), "{wrong}");
        }
    }
}

//! The clocks of the site: its days begin and end by its time zone, daylight saving included.

use jiff::{Timestamp, civil, tz};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// A time zone: one of the IANA database, or an offset from UTC all year round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: tz::TimeZone,
}

impl Default for Zone {
    fn default() -> Self {
        Self {
            name: "UTC".to_owned(),
            zone: tz::TimeZone::UTC,
        }
    }
}

impl std::fmt::Display for Zone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Zone {
    /// Reads a name such as `Europe/Berlin`, or an offset such as `+05:30`.
    ///
    /// # Errors
    /// What is wrong, as a short phrase.
    pub fn parse(text: &str) -> Result<Self, String> {
        let zone = if text.starts_with(['+', '-']) {
            let seconds = offset_seconds(text).ok_or_else(|| format!("\"{text}\" is no offset"))?;
            let offset = tz::Offset::from_seconds(seconds).map_err(|_| format!("\"{text}\" is no offset"))?;
            tz::TimeZone::fixed(offset)
        } else {
            tz::TimeZone::get(text).map_err(|_| format!("\"{text}\" is no time zone of the IANA database"))?
        };
        Ok(Self {
            name: text.to_owned(),
            zone,
        })
    }

    /// The day there at a time.
    #[must_use]
    pub fn day(&self, at: OffsetDateTime) -> Date {
        let utc = || at.to_offset(UtcOffset::UTC).date();
        let Ok(at) = Timestamp::from_second(at.unix_timestamp()) else {
            return utc();
        };
        date(self.zone.to_datetime(at).date()).unwrap_or_else(utc)
    }

    /// A time of its clocks. One that clocks show twice is the first; one that they leave out is as much later as they are put on.
    #[must_use]
    pub fn at(&self, local: PrimitiveDateTime) -> OffsetDateTime {
        let placed = || {
            let month = i8::try_from(u8::from(local.month())).ok()?;
            let date = civil::Date::new(
                i16::try_from(local.year()).ok()?,
                month,
                i8::try_from(local.day()).ok()?,
            )
            .ok()?;
            let time = civil::Time::new(
                i8::try_from(local.hour()).ok()?,
                i8::try_from(local.minute()).ok()?,
                i8::try_from(local.second()).ok()?,
                0,
            );
            let at = self.zone.to_timestamp(date.to_datetime(time.ok()?)).ok()?;
            OffsetDateTime::from_unix_timestamp(at.as_second()).ok()
        };
        let whole = placed().unwrap_or_else(|| local.assume_utc());
        whole + time::Duration::nanoseconds(i64::from(local.nanosecond()))
    }
}

fn date(date: civil::Date) -> Option<Date> {
    let month = Month::try_from(u8::try_from(date.month()).ok()?).ok()?;
    Date::from_calendar_date(i32::from(date.year()), month, u8::try_from(date.day()).ok()?).ok()
}

fn offset_seconds(text: &str) -> Option<i32> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str, most: i32| {
        let is_two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i32>().ok().filter(|number| is_two && *number <= most)
    };
    Some(sign * (number(hours, 14)? * 3600 + number(minutes, 59)? * 60))
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn zones_and_offsets_are_read() {
        for text in [
            "UTC",
            "Europe/Berlin",
            "America/St_Johns",
            "+00:00",
            "+05:30",
            "-03:30",
            "-12:00",
        ] {
            assert_eq!(Zone::parse(text).unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "5",
            "+5:00",
            "05:00",
            "+15:00",
            "+01:60",
            "+0100",
            "+-1:00",
            "Europe/Atlantis",
            "../etc/passwd",
        ] {
            assert!(Zone::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_end_by_the_clocks_of_the_site() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        for (at, day) in [
            (datetime!(2026-01-31 22:59:59 UTC), date!(2026 - 01 - 31)),
            (datetime!(2026-01-31 23:00:00 UTC), date!(2026 - 02 - 01)),
            // An hour earlier in summer.
            (datetime!(2026-07-31 21:59:59 UTC), date!(2026 - 07 - 31)),
            (datetime!(2026-07-31 22:00:00 UTC), date!(2026 - 08 - 01)),
        ] {
            assert_eq!(berlin.day(at), day, "{at}");
        }
        // Samoa left a day out.
        let samoa = Zone::parse("Pacific/Apia").unwrap();
        assert_eq!(samoa.day(datetime!(2011-12-30 09:59 UTC)), date!(2011 - 12 - 29));
        assert_eq!(samoa.day(datetime!(2011-12-30 10:00 UTC)), date!(2011 - 12 - 31));
    }

    #[test]
    fn times_without_a_zone_are_those_of_the_site() {
        let new_york = Zone::parse("America/New_York").unwrap();
        for (local, at) in [
            (datetime!(2026-01-10 12:00:00.5), datetime!(2026-01-10 17:00:00.5 UTC)),
            (datetime!(2026-07-10 12:00), datetime!(2026-07-10 16:00 UTC)),
            // Clocks are put on at 2:00, and back at 2:00.
            (datetime!(2026-03-08 02:30), datetime!(2026-03-08 07:30 UTC)),
            (datetime!(2026-11-01 01:30), datetime!(2026-11-01 05:30 UTC)),
        ] {
            assert_eq!(new_york.at(local), at, "{local}");
        }
    }
}

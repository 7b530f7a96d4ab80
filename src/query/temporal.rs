//! Dates and times as keys and as values (PS3.4 §C.2.2.2.5, PS3.5 §6.2): a value that names less than a microsecond
//! stands for the whole span it names, and matches where spans meet.

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Moments from `from` to `to`, both included; `None` is open. Dates count days, times microseconds of a day, date-times
/// microseconds; each from an origin of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Earliest.
    pub(super) from: Option<i64>,
    /// Latest.
    pub(super) to: Option<i64>,
}

impl Span {
    /// True when the two have a moment in common.
    pub(super) fn meets(self, other: Self) -> bool {
        let begins = |one: Self, two: Self| one.from.zip(two.to).is_none_or(|(from, to)| from <= to);
        begins(self, other) && begins(other, self)
    }
}

/// The VRs of this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// DA.
    Date,
    /// TM.
    Time,
    /// DT.
    DateTime,
}

impl Kind {
    /// What a stored value stands for; `None` when it is no value of this kind.
    pub(super) fn of_value(self, text: &str) -> Option<Span> {
        let text = text.trim();
        match self {
            Self::Date => date(text),
            Self::Time => time(text),
            Self::DateTime => date_time(text),
        }
    }

    /// What a key asks for: one value, or a range with or without its ends.
    ///
    /// # Errors
    /// What is wrong, for a sentence that begins with the attribute.
    pub(super) fn of_key(self, text: &str) -> Result<Span, &'static str> {
        let one = |text: &str| {
            let plausible = self != Self::Date || is_possible(text);
            self.of_value(text).filter(|_| plausible).ok_or(self.advice())
        };
        let text = text.trim();
        let ends = match self {
            Self::Date | Self::Time => text.split_once('-'),
            Self::DateTime => split_date_times(text),
        };
        let Some((from, to)) = ends else { return one(text) };
        let end = |text: &str| match text.trim() {
            "" => Ok(None),
            text => one(text).map(Some),
        };
        let (from, to) = (end(from)?, end(to)?);
        if from.is_none() && to.is_none() {
            return Err(self.advice());
        }
        Ok(Span {
            from: from.and_then(|span| span.from),
            to: to.and_then(|span| span.to),
        })
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Date => "write a date as YYYYMMDD, a range as YYYYMMDD-YYYYMMDD with either end left out at will",
            Self::Time => "write a time as HHMMSS, a range as HHMMSS-HHMMSS with either end left out at will",
            Self::DateTime => "write a date-time as YYYYMMDDHHMMSS, a range as two of them with - between",
        }
    }
}

/// The span from a date's span and a time's (PS3.4 §C.2.2.2.5.4): the first moment is the first time of the first day.
pub(super) fn combine(date: Span, time: Span) -> Span {
    Span {
        from: date.from.map(|day| day * DAY + time.from.unwrap_or(0)),
        to: date.to.map(|day| day * DAY + time.to.unwrap_or(DAY - 1)),
    }
}

/// A `YYYYMMDD` of any digits as eight of them; also the `YYYY.MM.DD` of old (PS3.5 §6.2).
pub(super) fn eight_digits(text: &str) -> Option<[u8; 8]> {
    let bytes = text.as_bytes();
    let digits: [u8; 8] = match *bytes {
        [a, b, c, d, b'.', e, f, b'.', g, h] => [a, b, c, d, e, f, g, h],
        _ => bytes.try_into().ok()?,
    };
    digits.iter().all(u8::is_ascii_digit).then_some(digits)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Stored dates of impossible months and days keep their place between possible ones, so that a range finds them.
fn date(text: &str) -> Option<Span> {
    let digits = eight_digits(text)?;
    let (year, month, day) = (
        number(digits.get(..4)?)?,
        number(digits.get(4..6)?)?,
        number(digits.get(6..)?)?,
    );
    let day = ordinal(year, month, day);
    Some(Span {
        from: Some(day),
        to: Some(day),
    })
}

/// Days as on a calendar for possible dates, and in the order of the digits for all.
fn ordinal(year: i64, month: i64, day: i64) -> i64 {
    let month_possible = month.clamp(1, 12);
    let last = match month_possible {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day_possible = if month > 12 { last } else { day.clamp(1, last) };
    // Days from civil (proleptic Gregorian), counted from 1 March of year 0.
    let (shifted_year, shifted_month) = if month_possible > 2 {
        (year, month_possible - 3)
    } else {
        (year - 1, month_possible + 9)
    };
    let day_of_year = (153 * shifted_month + 2) / 5 + day_possible - 1;
    let leap_days = shifted_year.div_euclid(4) - shifted_year.div_euclid(100) + shifted_year.div_euclid(400);
    shifted_year * 365 + leap_days + day_of_year
}

/// True where month and day can be: keys must be such. The 31st of any month passes, as clients write the end of a month so.
fn is_possible(text: &str) -> bool {
    let Some(digits) = eight_digits(text) else { return false };
    let part = |range: std::ops::Range<usize>| digits.get(range).and_then(number).unwrap_or(0);
    (1..=12).contains(&part(4..6)) && (1..=31).contains(&part(6..8))
}

/// `HH`, `HHMM`, `HHMMSS`, `HHMMSS.F` to six places; also with colons as of old.
fn time(text: &str) -> Option<Span> {
    let mut plain = [0_u8; 14];
    let mut length = 0;
    for byte in text.bytes().filter(|byte| *byte != b':') {
        *plain.get_mut(length)? = byte;
        length += 1;
    }
    time_of_digits(plain.get(..length)?)
}

fn time_of_digits(text: &[u8]) -> Option<Span> {
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        Some(point) => (text.get(..point)?, text.get(point + 1..)?),
        None => (text, &[][..]),
    };
    let (hours, minutes, seconds, mut unit) = match whole.len() {
        2 => (number(whole)?, 0, 0, 3600),
        4 => (number(whole.get(..2)?)?, number(whole.get(2..)?)?, 0, 60),
        6 => (
            number(whole.get(..2)?)?,
            number(whole.get(2..4)?)?,
            number(whole.get(4..)?)?,
            1,
        ),
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 60 || fraction.len() > 6 || (!fraction.is_empty() && whole.len() != 6) {
        return None;
    }
    unit *= 1_000_000;
    let mut micros = 0;
    if !fraction.is_empty() {
        let scale = 10_i64.pow(u32::try_from(6 - fraction.len()).ok()?);
        micros = number(fraction)? * scale;
        unit = scale;
    }
    let from = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
    Some(Span {
        from: Some(from),
        to: Some(from + unit - 1),
    })
}

/// `YYYY` to `YYYYMMDDHHMMSS.FFFFFF`, with `&ZZXX` at will. Without an offset the moment is taken as of UTC.
fn date_time(text: &str) -> Option<Span> {
    let (local, offset) = match text.rfind(['+', '-']) {
        Some(place) => (text.get(..place)?, offset_micros(text.get(place..)?)?),
        None => (text, 0),
    };
    let bytes = local.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes.get(range).and_then(number);
    let (first, last) = match bytes.len() {
        4 => (ordinal(digits(0..4)?, 1, 1), ordinal(digits(0..4)?, 12, 31)),
        6 => (
            ordinal(digits(0..4)?, digits(4..6)?, 1),
            ordinal(digits(0..4)?, digits(4..6)?, 31),
        ),
        _ => {
            let day = ordinal(digits(0..4)?, digits(4..6)?, digits(6..8)?);
            (day, day)
        }
    };
    let days = Span {
        from: Some(first),
        to: Some(last),
    };
    let times = match bytes.get(8..) {
        Some(rest) if !rest.is_empty() => time_of_digits(rest)?,
        _ => Span { from: None, to: None },
    };
    let span = combine(days, times);
    Some(Span {
        from: span.from.map(|from| from - offset),
        to: span.to.map(|to| to - offset),
    })
}

fn offset_micros(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().split_first()? {
        (b'+', digits) => (1, digits),
        (b'-', digits) => (-1, digits),
        _ => return None,
    };
    if !is_offset(digits) {
        return None;
    }
    Some(sign * (number(digits.get(..2)?)? * 60 + number(digits.get(2..)?)?) * 60_000_000)
}

/// Offsets go to 14 hours (PS3.5 §6.2): four digits beyond that are a year.
fn is_offset(digits: &[u8]) -> bool {
    digits.len() == 4 && number(digits).is_some_and(|number| number <= 1400)
}

/// The two ends of a range of date-times: at the first `-` that begins no offset.
fn split_date_times(text: &str) -> Option<(&str, &str)> {
    text.match_indices('-').find_map(|(place, _)| {
        let (before, after) = (text.get(..place)?, text.get(place + 1..)?);
        let offset = after.as_bytes().get(..4).unwrap_or(after.as_bytes());
        let ends = matches!(after.as_bytes().get(4), None | Some(b'-'));
        let is_offset_here = !before.is_empty() && ends && is_offset(offset);
        (!is_offset_here).then_some((before, after))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(kind: Kind, key: &str, value: &str, expected: bool) {
        let matched = kind
            .of_value(value)
            .is_some_and(|value| kind.of_key(key).unwrap().meets(value));
        assert_eq!(matched, expected, "{key} on {value}");
    }

    #[test]
    fn matches_dates() {
        check(Kind::Date, "20040826", "20040826", true);
        check(Kind::Date, "20040826", "2004.08.26", true);
        check(Kind::Date, "20040826-20040901", "20040901", true);
        check(Kind::Date, "20040826-", "20991231", true);
        check(Kind::Date, "-20040826", "20040827", false);
        check(Kind::Date, "-20040826", "19700101", true);
        check(Kind::Date, "20100101-", "20231399", true);
        check(Kind::Date, "20040826", "garbage", false);
    }

    #[test]
    fn matches_times_of_any_precision() {
        check(Kind::Time, "10", "103015.123", true);
        check(Kind::Time, "1030", "103100", false);
        check(Kind::Time, "1000-1030", "103059.999999", true);
        check(Kind::Time, "-1030", "1031", false);
        check(Kind::Time, "103015.5", "103015.500001", true);
        check(Kind::Time, "10:30", "103015", true);
    }

    #[test]
    fn matches_date_times_with_offsets() {
        check(Kind::DateTime, "2024", "20240506070809.5", true);
        check(Kind::DateTime, "202405", "20240531235959", true);
        check(Kind::DateTime, "20240101-20241231", "20240506", true);
        check(Kind::DateTime, "20240506120000+0200", "20240506100000+0000", true);
        check(Kind::DateTime, "20240506120000-0500", "20240506170000", true);
        check(
            Kind::DateTime,
            "20240506120000-0500-20240506130000-0500",
            "20240506173000",
            true,
        );
        check(Kind::DateTime, "2023-2024", "20240506", true);
        check(Kind::DateTime, "-2023", "20240506", false);
    }

    #[test]
    fn refuses_what_is_no_key() {
        for (kind, key) in [
            (Kind::Date, "notadate"),
            (Kind::Date, "2004-08-26"),
            (Kind::Date, "-"),
            (Kind::Date, "2004082"),
            (Kind::Date, "20231399"),
            (Kind::Date, "20230100-20230131"),
            (Kind::Time, "25"),
            (Kind::Time, "1"),
            (Kind::DateTime, "yesterday"),
        ] {
            assert!(kind.of_key(key).is_err(), "{key}");
        }
    }

    #[test]
    fn combines_date_and_time() {
        let span = combine(
            Kind::Date.of_key("20240101-20240103").unwrap(),
            Kind::Time.of_key("0800-1200").unwrap(),
        );
        let moment = |date, time| combine(Kind::Date.of_value(date).unwrap(), Kind::Time.of_value(time).unwrap());
        assert!(span.meets(moment("20240102", "2300")));
        assert!(span.meets(moment("20240101", "0800")));
        assert!(!span.meets(moment("20240101", "0759")));
        assert!(!span.meets(moment("20240103", "1301")));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") {
            for kind in [Kind::Date, Kind::Time, Kind::DateTime] {
                let _ = kind.of_key(&text);
                let _ = kind.of_value(&text);
            }
        }

        #[test]
        fn a_range_holds_the_dates_between(a in 0_u32..99_999_999, b in 0_u32..99_999_999, c in 0_u32..99_999_999) {
            let possible = |n: u32| format!("{:04}{:02}{:02}", n / 10_000, 1 + n / 100 % 100 % 12, 1 + n % 100 % 28);
            let (a, b, c) = (possible(a), possible(b), possible(c));
            let met = Kind::Date.of_key(&format!("{a}-{b}")).unwrap().meets(Kind::Date.of_value(&c).unwrap());
            prop_assert_eq!(met, a <= c && c <= b);
        }
    }
}

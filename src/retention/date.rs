//! Calendar dates that may be known in part, and periods of the calendar.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use time::{Date, Duration, Month};

/// Longest period, in years: no law asks for more.
const PERIOD_YEARS_MAX: u32 = 999;

/// A date of which the day, or the month too, may not be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PartialDate {
    /// The year alone.
    Year(i32),
    /// Year and month.
    Month(i32, Month),
    /// The day.
    Day(Date),
}

/// Why a text is no date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotADate(String);

impl fmt::Display for NotADate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is no date: 2010, 2010-03 or 2010-03-31 are",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for NotADate {}

impl PartialDate {
    /// The first day that it may mean.
    #[must_use]
    pub fn earliest(self) -> Date {
        match self {
            Self::Year(year) => Date::from_calendar_date(year, Month::January, 1).unwrap_or(Date::MIN),
            Self::Month(year, month) => Date::from_calendar_date(year, month, 1).unwrap_or(Date::MIN),
            Self::Day(date) => date,
        }
    }

    /// The last day that it may mean.
    #[must_use]
    pub fn latest(self) -> Date {
        match self {
            Self::Year(year) => Date::from_calendar_date(year, Month::December, 31).unwrap_or(Date::MAX),
            Self::Month(year, month) => Date::from_calendar_date(year, month, month.length(year)).unwrap_or(Date::MAX),
            Self::Day(date) => date,
        }
    }

    /// True when the day is known.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Day(_))
    }

    /// `day`, `month` or `year`: the least that is known.
    #[must_use]
    pub fn precision(self) -> &'static str {
        match self {
            Self::Year(_) => "year",
            Self::Month(..) => "month",
            Self::Day(_) => "day",
        }
    }
}

impl FromStr for PartialDate {
    type Err = NotADate;

    /// Reads `2010`, `2010-03`, `2010-03-31`, and the same without hyphens as DICOM (DA, PS3.5 §6.2) and HL7 write it.
    fn from_str(text: &str) -> Result<Self, NotADate> {
        let failed = || NotADate(text.chars().take(40).collect());
        let trimmed = text.trim();
        let digits: String = match trimmed.len() {
            4 | 6 | 8 => trimmed.to_owned(),
            7 | 10 => {
                let mut parts = trimmed.split('-');
                let sizes: Vec<usize> = parts.clone().map(str::len).collect();
                if sizes != [4, 2] && sizes != [4, 2, 2] {
                    return Err(failed());
                }
                parts.by_ref().collect()
            }
            _ => return Err(failed()),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(failed());
        }
        let number = |range: std::ops::Range<usize>| digits.get(range).and_then(|part| part.parse::<u16>().ok());
        let year = i32::from(number(0..4).filter(|year| *year > 0).ok_or_else(failed)?);
        if digits.len() == 4 {
            return Ok(Self::Year(year));
        }
        let month = number(4..6).and_then(|month| u8::try_from(month).ok());
        let month = month.and_then(|month| Month::try_from(month).ok()).ok_or_else(failed)?;
        if digits.len() == 6 {
            return Ok(Self::Month(year, month));
        }
        let day = number(6..8).and_then(|day| u8::try_from(day).ok()).ok_or_else(failed)?;
        Date::from_calendar_date(year, month, day)
            .map(Self::Day)
            .map_err(|_| failed())
    }
}

impl fmt::Display for PartialDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Year(year) => write!(f, "{year:04}"),
            Self::Month(year, month) => write!(f, "{year:04}-{:02}", u8::from(*month)),
            Self::Day(date) => write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day()),
        }
    }
}

impl TryFrom<String> for PartialDate {
    type Error = NotADate;
    fn try_from(text: String) -> Result<Self, NotADate> {
        text.parse()
    }
}

impl From<PartialDate> for String {
    fn from(date: PartialDate) -> Self {
        date.to_string()
    }
}

impl From<Date> for PartialDate {
    fn from(date: Date) -> Self {
        Self::Day(date)
    }
}

/// A span of the calendar as ISO 8601 writes it, without a time of day: `P5Y`, `P60M`, `P1Y6M`, `P2W`, `P14D`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    years: u32,
    months: u32,
    days: u32,
}

/// Why a text is no period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAPeriod(String);

impl fmt::Display for NotAPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is no period: P5Y, P60M, P1Y6M, P2W and P14D are, up to {PERIOD_YEARS_MAX} years",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for NotAPeriod {}

impl Period {
    /// So many years.
    #[must_use]
    pub const fn years(years: u32) -> Self {
        Self {
            years,
            months: 0,
            days: 0,
        }
    }

    /// So many days.
    #[must_use]
    pub const fn days(days: u32) -> Self {
        Self {
            years: 0,
            months: 0,
            days,
        }
    }

    /// The day that ends the period when it begins on `date`: years and months of the calendar, then days. A day that its month
    /// does not have is the first of the next: 29 February and 5 years are 1 March.
    #[must_use]
    pub fn after(self, date: Date) -> Date {
        let months = u32::from(u8::from(date.month())) - 1 + self.months;
        let year = i64::from(date.year()) + i64::from(self.years) + i64::from(months / 12);
        let month = u8::try_from(months % 12 + 1)
            .ok()
            .and_then(|month| Month::try_from(month).ok());
        let moved = i32::try_from(year).ok().zip(month).and_then(|(year, month)| {
            let same_day = Date::from_calendar_date(year, month, date.day());
            same_day.ok().or_else(|| {
                let last = Date::from_calendar_date(year, month, month.length(year)).ok()?;
                last.next_day()
            })
        });
        moved
            .and_then(|moved| moved.checked_add(Duration::days(self.days.into())))
            .unwrap_or(Date::MAX)
    }

    /// In words: `10 years`, `1 year and 6 months`.
    #[must_use]
    pub fn in_words(self) -> String {
        let counted = |count: u32, word: &str| match count {
            0 => None,
            1 => Some(format!("1 {word}")),
            _ => Some(format!("{count} {word}s")),
        };
        let parts: Vec<String> = [
            counted(self.years, "year"),
            counted(self.months, "month"),
            counted(self.days, "day"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if parts.is_empty() {
            "no time".to_owned()
        } else {
            parts.join(" and ")
        }
    }
}

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let failed = || NotAPeriod(text.chars().take(40).collect());
        let mut rest = text
            .strip_prefix('P')
            .filter(|rest| !rest.is_empty())
            .ok_or_else(failed)?;
        let (mut period, mut last) = (Self::years(0), 0);
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(failed)?;
            let (number, unit) = rest.split_at(end);
            let number: u32 = number.parse().ok().filter(|n| *n <= 400_000).ok_or_else(failed)?;
            let mut letters = unit.chars();
            let (place, field, count) = match letters.next() {
                Some('Y') => (1, &mut period.years, number),
                Some('M') => (2, &mut period.months, number),
                Some('W') => (3, &mut period.days, number.saturating_mul(7)),
                Some('D') => (4, &mut period.days, number),
                _ => return Err(failed()),
            };
            if place <= last {
                return Err(failed());
            }
            last = place;
            *field += count;
            rest = letters.as_str();
        }
        let years = period.years + period.months / 12 + period.days / 366;
        (years <= PERIOD_YEARS_MAX).then_some(period).ok_or_else(failed)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P")?;
        let is_nothing = self.years == 0 && self.months == 0;
        for (count, unit) in [(self.years, 'Y'), (self.months, 'M')] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        if self.days > 0 || is_nothing {
            write!(f, "{}D", self.days)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Period {
    type Error = NotAPeriod;
    fn try_from(text: String) -> Result<Self, NotAPeriod> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

/// Birthdays since birth up to `at`, that day included; who is born on 29 February has them on 1 March in other years. Negative
/// before birth.
#[must_use]
pub fn full_years(birth: Date, at: Date) -> i32 {
    let years = at.year() - birth.year();
    let Ok(counted) = u32::try_from(years) else {
        return years;
    };
    if Period::years(counted).after(birth) > at {
        years - 1
    } else {
        years
    }
}

/// Days in JSON as `YYYY-MM-DD`.
pub(crate) mod iso {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use time::Date;

    use super::PartialDate;

    pub(crate) fn serialize<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&PartialDate::Day(*date))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        match String::deserialize(deserializer)?.parse() {
            Ok(PartialDate::Day(date)) => Ok(date),
            Ok(_) => Err(D::Error::custom("the day is missing: YYYY-MM-DD is wanted")),
            Err(error) => Err(D::Error::custom(error)),
        }
    }

    /// The same for what may be absent.
    pub(crate) mod option {
        use serde::{Deserialize, Deserializer, Serializer};
        use time::Date;

        use super::PartialDate;

        pub(crate) fn serialize<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
            match date {
                Some(date) => serializer.collect_str(&PartialDate::Day(*date)),
                None => serializer.serialize_none(),
            }
        }

        #[derive(Deserialize)]
        struct Day(#[serde(with = "super")] Date);

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
            Ok(Option::<Day>::deserialize(deserializer)?.map(|day| day.0))
        }
    }
}

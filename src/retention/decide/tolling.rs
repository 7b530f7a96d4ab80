//! Periods that did not run for a while.

use time::Date;

use crate::{Hold, HoldEffect};

/// Times at which no period runs: one after the other, none touching the next. The last may not have ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Suspended(Vec<(Date, Option<Date>)>);

/// A day that a period ends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    On(Date),
    /// It does not run at the moment.
    Stands,
}

impl Suspended {
    /// The suspensions that have begun by a day.
    pub(super) fn of(holds: &[&Hold], as_of: Date) -> Self {
        let mut times: Vec<(Date, Option<Date>)> = holds
            .iter()
            .filter(|hold| hold.effect == HoldEffect::Toll && hold.opened <= as_of)
            .map(|hold| (hold.opened, hold.closed.filter(|closed| *closed <= as_of)))
            .filter(|(opened, closed)| closed.is_none_or(|closed| closed > *opened))
            .collect();
        times.sort();
        let mut merged: Vec<(Date, Option<Date>)> = Vec::new();
        for (opened, closed) in times {
            match merged.last_mut() {
                Some((_, None)) => {}
                Some((_, Some(end))) if opened <= *end => match closed {
                    None => {
                        if let Some(last) = merged.last_mut() {
                            last.1 = None;
                        }
                    }
                    Some(closed) => *end = (*end).max(closed),
                },
                _ => merged.push((opened, closed)),
            }
        }
        Self(merged)
    }

    /// When a period ends that ran from `from` and would have ended on `until`: later by the days that it did not run.
    pub(super) fn end(&self, from: Date, until: Date) -> End {
        let mut until = until;
        for (opened, closed) in &self.0 {
            let begin = (*opened).max(from);
            // What comes behind its end suspends nothing.
            if begin > until {
                break;
            }
            match closed {
                None => return End::Stands,
                Some(closed) if *closed > begin => {
                    until = until.checked_add(*closed - begin).unwrap_or(Date::MAX);
                }
                Some(_) => {}
            }
        }
        End::On(until)
    }
}

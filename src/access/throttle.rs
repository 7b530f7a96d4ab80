//! Slows down who guesses passcodes.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use moka::sync::Cache;

/// Failures are forgotten when for so long there was no other; by then all are forgiven.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(2 * 3600);
/// Longest wait.
const WAIT_MAX: Duration = Duration::from_secs(5 * 60);
/// Most names and addresses that are remembered; beyond, the oldest are forgotten.
const REMEMBERED_MAX: u64 = 100_000;

/// Whose failures are counted together, with how many of them are free.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Whose {
    /// One name from one address: somebody mistypes.
    Pair(String, IpAddr),
    /// One address: somebody tries names.
    Address(IpAddr),
    /// One name: many try it from everywhere. Generous, or anybody could lock a person out.
    Name(String),
}

impl Whose {
    const fn free(&self) -> u32 {
        match self {
            Self::Pair(..) => 5,
            Self::Address(_) => 30,
            Self::Name(_) => 100,
        }
    }

    /// After so long one failure is forgiven: where many people come from one address, some mistype all day long.
    const fn forgiven_each(&self) -> Duration {
        match self {
            Self::Pair(..) => Duration::from_secs(120),
            Self::Address(_) => Duration::from_secs(10),
            Self::Name(_) => Duration::from_secs(30),
        }
    }
}

/// Failures to sign in, lately.
#[derive(Debug, Clone)]
pub(crate) struct Throttle(Cache<Whose, (u32, Instant)>);

impl Default for Throttle {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(REMEMBERED_MAX)
                .time_to_live(FORGOTTEN_AFTER)
                .build(),
        )
    }
}

/// Everything under which a failure is counted. What comes from this machine may have been passed on by a proxy for anybody: there
/// the address says nothing, and must not keep everybody waiting.
fn all(name: &str, from: IpAddr) -> impl Iterator<Item = Whose> {
    let address = (!from.is_loopback()).then_some(Whose::Address(from));
    [Whose::Pair(name.to_owned(), from), Whose::Name(name.to_owned())]
        .into_iter()
        .chain(address)
}

impl Throttle {
    /// Failures that are not forgiven yet, and when the latest was.
    fn failures(&self, whose: &Whose, now: Instant) -> Option<(u32, Instant)> {
        let (failures, last) = self.0.get(whose)?;
        let each = whose.forgiven_each().as_secs().max(1);
        let forgiven = now.saturating_duration_since(last).as_secs() / each;
        Some((
            failures.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX)),
            last,
        ))
    }

    /// How long until the next try is looked at; `None` when it may be made now.
    pub(crate) fn wait(&self, name: &str, from: IpAddr, now: Instant) -> Option<Duration> {
        let waits = all(name, from).filter_map(|whose| {
            let (failures, last) = self.failures(&whose, now)?;
            let beyond = failures.checked_sub(whose.free())?;
            let pause = Duration::from_secs(1 << beyond.min(16)).min(WAIT_MAX);
            pause.checked_sub(now.saturating_duration_since(last))
        });
        waits.max().filter(|wait| !wait.is_zero())
    }

    /// Remembers that a try failed.
    pub(crate) fn failed(&self, name: &str, from: IpAddr, now: Instant) {
        for whose in all(name, from) {
            let failures = self.failures(&whose, now).map_or(0, |(failures, _)| failures);
            self.0.insert(whose, (failures.saturating_add(1), now));
        }
    }

    /// Forgets the mistypes of who got in, and that this try was counted as a failure before it was looked at: when a whole
    /// department signs in from one address, those who come in say nothing of those who guess.
    pub(crate) fn succeeded(&self, name: &str, from: IpAddr) {
        for whose in all(name, from) {
            let others = match whose {
                Whose::Pair(..) => None,
                _ => self.0.get(&whose).filter(|(failures, _)| *failures > 1),
            };
            match others {
                Some((failures, last)) => self.0.insert(whose, (failures - 1, last)),
                None => self.0.invalidate(&whose),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_guess_waits_and_each_one_longer() {
        let throttle = Throttle::default();
        let (here, there) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut now = Instant::now();
        for _ in 0..5 {
            assert_eq!(throttle.wait("ada", here, now), None);
            throttle.failed("ada", here, now);
        }
        assert_eq!(throttle.wait("ada", here, now), Some(Duration::from_secs(1)));
        assert_eq!(throttle.wait("ada", there, now), None);
        assert_eq!(throttle.wait("bob", here, now), None);
        now += Duration::from_secs(1);
        assert_eq!(throttle.wait("ada", here, now), None);
        throttle.failed("ada", here, now);
        assert_eq!(throttle.wait("ada", here, now), Some(Duration::from_secs(2)));
        throttle.succeeded("ada", here);
        assert_eq!(throttle.wait("ada", here, now), None);
    }

    #[test]
    fn mistypes_are_forgiven_and_nobody_waits_for_others_behind_a_proxy() {
        let throttle = Throttle::default();
        let hospital = [10, 0, 0, 1].into();
        let mut now = Instant::now();
        // A morning in which somebody mistypes every quarter of a minute.
        for try_ in 0..500 {
            let name = format!("name{}", try_ % 200);
            assert_eq!(throttle.wait(&name, hospital, now), None, "{try_}");
            throttle.failed(&name, hospital, now);
            now += Duration::from_secs(15);
        }
        let proxy = [127, 0, 0, 1].into();
        for try_ in 0..90 {
            throttle.failed(&format!("name{try_}"), proxy, now);
        }
        assert_eq!(throttle.wait("ada", proxy, now), None);
    }

    #[test]
    fn those_who_come_in_slow_nobody_down() {
        let throttle = Throttle::default();
        let (now, here) = (Instant::now(), [10, 0, 0, 1].into());
        for user in 0..200 {
            let name = format!("user{user}");
            assert_eq!(throttle.wait(&name, here, now), None);
            throttle.failed(&name, here, now);
            throttle.succeeded(&name, here);
        }
        for _ in 0..200 {
            throttle.failed("program", here, now);
            throttle.succeeded("program", here);
        }
        assert_eq!(throttle.wait("program", here, now), None);
    }

    #[test]
    fn names_cannot_be_tried_in_a_row_nor_one_name_from_everywhere() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let here = [10, 0, 0, 1].into();
        for try_ in 0..30 {
            throttle.failed(&format!("name{try_}"), here, now);
        }
        assert!(throttle.wait("another", here, now).is_some());
        for address in 0..100 {
            throttle.failed("ada", [10, 1, 0, address].into(), now);
        }
        assert!(throttle.wait("ada", [10, 2, 0, 1].into(), now).is_some());
    }
}

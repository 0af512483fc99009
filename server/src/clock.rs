//! Time, as an argument: the server asks a [`Clock`], tests move one.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Two that meet in the database may have looked at the clock so far apart, at most: each looks before it waits for its
/// turn to read or write, and the clocks of two machines differ. What ends so much later than it could if it had begun
/// just now is no reason yet to think that the clock was set back.
pub const APART: Duration = Duration::from_secs(60);

/// A moment: microseconds since 1970 in UTC, as the database keeps it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From seconds since 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Seconds since 1970, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Later by `span`.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Earlier by `span`.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier`; zero if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// For calendars. `None` beyond the year 9999.
    pub fn calendar(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000).ok()
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(moment: OffsetDateTime) -> Self {
        Self(i64::try_from(moment.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX))
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// How much time has passed since some moment, whatever is done to the clock meanwhile.
    fn steady(&self) -> Duration;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::from(OffsetDateTime::now_utc())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn steady(&self) -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGAN.elapsed()
    }
}

/// Notices that this machine's clock was set: whatever is thrown away by age is better kept until it has gone right for a
/// while.
#[derive(Debug)]
pub struct Leaps {
    now: Timestamp,
    steady: Duration,
}

impl Leaps {
    /// A clock that differs by less from what has passed was not set.
    const BY: Duration = Duration::from_secs(60);

    /// From now on.
    pub fn new(clock: &dyn Clock) -> Self {
        Self { now: clock.now(), steady: clock.steady() }
    }

    /// Whether it was set since it was asked last.
    pub fn was_set(&mut self, clock: &dyn Clock) -> bool {
        let before = std::mem::replace(self, Self::new(clock));
        let right = before.now.plus(self.steady.saturating_sub(before.steady));
        self.now.since(right) > Self::BY || right.since(self.now) > Self::BY
    }
}

/// A clock that tests move: what it shows, and how much time has passed, in microseconds.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<[AtomicI64; 2]>);

impl TestClock {
    /// Starts at noon of 22 November 2026, UTC.
    pub fn new() -> Self {
        Self(Arc::new([AtomicI64::new(1_795_348_800_000_000), AtomicI64::new(0)]))
    }

    /// Time passes.
    pub fn advance(&self, span: Duration) {
        for moved in self.0.iter() {
            moved.fetch_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// It is set, also back: no time passes.
    pub fn set(&self, now: Timestamp) {
        self.0[0].store(now.micros(), Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0[0].load(Ordering::SeqCst))
    }

    fn steady(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0[1].load(Ordering::SeqCst)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_noticed_once_and_time_that_passes_is_not() {
        let clock = TestClock::new();
        let mut leaps = Leaps::new(&clock);
        let (day, start) = (Duration::from_hours(24), clock.now());
        clock.advance(day);
        assert!(!leaps.was_set(&clock));
        for set in [clock.now().plus(day), start] {
            clock.set(set);
            clock.advance(day);
            assert!(leaps.was_set(&clock));
            clock.advance(day);
            assert!(!leaps.was_set(&clock));
        }
    }
}

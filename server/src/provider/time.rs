//! What time it is at a provider: its answers say so (`Date`, RFC 9110 §6.6.1). Where this machine's clock is far off,
//! a token's end and what lies between two refusals are judged by the provider's clock, which is the one that counts.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, header::DATE};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::clock::{Clock, Timestamp};

/// Clocks that differ by less agree. Answers may be under way for a while, and `Date` knows no parts of a second.
const AGREE: Duration = Duration::from_secs(2 * 60);

/// A provider's clock, as its last answer had it.
pub struct TheirClock {
    clock: Arc<dyn Clock>,
    seen: Mutex<Option<Seen>>,
    /// That the clocks differ was said.
    told: AtomicBool,
}

#[derive(Clone, Copy)]
struct Seen {
    date: Timestamp,
    /// As [`Clock::steady`] had it then: whatever is done to our clock since does not move theirs.
    steady: Duration,
}

impl TheirClock {
    /// Not known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, seen: Mutex::default(), told: AtomicBool::new(false) }
    }

    /// Takes in what an answer says that came just now.
    pub fn note(&self, headers: &HeaderMap) {
        let mut dates = headers.get_all(DATE).iter();
        let (Some(date), None) = (dates.next(), dates.next()) else { return };
        let date = date.to_str().ok().and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
        if let Some(date) = date {
            self.saw(date.into());
        }
    }

    /// An answer said that it is `date` there, just now.
    pub(super) fn saw(&self, date: Timestamp) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Seen { date, steady: self.clock.steady() });
        let now = self.clock.now();
        let differ = self.at(now) != now;
        if differ && !self.told.swap(true, Ordering::Relaxed) {
            let seconds = (now.micros() - date.micros()) / 1_000_000;
            tracing::warn!(
                seconds,
                "This machine's clock is ahead of a provider's by so much (negative: behind); until they agree, the \
                 ends of its tokens are judged by the provider's"
            );
        } else if !differ {
            self.told.store(false, Ordering::Relaxed);
        }
    }

    /// Whether any answer has said so in this process. Until then nothing but this machine's clock says what time it is,
    /// and at the start of a machine that one may be days off.
    pub fn is_known(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What time it is there when it is `now` here: the same, unless the clocks differ by minutes.
    pub fn at(&self, now: Timestamp) -> Timestamp {
        let seen = *self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Seen { date, steady }) = seen else { return now };
        let theirs = date.plus(self.clock.steady().saturating_sub(steady));
        let agree = theirs.since(now) <= AGREE && now.since(theirs) <= AGREE;
        if agree { now } else { theirs }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::clock::TestClock;

    fn dated(date: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(DATE, HeaderValue::from_static(date))])
    }

    /// Noon there and here.
    fn clocks() -> (TestClock, TheirClock) {
        let clock = TestClock::new();
        let theirs = TheirClock::new(Arc::new(clock.clone()));
        theirs.note(&dated("Sun, 22 Nov 2026 12:00:00 GMT"));
        (clock, theirs)
    }

    #[test]
    fn clocks_that_agree_within_two_minutes_are_one() {
        let (clock, theirs) = clocks();
        let noon = clock.now();
        assert!(theirs.is_known());
        assert_eq!(theirs.at(noon), noon);
        assert_eq!(theirs.at(noon.plus(AGREE)), noon.plus(AGREE));
        assert_eq!(theirs.at(noon.minus(AGREE)), noon.minus(AGREE));
        let ahead = noon.plus(AGREE + Duration::from_secs(1));
        assert_eq!(theirs.at(ahead), noon);
    }

    #[test]
    fn a_clock_that_jumps_does_not_move_theirs() {
        let (clock, theirs) = clocks();
        let noon = clock.now();
        clock.advance(Duration::from_secs(3600));
        assert_eq!(theirs.at(clock.now()), noon.plus(Duration::from_secs(3600)));
        clock.set(Timestamp::from_seconds(0));
        assert_eq!(theirs.at(clock.now()), noon.plus(Duration::from_secs(3600)));
        clock.advance(Duration::from_secs(60));
        assert_eq!(theirs.at(clock.now()), noon.plus(Duration::from_secs(3660)));
    }

    #[test]
    fn without_a_date_or_with_an_odd_one_ours_counts() {
        let clock = TestClock::new();
        let theirs = TheirClock::new(Arc::new(clock.clone()));
        let mut twice = dated("Sun, 22 Nov 2020 12:00:00 GMT");
        twice.append(DATE, HeaderValue::from_static("Sun, 22 Nov 2020 12:00:00 GMT"));
        let odd = [HeaderMap::new(), dated(""), dated("yesterday"), dated("2020-11-22T12:00:00Z"), twice];
        for headers in odd {
            theirs.note(&headers);
            assert_eq!(theirs.at(clock.now()), clock.now(), "{headers:?}");
            assert!(!theirs.is_known(), "{headers:?}");
        }
    }
}

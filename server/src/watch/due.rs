//! When a credential is asked about again.
//!
//! Each time is put off by a random span, so that what began together does not stay together: a thousand tokens that
//! were pasted on one morning, or a host that a thousand wait for, must not be asked in one second of every hour.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    credential::{Credential, Standing, Trouble},
    random::Entropy,
};

const MINUTE: Duration = Duration::from_secs(60);
/// As a rule.
pub const HOUR: Duration = Duration::from_secs(60 * 60);
/// The longest wait.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// No due time lies further ahead than this: one that does was written by a clock that has been set back since.
pub const LONGEST: Duration = Duration::from_secs(26 * 60 * 60);
/// On the last day before a known end: somebody may have made it end earlier, or later.
const LAST_DAY: Duration = Duration::from_secs(15 * 60);
/// After a refusal: as soon as a second one may count, see [`crate::check`].
const SUSPECT: Duration = Duration::from_secs(10 * 60);
/// What is suspect for so long without a verdict is asked about hourly: its host is in trouble, not it.
const SUSPECT_FOR: Duration = Duration::from_secs(2 * 60 * 60);
/// After an answer that said nothing, doubling up to an hour.
const TROUBLE: Duration = Duration::from_secs(5 * 60);
/// An invalid credential is asked about so often, after 1, 2, 4, 8, 16 and 24 hours: providers have taken back what they
/// said. Then it is for its user to do something.
const IN_VAIN: u32 = 6;

/// A random span up to `most`. Chance only spreads the load here, so that none is no reason to stop.
pub fn jitter(entropy: &dyn Entropy, most: Duration) -> Duration {
    let mut bytes = [0; 4];
    if entropy.fill(&mut bytes).is_err() {
        return Duration::ZERO;
    }
    most.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

/// When it is asked about next, by itself. `None`: not before its user does something.
pub fn next(credential: &Credential, now: Timestamp, entropy: &dyn Entropy) -> Option<Timestamp> {
    let standing = &credential.standing;
    let after = |span: Duration| now.plus(span).plus(jitter(entropy, span / 10));
    if is_over(credential, now) {
        // Nobody is asked then either; but a clock that was wrong for a while must not silence it for ever.
        return Some(after(DAY));
    }
    if standing.invalid && credential.renewal_lost_at.is_some() {
        // What was used up stays used up; it was tried once more already.
        return None;
    }
    if standing.invalid {
        return after_in_vain(standing.in_vain).map(after);
    }
    // A grant is renewed when its time has come, which is a good while before its end: what else is amiss, maybe only
    // where tokens are asked about, does not put that off. Whether its host may be asked then is the host's affair.
    let renewal = credential.renew_at.map(|at| at.max(now).plus(jitter(entropy, MINUTE)));
    let or_renewed = |at: Timestamp| {
        let still_to_come = credential.renew_at.is_some_and(|at| at > now);
        renewal.filter(|_| still_to_come).map_or(at, |renewal| renewal.min(at))
    };
    match standing.trouble {
        Some((Trouble::RateLimited { until: Some(until) }, _)) if until > now => {
            // No further than the clock can have been wrong.
            return Some(or_renewed(until.min(now.plus(DAY)).plus(jitter(entropy, MINUTE))));
        }
        Some((_, since)) => {
            let wait = now.since(since).clamp(TROUBLE, HOUR);
            return Some(or_renewed(after(wait.min(before_the_end(credential, now)))));
        }
        None => {}
    }
    if let Some(since) = standing.rejected_since {
        let settled = now.since(since) >= SUSPECT_FOR;
        return Some(or_renewed(after(if settled { HOUR } else { SUSPECT })));
    }
    let ends_soon = credential.expires_at.is_some_and(|at| at <= now.plus(DAY));
    // Earlier rather than later: within the hour means within the hour.
    let regular = if ends_soon {
        now.plus(LAST_DAY).minus(jitter(entropy, 2 * MINUTE))
    } else {
        now.plus(HOUR).minus(jitter(entropy, 10 * MINUTE))
    };
    Some(renewal.map_or(regular, |renewal| renewal.min(regular)))
}

/// How long a renewal that was tried in vain may wait: a few more tries before its access token ends.
fn before_the_end(credential: &Credential, now: Timestamp) -> Duration {
    match credential.access_ends_at {
        Some(end) if credential.standing.not_renewed && end > now => (end.since(now) / 4).max(MINUTE),
        _ => HOUR,
    }
}

/// Its end has come, which needs no call.
pub fn is_over(credential: &Credential, now: Timestamp) -> bool {
    credential.expires_at.is_some_and(|at| at <= now)
}

fn after_in_vain(in_vain: u32) -> Option<Duration> {
    (in_vain < IN_VAIN).then(|| (HOUR * 2_u32.pow(in_vain)).min(DAY))
}

/// Whoever was refused once more since it is invalid.
pub fn once_more_in_vain(before: &Standing) -> u32 {
    if before.invalid { before.in_vain.saturating_add(1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        credential::Evidence,
        random::{NoEntropy, TestEntropy},
        store::contract,
    };

    const NOW: Timestamp = contract::NOW;

    fn credential() -> Credential {
        contract::token("t", "alice", "github").credential
    }

    /// The shortest and the longest wait among a hundred.
    fn waits(credential: &Credential) -> (Duration, Duration) {
        let entropy = TestEntropy::new(1);
        let waits: Vec<Duration> =
            (0..100).filter_map(|_| next(credential, NOW, &entropy)).map(|at| at.since(NOW)).collect();
        (*waits.iter().min().unwrap(), *waits.iter().max().unwrap())
    }

    fn between(credential: &Credential, least: Duration, most: Duration) {
        let (shortest, longest) = waits(credential);
        assert!(shortest >= least && longest <= most, "{shortest:?} to {longest:?}");
        assert!(longest - shortest > (most - least) / 2, "spread: {shortest:?} to {longest:?}");
    }

    #[test]
    fn a_good_token_is_asked_about_hourly_but_never_all_at_once() {
        between(&credential(), 50 * MINUTE, HOUR);
    }

    #[test]
    fn on_its_last_day_a_token_is_asked_about_every_quarter_of_an_hour() {
        let mut token = credential();
        token.expires_at = Some(NOW.plus(DAY));
        between(&token, 13 * MINUTE, 15 * MINUTE);
        token.expires_at = Some(NOW.plus(DAY + MINUTE));
        between(&token, 50 * MINUTE, HOUR);
    }

    #[test]
    fn a_token_that_is_over_is_left_alone_for_a_day() {
        let mut token = credential();
        token.expires_at = Some(NOW);
        between(&token, DAY, DAY * 11 / 10);
    }

    #[test]
    fn a_dead_token_is_asked_about_ever_more_rarely_and_then_no_more() {
        let mut token = credential();
        token.standing.invalid = true;
        token.standing.rejected_since = Some(NOW);
        let mut hours = Vec::new();
        while let Some(at) = next(&token, NOW, &TestEntropy::new(1)) {
            hours.push(at.since(NOW).as_secs() / 3600);
            token.standing.in_vain = once_more_in_vain(&token.standing);
        }
        assert_eq!(hours.len(), 6);
        for (hours, least) in hours.iter().zip([1, 2, 4, 8, 16, 24]) {
            assert!((least..=least + least / 10 + 1).contains(hours), "{hours} after {least}");
        }
    }

    #[test]
    fn a_suspect_is_asked_about_as_soon_as_a_second_refusal_counts() {
        let mut token = credential();
        token.standing.rejected_since = Some(NOW);
        between(&token, SUSPECT, SUSPECT + MINUTE);
        token.standing.rejected_since = Some(NOW.minus(SUSPECT_FOR));
        between(&token, HOUR, HOUR + 6 * MINUTE);
    }

    #[test]
    fn who_was_told_to_wait_waits() {
        let mut token = credential();
        let until = NOW.plus(20 * MINUTE);
        token.standing.trouble = Some((Trouble::RateLimited { until: Some(until) }, NOW));
        between(&token, 20 * MINUTE, 21 * MINUTE);
        // A moment that no provider means, as a clock that jumps may make of one.
        token.standing.trouble = Some((Trouble::RateLimited { until: Some(NOW.plus(365 * DAY)) }, NOW));
        assert!(waits(&token).1 < LONGEST);
    }

    #[test]
    fn what_can_not_be_reached_is_tried_ever_more_rarely_down_to_hourly() {
        let mut token = credential();
        for (minutes, least) in [(0, 5), (5, 5), (20, 20), (60 * 24, 60)] {
            token.standing.trouble = Some((Trouble::Unreachable, NOW.minus(minutes * MINUTE)));
            let (shortest, longest) = waits(&token);
            assert!(shortest >= least * MINUTE && longest <= least * MINUTE * 11 / 10, "{minutes} minutes");
        }
    }

    #[test]
    fn a_grant_is_renewed_when_its_time_has_come_whatever_else_is_amiss() {
        let mut grant = credential();
        grant.renew_at = Some(NOW.plus(20 * MINUTE));
        grant.access_ends_at = Some(NOW.plus(32 * MINUTE));
        let for_a_day = NOW.minus(DAY);
        let day = Trouble::RateLimited { until: Some(NOW.plus(DAY)) };
        for trouble in [Trouble::Unreachable, Trouble::RateLimited { until: None }, day] {
            grant.standing.trouble = Some((trouble, for_a_day));
            between(&grant, 20 * MINUTE, 21 * MINUTE);
        }
        grant.standing.trouble = None;
        grant.standing.rejected_since = Some(NOW.minus(SUSPECT_FOR));
        between(&grant, 20 * MINUTE, 21 * MINUTE);
        // Sooner where that is sooner.
        grant.standing.rejected_since = Some(NOW);
        between(&grant, SUSPECT, SUSPECT + MINUTE);
    }

    #[test]
    fn a_renewal_in_vain_is_tried_again_a_few_times_before_the_end_and_then_as_rarely_as_anything() {
        let entropy = TestEntropy::new(3);
        let mut grant = credential();
        grant.renew_at = Some(NOW);
        let end = NOW.plus(12 * MINUTE);
        grant.access_ends_at = Some(end);
        // There was trouble for hours before.
        grant.standing.trouble = Some((Trouble::Unreachable, NOW.minus(6 * HOUR)));
        grant.standing.not_renewed = true;
        let mut tries = Vec::new();
        let mut now = NOW;
        while let Some(at) = next(&grant, now, &entropy)
            && at < NOW.plus(DAY)
        {
            assert!(at.since(now) >= MINUTE);
            tries.push(at);
            now = at;
        }
        let before = tries.iter().filter(|at| **at < end).count();
        assert!((4..=10).contains(&before), "{before} before its end");
        assert!(tries.len() < 50, "{} in a day", tries.len());
        // Whoever says until when means it.
        grant.standing.trouble = Some((Trouble::RateLimited { until: Some(NOW.plus(HOUR)) }, NOW));
        assert!(waits(&grant).0 >= HOUR);
    }

    #[test]
    fn a_permanently_failing_token_costs_fewer_than_fifty_calls_a_day() {
        let entropy = TestEntropy::new(3);
        let mut token = credential();
        token.standing.trouble = Some((Trouble::Unreachable, NOW));
        let (mut now, mut calls) = (NOW, 0);
        while let Some(at) = next(&token, now, &entropy)
            && at < NOW.plus(DAY)
        {
            (now, calls) = (at, calls + 1);
        }
        assert!((20..=50).contains(&calls), "{calls}");
    }

    #[test]
    fn a_grant_is_renewed_when_its_time_has_come_and_not_a_check_later() {
        let mut grant = credential();
        grant.renew_at = Some(NOW.plus(20 * MINUTE));
        between(&grant, 20 * MINUTE, 21 * MINUTE);
        grant.renew_at = Some(NOW.plus(DAY));
        between(&grant, 50 * MINUTE, HOUR);
    }

    #[test]
    fn without_random_bytes_the_time_is_exact() {
        struct None;
        impl Entropy for None {
            fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
                Err(NoEntropy)
            }
        }
        assert_eq!(next(&credential(), NOW, &None), Some(NOW.plus(HOUR)));
    }

    #[test]
    fn a_standing_that_an_older_version_wrote_is_read() {
        let standing = Standing::good(NOW, Evidence { request: "GET /user".into(), answer: "200".into() });
        let mut json = serde_json::to_value(&standing).unwrap();
        json.as_object_mut().unwrap().remove("in_vain");
        assert_eq!(serde_json::from_value::<Standing>(json).unwrap(), standing);
    }
}

//! When what failed is tried again.

use std::time::Duration;

use crate::{random::Entropy, watch::due::jitter};

const fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

const fn hours(count: u64) -> Duration {
    Duration::from_hours(count)
}

/// Mail: soon, then every six hours, for two days. RFC 5321, 4.5.4.1, would go on for four to five, but a mail server of
/// one's own does not stay away for so long, and a warning that comes late is worth little.
const MAIL: [Duration; 13] = [
    minutes(1),
    minutes(5),
    minutes(15),
    hours(1),
    hours(3),
    hours(6),
    hours(6),
    hours(6),
    hours(6),
    hours(6),
    hours(6),
    hours(6),
    hours(6),
];

/// Webhooks: as the specification of Standard Webhooks recommends.
const WEBHOOK: [Duration; 9] = [
    Duration::from_secs(5),
    minutes(5),
    minutes(30),
    hours(2),
    hours(5),
    hours(10),
    hours(14),
    hours(20),
    hours(24),
];

/// The longest that somebody else's `Retry-After` is obeyed.
const LONGEST: Duration = hours(24);

/// How long to wait after the mail's `attempt` failed, the first being 1. `None`: it was the last.
pub fn mail(attempt: u32, entropy: &dyn Entropy) -> Option<Duration> {
    after(&MAIL, attempt, None, entropy)
}

/// The same for a webhook, which may have said for how long to stay away.
pub fn webhook(attempt: u32, wait: Option<Duration>, entropy: &dyn Entropy) -> Option<Duration> {
    after(&WEBHOOK, attempt, wait, entropy)
}

fn after(
    schedule: &[Duration],
    attempt: u32,
    wait: Option<Duration>,
    entropy: &dyn Entropy,
) -> Option<Duration> {
    let index = usize::try_from(attempt.saturating_sub(1)).ok()?;
    let delay = *schedule.get(index)?;
    // Not all at once when the other side comes back.
    let delay = delay + jitter(entropy, delay / 10);
    Some(delay.max(wait.unwrap_or_default().min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{deliver::LONGEST_DELAY, random::TestEntropy};

    #[test]
    fn a_mail_is_tried_for_two_days_and_a_webhook_for_three() {
        let entropy = TestEntropy::new(1);
        let whole = |after: &dyn Fn(u32) -> Option<Duration>| {
            let waits: Vec<Duration> = (1..).map_while(after).collect();
            (waits.len(), waits.iter().sum::<Duration>())
        };
        let (attempts, span) = whole(&|attempt| mail(attempt, &entropy));
        assert_eq!(attempts, 13);
        assert!(span >= hours(48) && span <= hours(60), "{span:?}");
        let (attempts, span) = whole(&|attempt| webhook(attempt, None, &entropy));
        assert_eq!(attempts, 9);
        assert!(span >= hours(75) && span <= hours(84), "{span:?}");
    }

    #[test]
    fn whoever_says_how_long_is_obeyed_within_a_day() {
        let entropy = TestEntropy::new(1);
        assert_eq!(webhook(1, Some(minutes(10)), &entropy), Some(minutes(10)));
        assert_eq!(webhook(1, Some(Duration::MAX), &entropy), Some(LONGEST));
        assert!(webhook(2, Some(Duration::ZERO), &entropy) >= Some(minutes(5)));
    }

    #[test]
    fn no_wait_looks_like_one_of_a_clock_that_was_ahead() {
        let entropy = TestEntropy::new(1);
        for attempt in 1..=9 {
            assert!(webhook(attempt, Some(Duration::MAX), &entropy) < Some(LONGEST_DELAY));
        }
    }
}

//! Moments in words. Written by the server alone, so that page and browser never disagree.

use std::time::Duration;

use app::api::Moment;
use time::macros::format_description;

use crate::clock::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A moment in words, seen from `now`.
pub fn moment(at: Timestamp, now: Timestamp) -> Moment {
    let iso = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let date = format_description!("[day padding:none] [month repr:short] [year]");
    let full = format_description!("[day padding:none] [month repr:long] [year], [hour]:[minute] UTC");
    let Some(calendar) = at.calendar() else {
        let far = "after the year 9999".to_owned();
        return Moment {
            iso: "9999-12-31T23:59:59Z".into(),
            date: far.clone(),
            full: far.clone(),
            relative: far,
        };
    };
    // Writing a date into a string can't fail for a calendar date; an empty text would only look odd.
    Moment {
        iso: calendar.format(iso).unwrap_or_default(),
        date: calendar.format(date).unwrap_or_default(),
        full: calendar.format(full).unwrap_or_default(),
        relative: relative(at, now),
    }
}

fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        let span = in_words(at.since(now));
        if span.is_empty() { "in a moment".into() } else { format!("in {span}") }
    } else {
        let span = in_words(now.since(at));
        if span.is_empty() { "just now".into() } else { format!("{span} ago") }
    }
}

/// The largest unit that fits, rounded down; empty under a minute.
fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        0..MINUTE => return String::new(),
        MINUTE..HOUR => (seconds / MINUTE, "minute"),
        HOUR..DAY => (seconds / HOUR, "hour"),
        _ => (seconds / DAY, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at_seconds: i64, now_seconds: i64) -> Moment {
        moment(Timestamp::from_seconds(at_seconds), Timestamp::from_seconds(now_seconds))
    }

    #[test]
    fn a_date_reads_like_a_date() {
        let moment = seen(1_804_842_000, 1_795_348_800);
        assert_eq!(moment.iso, "2027-03-12T09:00:00Z");
        assert_eq!(moment.date, "12 Mar 2027");
        assert_eq!(moment.full, "12 March 2027, 09:00 UTC");
        assert_eq!(moment.relative, "in 109 days");
    }

    #[test]
    fn spans_use_the_largest_unit_and_the_right_number() {
        for (span, text) in [
            (0, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7200, "2 hours ago"),
            (86_400, "1 day ago"),
        ] {
            assert_eq!(seen(0, span).relative, text);
        }
        assert_eq!(seen(30, 0).relative, "in a moment");
    }

    #[test]
    fn the_end_of_time_does_not_panic() {
        let far = moment(Timestamp::from_micros(i64::MAX), Timestamp::from_micros(i64::MIN));
        assert_eq!(far.date, "after the year 9999");
    }
}

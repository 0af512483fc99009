//! The host's clock: the machine's time plus an offset that a test moves.

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

const DATE: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");
const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// Tells the time; `POST /_forge/clock` moves it.
#[derive(Clone, Copy, Default)]
pub struct Clock {
    offset: Duration,
}

impl Clock {
    /// The machine's time plus the offset.
    #[expect(clippy::disallowed_methods, reason = "the one place of this crate that reads the time")]
    pub fn now(self) -> OffsetDateTime {
        let machine = OffsetDateTime::now_utc();
        machine.checked_add(self.offset).unwrap_or(machine)
    }

    /// Moves the clock; negative seconds move it back.
    pub fn advance(&mut self, seconds: i64) {
        self.offset = self.offset.saturating_add(Duration::seconds(seconds));
    }

    /// How far this clock is ahead of the machine.
    pub fn offset_seconds(self) -> i64 {
        self.offset.whole_seconds()
    }
}

/// RFC 3339 in UTC without fractions, as REST bodies carry it.
pub fn rfc3339(instant: OffsetDateTime) -> String {
    let instant = instant.to_offset(time::UtcOffset::UTC).replace_nanosecond(0).unwrap_or(instant);
    instant.format(&Rfc3339).unwrap_or_default()
}

/// Reads RFC 3339.
pub fn parse_rfc3339(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// `2027-10-12`.
pub fn date(instant: OffsetDateTime) -> String {
    instant.to_offset(time::UtcOffset::UTC).date().format(DATE).unwrap_or_default()
}

/// RFC 3339 in UTC with milliseconds.
pub fn millis(instant: OffsetDateTime) -> String {
    instant.to_offset(time::UtcOffset::UTC).format(MILLIS).unwrap_or_default()
}

/// `Sun, 22 Nov 2026 12:00:00 GMT`, as the header `Date` has it.
pub fn http_date(instant: OffsetDateTime) -> String {
    instant.to_offset(time::UtcOffset::UTC).format(HTTP_DATE).unwrap_or_default()
}

/// Midnight in UTC, at which this day began.
pub fn midnight(instant: OffsetDateTime) -> OffsetDateTime {
    instant.to_offset(time::UtcOffset::UTC).date().midnight().assume_utc()
}

/// Midnight in UTC, at which the day `2027-10-12` begins.
pub fn parse_date(text: &str) -> Option<OffsetDateTime> {
    Some(time::Date::parse(text, DATE).ok()?.midnight().assume_utc())
}

#[cfg(test)]
mod tests {
    use super::{Clock, date, http_date, midnight, millis, parse_date, parse_rfc3339};

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        let instant = parse_rfc3339("2027-03-31T05:00:00+09:00").unwrap();
        assert_eq!(date(instant), "2027-03-30");
        assert_eq!(parse_date("2027-03-30"), parse_rfc3339("2027-03-30T00:00:00Z"));
        assert_eq!(parse_date("2027-03-30"), Some(midnight(instant)));
        assert_eq!(parse_date("2027-3-30"), None);
        assert_eq!(http_date(instant), "Tue, 30 Mar 2027 20:00:00 GMT");
        assert_eq!(millis(instant), "2027-03-30T20:00:00.000Z");
    }

    #[test]
    fn an_absurd_advance_does_not_break_the_clock() {
        let mut clock = Clock::default();
        clock.advance(i64::MAX);
        clock.now();
    }
}

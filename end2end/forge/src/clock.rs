//! The host's clock: the machine's time plus an offset that a test moves.

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, offset};
use time::{Duration, OffsetDateTime};

const EXPIRY_UTC: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
const EXPIRY_OFFSET: &[BorrowedFormatItem<'_>] = format_description!(
    "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);

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

/// `2027-10-12 09:00:00 UTC`.
pub fn expiry_in_utc(instant: OffsetDateTime) -> String {
    instant.to_offset(time::UtcOffset::UTC).format(EXPIRY_UTC).unwrap_or_default()
}

/// `2027-03-31 00:00:00 +0900`.
pub fn expiry_with_offset(instant: OffsetDateTime) -> String {
    instant.to_offset(offset!(+9)).format(EXPIRY_OFFSET).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Clock, expiry_in_utc, expiry_with_offset, parse_rfc3339};

    #[test]
    fn an_expiry_is_written_in_both_shapes_of_the_header() {
        let first = parse_rfc3339("2027-10-12T09:00:00Z").unwrap();
        let second = parse_rfc3339("2027-03-30T15:00:00Z").unwrap();
        assert_eq!(expiry_in_utc(first), "2027-10-12 09:00:00 UTC");
        assert_eq!(expiry_with_offset(second), "2027-03-31 00:00:00 +0900");
    }

    #[test]
    fn an_absurd_advance_does_not_break_the_clock() {
        let mut clock = Clock::default();
        clock.advance(i64::MAX);
        clock.now();
    }
}

use jiff::Timestamp as JiffTimestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::{Decimal, Timestamp};

/// A point in time that an attribute or an operand names, in nanoseconds since the Unix epoch, UTC.
/// Unlike a [`Timestamp`] it may lie before 1970: people have birthdays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i128);

const SECONDS_PER_DAY: i32 = 86_400;
const NANOSECONDS_PER_SECOND: i128 = 1_000_000_000;
const NANOSECONDS_PER_MILLISECOND: i128 = 1_000_000;
/// Whole numbers from here on are milliseconds, smaller ones seconds: as seconds they would lie
/// beyond the year 5138.
const MILLISECONDS_FROM: i128 = 100_000_000_000;

impl Moment {
    pub(super) const EARLIEST: Self = Self(i128::MIN);
    /// Later than anything that an attribute can name.
    pub const LATEST: Self = Self(i128::MAX);

    /// The next nanosecond.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus_nanoseconds(1)
    }

    /// RFC 3339 with an offset, a bare date (midnight UTC), or a whole number of seconds or, from
    /// 10^11 on, milliseconds since the epoch.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let dashed = bytes.len() >= 10 && bytes[4] == b'-' && bytes[7] == b'-';
        if !dashed {
            return Self::of_number(&Decimal::parse(text)?);
        }
        if bytes.len() == 10 {
            return Some(Self::of_civil(text.parse::<Date>().ok()?.into()));
        }
        if !matches!(bytes[10], b'T' | b't' | b' ') {
            return None;
        }
        let pieces = Pieces::parse(text).ok()?;
        let offset = pieces.to_numeric_offset()?;
        // Annotations of a time zone are no part of RFC 3339, nor are offsets of a day and more.
        if pieces.time_zone_annotation().is_some() || offset.seconds().abs() >= SECONDS_PER_DAY {
            return None;
        }
        let local = Self::of_civil(pieces.date().to_datetime(pieces.time()?));
        let offset = i128::from(offset.seconds()) * NANOSECONDS_PER_SECOND;
        Some(local.plus_nanoseconds(-offset))
    }

    /// As [`Moment::parse`], where a time without an offset is one in UTC.
    pub fn parse_or_utc(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| Self::parse(&format!("{text}Z")))
    }

    /// What a stored value says; `None` if it says no time.
    pub fn read(stored: &Value) -> Option<Self> {
        match stored {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::of_number(&Decimal::of(number)?),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Milliseconds since the epoch, rounded down and bounded to 64 bits: of two moments the later
    /// never has fewer.
    pub fn milliseconds(self) -> i64 {
        let milliseconds = self.0.div_euclid(NANOSECONDS_PER_MILLISECOND);
        i64::try_from(milliseconds).unwrap_or(if milliseconds < 0 { i64::MIN } else { i64::MAX })
    }

    /// The moment, if it is one that the log can hold: from 1970 to 2554.
    pub fn timestamp(self) -> Option<Timestamp> {
        u64::try_from(self.0).ok().map(Timestamp)
    }

    /// The earliest [`Timestamp`] that is not before this moment.
    pub fn to_timestamp(self) -> Timestamp {
        Timestamp(u64::try_from(self.0.max(0)).unwrap_or(u64::MAX))
    }

    fn of_number(number: &Decimal) -> Option<Self> {
        let number = number.to_integer()?;
        let unit = if number.abs() >= MILLISECONDS_FROM {
            NANOSECONDS_PER_MILLISECOND
        } else {
            NANOSECONDS_PER_SECOND
        };
        let moment = Self(number.checked_mul(unit)?);
        // Whatever lies beyond the years of the calendar is a number and no time.
        let first = Self::of_civil(DateTime::MIN);
        let last = Self::of_civil(DateTime::MAX);
        (first..=last).contains(&moment).then_some(moment)
    }

    /// The moment of a date and time in UTC.
    pub(super) fn of_civil(datetime: DateTime) -> Self {
        let days = datetime
            .date()
            .duration_since(jiff::civil::date(1970, 1, 1));
        let time = datetime
            .time()
            .duration_since(jiff::civil::Time::midnight());
        Self(days.as_nanos() + time.as_nanos())
    }

    /// The date and time in UTC; `None` beyond the years that the calendar knows.
    pub(super) fn to_civil(self) -> Option<DateTime> {
        let timestamp = JiffTimestamp::from_nanosecond(self.0).ok()?;
        Some(TimeZone::UTC.to_datetime(timestamp))
    }

    pub(super) fn plus_nanoseconds(self, nanoseconds: i128) -> Self {
        Self(self.0.saturating_add(nanoseconds))
    }
}

impl From<Timestamp> for Moment {
    fn from(timestamp: Timestamp) -> Self {
        Self(i128::from(timestamp.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_point_in_time() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("1969-12-31", -86_400),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1970-01-01T00:00:01.5Z", 1),
            ("2024-02-29t00:00:00z", 1_709_164_800),
            ("1709164800", 1_709_164_800),
            ("1709164800000", 1_709_164_800),
            ("-1709164800000", -1_709_164_800),
            ("1e3", 1_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("9999-12-31", 253_402_214_400),
            ("0000-01-01T00:00:00+23:59", -62_167_305_540),
            ("0", 0),
        ] {
            let moment = Moment::parse(text).unwrap_or_else(|| panic!("{text} is a time"));
            assert_eq!(moment.milliseconds().div_euclid(1_000), seconds, "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2023-02-29",
            "2024-1-1",
            "2024-01-01T10:00:00",
            "2024-01-01T10:00:00+01:00[Europe/Paris]",
            "2024-01-01x",
            "2024-01-01T10:00:00+25:00",
            "2024-01-01T25:00:00Z",
            "1.5",
            "100000000000000000000000000001",
            "true",
            "20240101T000000Z",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}

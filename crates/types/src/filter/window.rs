use std::fmt;

use jiff::{Span, ToSpan as _};

use super::Moment;

/// The length of a relative window: an ISO 8601 duration, longer than nothing. Years and months are
/// those of the calendar in UTC, days have 24 hours.
#[derive(Clone, Debug)]
pub struct Window {
    text: String,
    months: i32,
    nanoseconds: i128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an ISO 8601 duration longer than nothing and of at most 1,000 years")]
pub struct InvalidWindow;

/// In months; longer windows would leave the years that the calendar knows.
const MONTHS_MAX: i32 = 12 * 1_000;

impl Window {
    pub fn parse(text: &str) -> Result<Self, InvalidWindow> {
        // The parser also reads signs and a friendlier form, which are no part of ISO 8601.
        if !text.starts_with('P') {
            return Err(InvalidWindow);
        }
        let span: Span = text.parse().map_err(|_| InvalidWindow)?;
        let months = i32::from(span.get_years()) * 12 + span.get_months();
        let days = i128::from(span.get_weeks()) * 7 + i128::from(span.get_days());
        let seconds = days * 86_400
            + i128::from(span.get_hours()) * 3_600
            + i128::from(span.get_minutes()) * 60
            + i128::from(span.get_seconds());
        let fraction = i128::from(span.get_milliseconds()) * 1_000_000
            + i128::from(span.get_microseconds()) * 1_000
            + i128::from(span.get_nanoseconds());
        let nanoseconds = seconds * 1_000_000_000 + fraction;
        if span.is_negative() || (months == 0 && nanoseconds == 0) || months > MONTHS_MAX {
            return Err(InvalidWindow);
        }
        Ok(Self {
            text: text.to_owned(),
            months,
            nanoseconds,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The moment that lies one window before.
    pub fn before(&self, moment: Moment) -> Moment {
        let start = months_from(moment, -self.months).unwrap_or(Moment::EARLIEST);
        start.plus_nanoseconds(-self.nanoseconds)
    }

    /// The moment that lies one window after.
    pub fn after(&self, moment: Moment) -> Moment {
        let end = months_from(moment, self.months).unwrap_or(Moment::LATEST);
        end.plus_nanoseconds(self.nanoseconds)
    }

    /// Until when at least a window that ends in the present still reaches back to this moment.
    pub fn left_at(&self, held: Moment) -> Moment {
        let end = held.plus_nanoseconds(self.nanoseconds);
        months_from(end, self.months).unwrap_or(Moment::LATEST)
    }

    /// Before when a window that begins in the present does not yet reach this moment.
    pub fn reached_at(&self, held: Moment) -> Moment {
        let start = held.plus_nanoseconds(-self.nanoseconds);
        months_from(start, -self.months).unwrap_or(Moment::EARLIEST)
    }
}

/// Months of the calendar. Where the day does not exist in the month arrived at, it is the end of its
/// last day: so a later moment never leads to an earlier one.
fn months_from(moment: Moment, months: i32) -> Option<Moment> {
    if months == 0 {
        return Some(moment);
    }
    let start = moment.to_civil()?;
    let shifted = start.checked_add(months.months()).ok()?;
    let exists = shifted.day() == start.day();
    let last_of_day = shifted.date().to_datetime(jiff::civil::Time::MAX);
    Some(Moment::of_civil(if exists { shifted } else { last_of_day }))
}

/// Equal if the lengths are, however they are written.
impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        (self.months, self.nanoseconds) == (other.months, other.nanoseconds)
    }
}

impl Eq for Window {}

impl std::hash::Hash for Window {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.months, self.nanoseconds).hash(state);
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_are_durations_longer_than_nothing() {
        for text in ["P7D", "PT1H", "P1M", "P1Y2M3W4DT5H6M7.5S", "P0DT1S"] {
            assert!(Window::parse(text).is_ok(), "{text}");
        }
        for text in [
            "", "7D", "P", "PT", "P0D", "PT0S", "-P1D", "P-1D", "1 day", "P1001Y", "P7", "p7d ",
        ] {
            assert_eq!(Window::parse(text), Err(InvalidWindow), "{text}");
        }
        assert_eq!(Window::parse("P7D"), Window::parse("P1W"));
        assert_ne!(Window::parse("P30D"), Window::parse("P1M"));
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let month = Window::parse("P1M").unwrap();
        let at = |text| Moment::parse(text).unwrap();
        let end = at("2024-02-29T23:59:59.999999999Z");
        assert_eq!(month.before(at("2024-03-31")), end);
        assert_eq!(month.after(at("2024-01-31")), end);
        assert_eq!(
            month.before(at("2024-03-29T10:00:00Z")),
            at("2024-02-29T10:00:00Z")
        );
        let day = Window::parse("P1DT1H").unwrap();
        assert_eq!(day.before(at("2024-03-01")), at("2024-02-28T23:00:00Z"));
    }

    proptest! {
        /// What the clock of windows rests on: as time goes on both ends go on, and neither passes a
        /// moment before the time at which the clock looks for it.
        #[test]
        fn windows_only_go_forward(
            held in 0_i64..4_000_000_000, around in -400_000_i64..400_000, later in 0_i64..400_000,
            months in 0_i32..30, days in 1_i32..40,
        ) {
            let window = Window::parse(&format!("P{months}M{days}D")).unwrap();
            let held = Moment::parse(&held.to_string()).unwrap();
            let seconds = |seconds: i64| i128::from(seconds) * 1_000_000_000;
            for edge in [window.left_at(held), window.reached_at(held)] {
                let now = edge.plus_nanoseconds(seconds(around));
                let then = now.plus_nanoseconds(seconds(later));
                prop_assert!(window.before(now) <= window.before(then));
                prop_assert!(window.after(now) <= window.after(then));
                prop_assert!(now > window.left_at(held) || window.before(now) <= held);
                prop_assert!(now >= window.reached_at(held) || window.after(now) < held);
            }
        }
    }
}

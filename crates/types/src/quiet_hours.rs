use jiff::civil;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::named::named;

named! {
    pub enum Weekday {
        Monday = "monday",
        Tuesday = "tuesday",
        Wednesday = "wednesday",
        Thursday = "thursday",
        Friday = "friday",
        Saturday = "saturday",
        Sunday = "sunday",
    }
}

/// Hours of the week in which somebody does not want to be disturbed, in their own time zone.
///
/// What they mean follows from the time zone database that is built into the program, so that the
/// same program gives the same answer on every machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// A name of the IANA time zone database, such as `Europe/Berlin`.
    time_zone: String,
    /// The days on which the hours begin, in the order of the week.
    days: Vec<Weekday>,
    from: MinuteOfDay,
    /// On the next day where it is not after `from`.
    to: MinuteOfDay,
}

/// Minutes since midnight, 0 to 1,439.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MinuteOfDay(u16);

impl MinuteOfDay {
    /// Reads `HH:MM` of a 24-hour clock.
    pub fn parse(text: &str) -> Option<Self> {
        let (hours, minutes) = text.split_once(':')?;
        let number = |text: &str| -> Option<u16> {
            let two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            two_digits.then(|| text.parse().ok())?
        };
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        (hours < 24 && minutes < 60).then_some(Self(hours * 60 + minutes))
    }

    fn time(self) -> Option<civil::Time> {
        let hour = i8::try_from(self.0 / 60).ok()?;
        let minute = i8::try_from(self.0 % 60).ok()?;
        civil::Time::new(hour, minute, 0, 0).ok()
    }
}

impl std::fmt::Display for MinuteOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl QuietHours {
    /// `None` if there is no such time zone, or no day.
    pub fn new(
        time_zone: &str,
        mut days: Vec<Weekday>,
        from: MinuteOfDay,
        to: MinuteOfDay,
    ) -> Option<Self> {
        days.sort_unstable();
        days.dedup();
        let known = TimeZone::get(time_zone).is_ok();
        (known && !days.is_empty()).then(|| Self {
            time_zone: time_zone.to_owned(),
            days,
            from,
            to,
        })
    }

    /// Whether they have the form that [`QuietHours::new`] gives them: a history from elsewhere may say
    /// anything. The time zone is not looked up, because a history stays readable with a database that
    /// has dropped a name; there are no quiet hours in a time zone that nobody knows.
    pub fn is_valid(&self) -> bool {
        let valid = |time: MinuteOfDay| time.0 < 24 * 60;
        let ascending = self.days.is_sorted_by(|a, b| a < b);
        valid(self.from) && valid(self.to) && ascending && !self.days.is_empty()
    }

    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    pub fn days(&self) -> &[Weekday] {
        &self.days
    }

    pub fn from(&self) -> MinuteOfDay {
        self.from
    }

    pub fn to(&self) -> MinuteOfDay {
        self.to
    }

    /// When the quiet hours end that cover this moment; `None` if none do, or nobody knows the time
    /// zone. Where clocks are put
    /// forward over the end, it is as much later as they are; where they are put back, the first of
    /// the two counts.
    pub fn end_of(&self, at: Timestamp) -> Option<Timestamp> {
        let zone = TimeZone::get(&self.time_zone).ok()?;
        let at = jiff::Timestamp::from_nanosecond(i128::from(at.0)).ok()?;
        let today = at.to_zoned_datetime(zone.clone()).date();
        let moment = |day: civil::Date, time: MinuteOfDay| {
            let local = day.to_datetime(time.time()?);
            let zoned = zone.to_ambiguous_zoned_datetime(local).compatible().ok()?;
            Some(zoned.timestamp())
        };
        // Of those that began today or yesterday, the one that ends last.
        [Some(today), today.yesterday().ok()]
            .into_iter()
            .flatten()
            .filter(|day| self.days.contains(&weekday(*day)))
            .filter_map(|day| {
                let last_day = if self.to > self.from {
                    day
                } else {
                    day.tomorrow().ok()?
                };
                let (start, end) = (moment(day, self.from)?, moment(last_day, self.to)?);
                (start <= at && at < end).then_some(end)
            })
            .max()
            .and_then(|end| u64::try_from(end.as_nanosecond()).ok())
            .map(Timestamp)
    }
}

fn weekday(day: civil::Date) -> Weekday {
    match day.weekday() {
        civil::Weekday::Monday => Weekday::Monday,
        civil::Weekday::Tuesday => Weekday::Tuesday,
        civil::Weekday::Wednesday => Weekday::Wednesday,
        civil::Weekday::Thursday => Weekday::Thursday,
        civil::Weekday::Friday => Weekday::Friday,
        civil::Weekday::Saturday => Weekday::Saturday,
        civil::Weekday::Sunday => Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &str, days: &[Weekday], from: &str, to: &str) -> QuietHours {
        let minute = |text| MinuteOfDay::parse(text).expect("a time of day");
        QuietHours::new(zone, days.to_vec(), minute(from), minute(to)).expect("valid quiet hours")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn quiet_hours_cover_what_they_say() {
        use Weekday::{Friday, Monday, Saturday, Sunday};
        let night = hours("Europe/Berlin", &[Monday], "22:00", "07:00");
        let noon = hours("UTC", &[Friday], "12:00", "13:00");
        let whole_day = hours("Asia/Tokyo", &[Sunday], "00:00", "00:00");
        // Clocks go forward at 02:00 on 2026-03-29 and back at 03:00 on 2026-10-25.
        let spring = hours("Europe/Berlin", &[Sunday], "01:00", "02:30");
        let autumn = hours("Europe/Berlin", &[Saturday], "23:00", "02:30");
        for (quiet, moment, end) in [
            // 2026-11-23 is a Monday; Berlin is one hour ahead of UTC.
            (&night, "2026-11-23T20:59:59Z", None),
            (&night, "2026-11-23T21:00:00Z", Some("2026-11-24T06:00:00Z")),
            (&night, "2026-11-24T05:59:59Z", Some("2026-11-24T06:00:00Z")),
            (&night, "2026-11-24T06:00:00Z", None),
            (&night, "2026-11-24T22:00:00Z", None),
            (&noon, "2026-11-27T12:00:00Z", Some("2026-11-27T13:00:00Z")),
            (&noon, "2026-11-27T13:00:00Z", None),
            (&noon, "2026-11-26T12:30:00Z", None),
            (
                &whole_day,
                "2026-11-28T15:00:00Z",
                Some("2026-11-29T15:00:00Z"),
            ),
            (&whole_day, "2026-11-28T14:59:59Z", None),
            (&whole_day, "2026-11-29T15:00:00Z", None),
            (
                &spring,
                "2026-03-29T00:30:00Z",
                Some("2026-03-29T01:30:00Z"),
            ),
            (
                &autumn,
                "2026-10-24T22:00:00Z",
                Some("2026-10-25T00:30:00Z"),
            ),
        ] {
            assert_eq!(
                quiet.end_of(at(moment)),
                end.map(at),
                "{quiet:?} at {moment}"
            );
        }
    }

    #[test]
    fn times_of_day_and_zones_are_checked() {
        for text in ["24:00", "7:00", "07:60", "07", "0700", "aa:bb", "+7:00", ""] {
            assert_eq!(MinuteOfDay::parse(text), None, "{text}");
        }
        let midnight = MinuteOfDay(0);
        assert_eq!(
            QuietHours::new("Mars/Base", vec![Weekday::Monday], midnight, midnight),
            None
        );
        assert_eq!(QuietHours::new("UTC", vec![], midnight, midnight), None);
    }
}

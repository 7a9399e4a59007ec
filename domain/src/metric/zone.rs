//! Calendars: where days, weeks and months begin in a time zone.

use chrono::{
    DateTime, Datelike as _, Days, LocalResult, Months, NaiveDate, NaiveDateTime, Offset as _,
    TimeZone as _, Utc,
};
use chrono_tz::Tz;
use entity::Millis;

use crate::error::{Error, Result};

/// Milliseconds of a quarter of an hour.
pub const QUARTER: i64 = 15 * 60 * 1000;
/// Milliseconds of an hour.
pub const HOUR: i64 = 4 * QUARTER;

/// A time zone of the IANA database: `Europe/Berlin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(Tz);

impl Zone {
    /// Universal time.
    pub const UTC: Self = Self(Tz::UTC);

    /// The release of the IANA database that this one was built with.
    pub const RELEASE: &str = chrono_tz::IANA_TZDB_VERSION;

    /// The zone of this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for `field` if no zone has it.
    pub fn parse(name: &str, field: &'static str) -> Result<Self> {
        name.parse().map(Self).map_err(|_| {
            let message = format!(
                "{name:?} is no time zone of the IANA database; an example is \"Europe/Berlin\""
            );
            Error::invalid(field, "INVALID", message)
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The first moment of the day, there, in which a moment lies.
    pub fn day(self, at: Millis) -> Millis {
        self.first_moment(self.local(at).date())
    }

    /// The first moment of the day after the one in which a moment lies.
    pub fn next_day(self, at: Millis) -> Millis {
        self.following(at, |date| date.checked_add_days(Days::new(1)))
    }

    fn local(self, at: Millis) -> NaiveDateTime {
        utc(at).with_timezone(&self.0).naive_local()
    }

    /// The first moment of a date: where the clocks skip midnight, the moment at which they do.
    fn first_moment(self, date: NaiveDate) -> Millis {
        let mut local = date.and_time(chrono::NaiveTime::MIN);
        // The longest leap of any zone is a whole day, when Samoa went over the date line.
        for _ in 0..=100 {
            match self.0.from_local_datetime(&local) {
                LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => {
                    return Millis(moment.timestamp_millis());
                }
                LocalResult::None => local += chrono::TimeDelta::minutes(15),
            }
        }
        Millis(
            date.and_time(chrono::NaiveTime::MIN)
                .and_utc()
                .timestamp_millis(),
        )
    }

    fn following(self, at: Millis, next: impl Fn(NaiveDate) -> Option<NaiveDate>) -> Millis {
        let mut date = self.local(at).date();
        // A day that a zone has skipped begins where the next one does.
        while let Some(later) = next(date) {
            let start = self.first_moment(later);
            if start > at {
                return start;
            }
            date = later;
        }
        Millis(i64::MAX)
    }
}

fn utc(at: Millis) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).unwrap_or(if at.0 < 0 {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    })
}

/// How long the parts of a series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// An hour of the zone's clocks. Where they are put back or forth by less, one part is shorter or longer.
    Hour,
    /// A day, of 23 to 25 hours where clocks are changed.
    Day,
    /// A week as ISO 8601 has it, from Monday on.
    Week,
    /// A month.
    Month,
}

impl Interval {
    /// The first moment of the interval in which a moment lies.
    pub fn start(self, zone: Zone, at: Millis) -> Millis {
        let date = zone.local(at).date();
        match self {
            Self::Hour => {
                let offset = offset(zone, at);
                let start = Millis((at.0 + offset).div_euclid(HOUR) * HOUR - offset);
                // Where the clocks were changed since then, the interval begins when they were.
                Some(self.next(zone, start))
                    .filter(|changed| *changed <= at)
                    .unwrap_or(start)
            }
            Self::Day => zone.first_moment(date),
            Self::Week => zone.first_moment(monday(date)),
            Self::Month => zone.first_moment(date.with_day(1).unwrap_or(date)),
        }
    }

    /// The first moment of the interval after the one in which a moment lies.
    pub fn next(self, zone: Zone, at: Millis) -> Millis {
        match self {
            // By the clock that shows the moment: a change of clocks lies on the border of two intervals.
            Self::Hour => {
                let offset = offset(zone, at);
                Millis(((at.0 + offset).div_euclid(HOUR) + 1) * HOUR - offset)
            }
            Self::Day => zone.next_day(at),
            Self::Week => zone.following(at, |date| monday(date).checked_add_days(Days::new(7))),
            Self::Month => zone.following(at, |date| {
                date.with_day(1)?.checked_add_months(Months::new(1))
            }),
        }
    }

    /// The intervals of a span in their order, the first and the last cut to it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are more than `most`.
    pub fn parts(
        self,
        zone: Zone,
        start: Millis,
        end: Millis,
        most: usize,
    ) -> Result<Vec<(Millis, Millis)>> {
        let mut parts = Vec::new();
        let mut at = start;
        while at < end {
            let next = self.next(zone, at).min(end);
            parts.push((at, next));
            at = next;
            if parts.len() > most {
                let message = format!(
                    "the span has more than {most} intervals; choose a longer interval or a shorter span"
                );
                return Err(Error::invalid("interval", "TOO_MANY_POINTS", message));
            }
        }
        Ok(parts)
    }
}

fn offset(zone: Zone, at: Millis) -> i64 {
    i64::from(
        zone.0
            .offset_from_utc_datetime(&utc(at).naive_utc())
            .fix()
            .local_minus_utc(),
    ) * 1000
}

fn monday(date: NaiveDate) -> NaiveDate {
    let back = u64::from(date.weekday().num_days_from_monday());
    date.checked_sub_days(Days::new(back)).unwrap_or(date)
}

#[cfg(test)]
mod tests;

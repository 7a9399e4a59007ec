//! What runs may cost by day and month: a coworker's budget, and the workspace's.
//!
//! Before a model is called, what the call may cost at the most is reserved in every budget that applies. The log
//! says so (`model.requested`), and so a budget's use is, at every commit, what the ledger holds of the period and
//! what the calls under way have reserved. No row is written for it by every call: a worker takes a *slice* of a
//! budget, under a lock and after adding everything up ([`TakeSlices`]), and reserves its calls out of it in memory
//! ([`Purse`]). Whatever a worker may still reserve stands in its slice's row, or less.
//!
//! Days and months are those of UTC. A call counts in the period in which it ends.

mod account;
mod known;
mod purse;
mod query;
mod rows;
mod take;

pub use account::{Hold, Spent};
pub use known::limits;
pub use purse::{Purse, Reserved};
pub use query::{Standing, exhausted, standing};
pub use rows::{GiveBack, clear_marks, lock_marks};
pub use take::{Refusal, TakeSlices};

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveTime};
use entity::{BudgetPeriod, CoworkerId, Millis, WorkspaceId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::money::print_decimal;

/// The most that a budget may be, nano-USD.
const MOST_NANO: i64 = 1_000_000 * 1_000_000_000;

/// What all runs together may cost, nano-USD; none: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Budget {
    /// In a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daily_nano: Option<i64>,
    /// In a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_nano: Option<i64>,
}

impl Budget {
    /// Whether nothing is limited.
    pub const fn is_none(&self) -> bool {
        self.daily_nano.is_none() && self.monthly_nano.is_none()
    }

    /// Refuses what can't be meant.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] that names the field and the remedy.
    pub fn check(&self) -> Result<()> {
        let Self {
            daily_nano,
            monthly_nano,
        } = *self;
        for (field, nano) in [
            ("budget.daily", daily_nano),
            ("budget.monthly", monthly_nano),
        ] {
            if nano.is_some_and(|nano| !(1..=MOST_NANO).contains(&nano)) {
                let said = print_decimal(nano.unwrap_or_default());
                let message = format!(
                    "`{field}` is {said} USD; it must be more than 0 and at most 1000000 USD"
                );
                return Err(Error::invalid(field, "INVALID", message));
            }
        }
        Ok(())
    }
}

/// Whose budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A coworker's: its own runs.
    Coworker(CoworkerId),
    /// A workspace's: all runs.
    Workspace(WorkspaceId),
}

impl Scope {
    /// What rows know it by.
    pub const fn id(self) -> Uuid {
        match self {
            Self::Coworker(id) => id.0,
            Self::Workspace(id) => id.0,
        }
    }
}

/// One budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose.
    pub scope: Scope,
    /// For which span of time.
    pub period: BudgetPeriod,
}

impl Key {
    /// The budgets that have a limit among those of a scope, each with its limit.
    pub fn limited(
        scope: Scope,
        daily: Option<i64>,
        monthly: Option<i64>,
    ) -> impl Iterator<Item = (Self, i64)> {
        let both = [(BudgetPeriod::Day, daily), (BudgetPeriod::Month, monthly)];
        both.into_iter()
            .filter_map(move |(period, limit)| Some((Self { scope, period }, limit?)))
    }

    /// What it is called: `the workspace's daily budget`.
    pub const fn words(self) -> &'static str {
        match (self.scope, self.period) {
            (Scope::Coworker(_), BudgetPeriod::Day) => "the coworker's daily budget",
            (Scope::Coworker(_), BudgetPeriod::Month) => "the coworker's monthly budget",
            (Scope::Workspace(_), BudgetPeriod::Day) => "the workspace's daily budget",
            (Scope::Workspace(_), BudgetPeriod::Month) => "the workspace's monthly budget",
        }
    }
}

/// When the day or month began that a moment lies in.
pub fn starts(period: BudgetPeriod, at: Millis) -> Millis {
    edge(period, at, 0)
}

/// When the day or month ends that a moment lies in, and the next one begins.
pub fn resets(period: BudgetPeriod, at: Millis) -> Millis {
    edge(period, at, 1)
}

fn edge(period: BudgetPeriod, at: Millis, later: u32) -> Millis {
    const DAY: i64 = 24 * 3_600_000;
    let day = at.0.div_euclid(DAY);
    let days = match period {
        BudgetPeriod::Day => Some(day + i64::from(later)),
        BudgetPeriod::Month => month_edge(day * DAY, later).map(|ms| ms.div_euclid(DAY)),
    };
    // Moments that the calendar does not reach have no month; they do not occur.
    Millis(days.unwrap_or(day).saturating_mul(DAY))
}

fn month_edge(ms: i64, later: u32) -> Option<i64> {
    let date = DateTime::from_timestamp_millis(ms)?.date_naive();
    let first = NaiveDate::from_ymd_opt(date.year(), date.month(), 1)?;
    let first = first.checked_add_months(Months::new(later))?;
    Some(first.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis(
            DateTime::parse_from_rfc3339(text)
                .expect("a moment")
                .timestamp_millis(),
        )
    }

    #[test]
    fn days_and_months_are_those_of_utc() {
        let moment = at("2026-12-31T23:59:59.999Z");
        for (period, begins, ends) in [
            (
                BudgetPeriod::Day,
                "2026-12-31T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                BudgetPeriod::Month,
                "2026-12-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
        ] {
            assert_eq!(starts(period, moment), at(begins));
            assert_eq!(resets(period, moment), at(ends));
            assert_eq!(starts(period, at(begins)), at(begins));
        }
        assert_eq!(
            resets(BudgetPeriod::Month, at("2028-02-29T12:00:00+05:00")),
            at("2028-03-01T00:00:00Z")
        );
    }
}

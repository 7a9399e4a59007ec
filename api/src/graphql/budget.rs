//! What runs together may cost, and what of it is used.

use async_graphql::{Context, InputObject, SimpleObject};
use domain::budget::{self, Key, Scope, Standing};
use entity::BudgetPeriod;

use super::context::ContextExt as _;
use super::error::Result;
use super::scalar::{DateTime, Decimal};

/// The points of adding a budget up.
pub const LOOK: usize = 10;

/// What runs together may cost by day and month, and what of it is used. Before a model is called, what the call may cost at the most is
/// reserved; where that is not there, the run ends, and dispatches are dropped until the next day or month begins. A tenth is held back for
/// closing turns.
#[derive(SimpleObject)]
pub struct Budget {
    /// The budget of the day (UTC); null: no limit.
    pub daily: Option<BudgetStanding>,
    /// The budget of the month (UTC); null: no limit.
    pub monthly: Option<BudgetStanding>,
}

/// How a budget stands in the current day or month. A call counts where it ends.
#[derive(SimpleObject)]
pub struct BudgetStanding {
    /// What may be spent, USD.
    pub limit: Decimal,
    /// What calls cost so far. A call whose cost is not known counts with what it may have cost at the most.
    pub spent: Decimal,
    /// What the calls under way may cost at the most.
    pub reserved: Decimal,
    /// What is neither spent nor reserved.
    pub remaining: Decimal,
    /// Whether it is used up: a call could not be paid for, and dispatches are dropped with the reason BUDGET_EXHAUSTED. Raising the budget or the next day or month ends that.
    pub exhausted: bool,
    /// When the next day or month begins.
    pub resets_at: DateTime,
}

impl From<Standing> for BudgetStanding {
    fn from(standing: Standing) -> Self {
        let remaining = Decimal(standing.remaining());
        let Standing {
            limit,
            spent,
            reserved,
            exhausted,
            resets_at,
        } = standing;
        Self {
            limit: Decimal(limit),
            spent: Decimal(spent),
            reserved: Decimal(reserved),
            remaining,
            exhausted,
            resets_at: DateTime(resets_at),
        }
    }
}

impl Budget {
    /// How the budgets of a scope stand that have these limits.
    ///
    /// # Errors
    /// As [`budget::standing`].
    pub async fn of(
        ctx: &Context<'_>,
        scope: Scope,
        daily: Option<i64>,
        monthly: Option<i64>,
    ) -> Result<Self> {
        ctx.actor().authorize(domain::access::Action::MetricsRead)?;
        let mut found = Self {
            daily: None,
            monthly: None,
        };
        let store = ctx.store();
        for (key, _) in Key::limited(scope, daily, monthly) {
            let standing = budget::standing(store.read(), ctx.actor(), key, store.now()).await?;
            let standing = standing.map(BudgetStanding::from);
            match key.period {
                BudgetPeriod::Day => found.daily = standing,
                BudgetPeriod::Month => found.monthly = standing,
            }
        }
        Ok(found)
    }
}

/// What runs together may cost. What is left out has no limit.
#[derive(InputObject, Clone, Copy, Debug)]
pub struct BudgetInput {
    /// In a day (UTC), USD.
    pub daily: Option<Decimal>,
    /// In a month (UTC), USD.
    pub monthly: Option<Decimal>,
}

impl From<BudgetInput> for budget::Budget {
    fn from(BudgetInput { daily, monthly }: BudgetInput) -> Self {
        Self {
            daily_nano: daily.map(|usd| usd.0),
            monthly_nano: monthly.map(|usd| usd.0),
        }
    }
}

//! What model calls cost.

use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};
use domain::metric::cost::{self, CostLine as Line, Costs, Points};
use domain::metric::group::Group;
use domain::metric::measure::{Measure, Sums};
use domain::metric::query::{Scope, Totals};
use entity::{Millis, run};
use tokio::sync::OnceCell;

use crate::graphql::context::ContextExt as _;
use crate::graphql::error::Result;
use crate::graphql::kind::{Pricing, TokenKind};
use crate::graphql::scalar::{DateTime, Decimal, Int64, int};

/// What model calls cost. The lines are read only when a field asks for them; so is everything at
/// current prices.
pub struct Cost {
    calls: Calls,
    pricing: Pricing,
    /// What is recorded besides the lines.
    recorded: Recorded,
    read: OnceCell<cost::Cost>,
}

/// The calls that a cost is of.
#[derive(Clone)]
pub enum Calls {
    /// Those of a scope.
    Of(Scope),
    /// Those of one point of a series.
    Point {
        /// The series' costs.
        series: Arc<SeriesCosts>,
        /// The point's group.
        group: Arc<Group>,
        /// The place of its interval.
        place: usize,
    },
}

impl From<Scope> for Calls {
    fn from(scope: Scope) -> Self {
        Self::Of(scope)
    }
}

/// The costs of all points of a series: read together, with the first one that is asked for.
pub struct SeriesCosts {
    points: Points,
    at_run: OnceCell<domain::Result<Costs>>,
    current: OnceCell<domain::Result<Costs>>,
}

impl SeriesCosts {
    /// Those of these points.
    pub fn of(points: Points) -> Self {
        Self {
            points,
            at_run: OnceCell::new(),
            current: OnceCell::new(),
        }
    }

    /// Those of one point.
    async fn at(
        &self,
        ctx: &Context<'_>,
        pricing: Pricing,
        group: &Group,
        place: usize,
    ) -> domain::Result<cost::Cost> {
        let all = match pricing {
            Pricing::AtRun => &self.at_run,
            Pricing::Current => &self.current,
        };
        // What went wrong is kept, too: thousands of points must not try again.
        let all = all.get_or_init(async || {
            let pricing = priced(pricing, ctx.store().now());
            self.points.costs(ctx.store(), ctx.actor(), pricing).await
        });
        let all = all.await.as_ref().map_err(domain::Error::clone)?;
        let found = all.get(group).and_then(|points| points.get(&place));
        Ok(found.cloned().unwrap_or_default())
    }
}

fn priced(pricing: Pricing, now: Millis) -> cost::Pricing {
    match pricing {
        Pricing::AtRun => cost::Pricing::AtRun,
        Pricing::Current => cost::Pricing::Current(now),
    }
}

/// What rows of runs hold of a cost.
#[derive(Clone, Copy)]
pub struct Recorded {
    amount: i64,
    unpriced_calls: i64,
    unknown_calls: i64,
    estimated: i64,
}

impl From<&run::Model> for Recorded {
    fn from(run: &run::Model) -> Self {
        let (unpriced_calls, unknown_calls) = (run.unpriced_calls.into(), run.unknown_calls.into());
        Self {
            amount: run.cost_nano,
            unpriced_calls,
            unknown_calls,
            estimated: run.estimated_nano,
        }
    }
}

impl From<&Sums> for Recorded {
    fn from(sums: &Sums) -> Self {
        Self {
            amount: sums[Measure::Cost],
            unpriced_calls: sums[Measure::UnpricedCalls],
            unknown_calls: sums[Measure::UnknownCalls],
            estimated: sums[Measure::Estimated],
        }
    }
}

impl From<&Totals> for Recorded {
    fn from(totals: &Totals) -> Self {
        let Totals {
            cost_nano,
            unpriced_calls,
            unknown_calls,
            estimated_nano,
            ..
        } = *totals;
        Self {
            amount: cost_nano,
            unpriced_calls,
            unknown_calls,
            estimated: estimated_nano,
        }
    }
}

impl Cost {
    /// What calls cost, of which the rows hold `recorded`.
    pub fn of(calls: impl Into<Calls>, pricing: Pricing, recorded: Recorded) -> Self {
        Self {
            calls: calls.into(),
            pricing,
            recorded,
            read: OnceCell::new(),
        }
    }

    async fn read(&self, ctx: &Context<'_>) -> Result<&cost::Cost> {
        let store = ctx.store();
        // Boxed, for it is rare: else each field of each point of a series would carry room for it.
        let read = self.read.get_or_try_init(async || match &self.calls {
            Calls::Of(scope) => {
                let pricing = priced(self.pricing, store.now());
                Box::pin(cost::cost(store.read(), ctx.actor(), scope, pricing)).await
            }
            Calls::Point {
                series,
                group,
                place,
            } => Box::pin(series.at(ctx, self.pricing, group, *place)).await,
        });
        Ok(Box::pin(read).await?)
    }

    async fn head(&self, ctx: &Context<'_>) -> Result<Recorded> {
        if self.pricing == Pricing::AtRun {
            return Ok(self.recorded);
        }
        let cost::Cost {
            amount,
            unpriced_calls,
            unknown_calls,
            lines: _,
        } = *self.read(ctx).await?;
        Ok(Recorded {
            amount,
            unpriced_calls,
            unknown_calls,
            estimated: self.recorded.estimated,
        })
    }
}

/// What model calls cost. Calls without a price or with unknown usage are counted, never taken as free.
#[Object]
impl Cost {
    /// The sum over the priced calls; null where there were calls and none of them is priced.
    async fn amount(&self, ctx: &Context<'_>) -> Option<Result<Decimal>> {
        let amount = self.head(ctx).await.map(|head| {
            let unknown = head.amount == 0 && head.unpriced_calls + head.unknown_calls > 0;
            (!unknown).then_some(Decimal(head.amount))
        });
        amount.transpose()
    }

    /// The currency: always `USD`.
    async fn currency(&self) -> &'static str {
        "USD"
    }

    /// Whether `amount` holds every call: none is unpriced, and none has unknown usage.
    async fn priced(&self, ctx: &Context<'_>) -> Result<bool> {
        let head = self.head(ctx).await?;
        Ok(head.unpriced_calls == 0 && head.unknown_calls == 0)
    }

    /// Calls whose model had no price.
    async fn unpriced_calls(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(int(self.head(ctx).await?.unpriced_calls))
    }

    /// Calls that broke off before their usage was known.
    async fn unknown_calls(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(int(self.head(ctx).await?.unknown_calls))
    }

    /// What the calls whose cost is not known may have cost at the most, as it was reserved for them: not in `amount`, and charged to budgets. 0 where none was reserved.
    async fn estimated_amount(&self) -> Decimal {
        Decimal(self.recorded.estimated)
    }

    /// The sum, line by line: one per model, kind of tokens and price.
    #[graphql(complexity = "1 + 5 * child_complexity")]
    async fn lines(&self, ctx: &Context<'_>) -> Result<Vec<CostLine>> {
        Ok(self
            .read(ctx)
            .await?
            .lines
            .iter()
            .map(CostLine::from)
            .collect())
    }
}

/// Tokens of one model and one kind at one price.
#[derive(SimpleObject)]
pub struct CostLine {
    /// The model, as prices and metrics name it: `scripted`.
    pub model: String,
    /// The kind of tokens.
    pub kind: TokenKind,
    /// How many.
    pub tokens: Int64,
    /// USD per million tokens; null: unpriced.
    pub unit_price: Option<Decimal>,
    /// From when on that price holds; null: unpriced.
    pub effective_from: Option<DateTime>,
    /// What they cost; null: unpriced.
    pub amount: Option<Decimal>,
}

impl From<&Line> for CostLine {
    fn from(
        Line {
            model,
            kind,
            tokens,
            price,
        }: &Line,
    ) -> Self {
        Self {
            model: model.clone(),
            kind: (*kind).into(),
            tokens: Int64(*tokens),
            unit_price: price.map(|price| Decimal(price.unit)),
            effective_from: price.map(|price| DateTime(price.effective_from)),
            amount: price.map(|price| Decimal(price.amount)),
        }
    }
}

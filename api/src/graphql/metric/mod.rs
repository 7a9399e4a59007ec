//! What runs used, what it cost, and how the workforce did.

mod query;
mod usage;

use async_graphql::{Context, InputObject, Object, SimpleObject};
use domain::metric::cost::{self, CostLine as Line};
use domain::metric::query::{self as metric, Scope, Totals};
use entity::{Millis, run};
use tokio::sync::OnceCell;

pub use query::{MetricQuery, MetricsFilter};
pub use usage::{Usage, UsageComponent};

use super::context::ContextExt as _;
use super::error::Result;
use super::kind::{Pricing, TokenKind};
use super::scalar::{DateTime, DateTimeOrDuration, Decimal, Duration, Int64, int, storable};

/// What model calls cost. The lines are read only when a field asks for them; so is everything at
/// current prices.
pub struct Cost {
    scope: Scope,
    pricing: Pricing,
    /// What is recorded besides the lines.
    recorded: Recorded,
    read: OnceCell<cost::Cost>,
}

/// What rows of runs hold of a cost.
#[derive(Clone, Copy)]
pub struct Recorded {
    amount: i64,
    unpriced_calls: i64,
    unknown_calls: i64,
}

impl From<&run::Model> for Recorded {
    fn from(run: &run::Model) -> Self {
        let (unpriced_calls, unknown_calls) = (run.unpriced_calls.into(), run.unknown_calls.into());
        Self {
            amount: run.cost_nano,
            unpriced_calls,
            unknown_calls,
        }
    }
}

impl From<&Totals> for Recorded {
    fn from(totals: &Totals) -> Self {
        let Totals {
            cost_nano,
            unpriced_calls,
            unknown_calls,
            ..
        } = *totals;
        Self {
            amount: cost_nano,
            unpriced_calls,
            unknown_calls,
        }
    }
}

impl Cost {
    /// What a scope's calls cost, of which the rows hold `recorded`.
    pub fn of(scope: Scope, pricing: Pricing, recorded: Recorded) -> Self {
        Self {
            scope,
            pricing,
            recorded,
            read: OnceCell::new(),
        }
    }

    async fn read(&self, ctx: &Context<'_>) -> Result<&cost::Cost> {
        let store = ctx.store();
        let pricing = match self.pricing {
            Pricing::AtRun => cost::Pricing::AtRun,
            Pricing::Current => cost::Pricing::Current(store.now()),
        };
        let read = self.read.get_or_try_init(async || {
            cost::cost(store.read(), ctx.actor(), &self.scope, pricing).await
        });
        Ok(read.await?)
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

/// A span of time: from `start` on, up to but without `end`.
#[derive(InputObject, Clone, Debug)]
pub struct TimeRangeInput {
    /// Its first moment.
    pub start: DateTimeOrDuration,
    /// The moment at which it ends; now without it.
    pub end: Option<DateTimeOrDuration>,
}

impl TimeRangeInput {
    /// Its first moment, and the one after its last.
    ///
    /// # Errors
    /// `INVALID` for a span that ends before it begins, or moments that no calendar has.
    pub fn resolve(self, now: Millis) -> domain::Result<(Millis, Millis)> {
        let start = storable(self.start.resolve(now), "range.start")?;
        // What starts in this very millisecond is part of a span that goes on until now.
        let end = self.end.map_or(now.plus(1), |end| end.resolve(now));
        let end = storable(end, "range.end")?;
        if start > end {
            return Err(domain::Error::invalid(
                "range",
                "INVALID",
                "`range.end` lies before `range.start`",
            ));
        }
        Ok((start, end))
    }
}

/// Figures of a span of time.
pub struct Metrics {
    start: Millis,
    end: Millis,
    totals: MetricsTotals,
}

impl Metrics {
    /// The figures of a scope that spans from `start` to `end`.
    ///
    /// # Errors
    /// `FORBIDDEN` for those who may not see metrics.
    pub async fn of(ctx: &Context<'_>, scope: Scope, start: Millis, end: Millis) -> Result<Self> {
        let totals = metric::totals(ctx.store().read(), ctx.actor(), &scope).await?;
        Ok(Self {
            start,
            end,
            totals: MetricsTotals { scope, totals },
        })
    }
}

/// What the workforce did and what it cost in a span of time: everything about the runs that started in it.
#[Object]
impl Metrics {
    /// The first moment of the span.
    async fn start(&self) -> DateTime {
        DateTime(self.start)
    }

    /// The moment at which the span ends.
    async fn end(&self) -> DateTime {
        DateTime(self.end)
    }

    /// All runs of the span together.
    async fn totals(&self) -> &MetricsTotals {
        &self.totals
    }
}

/// Figures over all runs of a span of time.
pub struct MetricsTotals {
    scope: Scope,
    totals: Totals,
}

/// Figures over all runs of a span of time.
#[Object]
impl MetricsTotals {
    /// Runs that started in the span.
    async fn runs(&self) -> i32 {
        int(self.totals.runs)
    }

    /// Of these, those that go on, paused ones included.
    async fn active(&self) -> i32 {
        int(self.totals.active)
    }

    /// Of these, those that completed.
    async fn completed(&self) -> i32 {
        int(self.totals.completed)
    }

    /// Of these, those that failed.
    async fn failed(&self) -> i32 {
        int(self.totals.failed)
    }

    /// Model calls whose usage is recorded, unknown ones included.
    async fn model_calls(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(int(metric::model_calls(
            ctx.store().read(),
            ctx.actor(),
            &self.scope,
        )
        .await?))
    }

    /// Model turns.
    async fn turns(&self) -> Int64 {
        Int64(self.totals.turns)
    }

    /// Tool calls, refused ones included.
    async fn tool_calls(&self) -> Int64 {
        Int64(self.totals.tool_calls)
    }

    /// The tokens that they used.
    async fn usage(&self) -> Usage {
        Usage::of_totals(self.scope.clone(), &self.totals)
    }

    /// What they cost.
    async fn cost(
        &self,
        #[graphql(desc = "At which prices.", default_with = "Pricing::AtRun")] pricing: Pricing,
    ) -> Cost {
        Cost::of(self.scope.clone(), pricing, Recorded::from(&self.totals))
    }

    /// How long those that ended took.
    async fn duration(&self) -> DurationQuantiles {
        DurationQuantiles {
            scope: self.scope.clone(),
        }
    }
}

/// How long runs took.
pub struct DurationQuantiles {
    scope: Scope,
}

/// How long runs took. Nearest rank: each figure is the duration of a run that exists.
#[Object]
impl DurationQuantiles {
    /// Half of the runs took at most this long; null: none has ended.
    async fn p50(&self, ctx: &Context<'_>) -> Option<Result<Duration>> {
        self.quantile(ctx, 50).await
    }

    /// 95 of 100 runs took at most this long; null: none has ended.
    async fn p95(&self, ctx: &Context<'_>) -> Option<Result<Duration>> {
        self.quantile(ctx, 95).await
    }
}

impl DurationQuantiles {
    async fn quantile(&self, ctx: &Context<'_>, percent: u64) -> Option<Result<Duration>> {
        let found =
            metric::duration_quantile(ctx.store().read(), ctx.actor(), &self.scope, percent).await;
        found
            .map(|ms| ms.map(Duration))
            .map_err(super::error::Error::from)
            .transpose()
    }
}

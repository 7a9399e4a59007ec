//! Figures interval by interval, and how they change.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, Object, SimpleObject};
use domain::metric::cost::Points;
use domain::metric::group::{Dimension, Group};
use domain::metric::measure::{Measure, Sums};
use domain::metric::series::{Point, Series, Span};
use domain::metric::trend::{Cause, CauseKind, Change, Trend};
use entity::{CoworkerId, coworker};

use super::cost::{Calls, SeriesCosts};
use super::totals::MetricsTotals;
use crate::graphql::context::ContextExt as _;
use crate::graphql::coworker::Coworker;
use crate::graphql::error::Result;
use crate::graphql::kind::{CostCauseKind, RequestSource, RunOutcome, Trigger, UsageComponentKind};
use crate::graphql::scalar::{DateTime, Decimal, Int64};

/// What the runs of a group have in common.
pub struct MetricsGroup {
    group: Arc<Group>,
    coworker: Option<Coworker>,
}

/// The coworkers of groups, where they are asked for.
pub(super) struct Coworkers(HashMap<CoworkerId, coworker::Model>);

impl Coworkers {
    /// All of them in one statement: an answer may have a thousand groups, and as they are rendered one after the other, some
    /// would be asked for while the others wait.
    pub(super) async fn of(
        ctx: &Context<'_>,
        groups: impl Iterator<Item = &Group>,
    ) -> Result<Self> {
        if !ctx.look_ahead().field("group").field("coworker").exists() {
            return Ok(Self(HashMap::new()));
        }
        let mut ids: Vec<_> = groups.filter_map(|group| group.coworker).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(Self(ctx.loaders().rows(&ids).await?))
    }

    fn group(&self, group: Arc<Group>) -> MetricsGroup {
        let coworker = group.coworker.and_then(|id| self.0.get(&id));
        MetricsGroup {
            coworker: coworker.cloned().map(Coworker),
            group,
        }
    }
}

/// What the runs of a group have in common. What figures are not kept apart by is null.
#[Object]
impl MetricsGroup {
    /// The coworker.
    async fn coworker(&self) -> Option<&Coworker> {
        self.coworker.as_ref()
    }

    /// The model, as prices name it.
    async fn model(&self) -> Option<&str> {
        self.group.model.as_deref()
    }

    /// Where the requests came from.
    async fn source(&self) -> Option<RequestSource> {
        self.group.source.map(RequestSource::from)
    }

    /// What started the runs.
    async fn trigger(&self) -> Option<Trigger> {
        self.group.trigger.map(Trigger::from)
    }

    /// How the runs ended; also null for those that failed, and for calls of runs that go on.
    async fn outcome(&self) -> Option<RunOutcome> {
        self.group.outcome.map(RunOutcome::from)
    }
}

/// The figures of one group, interval by interval.
#[derive(SimpleObject)]
pub struct MetricsSeries {
    /// The group.
    pub group: MetricsGroup,
    /// One for each interval of the span, in the order of time.
    pub points: Vec<MetricsPoint>,
}

/// One interval of a series.
#[derive(SimpleObject)]
pub struct MetricsPoint {
    /// Its first moment.
    pub start: DateTime,
    /// The moment at which it ends.
    pub end: DateTime,
    /// Its figures.
    pub totals: MetricsTotals,
}

impl MetricsSeries {
    /// The series of a span.
    pub(super) fn all(
        span: &Span,
        by: Vec<Dimension>,
        coworkers: &Coworkers,
        series: Vec<Series>,
    ) -> Vec<Self> {
        let intervals = series.first().map_or_else(Vec::new, |one| {
            let points = one.points.iter();
            points.map(|point| (point.start, point.end)).collect()
        });
        let costs = Arc::new(SeriesCosts::of(Points {
            intervals,
            which: span.which.clone(),
            by,
        }));
        let series = series.into_iter();
        series.map(|one| Self::of(&costs, coworkers, one)).collect()
    }

    fn of(
        costs: &Arc<SeriesCosts>,
        coworkers: &Coworkers,
        Series { group, points }: Series,
    ) -> Self {
        let group = Arc::new(group);
        let points = points
            .into_iter()
            .enumerate()
            .map(|(place, Point { start, end, fact })| MetricsPoint {
                start: DateTime(start),
                end: DateTime(end),
                totals: {
                    let (series, group) = (costs.clone(), group.clone());
                    let calls = Calls::Point {
                        series,
                        group,
                        place,
                    };
                    MetricsTotals::of(calls, fact)
                },
            });
        Self {
            points: points.collect(),
            group: coworkers.group(group),
        }
    }
}

/// How one group changes from interval to interval.
#[derive(SimpleObject)]
pub struct MetricsTrend {
    /// The group.
    pub group: MetricsGroup,
    /// One for each whole interval of the span, in the order of time.
    pub changes: Vec<MetricsChange>,
}

/// How figures changed from one interval to the next.
#[derive(SimpleObject)]
pub struct MetricsChange {
    /// The first moment of the later interval.
    pub start: DateTime,
    /// The moment at which it ends.
    pub end: DateTime,
    /// Runs that ended.
    pub runs: CountChange,
    /// Tokens that models read, what came from a cache included.
    pub input_tokens: CountChange,
    /// Of these, those that came from a cache.
    pub cached_tokens: CountChange,
    /// Tokens that models wrote.
    pub output_tokens: CountChange,
    /// What it cost: the sum over the priced calls; not known where there were calls and none of them is priced.
    pub cost: AmountChange,
    /// What it cost by run that ended; not known without such runs, or where no call is priced.
    pub cost_per_run: AmountChange,
    /// Calls whose model had no price: they are in no amount.
    pub unpriced_calls: CountChange,
    /// Calls that broke off before their usage was known: they are in no amount.
    pub unknown_calls: CountChange,
    /// Why the cost changed; empty where `cost.absolute` is not known. The amounts add up to `cost.absolute`, to the nano-dollar; causes without effect are left out. They are found one
    /// after the other, in the order in which `CostCauseKind` lists them: each time, one more thing is put as it is now instead of as it was
    /// before, and the difference that this makes to the cost is the cause's. Where there was nothing in one of the two intervals, all of the
    /// change is that of the runs.
    pub causes: Vec<CostCause>,
}

/// How a count changed.
#[derive(SimpleObject)]
pub struct CountChange {
    /// In the interval before.
    pub before: Int64,
    /// In the later one.
    pub now: Int64,
    /// The difference.
    pub absolute: Int64,
    /// The difference as a part of what it was before: 0.25 is a quarter more. Null where it was 0.
    pub relative: Option<f64>,
}

/// How an amount of money changed, USD.
#[derive(SimpleObject)]
pub struct AmountChange {
    /// In the interval before; null: not known.
    pub before: Option<Decimal>,
    /// In the later one; null: not known.
    pub now: Option<Decimal>,
    /// The difference; null where one of the two is not known.
    pub absolute: Option<Decimal>,
    /// The difference as a part of what it was before: 0.25 is a quarter more. Null where it was 0 or is not known.
    pub relative: Option<f64>,
}

/// Something that made the cost change.
#[derive(SimpleObject)]
pub struct CostCause {
    /// What.
    pub kind: CostCauseKind,
    /// Of INPUT_TOKENS: the tokens of which part of the prompts; null: of parts that are not known.
    pub component: Option<UsageComponentKind>,
    /// By how much the cost changed by it, USD; negative: it became cheaper.
    pub amount: Decimal,
}

impl MetricsTrend {
    pub(super) fn of(coworkers: &Coworkers, Trend { group, changes }: Trend) -> Self {
        Self {
            group: coworkers.group(Arc::new(group)),
            changes: changes.into_iter().map(MetricsChange::from).collect(),
        }
    }
}

impl From<Change> for MetricsChange {
    fn from(
        Change {
            start,
            end,
            before,
            now,
            causes,
        }: Change,
    ) -> Self {
        let count = |of: &dyn Fn(&Sums) -> i64| CountChange::of(of(&before.sums), of(&now.sums));
        let amount =
            |of: &dyn Fn(&Sums) -> Option<i64>| AmountChange::of(of(&before.sums), of(&now.sums));
        Self {
            start: DateTime(start),
            end: DateTime(end),
            runs: count(&|sums| sums[Measure::Runs]),
            input_tokens: count(&Sums::input),
            cached_tokens: count(&|sums| sums[Measure::CacheRead]),
            output_tokens: count(&|sums| sums[Measure::Output]),
            cost: amount(&Sums::cost),
            cost_per_run: amount(&Sums::cost_per_run),
            unpriced_calls: count(&|sums| sums[Measure::UnpricedCalls]),
            unknown_calls: count(&|sums| sums[Measure::UnknownCalls]),
            causes: causes.into_iter().map(CostCause::from).collect(),
        }
    }
}

impl From<Cause> for CostCause {
    fn from(Cause { kind, amount }: Cause) -> Self {
        let (kind, component) = match kind {
            CauseKind::Runs => (CostCauseKind::Runs, None),
            CauseKind::ModelMix => (CostCauseKind::ModelMix, None),
            CauseKind::Input(part) => (
                CostCauseKind::InputTokens,
                part.map(UsageComponentKind::from),
            ),
            CauseKind::Output => (CostCauseKind::OutputTokens, None),
            CauseKind::Cache => (CostCauseKind::Cache, None),
            CauseKind::Price => (CostCauseKind::Price, None),
        };
        Self {
            kind,
            component,
            amount: Decimal(amount),
        }
    }
}

impl CountChange {
    fn of(before: i64, now: i64) -> Self {
        Self {
            before: Int64(before),
            now: Int64(now),
            absolute: Int64(now - before),
            relative: relative(before, now),
        }
    }
}

impl AmountChange {
    fn of(before: Option<i64>, now: Option<i64>) -> Self {
        let both = before.zip(now);
        Self {
            before: before.map(Decimal),
            now: now.map(Decimal),
            absolute: both.map(|(before, now)| Decimal(now - before)),
            relative: both.and_then(|(before, now)| relative(before, now)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
fn relative(before: i64, now: i64) -> Option<f64> {
    (before != 0).then(|| (now - before) as f64 / before as f64)
}

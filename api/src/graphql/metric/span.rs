//! Spans of time, and the figures of one.

use std::sync::Arc;

use async_graphql::{Context, InputObject, Object};
use domain::access::Action;
use domain::metric::query::Scope;
use domain::metric::rollup;
use domain::metric::series::{self, Span};
use domain::metric::trend::trend;
use entity::Millis;

use super::query::{MetricsFilter, which};
use super::series::{Coworkers, MetricsSeries, MetricsTrend};
use super::totals::{MetricsTotals, wanted};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::kind::{MetricsDimension, MetricsInterval};
use crate::graphql::scalar::{DateTime, DateTimeOrDuration, TimeZone, storable};

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
    span: Span,
}

impl Metrics {
    /// The figures of a span, of the runs that `filter` lets through.
    ///
    /// # Errors
    /// `FORBIDDEN` for those who may not see metrics; `BAD_USER_INPUT` for a span or a filter that can't be meant.
    pub async fn of(
        ctx: &Context<'_>,
        range: TimeRangeInput,
        zone: Option<TimeZone>,
        filter: Option<&MetricsFilter>,
    ) -> Result<Self> {
        let (store, actor) = (ctx.store(), ctx.actor());
        actor.authorize(Action::MetricsRead)?;
        let now = store.now();
        let (start, end) = range.resolve(now)?;
        let zone = match zone {
            Some(zone) => zone.0,
            None => rollup::zone_of(store.read(), actor.workspace).await?,
        };
        let which = which(filter, now)?;
        Ok(Self {
            span: Span {
                start,
                end,
                zone,
                which: Arc::new(which),
            },
        })
    }
}

/// What the workforce did and what it cost in a span of time. A model call counts at the moment at which it ended, a run at the moment at
/// which it ended. Figures hold everything that was committed when they were read.
#[Object]
impl Metrics {
    /// The first moment of the span.
    async fn start(&self) -> DateTime {
        DateTime(self.span.start)
    }

    /// The moment at which the span ends.
    async fn end(&self) -> DateTime {
        DateTime(self.span.end)
    }

    /// The time zone in which days, weeks and months begin.
    async fn time_zone(&self) -> TimeZone {
        TimeZone(self.span.zone)
    }

    /// The whole span together.
    async fn totals(&self, ctx: &Context<'_>) -> Result<MetricsTotals> {
        let fact = series::totals(
            ctx.store(),
            ctx.actor(),
            &self.span,
            wanted(&ctx.look_ahead()),
        )
        .await?;
        let scope = Scope::Span {
            which: self.span.which.clone(),
            start: self.span.start,
            end: self.span.end,
        };
        Ok(MetricsTotals::of(scope.into(), fact))
    }

    /// The span interval by interval: a row for each group in which there was anything, with a point for each interval, also for those in
    /// which there was nothing. The first and the last interval are cut to the span. At most 1100 intervals and 50000 points.
    #[graphql(complexity = "20 + 10 * child_complexity")]
    async fn series(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How long the intervals are.")] interval: MetricsInterval,
        #[graphql(
            desc = "By what figures are kept apart; all together without it.",
            default
        )]
        by: Vec<MetricsDimension>,
    ) -> Result<Vec<MetricsSeries>> {
        let by = dimensions(&by)?;
        let wanted = wanted(&ctx.look_ahead().field("points").field("totals"));
        let found = series::series(
            ctx.store(),
            ctx.actor(),
            &self.span,
            interval.into(),
            &by,
            wanted,
        )
        .await?;
        let coworkers = Coworkers::of(ctx, found.iter().map(|series| &series.group)).await?;
        Ok(MetricsSeries::all(&self.span, by, &coworkers, found))
    }

    /// How the figures change from one interval to the next, group by group, and why the cost did. Only whole intervals of the span are
    /// compared, each with the one before it; the first of them with the one before the span.
    #[graphql(complexity = "20 + 10 * child_complexity")]
    async fn trend(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How long the intervals are.")] interval: MetricsInterval,
        #[graphql(
            desc = "By what figures are kept apart; all together without it.",
            default
        )]
        by: Vec<MetricsDimension>,
    ) -> Result<Vec<MetricsTrend>> {
        let by = dimensions(&by)?;
        let found = trend(ctx.store(), ctx.actor(), &self.span, interval.into(), &by).await?;
        let coworkers = Coworkers::of(ctx, found.iter().map(|trend| &trend.group)).await?;
        Ok(found
            .into_iter()
            .map(|trend| MetricsTrend::of(&coworkers, trend))
            .collect())
    }
}

/// The dimensions, each once.
fn dimensions(by: &[MetricsDimension]) -> Result<Vec<domain::metric::group::Dimension>> {
    let mut dimensions: Vec<_> = by
        .iter()
        .copied()
        .map(domain::metric::group::Dimension::from)
        .collect();
    dimensions.sort_unstable();
    dimensions.dedup();
    if dimensions.len() < by.len() {
        return Err(Error::from(domain::Error::invalid(
            "by",
            "INVALID",
            "`by` names a dimension twice",
        )));
    }
    Ok(dimensions)
}

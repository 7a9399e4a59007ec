//! Queries for metrics and prices.

use async_graphql::{Context, ID, InputObject, Object};
use domain::metric::cost;
use domain::metric::group::Which;
use entity::{CoworkerId, Millis, request, run, usage_rollup};
use sea_orm::sea_query::{Expr, Func};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait as _, QueryFilter as _, QuerySelect as _, QueryTrait as _,
};

use super::{Metrics, TimeRangeInput};
use crate::graphql::admin::ModelPrice;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::filter::{
    Comparator as _, IdComparator, RequestSourceComparator, RunOutcomeComparator, StringComparator,
    Terms, TriggerComparator, Where,
};
use crate::graphql::scalar::{DateTime, TimeZone};

/// The most price rows of an answer.
const MOST: usize = 1_000;

/// Which runs metrics count, and the model calls of which. Fields given together must all hold.
#[derive(InputObject, Clone, Debug, Default)]
pub struct MetricsFilter {
    /// By the global id of the coworker.
    pub coworker: Option<IdComparator>,
    /// By the model, as prices and metrics name it.
    pub model: Option<StringComparator>,
    /// By where the request came from.
    pub source: Option<RequestSourceComparator>,
    /// By what started the run.
    pub trigger: Option<TriggerComparator>,
    /// By how the run ended.
    pub outcome: Option<RunOutcomeComparator>,
}

impl MetricsFilter {
    /// Those that only one coworker's runs pass.
    pub fn of_coworker(id: ID) -> Self {
        Self {
            coworker: Some(IdComparator::one(id)),
            ..Self::default()
        }
    }

    /// The condition over columns of whatever table holds them, `outcome` being null where there is none; where the request came
    /// from is left to the caller.
    fn over<C: ColumnTrait>(
        &self,
        terms: &mut Terms,
        [coworker, model, trigger]: [C; 3],
        outcome: &Expr,
    ) -> domain::Result<Condition> {
        let mut all = Where::new(terms);
        all.by_id::<CoworkerId>(&self.coworker, coworker)?;
        all.by(&self.model, model)?;
        all.by(&self.trigger, trigger)?;
        if let Some(outcomes) = &self.outcome {
            outcomes.compare(outcome, &mut all)?;
        }
        Ok(all.done())
    }
}

/// What a filter lets through, as it is asked of rollups and of runs.
pub(super) fn which(filter: Option<&MetricsFilter>, now: Millis) -> domain::Result<Which> {
    use {run::Column as R, usage_rollup::Column as U};
    let Some(filter) = filter else {
        return Ok(Which::default());
    };
    let mut terms = Terms::at(now);
    // Part of a rollup's key, so never null: empty says that there is none.
    let outcome = Func::cust("NULLIF").args([U::Outcome.into_expr(), Expr::val("")]);
    let rollups = filter.over(
        &mut terms,
        [U::CoworkerId, U::Model, U::Trigger],
        &outcome.into(),
    )?;
    let runs = filter.over(
        &mut Terms::at(now),
        [R::CoworkerId, R::Model, R::Trigger],
        &R::Outcome.into_expr(),
    )?;
    let mut of_rollups = Where::new(&mut terms);
    of_rollups.by(&filter.source, U::Source)?;
    let mut which = Which {
        rollups: rollups.add(of_rollups.done()),
        runs,
        full: filter.source.is_some() || filter.trigger.is_some() || filter.outcome.is_some(),
    };
    if filter.source.is_some() {
        let mut of_requests = Where::new(&mut terms);
        of_requests.by(&filter.source, request::Column::Source)?;
        let requests = request::Entity::find()
            .select_only()
            .column(request::Column::Id)
            .filter(of_requests.done());
        which.runs = which
            .runs
            .add(R::RequestId.in_subquery(requests.into_query()));
    }
    Ok(which)
}

/// Queries for metrics and prices.
#[derive(Default)]
pub struct MetricQuery;

#[Object]
impl MetricQuery {
    /// What the workforce did and what it cost in a span of time. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    async fn metrics(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The span of time.")] range: TimeRangeInput,
        #[graphql(
            desc = "Where days, weeks and months begin; in the workspace's reporting time zone without it, which is the fastest."
        )]
        time_zone: Option<TimeZone>,
        #[graphql(desc = "Which runs to count, and the model calls of which; all without it.")]
        filter: Option<MetricsFilter>,
    ) -> Option<Result<Metrics>> {
        Some(Metrics::of(ctx, range, time_zone, filter.as_ref()).await)
    }

    /// The prices in force at a moment, the workspace's own and those that Stint ships: by model, service tier and length of prompt. Null, with the error FORBIDDEN, for callers with the role REQUESTER.
    #[graphql(complexity = "1 + 20 * child_complexity")]
    async fn model_prices(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The moment; now without it.")] at: Option<DateTime>,
        #[graphql(desc = "Only models whose name begins like this: `anthropic:`.")]
        starts_with: Option<String>,
        #[graphql(desc = "The most rows, from 1 to 1000.", default = 500)] first: i32,
    ) -> Option<Result<Vec<ModelPrice>>> {
        let at = at.map_or_else(|| ctx.store().now(), |at| at.0);
        let prefix = starts_with.unwrap_or_default();
        let rows = async {
            let most = usize::try_from(first)
                .ok()
                .filter(|most| (1..=MOST).contains(most));
            let most = most.ok_or_else(|| {
                let message = format!("first is {first}; it must be from 1 to {MOST}");
                domain::Error::invalid("first", "PAGE_TOO_LARGE", message)
            })?;
            let rows = cost::prices(ctx.store().read(), ctx.actor(), at, &prefix).await?;
            Ok::<_, domain::Error>(rows.into_iter().take(most).collect::<Vec<_>>())
        };
        let rows = rows.await;
        Some(
            rows.map(|rows| rows.into_iter().map(ModelPrice).collect())
                .map_err(Error::from),
        )
    }
}

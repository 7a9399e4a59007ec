//! Queries for metrics and prices.

use async_graphql::{Context, ID, InputObject, Object};
use domain::metric::cost;
use domain::metric::group::Which;
use entity::{CoworkerId, Millis, request, run, usage_ledger, usage_rollup};
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

    /// What it asks of calls and of runs, over columns of whatever table holds them.
    fn of_calls<C: ColumnTrait>(
        &self,
        terms: &mut Terms,
        coworker: C,
        model: C,
    ) -> domain::Result<Condition> {
        let mut all = Where::new(terms);
        all.by_id::<CoworkerId>(&self.coworker, coworker)?;
        all.by(&self.model, model)?;
        Ok(all.done())
    }

    /// What it asks of runs alone, `outcome` being null where there is none; where the request came from is left to the caller.
    fn of_runs<C: ColumnTrait>(
        &self,
        terms: &mut Terms,
        trigger: C,
        outcome: &Expr,
    ) -> domain::Result<Condition> {
        let mut all = Where::new(terms);
        all.by(&self.trigger, trigger)?;
        if let Some(outcomes) = &self.outcome {
            outcomes.compare(outcome, &mut all)?;
        }
        Ok(all.done())
    }

    /// Whether a call alone tells that it passes.
    fn is_of_calls(&self) -> bool {
        self.source.is_none() && self.trigger.is_none() && self.outcome.is_none()
    }
}

/// What a filter lets through, as it is asked of rollups, of runs and of calls.
pub(super) fn which(filter: Option<&MetricsFilter>, now: Millis) -> domain::Result<Which> {
    use {run::Column as R, usage_ledger::Column as L, usage_rollup::Column as U};
    let Some(filter) = filter else {
        return Ok(Which::default());
    };
    let mut terms = Terms::at(now);
    // Part of a rollup's key, so never null: empty says that there is none.
    let outcome = Func::cust("NULLIF").args([U::Outcome.into_expr(), Expr::val("")]);
    let mut of_source = Where::new(&mut terms);
    of_source.by(&filter.source, U::Source)?;
    let of_source = of_source.done();
    let mut which = Which {
        rollups: filter
            .of_calls(&mut terms, U::CoworkerId, U::Model)?
            .add(filter.of_runs(&mut terms, U::Trigger, &outcome.into())?)
            .add(of_source),
        runs: filter
            .of_calls(&mut Terms::at(now), R::CoworkerId, R::Model)?
            .add(filter.of_runs(&mut Terms::at(now), R::Trigger, &R::Outcome.into_expr())?),
        calls: match filter.is_of_calls() {
            true => Some(filter.of_calls(&mut Terms::at(now), L::CoworkerId, L::Model)?),
            false => None,
        },
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

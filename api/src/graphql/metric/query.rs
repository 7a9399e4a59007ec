//! Queries for metrics and prices.

use async_graphql::{Context, InputObject, Object};
use domain::metric::cost;
use domain::metric::query::Scope;
use entity::{CoworkerId, run};
use sea_orm::Condition;

use super::{Metrics, TimeRangeInput};
use crate::graphql::admin::ModelPrice;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::filter::{
    Filter, IdComparator, RunOutcomeComparator, StringComparator, Terms, TriggerComparator, Where,
    condition,
};
use crate::graphql::scalar::DateTime;

/// The most price rows of an answer.
const MOST: usize = 1_000;

/// Which runs metrics count. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct MetricsFilter {
    /// By the global id of the coworker.
    pub coworker: Option<IdComparator>,
    /// By the model, as prices and metrics name it.
    pub model: Option<StringComparator>,
    /// By what started the run.
    pub trigger: Option<TriggerComparator>,
    /// By how the run ended.
    pub outcome: Option<RunOutcomeComparator>,
}

impl Filter for MetricsFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use run::Column as C;
        let mut all = Where::new(terms);
        all.by_id::<CoworkerId>(&self.coworker, C::CoworkerId)?;
        all.by(&self.model, C::Model)?;
        all.by(&self.trigger, C::Trigger)?;
        all.by(&self.outcome, C::Outcome)?;
        Ok(all.done())
    }
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
        #[graphql(desc = "Which runs to count; all without it.")] filter: Option<MetricsFilter>,
    ) -> Option<Result<Metrics>> {
        let span = async {
            let now = ctx.store().now();
            let (start, end) = range.resolve(now)?;
            let filter = condition(filter.as_ref(), now)?;
            Metrics::of(ctx, Scope::Span { start, end, filter }, start, end).await
        };
        Some(span.await)
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

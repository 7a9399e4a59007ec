//! What calls and costs a figure is about, and the sums of requests.

use std::collections::HashMap;
use std::sync::Arc;

use entity::{Millis, RequestId, RunId, run, usage_ledger};
use sea_orm::sea_query::{Expr, ExprTrait, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
    QueryTrait, Select,
};

use super::group::Which;
use crate::access::{Action, Actor};
use crate::error::Result;
use crate::run::query as runs;

/// Which model calls figures are about.
#[derive(Clone, Debug)]
pub enum Scope {
    /// One run.
    Run(RunId),
    /// All runs of one request.
    Request(RequestId),
    /// The calls that ended within a span of time.
    Span {
        /// Which.
        which: Arc<Which>,
        /// The first moment.
        start: Millis,
        /// The moment after the last.
        end: Millis,
    },
}

impl Scope {
    /// The ledger's rows of its calls.
    pub(super) fn ledger(&self, actor: &Actor) -> Select<usage_ledger::Entity> {
        use usage_ledger::Column as L;
        let mut select = usage_ledger::Entity::find().filter(L::WorkspaceId.eq(actor.workspace));
        let runs = match self {
            Self::Run(id) => return select.filter(L::RunId.eq(*id)),
            Self::Request(id) => runs::visible(actor).filter(run::Column::RequestId.eq(*id)),
            Self::Span { which, start, end } => {
                select = select.filter(L::At.gte(*start)).filter(L::At.lt(*end));
                if let Some(calls) = &which.calls {
                    return select.filter(calls.clone());
                }
                runs::visible(actor).filter(which.runs.clone())
            }
        };
        select.filter(L::RunId.in_subquery(only_ids(runs)))
    }
}

fn only_ids(runs: Select<run::Entity>) -> SelectStatement {
    runs.select_only().column(run::Column::Id).into_query()
}

/// What the runs of a request used and cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromQueryResult)]
pub struct Totals {
    /// Input tokens, cached ones included.
    pub input_tokens: i64,
    /// Output tokens, reasoning included.
    pub output_tokens: i64,
    /// Input tokens that came from a cache.
    pub cached_tokens: i64,
    /// Output tokens that were reasoning.
    pub reasoning_tokens: i64,
    /// Input tokens that were written to a cache.
    pub cache_write_tokens: i64,
    /// Recorded cost of the priced calls, nano-USD.
    pub cost_nano: i64,
    /// Calls without a price.
    pub unpriced_calls: i64,
    /// Calls whose usage is not known.
    pub unknown_calls: i64,
    /// What the calls whose cost is not known stay charged at in budgets, nano-USD.
    pub estimated_nano: i64,
}

/// The totals of each of these requests, in one statement. Requests without runs are left out.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`].
pub async fn totals_of_requests<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    requests: &[RequestId],
) -> Result<HashMap<RequestId, Totals>> {
    #[derive(FromQueryResult)]
    struct Row {
        request_id: RequestId,
        #[sea_orm(nested)]
        totals: Totals,
    }
    actor.authorize(Action::MetricsRead)?;
    let select =
        runs::visible(actor).filter(run::Column::RequestId.is_in(requests.iter().copied()));
    let rows = summed_up(select)
        .column(run::Column::RequestId)
        .group_by(run::Column::RequestId)
        .into_model::<Row>()
        .all(db)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.request_id, row.totals))
        .collect())
}

fn summed_up(select: Select<run::Entity>) -> Select<run::Entity> {
    let summed = |column: run::Column| whole(column.into_expr().sum());
    select
        .select_only()
        .expr_as(summed(run::Column::InputTokens), "input_tokens")
        .expr_as(summed(run::Column::OutputTokens), "output_tokens")
        .expr_as(summed(run::Column::CachedTokens), "cached_tokens")
        .expr_as(summed(run::Column::ReasoningTokens), "reasoning_tokens")
        .expr_as(summed(run::Column::CacheWriteTokens), "cache_write_tokens")
        .expr_as(summed(run::Column::CostNano), "cost_nano")
        .expr_as(summed(run::Column::UnpricedCalls), "unpriced_calls")
        .expr_as(summed(run::Column::UnknownCalls), "unknown_calls")
        .expr_as(summed(run::Column::EstimatedNano), "estimated_nano")
}

/// A sum as a whole number, 0 where there is nothing to sum: PostgreSQL makes a NUMERIC of it.
pub(super) fn whole(sum: Expr) -> Expr {
    sum.if_null(0_i64).cast_as("BIGINT")
}

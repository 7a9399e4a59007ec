//! What runs used, and how the workforce did in a span of time.

use std::collections::HashMap;

use entity::{Millis, RequestId, RunId, RunStatus, run, usage_ledger};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::run::query as runs;

/// Which runs figures are about.
#[derive(Clone, Debug)]
pub enum Scope {
    /// One run.
    Run(RunId),
    /// All runs of one request.
    Request(RequestId),
    /// The runs that started from `start` on and before `end`, and meet the condition over [`run::Column`].
    Span {
        /// The first moment.
        start: Millis,
        /// The moment after the last.
        end: Millis,
        /// Which of them.
        filter: Condition,
    },
}

impl Scope {
    fn condition(&self) -> Condition {
        match self {
            Self::Run(id) => Condition::all().add(run::Column::Id.eq(*id)),
            Self::Request(id) => Condition::all().add(run::Column::RequestId.eq(*id)),
            Self::Span { start, end, filter } => Condition::all()
                .add(run::Column::StartedAt.gte(*start))
                .add(run::Column::StartedAt.lt(*end))
                .add(filter.clone()),
        }
    }

    /// The ledger's rows of its runs.
    pub(super) fn ledger(&self, actor: &Actor) -> Select<usage_ledger::Entity> {
        let select = usage_ledger::Entity::find()
            .filter(usage_ledger::Column::WorkspaceId.eq(actor.workspace));
        if let Self::Run(id) = self {
            return select.filter(usage_ledger::Column::RunId.eq(*id));
        }
        let runs = runs::visible(actor)
            .filter(self.condition())
            .select_only()
            .column(run::Column::Id);
        select.filter(usage_ledger::Column::RunId.in_subquery(runs.into_query()))
    }
}

/// Figures over all runs of a scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromQueryResult)]
pub struct Totals {
    /// Runs.
    pub runs: i64,
    /// Of these, those that go on.
    pub active: i64,
    /// Of these, those that completed.
    pub completed: i64,
    /// Of these, those that failed.
    pub failed: i64,
    /// Model turns.
    pub turns: i64,
    /// Tool calls, refused ones included.
    pub tool_calls: i64,
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
}

/// The totals of a scope, in one statement.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`].
pub async fn totals<C: ConnectionTrait>(db: &C, actor: &Actor, scope: &Scope) -> Result<Totals> {
    actor.authorize(Action::MetricsRead)?;
    let select = runs::visible(actor).filter(scope.condition());
    let found = summed_up(select).into_model::<Totals>().one(db).await?;
    found.ok_or_else(|| Error::internal("the totals came back empty"))
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
    let counted = |statuses: &[RunStatus]| {
        let is: Expr = Expr::case(run::Column::Status.is_in(statuses.iter().copied()), 1)
            .finally(0)
            .into();
        whole(is.sum())
    };
    let summed = |column: run::Column| whole(column.into_expr().sum());
    select
        .select_only()
        .expr_as(run::Column::Id.into_expr().count(), "runs")
        .expr_as(
            counted(&[RunStatus::Running, RunStatus::PausedForApproval]),
            "active",
        )
        .expr_as(counted(&[RunStatus::Completed]), "completed")
        .expr_as(counted(&[RunStatus::Failed]), "failed")
        .expr_as(summed(run::Column::TurnCount), "turns")
        .expr_as(summed(run::Column::ToolCallCount), "tool_calls")
        .expr_as(summed(run::Column::InputTokens), "input_tokens")
        .expr_as(summed(run::Column::OutputTokens), "output_tokens")
        .expr_as(summed(run::Column::CachedTokens), "cached_tokens")
        .expr_as(summed(run::Column::ReasoningTokens), "reasoning_tokens")
        .expr_as(summed(run::Column::CacheWriteTokens), "cache_write_tokens")
        .expr_as(summed(run::Column::CostNano), "cost_nano")
        .expr_as(summed(run::Column::UnpricedCalls), "unpriced_calls")
        .expr_as(summed(run::Column::UnknownCalls), "unknown_calls")
}

/// A sum as a whole number, 0 where there is nothing to sum: PostgreSQL makes a NUMERIC of it.
pub(super) fn whole(sum: Expr) -> Expr {
    sum.if_null(0_i64).cast_as("BIGINT")
}

/// How many model calls the ledger holds for a scope.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`].
pub async fn model_calls<C: ConnectionTrait>(db: &C, actor: &Actor, scope: &Scope) -> Result<i64> {
    actor.authorize(Action::MetricsRead)?;
    crate::page::Total::of(&scope.ledger(actor)).count(db).await
}

/// The duration, in milliseconds, that `percent` of 100 ended runs of a scope did not exceed (nearest
/// rank); none where no run has ended.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`].
pub async fn duration_quantile<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    scope: &Scope,
    percent: u64,
) -> Result<Option<i64>> {
    actor.authorize(Action::MetricsRead)?;
    let ended = runs::visible(actor)
        .filter(scope.condition())
        .filter(run::Column::EndedAt.is_not_null());
    let count = u64::try_from(crate::page::Total::of(&ended).count(db).await?).unwrap_or_default();
    if count == 0 {
        return Ok(None);
    }
    let rank = Ord::max((count * percent).div_ceil(100), 1);
    let took = run::Column::EndedAt
        .into_expr()
        .sub(run::Column::StartedAt.into_expr());
    let found = ended
        .select_only()
        .expr_as(took.clone(), "took")
        .order_by_asc(took)
        .offset(rank - 1)
        .limit(1)
        .into_tuple::<i64>()
        .one(db)
        .await?;
    Ok(found)
}

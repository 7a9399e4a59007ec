//! What runs used, what it cost, and how the workforce did in a span of time.

use std::collections::HashMap;

use entity::{Millis, ModelPriceId, RequestId, RunId, RunStatus, model_price, run, usage_ledger};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::price;
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

    fn ledger(&self, actor: &Actor) -> Select<usage_ledger::Entity> {
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
fn whole(sum: Expr) -> Expr {
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

/// Which prices a cost is calculated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// Those that were in force at the time of each call.
    Recorded,
    /// Those that are in force at this moment.
    Current(Millis),
}

/// What model calls cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The sum over the priced calls, nano-USD.
    pub amount: i64,
    /// Calls without a price.
    pub unpriced_calls: i64,
    /// Calls whose usage is not known.
    pub unknown_calls: i64,
    /// The sum line by line: by model, then by price, then by kind of tokens. Each is rounded half up
    /// to a whole nano-USD.
    pub lines: Vec<CostLine>,
}

/// Tokens of one model and one kind at one price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostLine {
    /// The model.
    pub model: String,
    /// The kind of tokens.
    pub kind: TokenKind,
    /// How many.
    pub tokens: i64,
    /// Their price; none: unpriced.
    pub price: Option<LinePrice>,
}

/// The price of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePrice {
    /// nano-USD per million tokens.
    pub unit: i64,
    /// From when on it holds.
    pub effective_from: Millis,
    /// What the line's tokens cost, nano-USD.
    pub amount: i64,
}

/// The kinds of tokens that are priced; disjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Input that no cache had part in.
    Input,
    /// Input read from a cache.
    CacheRead,
    /// Input written to a short-lived cache.
    CacheWriteShort,
    /// Input written to a long-lived cache.
    CacheWriteLong,
    /// Output, reasoning included.
    Output,
}

#[derive(Debug, FromQueryResult)]
struct Group {
    model: String,
    price_id: Option<ModelPriceId>,
    known: bool,
    calls: i64,
    input: i64,
    cache_read: i64,
    cache_write_short: i64,
    cache_write_long: i64,
    output: i64,
    cost: i64,
}

/// What a scope's model calls cost, line by line.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`].
pub async fn cost<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    scope: &Scope,
    pricing: Pricing,
) -> Result<Cost> {
    use usage_ledger::Column as L;
    actor.authorize(Action::MetricsRead)?;
    let summed = |column: L| whole(column.into_expr().sum());
    let groups = scope
        .ledger(actor)
        .select_only()
        .column(L::Model)
        .column(L::PriceId)
        .column(L::Known)
        .expr_as(L::Seq.into_expr().count(), "calls")
        .expr_as(summed(L::InputTokens), "input")
        .expr_as(summed(L::CacheReadTokens), "cache_read")
        .expr_as(summed(L::CacheWriteShortTokens), "cache_write_short")
        .expr_as(summed(L::CacheWriteLongTokens), "cache_write_long")
        .expr_as(summed(L::OutputTokens), "output")
        .expr_as(summed(L::CostNano), "cost")
        .group_by(L::Model)
        .group_by(L::PriceId)
        .group_by(L::Known)
        .order_by_asc(L::Model)
        .into_model::<Group>()
        .all(db)
        .await?;
    match pricing {
        Pricing::Recorded => {
            let ids = groups.iter().filter_map(|group| group.price_id);
            let rows = model_price::Entity::find()
                .filter(model_price::Column::WorkspaceId.eq(actor.workspace))
                .filter(model_price::Column::Id.is_in(ids))
                .all(db)
                .await?;
            let prices: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
            Ok(add_up(
                groups,
                |group| group.price_id.and_then(|id| prices.get(&id)),
                |group, _| group.cost,
            ))
        }
        Pricing::Current(now) => {
            let rows = prices(db, actor, now).await?;
            let prices: HashMap<_, _> = rows.iter().map(|row| (row.model.as_str(), row)).collect();
            Ok(add_up(
                groups,
                |group| prices.get(group.model.as_str()).copied(),
                |_, lines| lines,
            ))
        }
    }
}

/// `amount` is given what the group's calls were recorded at, and what its lines come to.
fn add_up<'a>(
    groups: Vec<Group>,
    price_of: impl Fn(&Group) -> Option<&'a model_price::Model>,
    amount: impl Fn(&Group, i64) -> i64,
) -> Cost {
    let mut cost = Cost::default();
    for group in groups {
        if !group.known {
            cost.unknown_calls += group.calls;
            continue;
        }
        let row = price_of(&group);
        if row.is_none() {
            cost.unpriced_calls += group.calls;
        }
        let mut sum = 0;
        for (kind, tokens, unit) in [
            (TokenKind::Input, group.input, row.map(|row| row.input)),
            (
                TokenKind::CacheRead,
                group.cache_read,
                row.map(|row| row.cache_read),
            ),
            (
                TokenKind::CacheWriteShort,
                group.cache_write_short,
                row.map(|row| row.cache_write_short),
            ),
            (
                TokenKind::CacheWriteLong,
                group.cache_write_long,
                row.map(|row| row.cache_write_long),
            ),
            (TokenKind::Output, group.output, row.map(|row| row.output)),
        ] {
            if tokens == 0 {
                continue;
            }
            let price = row.zip(unit).map(|(row, unit)| {
                let amount = price::line(tokens, unit);
                sum += amount;
                LinePrice {
                    unit,
                    effective_from: row.effective_from,
                    amount,
                }
            });
            cost.lines.push(CostLine {
                model: group.model.clone(),
                kind,
                tokens,
                price,
            });
        }
        if row.is_some() {
            cost.amount += amount(&group, sum);
        }
    }
    cost
}

/// The price rows in force at `at`, one per model, by model.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`].
pub async fn prices<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    at: Millis,
) -> Result<Vec<model_price::Model>> {
    actor.authorize(Action::MetricsRead)?;
    let mut rows = model_price::Entity::find()
        .filter(model_price::Column::WorkspaceId.eq(actor.workspace))
        .filter(model_price::Column::EffectiveFrom.lte(at))
        .order_by_asc(model_price::Column::Model)
        .order_by_desc(model_price::Column::EffectiveFrom)
        .all(db)
        .await?;
    rows.dedup_by(|later, earlier| later.model == earlier.model);
    Ok(rows)
}

/// One price row.
///
/// # Errors
/// [`Error::NotFound`], also for actors who may not see prices.
pub async fn get_price<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: ModelPriceId,
) -> Result<model_price::Model> {
    let absent = Error::NotFound { what: "ModelPrice" };
    if !actor.may(Action::MetricsRead) {
        return Err(absent);
    }
    let mine = model_price::Column::WorkspaceId.eq(actor.workspace);
    model_price::Entity::find_by_id(id)
        .filter(mine)
        .one(db)
        .await?
        .ok_or(absent)
}

//! What model calls cost, line by line, and the prices that it is calculated with.

use std::collections::HashMap;

use entity::{Millis, ModelPriceId, model_price, usage_ledger};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::query::{Scope, whole};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::price;

/// Which prices a cost is calculated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// Those that were in force at the time of each call.
    AtRun,
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
        Pricing::AtRun => {
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

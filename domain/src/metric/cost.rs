//! What model calls cost, line by line, and the prices that it is calculated with.

use std::collections::{BTreeSet, HashMap};

use entity::{Millis, ModelPriceId, model_price, usage_ledger};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::query::{Scope, whole};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::price::{self, Rates, Table, own_prices};

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
    service_tier: String,
    price_id: Option<ModelPriceId>,
    known: bool,
    /// Whether the calls were recorded with a cost.
    priced: bool,
    /// Of the lengths of prompt at which prices of this moment change, the one that the calls are past.
    past: i64,
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
    let (lengths, own) = match pricing {
        Pricing::AtRun => (Vec::new(), None),
        Pricing::Current(now) => {
            let own = own_prices(db, actor.workspace).await?;
            (lengths(&own, now), Some((own, now)))
        }
    };
    let summed = |column: L| whole(column.into_expr().sum());
    let (priced, past) = (L::CostNano.into_expr().is_not_null(), past(&lengths));
    let groups = scope
        .ledger(actor)
        .select_only()
        .column(L::Model)
        .column(L::ServiceTier)
        .column(L::PriceId)
        .column(L::Known)
        .expr_as(priced.clone(), "priced")
        .expr_as(past.clone(), "past")
        .expr_as(L::Seq.into_expr().count(), "calls")
        .expr_as(summed(L::InputTokens), "input")
        .expr_as(summed(L::CacheReadTokens), "cache_read")
        .expr_as(summed(L::CacheWriteShortTokens), "cache_write_short")
        .expr_as(summed(L::CacheWriteLongTokens), "cache_write_long")
        .expr_as(summed(L::OutputTokens), "output")
        .expr_as(summed(L::CostNano), "cost")
        .group_by(L::Model)
        .group_by(L::ServiceTier)
        .group_by(L::PriceId)
        .group_by(L::Known)
        .group_by(priced)
        .group_by(past)
        .order_by_asc(L::Model)
        .into_model::<Group>()
        .all(db)
        .await?;
    match own {
        None => {
            let ids = groups.iter().filter_map(|group| group.price_id);
            let rows = model_price::Entity::find()
                .filter(model_price::Column::WorkspaceId.eq(actor.workspace))
                .filter(model_price::Column::Id.is_in(ids))
                .all(db)
                .await?;
            let prices: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
            let price_of = |group: &Group| {
                let id = group.price_id.filter(|_| group.priced)?;
                prices.get(&id).or_else(|| price::by_id(id)).cloned()
            };
            Ok(add_up(groups, price_of, |group, _| group.cost))
        }
        Some((own, now)) => {
            let price_of = |group: &Group| {
                let card = price::price_of(&own, &group.model, &group.service_tier, now)?;
                card.row(group.past + 1).cloned()
            };
            Ok(add_up(groups, price_of, |_, lines| lines))
        }
    }
}

/// The lengths of prompt at which a price in force changes, longest first.
fn lengths(own: &Table, now: Millis) -> Vec<i64> {
    let rows = own.rows().iter().chain(price::shipped().rows());
    let tiers = rows.filter(|row| row.effective_from <= now && row.prompt_over > 0);
    let lengths: BTreeSet<i64> = tiers.map(|row| row.prompt_over).collect();
    lengths.into_iter().rev().collect()
}

/// Of these lengths, longest first, the one that a call's prompt is past; 0 if it is past none.
fn past(lengths: &[i64]) -> Expr {
    // Numbers as literals: what is grouped by must be the same text as what is selected.
    let prompt =
        "(input_tokens + cache_read_tokens + cache_write_short_tokens + cache_write_long_tokens)";
    let cases = lengths
        .iter()
        .map(|length| format!("WHEN {prompt} > {length} THEN {length} "));
    let cases: String = cases.collect();
    Expr::cust(match lengths {
        [] => "CAST(0 AS BIGINT)".to_owned(),
        _ => format!("CAST(CASE {cases}ELSE 0 END AS BIGINT)"),
    })
}

/// `amount` is given what the group's calls were recorded at, and what its lines come to.
fn add_up(
    groups: Vec<Group>,
    price_of: impl Fn(&Group) -> Option<model_price::Model>,
    amount: impl Fn(&Group, i64) -> i64,
) -> Cost {
    let mut cost = Cost::default();
    for group in groups {
        if !group.known {
            cost.unknown_calls += group.calls;
            continue;
        }
        let row = price_of(&group);
        let rates = row.as_ref().map(Rates::from);
        let kinds = [
            (
                TokenKind::Input,
                group.input,
                rates.map(|rates| rates.input),
            ),
            (
                TokenKind::CacheRead,
                group.cache_read,
                rates.and_then(|rates| rates.cache_read),
            ),
            (
                TokenKind::CacheWriteShort,
                group.cache_write_short,
                rates.and_then(|rates| rates.cache_write_short),
            ),
            (
                TokenKind::CacheWriteLong,
                group.cache_write_long,
                rates.and_then(|rates| rates.cache_write_long),
            ),
            (
                TokenKind::Output,
                group.output,
                rates.map(|rates| rates.output),
            ),
        ];
        let used = || kinds.iter().filter(|(_, tokens, _)| *tokens != 0);
        // One kind without a rate, and nobody knows what the calls cost.
        let row = row.filter(|_| used().all(|(.., unit)| unit.is_some()));
        let mut sum = 0;
        for (kind, tokens, unit) in used().copied() {
            let price = row.as_ref().zip(unit).map(|(row, unit)| {
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
        match row {
            Some(_) => cost.amount += amount(&group, sum),
            None => cost.unpriced_calls += group.calls,
        }
    }
    cost
}

/// The price rows in force at `at`, the workspace's own and the shipped ones that no own one comes before: by
/// model, service tier and length of prompt. Only models whose name begins with `prefix`.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`].
pub async fn prices<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    at: Millis,
    prefix: &str,
) -> Result<Vec<model_price::Model>> {
    actor.authorize(Action::MetricsRead)?;
    let own = own_prices(db, actor.workspace).await?;
    let rows = own.rows().iter().chain(price::shipped().rows());
    let rows = rows.filter(|row| row.model.starts_with(prefix));
    let models: BTreeSet<_> = rows.map(|row| (&row.model, &row.service_tier)).collect();
    let cards = models.into_iter().filter_map(|(model, service_tier)| {
        let tables = [&own, price::shipped()];
        tables
            .into_iter()
            .find_map(|table| table.card(model, service_tier, at))
    });
    let mut rows: Vec<_> = cards.flat_map(|card| card.rows().to_vec()).collect();
    // A shipped model that an own price names as an alias.
    rows.sort_by(|a, b| {
        let key = |row: &model_price::Model| (row.service_tier.clone(), row.prompt_over);
        a.model.cmp(&b.model).then_with(|| key(a).cmp(&key(b)))
    });
    rows.dedup_by_key(|row| row.id);
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
    if let Some(shipped) = price::by_id(id) {
        return Ok(shipped.clone());
    }
    let mine = model_price::Column::WorkspaceId.eq(actor.workspace);
    model_price::Entity::find_by_id(id)
        .filter(mine)
        .one(db)
        .await?
        .ok_or(absent)
}

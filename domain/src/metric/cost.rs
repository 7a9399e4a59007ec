//! What model calls cost, line by line, and the prices that it is calculated with.

mod points;
mod prices;

pub use points::{Costs, Points};

use std::collections::BTreeSet;

use entity::{Millis, ModelPriceId, model_price};
use prices::{Group, Prices};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult as _, QueryFilter, QuerySelect as _,
    QueryTrait as _,
};

use super::query::Scope;
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::price::{self, own_prices};

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
    actor.authorize(Action::MetricsRead)?;
    let prices = Prices::of(db, actor.workspace, pricing).await?;
    let mut select = scope.ledger(actor).select_only().into_query();
    prices.sum_up(&mut select);
    let mut groups = Vec::new();
    for row in db.query_all(&select).await? {
        groups.push(((), Group::from_query_result(&row, "")?));
    }
    let mut costs = prices.add_up(db, groups).await?;
    Ok(costs.remove(&()).unwrap_or_default())
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

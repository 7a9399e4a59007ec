//! Finding the price of a model: the workspace's own, then the shipped one.

use std::collections::HashMap;
use std::sync::Arc;

use entity::{Millis, WorkspaceId, model_price};
use parking_lot::RwLock;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::card::{Card, Table, names};
use super::cards::Cards;
use super::shipped;
use crate::error::Result;
use crate::store::Store;

/// The price rows of every workspace that was asked about, kept until the bus says that they changed.
#[derive(Clone, Default)]
pub struct Prices {
    known: Arc<RwLock<HashMap<WorkspaceId, Known>>>,
}

#[derive(Clone)]
struct Known {
    /// The bus's count of changes when the rows were read.
    version: u64,
    read_at: Millis,
    table: Arc<Table>,
}

/// After this time prices are read again without a signal, milliseconds.
const STALE: i64 = 10_000;

/// What a model costs at a moment, by a workspace's own rows or else by the shipped ones: under its own name,
/// then without the date behind it.
pub fn price_of(own: &Table, model: &str, service_tier: &str, at: Millis) -> Option<Card> {
    let tables = [own, shipped()];
    names(model).find_map(|name| {
        let mut tables = tables.into_iter();
        tables.find_map(|table| table.card(name, service_tier, at))
    })
}

/// A workspace's own price rows.
///
/// # Errors
/// What the database said.
pub async fn own_prices<C: ConnectionTrait>(db: &C, workspace: WorkspaceId) -> Result<Table> {
    let rows = model_price::Entity::find().filter(model_price::Column::WorkspaceId.eq(workspace));
    Ok(Table::new(rows.all(db).await?))
}

impl Prices {
    /// All that a model may cost at a moment; none: it is unpriced.
    ///
    /// # Errors
    /// What the database said.
    pub async fn at(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        model: &str,
        at: Millis,
    ) -> Result<Option<Cards>> {
        let own = self.own(store, workspace).await?;
        Ok(Cards::of(&own, model, at))
    }

    /// A workspace's own rows.
    async fn own(&self, store: &Store, workspace: WorkspaceId) -> Result<Arc<Table>> {
        let version = *store.bus().here().prices().borrow();
        let now = store.now();
        let known = self.known.read().get(&workspace).cloned();
        if let Some(known) = known
            && known.version == version
            && now.since(known.read_at) < STALE
        {
            return Ok(known.table);
        }
        let table = Arc::new(own_prices(store.read(), workspace).await?);
        let known = Known {
            version,
            read_at: now,
            table: table.clone(),
        };
        self.known.write().insert(workspace, known);
        Ok(table)
    }
}

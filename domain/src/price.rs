//! What models cost. Integer arithmetic in nano-USD.

use std::collections::HashMap;

use entity::{Millis, ModelPriceId, WorkspaceId, model_price};
use parking_lot::RwLock;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use std::sync::Arc;

use crate::access::{Action, Actor};
use crate::bus::Signal;
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::idempotency::once_at_a_time;
use crate::model::Usage;
use crate::request::update::check_text;
use crate::store::{Command, Store, Tx, insert_all};

/// Prices are for this many tokens.
const PER: i128 = 1_000_000;

/// What `tokens` cost at `rate` nano-USD per million, rounded half up to a whole nano-USD.
pub fn line(tokens: i64, rate: i64) -> i64 {
    let exact = i128::from(tokens) * i128::from(rate);
    i64::try_from((exact + PER / 2).div_euclid(PER)).unwrap_or(i64::MAX)
}

/// What a call cost: the sum of its lines, each rounded.
pub fn cost(usage: &Usage, price: &model_price::Model) -> i64 {
    let Usage {
        input,
        cache_read,
        cache_write_short,
        cache_write_long,
        output,
        reasoning: _,
    } = *usage;
    line(input, price.input)
        + line(cache_read, price.cache_read)
        + line(cache_write_short, price.cache_write_short)
        + line(cache_write_long, price.cache_write_long)
        + line(output, price.output)
}

/// Adds a price row; calls already made keep theirs.
#[derive(Clone, Debug)]
pub struct SetPrice {
    /// Who asks.
    pub actor: Actor,
    /// The row; its id, workspace and time of making are filled in, and `effective_from` is now if it is 0.
    pub price: model_price::Model,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for SetPrice {
    type Output = model_price::Model;

    async fn run(&self, tx: &Tx) -> Result<model_price::Model> {
        let Self {
            actor,
            price,
            idempotency_key,
        } = self;
        actor.authorize(Action::PriceWrite)?;
        check_text("model", &price.model, 200)?;
        if !price.source.is_empty() {
            check_text("source", &price.source, 200)?;
        }
        for (field, rate) in [
            ("input", price.input),
            ("cacheRead", price.cache_read),
            ("cacheWriteShort", price.cache_write_short),
            ("cacheWriteLong", price.cache_write_long),
            ("output", price.output),
        ] {
            // One million dollars for a million tokens: beyond it is a slip of the unit.
            if !(0..=1_000_000 * 1_000_000_000).contains(&rate) {
                return Err(Error::invalid(
                    field,
                    "INVALID",
                    format!("{field} is out of range: 0 to 1000000 USD"),
                ));
            }
        }
        let input = (
            &price.model,
            price.effective_from,
            [
                price.input,
                price.cache_read,
                price.cache_write_short,
                price.cache_write_long,
                price.output,
            ],
            &price.source,
        );
        let once = once_at_a_time(
            tx,
            actor,
            "modelPriceSet",
            idempotency_key.as_deref(),
            &input,
        )
        .await?;
        if let Some(made) = once.made() {
            let row = model_price::Entity::find_by_id(ModelPriceId(made))
                .one(tx.conn())
                .await?;
            return row.ok_or(Error::NotFound { what: "ModelPrice" });
        }
        let now = tx.at();
        let row = model_price::Model {
            id: ModelPriceId(fresh_id()),
            workspace_id: actor.workspace,
            effective_from: if price.effective_from.0 == 0 {
                now
            } else {
                price.effective_from
            },
            created_at: now,
            ..price.clone()
        };
        let clash = model_price::Entity::find()
            .filter(model_price::Column::WorkspaceId.eq(actor.workspace))
            .filter(model_price::Column::Model.eq(&row.model))
            .filter(model_price::Column::EffectiveFrom.eq(row.effective_from))
            .one(tx.conn())
            .await?;
        if clash.is_some() {
            let message = format!(
                "{} has a price from that moment on already; name another effectiveFrom",
                row.model
            );
            return Err(Error::invalid("effectiveFrom", "CONFLICT", message));
        }
        insert_all(tx.writing().await?, vec![row.clone()], None).await?;
        once.remember(tx, row.id.0).await?;
        tx.signal(Signal::Prices(actor.workspace));
        Ok(row)
    }
}

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
    rows: Arc<[model_price::Model]>,
}

/// After this time prices are read again without a signal, milliseconds.
const STALE: i64 = 10_000;

impl Prices {
    /// The price that is in force for a model at a moment.
    ///
    /// # Errors
    /// What the database said.
    pub async fn at(
        &self,
        store: &Store,
        workspace: WorkspaceId,
        model: &str,
        at: Millis,
    ) -> Result<Option<model_price::Model>> {
        let rows = self.rows(store, workspace).await?;
        Ok(rows
            .iter()
            .find(|row| row.model == model && row.effective_from <= at)
            .cloned())
    }

    /// All rows of a workspace, newest first.
    async fn rows(
        &self,
        store: &Store,
        workspace: WorkspaceId,
    ) -> Result<Arc<[model_price::Model]>> {
        let version = *store.bus().here().prices().borrow();
        let now = store.now();
        let known = self.known.read().get(&workspace).cloned();
        if let Some(known) = known
            && known.version == version
            && now.since(known.read_at) < STALE
        {
            return Ok(known.rows);
        }
        let rows: Arc<[_]> = model_price::Entity::find()
            .filter(model_price::Column::WorkspaceId.eq(workspace))
            .order_by_desc(model_price::Column::EffectiveFrom)
            .all(store.read())
            .await?
            .into();
        self.known.write().insert(
            workspace,
            Known {
                version,
                read_at: now,
                rows: rows.clone(),
            },
        );
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_rounded_half_up_to_a_whole_nano_dollar() {
        // 0.0028 USD per million tokens: 2.8 nano-USD a token.
        assert_eq!(line(1, 2_800_000), 3);
        assert_eq!(line(10, 2_800_000), 28);
        assert_eq!(line(1, 2_500_000), 3);
        assert_eq!(line(1, 2_400_000), 2);
        assert_eq!(line(0, 2_400_000), 0);
    }
}

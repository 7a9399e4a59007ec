//! Setting what a model costs in a workspace.

use entity::{Millis, ModelPriceId, model_price};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::Serialize;

use super::Rates;
use crate::access::{Action, Actor};
use crate::bus::Signal;
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::idempotency::once_at_a_time;
use crate::store::{Command, Needs, Tx, insert_all};
use crate::text::check_text;

/// The most tiers by prompt length, and the most other names, of one price.
const MOST: usize = 10;
/// The most characters of a name.
const LONGEST: usize = 200;

/// What a model shall cost from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewPrice {
    /// The model, `provider:name`.
    pub model: String,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// The provider's service tier; [`super::STANDARD`] where there is only one.
    pub service_tier: String,
    /// From when on it holds; none: now.
    pub effective_from: Option<Millis>,
    /// The rates for prompts that no tier is about.
    pub rates: Rates,
    /// Rates for calls with long prompts.
    pub tiers: Vec<Tier>,
    /// Where the figures come from; may be empty.
    pub source: String,
}

/// Rates that price the whole of a call whose prompt is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Tier {
    /// For prompts of more tokens than this, cached ones included.
    pub prompt_over: i64,
    /// The rates.
    pub rates: Rates,
}

impl NewPrice {
    /// Refuses what can't be meant.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field and the remedy.
    pub fn check(&self) -> Result<()> {
        let Self {
            model,
            aliases,
            service_tier,
            effective_from: _,
            rates,
            tiers,
            source,
        } = self;
        check_text("model", model, LONGEST)?;
        check_text("serviceTier", service_tier, 50)?;
        if !source.is_empty() {
            check_text("source", source, LONGEST)?;
        }
        for (field, n) in [("aliases", aliases.len()), ("tiers", tiers.len())] {
            if n > MOST {
                let message = format!("{field} has {n} entries; {MOST} are allowed");
                return Err(Error::invalid(field, "TOO_LONG", message));
            }
        }
        aliases
            .iter()
            .try_for_each(|alias| check_text("aliases", alias, LONGEST))?;
        rates.check()?;
        let mut before = 0;
        for tier in tiers {
            if tier.prompt_over <= before {
                let message = "the tiers' promptOver must grow from one to the next, from 1 on";
                return Err(Error::invalid("tiers", "INVALID", message));
            }
            before = tier.prompt_over;
            tier.rates.check()?;
        }
        Ok(())
    }

    /// Its rows: the one for short prompts first.
    fn rows(&self, actor: &Actor, now: Millis) -> Result<Vec<model_price::Model>> {
        let aliases = serde_json::to_string(&self.aliases).map_err(Error::internal)?;
        let base = Tier {
            prompt_over: 0,
            rates: self.rates,
        };
        let row = |tier: &Tier| {
            let Rates {
                input,
                cache_read,
                cache_write_short,
                cache_write_long,
                output,
            } = tier.rates;
            model_price::Model {
                id: ModelPriceId(fresh_id()),
                workspace_id: actor.workspace,
                model: self.model.clone(),
                aliases: aliases.clone(),
                service_tier: self.service_tier.clone(),
                prompt_over: tier.prompt_over,
                effective_from: self.effective_from.unwrap_or(now),
                input,
                cache_read,
                cache_write_short,
                cache_write_long,
                output,
                source: self.source.clone(),
                created_at: now,
            }
        };
        Ok(std::iter::once(&base).chain(&self.tiers).map(row).collect())
    }
}

/// Sets what a model costs from a moment on; calls already made keep what they cost. Gives the rows, the one
/// for short prompts first.
#[derive(Clone, Debug)]
pub struct SetPrice {
    /// Who asks.
    pub actor: Actor,
    /// The price.
    pub price: NewPrice,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for SetPrice {
    type Output = Vec<model_price::Model>;

    async fn run(&self, tx: &Tx) -> Result<Vec<model_price::Model>> {
        let Self {
            actor,
            price,
            idempotency_key,
        } = self;
        actor.authorize(Action::PriceWrite)?;
        price.check()?;
        let key = idempotency_key.as_deref();
        let once = once_at_a_time(tx, actor, "modelPriceSet", key, price).await?;
        if let Some(made) = once.made() {
            return made_before(tx, actor, ModelPriceId(made)).await;
        }
        let rows = price.rows(actor, tx.at())?;
        let Some(base) = rows.first() else {
            return Err(Error::internal("a price has no row"));
        };
        if !of_moment(tx, base).await?.is_empty() {
            let message = format!(
                "{} has a price from that moment on already; name another effectiveFrom",
                base.model
            );
            return Err(Error::invalid("effectiveFrom", "CONFLICT", message));
        }
        insert_all(tx.writing().await?, rows.clone(), None).await?;
        once.remember(tx, base.id.0).await?;
        tx.signal(Signal::Prices(actor.workspace));
        Ok(rows)
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

async fn made_before(tx: &Tx, actor: &Actor, id: ModelPriceId) -> Result<Vec<model_price::Model>> {
    let base = model_price::Entity::find_by_id(id)
        .filter(model_price::Column::WorkspaceId.eq(actor.workspace))
        .one(tx.conn())
        .await?
        .ok_or(Error::NotFound { what: "ModelPrice" })?;
    of_moment(tx, &base).await
}

/// The rows of the same model, service tier and moment, the one for short prompts first.
async fn of_moment(tx: &Tx, row: &model_price::Model) -> Result<Vec<model_price::Model>> {
    let rows = model_price::Entity::find()
        .filter(model_price::Column::WorkspaceId.eq(row.workspace_id))
        .filter(model_price::Column::Model.eq(&row.model))
        .filter(model_price::Column::ServiceTier.eq(&row.service_tier))
        .filter(model_price::Column::EffectiveFrom.eq(row.effective_from))
        .order_by_asc(model_price::Column::PromptOver);
    Ok(rows.all(tx.conn()).await?)
}

/// Sets many prices that hold from now on: all of them, or none.
#[derive(Clone, Debug)]
pub struct ImportPrices {
    /// Who asks.
    pub actor: Actor,
    /// The prices.
    pub prices: Vec<NewPrice>,
}

impl Command for ImportPrices {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        let Self { actor, prices } = self;
        actor.authorize(Action::PriceWrite)?;
        let (now, mut rows) = (tx.at(), Vec::new());
        for price in prices {
            price.check()?;
            rows.extend(price.rows(actor, now)?);
        }
        let taken = model_price::Entity::find()
            .filter(model_price::Column::WorkspaceId.eq(actor.workspace))
            .filter(model_price::Column::EffectiveFrom.eq(now))
            .one(tx.conn())
            .await?;
        if taken.is_some() {
            let message = "another price was set in this very millisecond; try again";
            return Err(Error::conflict("CONFLICT", message));
        }
        insert_all(tx.writing().await?, rows, None).await?;
        tx.signal(Signal::Prices(actor.workspace));
        Ok(())
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

//! Setting prices.

use async_graphql::{Context, InputObject, Object, SimpleObject};
use domain::price::{NewPrice, Rates, SetPrice, Tier};

use super::ModelPrice;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::scalar::{DateTime, Decimal, Int64, storable};

/// What a model shall cost from a moment on. It replaces, from that moment on, all that was set before for the same model and service tier.
#[derive(InputObject, Clone, Debug)]
pub struct ModelPriceSetInput {
    /// The model, as runs and metrics name it: `provider:name`, or `scripted`. A date that providers put behind a name (`-20260115`, `-2026-01-15`) may be left out: the price is found for every state of the model.
    pub model: String,
    /// Other names under which the same model is served, at most 10.
    #[graphql(default)]
    pub aliases: Vec<String>,
    /// The provider's service tier that the price is for.
    #[graphql(default = "standard")]
    pub service_tier: String,
    /// From when on it holds; now without it.
    pub effective_from: Option<DateTime>,
    /// USD per million uncached input tokens.
    pub input: Decimal,
    /// USD per million input tokens read from a cache, at most `input`; without it calls that read from a cache are unpriced.
    pub cache_read: Option<Decimal>,
    /// USD per million input tokens written to a short-lived cache; without it calls that write to one are unpriced.
    pub cache_write_short: Option<Decimal>,
    /// USD per million input tokens written to a long-lived cache, not less than to a short-lived one; without it calls that write to one are unpriced.
    pub cache_write_long: Option<Decimal>,
    /// USD per million output tokens, reasoning included.
    pub output: Decimal,
    /// Rates for calls with long prompts, by growing length, at most 10.
    #[graphql(default)]
    pub tiers: Vec<ModelPriceTierInput>,
    /// Where the figures come from, at most 200 characters.
    #[graphql(default)]
    pub source: String,
    /// The same key with the same input returns the price already made, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What calls with long prompts shall cost: the rates re-price the whole call.
#[derive(InputObject, Clone, Debug)]
pub struct ModelPriceTierInput {
    /// For prompts of more tokens than this, cached ones included.
    pub prompt_over: Int64,
    /// USD per million uncached input tokens.
    pub input: Decimal,
    /// USD per million input tokens read from a cache.
    pub cache_read: Option<Decimal>,
    /// USD per million input tokens written to a short-lived cache.
    pub cache_write_short: Option<Decimal>,
    /// USD per million input tokens written to a long-lived cache.
    pub cache_write_long: Option<Decimal>,
    /// USD per million output tokens, reasoning included.
    pub output: Decimal,
}

impl From<ModelPriceTierInput> for Tier {
    fn from(input: ModelPriceTierInput) -> Self {
        let ModelPriceTierInput {
            prompt_over,
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
        } = input;
        Self {
            prompt_over: prompt_over.0,
            rates: rates(
                input,
                [cache_read, cache_write_short, cache_write_long],
                output,
            ),
        }
    }
}

/// What became of `modelPriceSet`.
#[derive(SimpleObject)]
pub struct ModelPriceSetPayload {
    /// The price; null if it was refused.
    pub model_price: Option<ModelPrice>,
    /// Its rows for long prompts, by growing length.
    pub tiers: Vec<ModelPrice>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Setting prices.
#[derive(Default)]
pub struct PriceMutation;

#[Object]
impl PriceMutation {
    /// Sets what a model costs from a moment on. Calls already made keep the price that was in force when they were made.
    async fn model_price_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The price.")] input: ModelPriceSetInput,
    ) -> Result<ModelPriceSetPayload> {
        let ModelPriceSetInput {
            model,
            aliases,
            service_tier,
            effective_from,
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
            tiers,
            source,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let effective_from = effective_from
                .map(|at| storable(at.0, "effectiveFrom"))
                .transpose()?;
            let price = NewPrice {
                model,
                aliases,
                service_tier,
                effective_from,
                rates: rates(
                    input,
                    [cache_read, cache_write_short, cache_write_long],
                    output,
                ),
                tiers: tiers.into_iter().map(Tier::from).collect(),
                source,
            };
            let command = SetPrice {
                actor: ctx.actor().clone(),
                price,
                idempotency_key,
            };
            ctx.store().write(command).await
        };
        let (rows, user_errors) = settle(answer.await)?;
        let mut rows = rows.into_iter().flatten().map(ModelPrice);
        Ok(ModelPriceSetPayload {
            model_price: rows.next(),
            tiers: rows.collect(),
            user_errors,
            client_mutation_id,
        })
    }
}

fn rates(input: Decimal, cached: [Option<Decimal>; 3], output: Decimal) -> Rates {
    let [cache_read, cache_write_short, cache_write_long] =
        cached.map(|rate| rate.map(|rate| rate.0));
    Rates {
        input: input.0,
        cache_read,
        cache_write_short,
        cache_write_long,
        output: output.0,
    }
}

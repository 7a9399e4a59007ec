//! Prices: their part of the format, and how they become rows and come from them.

use domain::price::{NewPrice, Rates, Tier, aliases};
use entity::model_price;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::state::PriceKey;
use super::value::{Dollars, Moment};

/// Prices of models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prices {
    /// What the file holds.
    pub kind: PricesKind,
    /// The prices. One that was set stays as it is: a new price is a new entry with its own moment.
    pub prices: Vec<Price>,
}

/// What a model costs from a moment on, in USD per million tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Price {
    /// The model, as runs and metrics name it: provider:name, or scripted.
    pub model: String,
    /// Other names under which the same model is served, up to 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The provider's service tier; standard if it is not given.
    #[serde(default = "standard", skip_serializing_if = "is_standard")]
    pub service_tier: String,
    /// From when on it holds: 2026-01-01T00:00:00Z.
    pub effective_from: Moment,
    /// Uncached input tokens.
    pub input: Dollars,
    /// Input tokens read from the cache; calls that use them are unpriced if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Dollars>,
    /// Input tokens written to the short-lived cache; calls that use them are unpriced if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_short: Option<Dollars>,
    /// Input tokens written to the long-lived cache; calls that use them are unpriced if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_long: Option<Dollars>,
    /// Output tokens, reasoning included.
    pub output: Dollars,
    /// Rates for the whole of calls with long prompts, by growing length, up to 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<PriceTier>,
    /// Where the figures come from, up to 200 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// What calls with long prompts cost, in USD per million tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceTier {
    /// For prompts of more tokens than this, cached ones included.
    pub prompt_over: i64,
    /// Uncached input tokens.
    pub input: Dollars,
    /// Input tokens read from the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Dollars>,
    /// Input tokens written to the short-lived cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_short: Option<Dollars>,
    /// Input tokens written to the long-lived cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_long: Option<Dollars>,
    /// Output tokens, reasoning included.
    pub output: Dollars,
}

fn standard() -> String {
    domain::price::STANDARD.to_owned()
}

fn is_standard(service_tier: &str) -> bool {
    service_tier == domain::price::STANDARD
}

/// The kind of a file of prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum PricesKind {
    /// Prices of models.
    Prices,
}

impl From<Price> for NewPrice {
    fn from(price: Price) -> Self {
        let Price {
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
        } = price;
        let tier = |tier: PriceTier| {
            let PriceTier {
                prompt_over,
                input,
                cache_read,
                cache_write_short,
                cache_write_long,
                output,
            } = tier;
            let rates = rates(
                input,
                [cache_read, cache_write_short, cache_write_long],
                output,
            );
            Tier { prompt_over, rates }
        };
        Self {
            model,
            aliases,
            service_tier,
            effective_from: Some(effective_from.0),
            rates: rates(
                input,
                [cache_read, cache_write_short, cache_write_long],
                output,
            ),
            tiers: tiers.into_iter().map(tier).collect(),
            source,
        }
    }
}

fn rates(input: Dollars, cached: [Option<Dollars>; 3], output: Dollars) -> Rates {
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

impl Price {
    /// What there is one price for.
    pub fn key(&self) -> PriceKey {
        (
            self.model.clone(),
            self.service_tier.clone(),
            self.effective_from,
        )
    }

    /// A price as its rows say it: `row` for short prompts, the tiers for long ones.
    pub fn of(row: &model_price::Model) -> Self {
        let rates = PriceTier::of(row);
        Self {
            model: row.model.clone(),
            aliases: aliases(row),
            service_tier: row.service_tier.clone(),
            effective_from: Moment(row.effective_from),
            input: rates.input,
            cache_read: rates.cache_read,
            cache_write_short: rates.cache_write_short,
            cache_write_long: rates.cache_write_long,
            output: rates.output,
            tiers: Vec::new(),
            source: row.source.clone(),
        }
    }
}

impl PriceTier {
    /// A row's rates.
    pub fn of(row: &model_price::Model) -> Self {
        let Rates {
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
        } = Rates::from(row);
        Self {
            prompt_over: row.prompt_over,
            input: Dollars(input),
            cache_read: cache_read.map(Dollars),
            cache_write_short: cache_write_short.map(Dollars),
            cache_write_long: cache_write_long.map(Dollars),
            output: Dollars(output),
        }
    }
}

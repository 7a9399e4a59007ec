//! Prices between files and rows.

use domain::price::{NewPrice, Rates, Tier, aliases};
use entity::model_price;

use super::form::{Dollars, Moment, Price, PriceTier};
use super::state::PriceKey;

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

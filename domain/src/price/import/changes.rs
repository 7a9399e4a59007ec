//! What an import changes: what its file says, beside what is in force.

use entity::{Millis, model_price};

use super::{LeftOut, Read};
use crate::price::{NewPrice, Rates, Table, Tier, aliases, price_of};

/// What an import changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Prices that differ from those in force, with what is in force: its row for short prompts.
    pub prices: Vec<(Option<NewPrice>, NewPrice)>,
    /// Prices that are in force as the file says.
    pub same: usize,
    /// Models whose new price does not go together with what is known of them besides, and why.
    pub left_out: Vec<LeftOut>,
}

/// What of a file differs from what is in force at `at`, by a workspace's own rows or the shipped ones.
pub fn changes(read: &Read, own: &Table, at: Millis) -> Changes {
    let mut changes = Changes::default();
    for said in &read.prices {
        let before = price_of(own, &said.model, &said.service_tier, at)
            // The price of the model, not of one that it was derived from.
            .and_then(|card| NewPrice::of(card.rows(), &said.model));
        let price = match &before {
            Some(before) => said.beside(before),
            None => said.clone(),
        };
        let same = before
            .as_ref()
            .is_some_and(|before| before.rates == price.rates && before.tiers == price.tiers);
        if same {
            changes.same += 1;
        } else if let Err(err) = price.check() {
            let why = format!(
                "{err}; the file does not say what the long-lived cache costs, so it would stay at what it cost before: set \
                 the price with modelPriceSet"
            );
            changes.left_out.push(LeftOut {
                model: price.model,
                why,
            });
        } else {
            changes.prices.push((before, price));
        }
    }
    changes
}

impl NewPrice {
    /// A price as its rows say it, the one for short prompts first; none if they are not of this model.
    fn of(rows: &[model_price::Model], model: &str) -> Option<Self> {
        let base = rows.first().filter(|row| row.model == model)?;
        let tier = |row: &model_price::Model| Tier {
            prompt_over: row.prompt_over,
            rates: Rates::from(row),
        };
        Some(Self {
            model: base.model.clone(),
            aliases: aliases(base),
            service_tier: base.service_tier.clone(),
            effective_from: Some(base.effective_from),
            rates: Rates::from(base),
            tiers: rows[1..].iter().map(tier).collect(),
            source: base.source.clone(),
        })
    }

    /// The same, with what its file has no word for as it was before: the model's other names, whose calls would go by the
    /// old price for ever, and what it costs to write to the long-lived cache, which models.dev never says, and LiteLLM's
    /// table not of every model.
    fn beside(&self, before: &Self) -> Self {
        let of_length = |over: i64| before.tiers.iter().find(|tier| tier.prompt_over == over);
        let kept = |rates: Rates, before: Option<&Rates>| Rates {
            cache_write_long: rates
                .cache_write_long
                .or(before.and_then(|before| before.cache_write_long)),
            ..rates
        };
        let tier = |tier: &Tier| Tier {
            prompt_over: tier.prompt_over,
            rates: kept(
                tier.rates,
                of_length(tier.prompt_over).map(|tier| &tier.rates),
            ),
        };
        Self {
            aliases: before.aliases.clone(),
            rates: kept(self.rates, Some(&before.rates)),
            tiers: self.tiers.iter().map(tier).collect(),
            ..self.clone()
        }
    }
}

//! Prices from the two tables that the ecosystem maintains as JSON: LiteLLM's
//! `model_prices_and_context_window.json` (USD per token) and models.dev's `api.json` (USD per million tokens).
//!
//! What a form says that Stint can't hold exactly is left out with a reason, never approximated.

mod litellm;
mod models_dev;
#[cfg(test)]
mod tests;

use entity::Millis;
use serde_json::{Map, Value};

use super::card::STANDARD;
use super::{NewPrice, Rates, Table, Tier};
use crate::error::{Error, Result};
use crate::money::scaled;

/// The most models of a file.
const MOST: usize = 20_000;

/// What a file of prices says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The prices, by model and service tier.
    pub prices: Vec<NewPrice>,
    /// Models that have a price that is not taken, and why.
    pub left_out: Vec<LeftOut>,
}

/// A model that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The model.
    pub model: String,
    /// Why.
    pub why: String,
}

/// Reads either form.
///
/// # Errors
/// [`Error::Invalid`] if the text is neither.
pub fn read(text: &str) -> Result<Read> {
    let invalid = |message: String| Error::invalid("file", "INVALID", message);
    let neither =
        "it is neither LiteLLM's model_prices_and_context_window.json nor models.dev's api.json";
    let models: Map<String, Value> = serde_json::from_str(text)
        .map_err(|err| invalid(format!("the file is no JSON object: {err}; {neither}")))?;
    let has = |key: &str| models.values().any(|value| value.get(key).is_some());
    let read = if has("models") {
        models_dev::read(&models)
    } else if has("litellm_provider") {
        litellm::read(&models)
    } else {
        return Err(invalid(neither.into()));
    };
    let n = read.prices.len() + read.left_out.len();
    if n > MOST {
        return Err(invalid(format!(
            "the file has {n} models; {MOST} are allowed"
        )));
    }
    Ok(read.sorted())
}

impl Read {
    fn sorted(mut self) -> Self {
        let key = |price: &NewPrice| (price.model.clone(), price.service_tier.clone());
        self.prices.sort_by_key(key);
        // Two spellings of one model: the first one counts, if they say the same of it.
        self.prices
            .dedup_by(|later, earlier| key(later) == key(earlier));
        self.left_out.sort_by(|a, b| a.model.cmp(&b.model));
        self
    }

    /// Takes a price, or says why not.
    fn take(&mut self, price: std::result::Result<NewPrice, LeftOut>) {
        let checked = price.and_then(|price| match price.check() {
            Ok(()) => Ok(price),
            Err(err) => Err(LeftOut {
                model: price.model,
                why: err.to_string(),
            }),
        });
        match checked {
            Ok(price) => self.prices.push(price),
            Err(left_out) => self.left_out.push(left_out),
        }
    }

    /// Keeps the models of these providers; all if there are none.
    pub fn only(&mut self, providers: &[String]) {
        let mine = |model: &str| {
            let provider = model
                .split_once(':')
                .map_or(model, |(provider, _)| provider);
            providers.is_empty() || providers.iter().any(|name| name == provider)
        };
        self.prices.retain(|price| mine(&price.model));
        self.left_out.retain(|left_out| mine(&left_out.model));
    }
}

/// What an import changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Prices that differ from those in force, with what is in force: its row for short prompts.
    pub prices: Vec<(Option<NewPrice>, NewPrice)>,
    /// Prices that are in force as the file says.
    pub same: usize,
}

/// What of a file differs from what is in force at `at`, by a workspace's own rows or the shipped ones.
pub fn changes(read: &Read, own: &Table, at: Millis) -> Changes {
    let mut changes = Changes::default();
    for price in &read.prices {
        let before = super::price_of(own, &price.model, &price.service_tier, at)
            // The price of the model, not of one that it was derived from.
            .and_then(|card| NewPrice::of(card.rows(), &price.model));
        let same = before
            .as_ref()
            .is_some_and(|before| before.rates == price.rates && before.tiers == price.tiers);
        if same {
            changes.same += 1;
        } else {
            changes.prices.push((before, price.clone()));
        }
    }
    changes
}

impl NewPrice {
    /// A price as its rows say it, the one for short prompts first; none if they are not of this model.
    fn of(rows: &[entity::model_price::Model], model: &str) -> Option<Self> {
        let base = rows.first().filter(|row| row.model == model)?;
        let tier = |row: &entity::model_price::Model| Tier {
            prompt_over: row.prompt_over,
            rates: Rates::from(row),
        };
        Some(Self {
            model: base.model.clone(),
            aliases: super::aliases(base),
            service_tier: base.service_tier.clone(),
            effective_from: Some(base.effective_from),
            rates: Rates::from(base),
            tiers: rows[1..].iter().map(tier).collect(),
            source: base.source.clone(),
        })
    }

    /// A price that holds from now on.
    fn from_now(model: String, source: &str) -> Self {
        Self {
            model,
            aliases: Vec::new(),
            service_tier: STANDARD.into(),
            effective_from: None,
            rates: Rates::default(),
            tiers: Vec::new(),
            source: source.into(),
        }
    }
}

/// A rate of a JSON object, times ten to the power of `shift`; none where it has none.
///
/// # Errors
/// A sentence if there is something else.
fn rate(
    of: &Map<String, Value>,
    key: &str,
    shift: i32,
) -> std::result::Result<Option<i64>, String> {
    match of.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            let text = number.to_string();
            let rate = scaled(&text, shift);
            rate.map(Some)
                .ok_or_else(|| format!("{key} is {text}, which is no rate"))
        }
        Some(other) => Err(format!("{key} is {other}, which is no number")),
    }
}

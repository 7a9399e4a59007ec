//! Prices from the two tables that the ecosystem maintains as JSON: LiteLLM's
//! `model_prices_and_context_window.json` (USD per token) and models.dev's `api.json` (USD per million tokens).
//!
//! What a form says that Stint can't hold exactly is left out with a reason, never approximated.

mod changes;
mod litellm;
mod models_dev;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use self::changes::{Changes, changes};
use super::card::STANDARD;
use super::{NewPrice, Rates, Tier};
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
        let mut prices = Vec::with_capacity(self.prices.len());
        // Two spellings of one model: they count once if they say the same of it; else nobody knows which of them is meant.
        for spellings in self.prices.chunk_by(|a, b| key(a) == key(b)) {
            let price = &spellings[0];
            let says = |other: &NewPrice| other.rates == price.rates && other.tiers == price.tiers;
            if spellings.iter().all(says) {
                prices.push(price.clone());
            } else {
                let n = spellings.len();
                self.left_out.push(LeftOut {
                    model: price.model.clone(),
                    why: format!(
                        "{}: the file has it in {n} spellings that differ in price",
                        price.service_tier
                    ),
                });
            }
        }
        self.prices = prices;
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

impl NewPrice {
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

//! What models cost: rates in nano-USD per million tokens, and integer arithmetic over them.
//!
//! A call's cost is the sum over its kinds of tokens, each rounded half up to a whole nano-USD. Where a call used
//! a kind that has no rate, or a model that has no price, it is *unpriced*: its cost is not known, and never 0.

mod book;
mod card;
mod cards;
#[cfg(test)]
mod golden;
pub mod import;
mod set;
mod shipped;

pub use book::{Prices, own_prices, price_of};
pub use card::{Card, STANDARD, Table, aliases, service_tier};
pub use cards::Cards;
pub use set::{ImportPrices, NewPrice, SetPrice, Tier};
pub use shipped::{by_id, shipped};

use entity::model_price;

use crate::error::{Error, Result};
use crate::model::Usage;

/// Rates are for this many tokens.
const PER: i128 = 1_000_000;

/// What tokens cost, nano-USD per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rates {
    /// Input that no cache had part in.
    pub input: i64,
    /// Input read from a cache; none: not offered, or not known.
    pub cache_read: Option<i64>,
    /// Input written to a short-lived cache; none: not offered, or not known.
    pub cache_write_short: Option<i64>,
    /// Input written to a long-lived cache; none: not offered, or not known.
    pub cache_write_long: Option<i64>,
    /// Output, reasoning included.
    pub output: i64,
}

impl From<&model_price::Model> for Rates {
    fn from(row: &model_price::Model) -> Self {
        Self {
            input: row.input,
            cache_read: row.cache_read,
            cache_write_short: row.cache_write_short,
            cache_write_long: row.cache_write_long,
            output: row.output,
        }
    }
}

impl Rates {
    /// What a call cost, nano-USD: the sum of its lines, each rounded; none if it used a kind without a rate.
    pub fn cost(&self, usage: &Usage) -> Option<i64> {
        let Usage {
            input,
            cache_read,
            cache_write_short,
            cache_write_long,
            output,
            reasoning: _,
        } = *usage;
        [
            (input, Some(self.input)),
            (cache_read, self.cache_read),
            (cache_write_short, self.cache_write_short),
            (cache_write_long, self.cache_write_long),
            (output, Some(self.output)),
        ]
        .into_iter()
        .filter(|(tokens, _)| *tokens != 0)
        .try_fold(0_i64, |sum, (tokens, rate)| {
            Some(sum.saturating_add(line(tokens, rate?)))
        })
    }

    /// The dearest rate of input, nano-USD per million tokens.
    pub fn dearest_input(&self) -> i64 {
        [
            self.cache_read,
            self.cache_write_short,
            self.cache_write_long,
        ]
        .into_iter()
        .flatten()
        .fold(self.input, i64::max)
    }

    /// Refuses rates that can't be meant.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the field in the API's spelling.
    pub fn check(&self) -> Result<()> {
        let rates = [
            ("input", Some(self.input)),
            ("cacheRead", self.cache_read),
            ("cacheWriteShort", self.cache_write_short),
            ("cacheWriteLong", self.cache_write_long),
            ("output", Some(self.output)),
        ];
        for (field, rate) in rates {
            // One million dollars for a million tokens: beyond it is a slip of the unit.
            if rate.is_some_and(|rate| !(0..=1_000_000 * 1_000_000_000).contains(&rate)) {
                let message = format!("{field} is out of range: 0 to 1000000 USD");
                return Err(Error::invalid(field, "INVALID", message));
            }
        }
        if self.cache_read.is_some_and(|read| read > self.input) {
            let message = "cacheRead is dearer than input; no provider charges more for what it had in its cache";
            return Err(Error::invalid("cacheRead", "INVALID", message));
        }
        match (self.cache_write_short, self.cache_write_long) {
            (Some(short), Some(long)) if short > long => {
                let message = "cacheWriteShort is dearer than cacheWriteLong; no provider charges less for the longer time";
                Err(Error::invalid("cacheWriteShort", "INVALID", message))
            }
            _ => Ok(()),
        }
    }
}

/// What `tokens` cost at `rate` nano-USD per million, rounded half up to a whole nano-USD.
pub fn line(tokens: i64, rate: i64) -> i64 {
    let exact = i128::from(tokens) * i128::from(rate);
    i64::try_from((exact + PER / 2).div_euclid(PER)).unwrap_or(i64::MAX)
}

/// The most tokens that cost no more than `amount` nano-USD at `rate`: what [`line`] rounds, turned round.
fn tokens_for(amount: i64, rate: i64) -> i64 {
    if rate == 0 {
        return i64::MAX;
    }
    let tokens = (i128::from(amount) * PER + PER / 2 - 1).div_euclid(i128::from(rate));
    i64::try_from(tokens.max(0)).unwrap_or(i64::MAX)
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

    #[test]
    fn a_kind_without_a_rate_makes_the_call_unpriced_and_never_free() {
        let rates = Rates {
            input: 2_000_000_000,
            output: 10_000_000_000,
            ..Rates::default()
        };
        let plain = Usage {
            input: 1_000,
            output: 100,
            ..Usage::default()
        };
        assert_eq!(rates.cost(&plain), Some(3_000_000));
        let cached = Usage {
            cache_read: 1,
            ..plain
        };
        assert_eq!(rates.cost(&cached), None);
    }
}

//! How many more tokens than a tokenizer that is not theirs the models count, as far as this worker has seen it: for the
//! first prompt of a run, of which its provider has not said anything yet.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Prompts shorter than this say little: what a provider adds by itself outweighs them.
const LEAST: i64 = 500;
/// The most that is believed: thousandths of what was weighed.
const MOST: i64 = 4_000;
/// Models that are kept in mind.
const MODELS: usize = 1_000;

/// What models count, in thousandths of what was weighed; never less than a thousand.
#[derive(Debug, Default)]
pub(super) struct Gauges(Mutex<HashMap<String, i64>>);

impl Gauges {
    /// A model counted so many tokens of a prompt that was weighed.
    pub(super) fn note(&self, model: &str, weighed: i64, counted: i64) {
        if weighed < LEAST {
            return;
        }
        let found = counted.saturating_mul(1_000) / weighed;
        let found = found.clamp(1_000, MOST);
        let mut known = self.0.lock();
        if known.len() >= MODELS && !known.contains_key(model) {
            known.clear();
        }
        let gauge = known.entry(model.to_owned()).or_insert(1_000);
        // More is believed at once, less little by little: texts differ.
        *gauge = found.max(*gauge - (*gauge - found).max(0) / 8);
    }

    /// What a model may count of a prompt that was weighed.
    pub(super) fn measure(&self, model: &str, weighed: i64) -> i64 {
        let gauge = self.0.lock().get(model).copied().unwrap_or(1_000);
        let measured = i128::from(weighed) * i128::from(gauge) / 1_000;
        i64::try_from(measured).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_counts_more_is_believed_at_once_and_one_that_counts_less_little_by_little() {
        let gauges = Gauges::default();
        assert_eq!(gauges.measure("m", 1_000), 1_000);
        gauges.note("m", 1_000, 1_400);
        assert_eq!(
            (gauges.measure("m", 1_000), gauges.measure("other", 1_000)),
            (1_400, 1_000)
        );
        gauges.note("m", 1_000, 900);
        assert_eq!(gauges.measure("m", 1_000), 1_350);
        for _ in 0..100 {
            gauges.note("m", 1_000, 900);
        }
        assert!((1_000..1_010).contains(&gauges.measure("m", 1_000)));
        // What a provider makes up has bounds, and short prompts say nothing.
        gauges.note("m", 1_000, i64::MAX);
        assert_eq!(gauges.measure("m", 1_000), 4_000);
        gauges.note("short", 10, 400);
        assert_eq!(gauges.measure("short", 1_000), 1_000);
        for n in 0..2 * MODELS {
            gauges.note(&n.to_string(), 1_000, 1_400);
        }
        assert!(gauges.0.lock().len() <= MODELS);
    }
}

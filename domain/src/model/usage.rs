//! What a call of a model used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one call used, in disjoint kinds: a token counts in exactly one of the first five.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Input tokens neither read from nor written to a cache.
    #[serde(default)]
    pub input: i64,
    /// Input tokens read from the cache.
    #[serde(default)]
    pub cache_read: i64,
    /// Input tokens written to the short-lived cache.
    #[serde(default)]
    pub cache_write_short: i64,
    /// Input tokens written to the long-lived cache.
    #[serde(default)]
    pub cache_write_long: i64,
    /// Output tokens, reasoning included.
    #[serde(default)]
    pub output: i64,
    /// How many of `output` were reasoning.
    #[serde(default)]
    pub reasoning: i64,
}

/// The most tokens of one kind that a call is taken to have used: far beyond what any model takes or gives.
const MOST_TOKENS: i64 = 100_000_000;

impl Usage {
    /// These figures within what a call can use: a provider may make up any.
    #[must_use]
    pub fn bounded(self) -> Self {
        let bounded = |tokens: i64| tokens.clamp(0, MOST_TOKENS);
        Self {
            input: bounded(self.input),
            cache_read: bounded(self.cache_read),
            cache_write_short: bounded(self.cache_write_short),
            cache_write_long: bounded(self.cache_write_long),
            output: bounded(self.output),
            reasoning: bounded(self.reasoning),
        }
    }

    /// All input tokens, cached ones included.
    pub fn total_input(&self) -> i64 {
        self.input + self.cache_read + self.cache_write_short + self.cache_write_long
    }
}

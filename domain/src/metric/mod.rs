//! Figures over runs: counts, tokens, cost, durations.

pub mod cost;
pub mod query;

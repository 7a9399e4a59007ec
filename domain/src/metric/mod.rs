//! Figures over runs: counts, tokens, cost, durations.

pub mod query;

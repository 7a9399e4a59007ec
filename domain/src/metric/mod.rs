//! Figures over runs: counts, tokens, cost, durations.

pub mod component;
pub mod cost;
pub mod query;

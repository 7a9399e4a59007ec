//! Figures over runs: counts, tokens, cost, durations.

pub mod anew;
pub mod audit;
pub mod component;
pub mod cost;
pub mod cover;
pub mod facts;
pub mod fresh;
pub mod group;
pub mod measure;
mod parts;
pub mod query;
mod rims;
pub mod rollup;
mod scattered;
pub mod series;
pub mod sketch;
pub mod trend;
pub mod zone;

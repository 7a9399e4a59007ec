//! What operators see of a running Stint: figures for Prometheus, and spans for OpenTelemetry.
//!
//! Neither has anything to do with the product's own truth: the log and the ledger say what happened and what it cost; these
//! say how the machines are doing. Without somebody who collects them they cost next to nothing.

pub mod figure;
mod label;
pub mod trace;

pub use label::OTHER;

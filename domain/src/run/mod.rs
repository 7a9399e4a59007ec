//! The life of a run, and the heart of the product.

mod afford;
pub mod approval;
pub mod claim;
pub mod delta;
pub mod envelope;
pub mod event;
pub mod lease;
pub mod log;
pub mod query;
pub mod rebuild;
pub mod state;
pub mod step;
pub mod stop;
pub mod tail;

pub use stop::StopRun;

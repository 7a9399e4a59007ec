//! Servers that speak the Model Context Protocol. The official SDK stands behind this folder alone.

mod answer;
mod connection;
mod exact;
mod group;
mod keeper;
mod pool;
mod stdio;
mod tap;

pub use keeper::{KEEP, keep};
pub(super) use pool::Connections;
pub use stdio::Program;

//! Servers that speak the Model Context Protocol. The official SDK stands behind this folder alone.

mod connection;
mod group;
mod pool;
mod stdio;
mod tap;

pub(super) use pool::Connections;
pub use stdio::Program;

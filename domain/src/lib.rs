//! The product: requests, coworkers, runs, their log and their executor. No GraphQL, no HTTP server.

pub mod access;
pub mod alert;
pub mod budget;
pub mod bus;
pub mod clock;
pub mod coworker;
pub mod diagnose;
pub mod error;
pub mod executor;
pub mod export;
pub mod hook;
pub mod idempotency;
pub mod key;
pub mod metric;
pub mod model;
pub mod money;
pub mod page;
pub mod price;
pub mod request;
pub mod rotation;
pub mod run;
pub mod secret;
pub mod skill;
pub mod store;
pub mod telemetry;
pub mod text;
pub mod tool;
pub mod workspace;
pub mod yaml;

pub use error::{Error, Result};

//! Rows of Stint's database: shape only. One table per file; no I/O, no GraphQL.
//!
//! Times are [`Millis`] (UTC, milliseconds since the epoch), money is integer nano-USD, ids are
//! typed newtypes over UUIDs ([`id`]), JSON is kept as the exact text in a `Text` column.

pub mod alert_attempt;
pub mod alert_delivery;
pub mod alert_endpoint;
pub mod alert_secret;
pub mod api_key;
pub mod approval;
pub mod assignment;
pub mod budget_account;
pub mod budget_slice;
pub mod coworker;
pub mod coworker_version;
pub mod coworker_version_skill;
pub mod dispatch;
pub mod id;
pub mod idempotency_key;
pub mod kind;
pub mod millis;
pub mod model_price;
pub mod note;
pub mod person;
pub mod prompt_part;
pub mod request;
pub mod request_event;
pub mod rollup_state;
pub mod run;
pub mod run_event;
pub mod run_step;
pub mod secret;
pub mod skill;
pub mod skill_version;
pub mod tool_action;
pub mod tool_server;
pub mod usage_ledger;
pub mod usage_rollup;
pub mod webhook_delivery;
pub mod webhook_endpoint;
pub mod webhook_secret;
pub mod webhook_subject;
pub mod workspace;

pub use id::*;
pub use kind::*;
pub use millis::Millis;

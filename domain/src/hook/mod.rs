//! Webhooks in: endpoints, and what outside systems deliver to them.
//!
//! bytes → [`verify`] (from whom) → [`pagerduty`] or [`mapping`] (what it says: a [`Event`]) → [`receive`] (once, and onto the
//! request). A refusal is logged and changes nothing else; a 2xx means committed.

mod apply;
mod deliver;
pub mod endpoint;
mod event;
pub mod mapping;
pub(crate) mod pagerduty;
pub mod query;
pub mod receive;
pub mod retain;
mod secret;
pub mod verify;

pub use endpoint::{CreateEndpoint, RotateSecret, UpdateEndpoint};
pub use event::{Event, Filing, Headers, News, Refused};
pub use mapping::{Mapping, Meaning};
pub use receive::{Delivery, Received};
pub use secret::NewSecret;

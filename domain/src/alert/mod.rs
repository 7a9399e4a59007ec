//! Alerts: outside systems are told of what happens here, by signed webhooks.
//!
//! what happens ([`Occasion`]) → a delivery for each endpoint that wants to know ([`outbox`], in the transaction of what
//! happens) → [`claim`] → [`post`] → [`settle`] (the log, the next try, the end of an endpoint that is gone). Nothing is lost
//! between the commit and the sending, and a receiver may get an alert twice: under the same id.
//!
//! What no transaction causes, budgets that are nearly used and costs that climb, is looked for ([`watch`]).

mod claim;
pub mod endpoint;
mod listening;
mod occasion;
mod outbox;
mod post;
pub mod query;
mod replay;
pub mod retain;
mod secret;
mod sender;
mod settle;
mod share;
mod watch;
pub mod wishes;

pub use claim::VoidClaims;
pub use endpoint::{CreateAlertEndpoint, RotateAlertSecret, UpdateAlertEndpoint};
pub use listening::Listening;
pub use occasion::Occasion;
pub(crate) use occasion::{of_log, resolved, used_up};
pub(crate) use outbox::write;
pub use replay::ReplayDelivery;
pub use secret::NewSecret;
pub use sender::{Options, keep_sending};
pub use watch::keep_watching;
pub use wishes::Wishes;

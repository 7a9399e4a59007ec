//! Approvals: a call that a person must look at pauses its run until it is decided.
//!
//! No worker holds a paused run. What is decided stands in the run's log together with the run's going on, and the
//! executor compares what it is about to send with what was shown before it sends it, once.

mod ask;
mod decide;
mod digest;
mod end;
mod expire;
pub mod query;
mod rows;

pub use ask::{AskApproval, CLOSED};
pub use decide::{DecideApproval, Decision};
pub use digest::{Bound, schema_hash};
pub(crate) use end::{end_paused, end_paused_if_closed, end_paused_on};
pub use expire::{ExpireApproval, expire, keep_expiring};
pub use rows::Approvals;

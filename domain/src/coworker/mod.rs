//! Coworkers: a draft that is edited, versions that are published and pinned by runs.

pub mod config;
pub mod diff;
mod handle;
pub mod history;
pub mod lint;
pub mod publish;
pub mod query;
pub mod route;
pub mod tools;
pub mod unpublish;
pub(crate) mod words;
pub mod write;

pub use config::Config;
pub(crate) use handle::check_handle;
pub use handle::handle;
pub use publish::{Force, PublishCoworker, Published, RollbackCoworker};
pub use unpublish::{DropWaiting, UnpublishCoworker, drop_waiting};
pub use write::{CreateCoworker, UpdateCoworker};

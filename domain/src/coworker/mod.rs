//! Coworkers: a draft that is edited, versions that are published and pinned by runs.

pub mod config;
pub mod diff;
pub mod history;
pub mod lint;
pub mod publish;
pub mod query;
pub mod route;
pub mod tools;
pub mod write;

pub use config::Config;
pub use publish::{Force, PublishCoworker, Published, RollbackCoworker, UnpublishCoworker};
pub use write::{CreateCoworker, UpdateCoworker};

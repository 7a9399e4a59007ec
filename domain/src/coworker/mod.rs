//! Coworkers: a draft that is edited, versions that are published and pinned by runs.

pub mod config;
pub mod publish;
pub mod query;
pub mod route;
pub mod write;

pub use config::Config;
pub use publish::{PublishCoworker, UnpublishCoworker};
pub use write::{CreateCoworker, UpdateCoworker};

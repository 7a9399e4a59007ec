//! The life of a request: made, assigned, discussed, resolved.

pub mod assign;
pub mod create;
pub mod desk;
pub mod dropped;
pub mod escalate;
pub mod mention;
pub mod note;
pub mod query;
pub mod route;
pub mod status;
pub mod timeline;
pub mod under_way;
pub mod update;

pub use assign::AssignRequest;
pub use create::CreateRequest;
pub use note::CreateNote;
pub use timeline::TimelineData;
pub use update::UpdateRequest;

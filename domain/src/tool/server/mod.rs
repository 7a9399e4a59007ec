//! Servers of tools: declared by administrators, discovered, pinned, and read by runs.
//!
//! [`Declaration`] (how to reach it) → [`crate::tool::Outside::discover`] (what it offers) → [`Discovered`] (pinned, or seen to
//! have changed) → [`crate::tool::Catalog`] (what runs read).

mod action;
mod declaration;
mod discovered;
pub mod query;
mod template;
mod write;

pub use action::{AcceptAction, UpdateAction};
pub use declaration::{Declaration, Header, HttpMethod, HttpServer, HttpTool, McpHttp, McpStdio};
pub use discovered::{Defined, Discovered, Health};
pub(crate) use template::{Reference, Template, plain};
pub use write::{CreateServer, DeleteServer, UpdateServer};

/// The most servers of a workspace.
pub const MOST: u64 = 100;
/// The most actions of a server; what it offers beyond is left out.
pub const MOST_ACTIONS: usize = 200;

//! The closed sets of tool servers, as the contract names and describes them.

use async_graphql::Enum;

/// How the tools of a server are reached. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::ToolServerKind")]
pub enum ToolServerKind {
    /// A program that speaks the Model Context Protocol on its standard input and output. The operator's settings hold its command, the API never does.
    McpStdio,
    /// A server that speaks the Model Context Protocol over streamable HTTP.
    McpHttp,
    /// Calls over HTTP that an administrator declares one by one.
    Http,
}

/// What happens when a call of a tool is repeated, as after the loss of a worker. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::ToolEffect")]
pub enum ToolEffect {
    /// It only reads: a call that was cut off is repeated.
    Read,
    /// A call that was cut off is repeated under the same idempotency key.
    Idempotent,
    /// A call is made at most once: one that was cut off ends the run as BLOCKED, because nobody knows whether it took effect.
    Effect,
}

/// Whether an action is defined as an administrator knows it. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "entity::ToolActionState")]
pub enum ToolActionState {
    /// It is.
    Ok,
    /// The server has changed its definition: it can't be called until `toolActionAccept`.
    Changed,
    /// The server does not offer it any more.
    Gone,
}

/// Whether a tool server answers. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolServerHealthState {
    /// It was never called.
    Unknown,
    /// It answered when it was last called.
    Ok,
    /// It did not.
    Failing,
}

/// A method of HTTP. May grow.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(remote = "domain::tool::server::HttpMethod")]
pub enum HttpMethod {
    /// Reads. Arguments go to the query.
    Get,
    /// Makes. Arguments go to a JSON body.
    Post,
    /// Replaces. Arguments go to a JSON body.
    Put,
    /// Changes. Arguments go to a JSON body.
    Patch,
    /// Deletes. Arguments go to the query.
    Delete,
}

//! Servers of tools, their actions, and the secrets that they are reached with.

mod action;
mod input;
mod kind;
mod mutation;
mod query;
mod secret;

pub use action::{ToolAction, ToolActionChange};
pub use input::{HttpToolInput, ToolServerHeaderInput};
pub use kind::{HttpMethod, ToolActionState, ToolEffect, ToolServerHealthState, ToolServerKind};
pub use mutation::ToolMutation;
pub use query::ToolQuery;
pub use secret::{Secret, SecretMutation};

use async_graphql::{Context, ID, Object, SimpleObject};
use domain::tool::server::{Declaration, Header, HttpTool as Declared, query as servers};
use entity::tool_server;

use super::context::ContextExt as _;
use super::error::Result;
use super::node;
use super::page::{connection, items_points};
use super::scalar::{DateTime, Json};

/// About how many actions a server has, for the points of a query.
const ACTIONS: usize = 20;

/// A server of tools that coworkers may be given.
pub struct ToolServer(pub tool_server::Model);

impl From<tool_server::Model> for ToolServer {
    fn from(row: tool_server::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of tool servers."
    ToolServerConnection,
    "A tool server in a list."
    ToolServerEdge of ToolServer,
    edges: "The tool servers of this page with their cursors.",
    nodes: "The tool servers of this page.",
    total: "How many tool servers the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The tool server.",
}

/// A server of tools outside of Stint. A coworker has those of its actions that its `tools` name and enable.
#[Object]
impl ToolServer {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// What stands before the dot of its tools' names: `tickets` of `tickets.get`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// How its tools are reached.
    async fn kind(&self) -> ToolServerKind {
        self.0.kind.into()
    }

    /// Of the kind MCP_STDIO: the NAME of `[mcp.NAME]` in the operator's settings, where the command itself stands. Null for others.
    async fn command(&self) -> Option<Result<String>> {
        match self.declaration() {
            Err(err) => Some(Err(err)),
            Ok(Declaration::McpStdio(stdio)) => Some(Ok(stdio.command)),
            Ok(Declaration::McpHttp(_) | Declaration::Http(_)) => None,
        }
    }

    /// Of the kind MCP_HTTP: its address. Null for others.
    async fn url(&self) -> Option<Result<String>> {
        match self.declaration() {
            Err(err) => Some(Err(err)),
            Ok(Declaration::McpHttp(http)) => Some(Ok(http.url)),
            Ok(Declaration::McpStdio(_) | Declaration::Http(_)) => None,
        }
    }

    /// What is sent with each call, secrets by their names.
    async fn headers(&self) -> Result<Vec<ToolServerHeader>> {
        let headers = match self.declaration()? {
            Declaration::McpStdio(_) => Vec::new(),
            Declaration::McpHttp(http) => http.headers,
            Declaration::Http(http) => http.headers,
        };
        Ok(headers.into_iter().map(Into::into).collect())
    }

    /// Of the kind HTTP: the calls that are declared. Empty for others.
    async fn tools(&self) -> Result<Vec<HttpTool>> {
        let tools = match self.declaration()? {
            Declaration::McpStdio(_) | Declaration::McpHttp(_) => Vec::new(),
            Declaration::Http(http) => http.tools,
        };
        Ok(tools.into_iter().map(Into::into).collect())
    }

    /// What it offers, by name: at most 400, those that are gone among them.
    #[graphql(complexity = "items_points(ACTIONS, child_complexity)")]
    async fn actions(&self, ctx: &Context<'_>) -> Result<Vec<ToolAction>> {
        let rows = servers::actions(ctx.store().read(), ctx.actor(), self.0.id).await?;
        Ok(rows.into_iter().map(ToolAction).collect())
    }

    /// Whether it answers.
    async fn health(&self) -> ToolServerHealth {
        let row = &self.0;
        let state = match (&row.error, row.ok_at) {
            (Some(_), _) => ToolServerHealthState::Failing,
            (None, Some(_)) => ToolServerHealthState::Ok,
            (None, None) => ToolServerHealthState::Unknown,
        };
        ToolServerHealth {
            state,
            since: row.health_since.map(DateTime),
            last_ok_at: row.ok_at.map(DateTime),
            last_failure_at: row.failed_at.map(DateTime),
            error: row.error.clone(),
        }
    }

    /// Grows with each change of how it is reached.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

impl ToolServer {
    fn declaration(&self) -> Result<Declaration> {
        Ok(Declaration::from_row(&self.0.declaration)?)
    }
}

/// Whether a tool server answers, as far as calls have shown. Changes for the better and for the worse are written down, not each call.
#[derive(SimpleObject)]
pub struct ToolServerHealth {
    /// Whether it answers.
    pub state: ToolServerHealthState,
    /// Since when that is so; null: it was never called.
    pub since: Option<DateTime>,
    /// When it was last seen to answer.
    pub last_ok_at: Option<DateTime>,
    /// When it was last seen to fail.
    pub last_failure_at: Option<DateTime>,
    /// What it fails with; null: it does not.
    pub error: Option<String>,
}

/// A header that is sent with calls.
#[derive(SimpleObject)]
pub struct ToolServerHeader {
    /// Its name.
    pub name: String,
    /// Its value; `{{secret:NAME}}` stands for the secret of that name.
    pub value: String,
}

impl From<Header> for ToolServerHeader {
    fn from(Header { name, value }: Header) -> Self {
        Self { name, value }
    }
}

/// A call over HTTP, as it is declared.
#[derive(SimpleObject)]
pub struct HttpTool {
    /// What stands after the dot of the tool's name.
    pub name: String,
    /// What models are told that it does.
    pub description: String,
    /// The method.
    pub method: HttpMethod,
    /// The address, with `{argument}` in its path and query.
    pub url: String,
    /// What is sent besides the server's headers.
    pub headers: Vec<ToolServerHeader>,
    /// Arguments that go to the query where the model gives them.
    pub query: Vec<String>,
    /// JSON Schema of the arguments.
    pub parameters: Json,
    /// What happens when a call is repeated.
    pub effect: ToolEffect,
    /// Whether a call may destroy something.
    pub destructive: bool,
    /// The most bytes that it may answer; null: 1 MiB.
    pub max_response_bytes: Option<i32>,
}

impl From<Declared> for HttpTool {
    fn from(tool: Declared) -> Self {
        let Declared {
            name,
            description,
            method,
            url,
            headers,
            query,
            parameters,
            effect,
            destructive,
            max_response_bytes,
        } = tool;
        Self {
            name,
            description,
            method: method.into(),
            url,
            headers: headers.into_iter().map(Into::into).collect(),
            query,
            parameters: Json(parameters),
            effect: effect.into(),
            destructive,
            max_response_bytes: max_response_bytes.and_then(|most| i32::try_from(most).ok()),
        }
    }
}

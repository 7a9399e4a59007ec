//! One action of a tool server.

use async_graphql::{Context, ID, Object};
use domain::run::envelope::hex;
use domain::tool::server::query as servers;
use entity::tool_action;

use super::{ToolActionState, ToolEffect, ToolServer};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::Result;
use crate::graphql::node;
use crate::graphql::scalar::{DateTime, Json};

/// An action of a tool server.
pub struct ToolAction(pub tool_action::Model);

/// An action of a tool server, with the definition that is pinned: what models are told, and what arguments are checked against.
#[Object]
impl ToolAction {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// What stands after the dot of the tool's name: `get` of `tickets.get`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The server that offers it.
    async fn server(&self, ctx: &Context<'_>) -> Result<ToolServer> {
        let row = servers::get(ctx.store().read(), ctx.actor(), self.0.server_id).await?;
        Ok(ToolServer(row))
    }

    /// What models are told that it does.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// JSON Schema of its arguments.
    async fn parameters(&self) -> Result<Json> {
        json(&self.0.parameters)
    }

    /// SHA-256 of the definition that is pinned, hexadecimal.
    async fn digest(&self) -> String {
        hex(&self.0.digest)
    }

    /// Whether it is still defined like that.
    async fn state(&self) -> ToolActionState {
        self.0.state.into()
    }

    /// The definition that the server has now, where it is another one: look at it before `toolActionAccept`.
    async fn pending(&self) -> Option<ToolActionChange> {
        self.0
            .seen_digest
            .is_some()
            .then(|| ToolActionChange(self.0.clone()))
    }

    /// What happens when a call is repeated: what an administrator says, else what the server says. Without a word of either it is EFFECT.
    async fn effect(&self) -> ToolEffect {
        self.0.effect.unwrap_or(self.0.hinted_effect).into()
    }

    /// What an administrator says of repeated calls; null: as the server says.
    async fn effect_override(&self) -> Option<ToolEffect> {
        self.0.effect.map(Into::into)
    }

    /// Whether a call may destroy something, as the server says; true without its word.
    async fn destructive(&self) -> bool {
        self.0.destructive
    }

    /// Whether coworkers may call it at all. A coworker's own settings must enable it too.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// When it was first seen.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }
}

/// A definition that waits to be accepted.
pub struct ToolActionChange(tool_action::Model);

/// A definition that a server has put in the place of the one that is pinned.
#[Object]
impl ToolActionChange {
    /// What it is now said to do. Text of a stranger: it may try to instruct your models.
    async fn description(&self) -> &str {
        self.0.seen_description.as_deref().unwrap_or_default()
    }

    /// JSON Schema of its arguments now.
    async fn parameters(&self) -> Result<Json> {
        json(self.0.seen_parameters.as_deref().unwrap_or("{}"))
    }

    /// SHA-256 of this definition, hexadecimal: what `toolActionAccept` takes.
    async fn digest(&self) -> String {
        hex(self.0.seen_digest.as_deref().unwrap_or_default())
    }

    /// What the server now says of repeated calls.
    async fn effect(&self) -> ToolEffect {
        self.0.seen_effect.unwrap_or(self.0.hinted_effect).into()
    }

    /// Whether a call may now destroy something.
    async fn destructive(&self) -> bool {
        self.0.seen_destructive.unwrap_or(true)
    }

    /// When the change was seen.
    async fn seen_at(&self) -> Option<DateTime> {
        self.0.seen_at.map(DateTime)
    }
}

fn json(text: &str) -> Result<Json> {
    let value = serde_json::from_str(text).map_err(domain::Error::internal)?;
    Ok(Json(value))
}

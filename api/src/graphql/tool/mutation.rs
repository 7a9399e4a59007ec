//! Changing tool servers and their actions.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use domain::tool::server::{
    AcceptAction, CreateServer, Declaration, DeleteServer, UpdateAction, UpdateServer,
    query as servers,
};
use entity::{ToolServerId, tool_server};

use super::input::{HttpToolInput, Parts, ToolServerHeaderInput};
use super::{ToolAction, ToolEffect, ToolServer, ToolServerKind};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::node;

/// What tool server to make.
#[derive(InputObject, Clone, Debug)]
pub struct ToolServerCreateInput {
    /// What stands before the dot of its tools' names: 1 to 64 of `a-z`, `0-9`, `_` and `-`, unique in the workspace. It stays.
    pub name: String,
    /// How its tools are reached. It stays.
    pub kind: ToolServerKind,
    /// Of the kind MCP_STDIO: the NAME of `[mcp.NAME]` in the operator's settings.
    pub command: Option<String>,
    /// Of the kind MCP_HTTP: its address, which must be public or excepted by the operator.
    pub url: Option<String>,
    /// Of the kinds MCP_HTTP and HTTP: what is sent with each call.
    pub headers: Option<Vec<ToolServerHeaderInput>>,
    /// Of the kind HTTP: its calls, 1 to 200.
    pub tools: Option<Vec<HttpToolInput>>,
    /// The same key with the same input returns the tool server already made, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What to change in a tool server. What is left out stays as it is.
#[derive(InputObject, Clone, Debug)]
pub struct ToolServerUpdateInput {
    /// The tool server's global id.
    pub id: ID,
    /// Of the kind MCP_STDIO: the NAME of another `[mcp.NAME]` in the operator's settings.
    pub command: Option<String>,
    /// Of the kind MCP_HTTP: another address.
    pub url: Option<String>,
    /// Of the kinds MCP_HTTP and HTTP: other headers in the place of all before.
    pub headers: Option<Vec<ToolServerHeaderInput>>,
    /// Of the kind HTTP: other calls in the place of all before.
    pub tools: Option<Vec<HttpToolInput>>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// Which tool server.
#[derive(InputObject, Clone, Debug)]
pub struct ToolServerDeleteInput {
    /// The tool server's global id.
    pub id: ID,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// Which tool server.
#[derive(InputObject, Clone, Debug)]
pub struct ToolServerRefreshInput {
    /// The tool server's global id.
    pub id: ID,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// Which definition to accept.
#[derive(InputObject, Clone, Debug)]
pub struct ToolActionAcceptInput {
    /// The action's global id.
    pub id: ID,
    /// The digest of the definition that was looked at, from `pending`: another one that came meanwhile is not accepted with it.
    pub digest: String,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What to change of an action. What is left out stays as it is.
#[derive(InputObject, Clone, Debug)]
pub struct ToolActionUpdateInput {
    /// The action's global id.
    pub id: ID,
    /// What happens when a call is repeated; null: as the server says.
    pub effect: MaybeUndefined<ToolEffect>,
    /// Whether coworkers may call it at all.
    pub enabled: Option<bool>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `toolServerCreate`.
#[derive(SimpleObject)]
pub struct ToolServerCreatePayload {
    /// The tool server; null if it was refused. Whether it answered, its `health` says.
    pub tool_server: Option<ToolServer>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What became of `toolServerUpdate`.
#[derive(SimpleObject)]
pub struct ToolServerUpdatePayload {
    /// The tool server as it is now; null if the change was refused.
    pub tool_server: Option<ToolServer>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What became of `toolServerDelete`.
#[derive(SimpleObject)]
pub struct ToolServerDeletePayload {
    /// The global id of the tool server that is gone; null if it was refused.
    pub deleted_id: Option<ID>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What became of `toolServerRefresh`.
#[derive(SimpleObject)]
pub struct ToolServerRefreshPayload {
    /// The tool server as it is now; null if it was refused. Whether it answered, its `health` says.
    pub tool_server: Option<ToolServer>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What became of `toolActionAccept`.
#[derive(SimpleObject)]
pub struct ToolActionAcceptPayload {
    /// The action as it is now; null if it was refused.
    pub tool_action: Option<ToolAction>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// What became of `toolActionUpdate`.
#[derive(SimpleObject)]
pub struct ToolActionUpdatePayload {
    /// The action as it is now; null if the change was refused.
    pub tool_action: Option<ToolAction>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Changing tool servers and their actions.
#[derive(Default)]
pub struct ToolMutation;

#[Object]
impl ToolMutation {
    /// Makes a tool server. One that speaks MCP is asked at once what it offers, and that is pinned; if it does not answer within 8 seconds, its `health` says so, and
    /// `toolServerRefresh` asks again. No coworker has any of its actions before its `tools` name them.
    async fn tool_server_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to make.")] input: ToolServerCreateInput,
    ) -> Result<ToolServerCreatePayload> {
        let ToolServerCreateInput {
            name,
            kind,
            command,
            url,
            headers,
            tools,
            idempotency_key,
            client_mutation_id,
        } = input;
        let parts = Parts {
            command,
            url,
            headers,
            tools,
        };
        let answer = async {
            let actor = ctx.actor().clone();
            actor.authorize(domain::access::Action::ToolManage)?;
            let declaration = parts.declare(kind.into(), None)?;
            ctx.shared().outside.check(&declaration)?;
            let create = CreateServer {
                actor,
                name,
                declaration,
                idempotency_key,
            };
            let row = ctx.store().write(create).await?;
            refreshed(ctx, row.id).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(ToolServerCreatePayload {
            tool_server: row.map(ToolServer),
            user_errors,
            client_mutation_id,
        })
    }

    /// Changes how the tools of a server are reached; what is left out stays as it is. An MCP server is asked again what it offers, and what differs from what is pinned waits for
    /// `toolActionAccept`; the calls of a server of the kind HTTP are pinned as they are declared.
    async fn tool_server_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: ToolServerUpdateInput,
    ) -> Result<ToolServerUpdatePayload> {
        let ToolServerUpdateInput {
            id,
            command,
            url,
            headers,
            tools,
            client_mutation_id,
        } = input;
        let parts = Parts {
            command,
            url,
            headers,
            tools,
        };
        let answer = async {
            let (actor, server) = (ctx.actor().clone(), node::parse(&id)?);
            actor.authorize(domain::access::Action::ToolManage)?;
            let row = servers::get(ctx.store().read(), &actor, server).await?;
            let before = Declaration::from_row(&row.declaration)?;
            let declaration = parts.declare(row.kind, Some(before))?;
            ctx.shared().outside.check(&declaration)?;
            let update = UpdateServer {
                actor,
                server,
                declaration,
            };
            let row = ctx.store().write(update).await?;
            refreshed(ctx, row.id).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(ToolServerUpdatePayload {
            tool_server: row.map(ToolServer),
            user_errors,
            client_mutation_id,
        })
    }

    /// Deletes a tool server with its actions. Runs that call them afterwards are told that they are not there any more; what is in the logs stays.
    async fn tool_server_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to delete.")] input: ToolServerDeleteInput,
    ) -> Result<ToolServerDeletePayload> {
        let ToolServerDeleteInput {
            id,
            client_mutation_id,
        } = input;
        let answer = async {
            let delete = DeleteServer {
                actor: ctx.actor().clone(),
                server: node::parse(&id)?,
            };
            ctx.store().write(delete).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(ToolServerDeletePayload {
            deleted_id: row.map(|row| node::global(row.id)),
            user_errors,
            client_mutation_id,
        })
    }

    /// Asks a tool server again what it offers. What is new is pinned; what differs from what is pinned can't be called until `toolActionAccept`. A server that does not answer is no error: its `health` says so.
    async fn tool_server_refresh(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: ToolServerRefreshInput,
    ) -> Result<ToolServerRefreshPayload> {
        let ToolServerRefreshInput {
            id,
            client_mutation_id,
        } = input;
        let answer = async { refreshed(ctx, node::parse(&id)?).await };
        let (row, user_errors) = settle(answer.await)?;
        Ok(ToolServerRefreshPayload {
            tool_server: row.map(ToolServer),
            user_errors,
            client_mutation_id,
        })
    }

    /// Accepts the definition that a server has put in the place of the one that is pinned: from then on the action can be called again.
    async fn tool_action_accept(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to accept.")] input: ToolActionAcceptInput,
    ) -> Result<ToolActionAcceptPayload> {
        let ToolActionAcceptInput {
            id,
            digest,
            client_mutation_id,
        } = input;
        let answer = async {
            let accept = AcceptAction {
                actor: ctx.actor().clone(),
                action: node::parse(&id)?,
                digest,
            };
            ctx.store().write(accept).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(ToolActionAcceptPayload {
            tool_action: row.map(ToolAction),
            user_errors,
            client_mutation_id,
        })
    }

    /// Disables or enables an action for all coworkers, or says what happens when a call of it is repeated; what is left out stays as it is.
    async fn tool_action_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: ToolActionUpdateInput,
    ) -> Result<ToolActionUpdatePayload> {
        let ToolActionUpdateInput {
            id,
            effect,
            enabled,
            client_mutation_id,
        } = input;
        let answer = async {
            let update = UpdateAction {
                actor: ctx.actor().clone(),
                action: node::parse(&id)?,
                effect: match effect {
                    MaybeUndefined::Undefined => None,
                    MaybeUndefined::Null => Some(None),
                    MaybeUndefined::Value(effect) => Some(Some(effect.into())),
                },
                enabled,
            };
            ctx.store().write(update).await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(ToolActionUpdatePayload {
            tool_action: row.map(ToolAction),
            user_errors,
            client_mutation_id,
        })
    }
}

/// Asks a server what it offers, and reads it as it is then.
async fn refreshed(ctx: &Context<'_>, id: ToolServerId) -> domain::Result<tool_server::Model> {
    ctx.shared().outside.refresh(ctx.actor(), id).await?;
    servers::get(ctx.store().read(), ctx.actor(), id).await
}

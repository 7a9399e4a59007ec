//! Queries for the caller, for anything by its id, and for API keys.

use async_graphql::{Context, ID, Object};
use domain::access::Standing;

use super::{ApiKeyConnection, Workspace};
use crate::graphql::actor::{self, Actor};
use crate::graphql::context::{ContextExt as _, cursor_key, slice};
use crate::graphql::error::{Error, Result};
use crate::graphql::kind::Role;
use crate::graphql::node::{self, Node};
use crate::graphql::page::{self, page_points};

/// How many ids `nodes` takes.
const NODES: usize = 100;

/// Queries for the caller, for anything by its id, and for API keys.
#[derive(Default)]
pub struct AdminQuery;

#[Object]
impl AdminQuery {
    /// Any object by its global id. Null, with the error NOT_FOUND, where the caller's workspace has no such object.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of an object.")] id: ID,
    ) -> Option<Result<Node>> {
        Some(node::find(ctx, &id).await.map_err(Error::from))
    }

    /// Several objects by their global ids, in the order asked for; null, with the error NOT_FOUND, in the place of each one that does not exist.
    #[graphql(complexity = "page::items_points(ids.len().min(100), child_complexity)")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Global ids, at most 100.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Result<Node>>>> {
        if ids.len() > NODES {
            let message = format!(
                "`ids` has {} ids, and at most {NODES} are allowed",
                ids.len()
            );
            return Err(domain::Error::invalid("ids", "PAGE_TOO_LARGE", message).into());
        }
        let mut found = Vec::with_capacity(ids.len());
        for id in &ids {
            found.push(Some(node::find(ctx, id).await.map_err(Error::from)));
        }
        Ok(found)
    }

    /// The caller: for whom the API key acts, and what it may do.
    async fn viewer(&self) -> Viewer {
        Viewer
    }

    /// The workspace's API keys, newest first. Secrets are never among them. Null, with the error FORBIDDEN, for callers without the role ADMIN.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn api_keys(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Option<Result<ApiKeyConnection>> {
        let page = async {
            let slice = slice(ctx, first, after, last, before)?;
            let key = cursor_key(ctx).await?;
            Ok(
                domain::key::query::page(ctx.store().read(), ctx.actor(), key, &slice)
                    .await?
                    .into(),
            )
        };
        Some(page.await)
    }
}

/// The caller.
pub struct Viewer;

/// The caller: for whom the API key acts, and what it may do.
#[Object]
impl Viewer {
    /// For whom the API key acts.
    async fn actor(&self, ctx: &Context<'_>) -> Result<Actor> {
        Ok(actor::principal(ctx, ctx.actor().principal).await?)
    }

    /// What the API key may do.
    async fn role(&self, ctx: &Context<'_>) -> Result<Role> {
        match ctx.actor().standing {
            Standing::Role(role) => Ok(role.into()),
            Standing::AssignedRun
            | Standing::MentionedRun
            | Standing::Webhook
            | Standing::Stint => Err(domain::Error::internal(
                "a caller of the API acts with a key, and keys have roles",
            )
            .into()),
        }
    }

    /// The workspace that the API key opens.
    async fn workspace(&self, ctx: &Context<'_>) -> Result<Workspace> {
        Ok(Workspace(
            domain::key::query::workspace(ctx.store().read(), ctx.actor()).await?,
        ))
    }
}

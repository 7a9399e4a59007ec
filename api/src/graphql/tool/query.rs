//! Queries for tool servers and secrets.

use async_graphql::{Context, Object};
use domain::secret::kept;
use domain::tool::server::query as servers;

use super::{Secret, ToolServerConnection};
use crate::graphql::context::{ContextExt as _, cursor_key, slice};
use crate::graphql::error::Result;
use crate::graphql::page::page_points;

/// Queries for tool servers and secrets.
#[derive(Default)]
pub struct ToolQuery;

#[Object]
impl ToolQuery {
    /// The workspace's tool servers, by name. Null, with the error FORBIDDEN, for callers without the role ADMIN.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn tool_servers(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Option<Result<ToolServerConnection>> {
        let page = async {
            let slice = slice(ctx, first, after, last, before)?;
            let key = cursor_key(ctx).await?;
            Ok(servers::page(ctx.store().read(), ctx.actor(), key, &slice)
                .await?
                .into())
        };
        Some(page.await)
    }

    /// The workspace's secrets, by name, at most 200; never their values. Null, with the error FORBIDDEN, for callers without the role ADMIN.
    async fn secrets(&self, ctx: &Context<'_>) -> Option<Result<Vec<Secret>>> {
        let rows = kept::list(ctx.store().read(), ctx.actor()).await;
        let secrets = rows.map(|rows| rows.into_iter().map(Secret).collect());
        Some(secrets.map_err(Into::into))
    }
}

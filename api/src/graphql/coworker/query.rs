//! Queries for coworkers.

use async_graphql::{Context, ID, Object};
use domain::coworker::query as coworkers;

use super::{Coworker, CoworkerConnection, CoworkerFilter, CoworkerOrder};
use crate::graphql::context::{ContextExt as _, cursor_key, slice};
use crate::graphql::error::{Error, Result};
use crate::graphql::filter::condition;
use crate::graphql::node;
use crate::graphql::page::page_points;

/// Queries for coworkers.
#[derive(Default)]
pub struct CoworkerQuery;

#[Object]
impl CoworkerQuery {
    /// One coworker, by exactly one of its id and its handle. Null, with the error NOT_FOUND, if there is none.
    async fn coworker(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The coworker's global id.")] id: Option<ID>,
        #[graphql(desc = "The coworker's handle, without the @.")] handle: Option<String>,
    ) -> Option<Result<Coworker>> {
        Some(
            find(ctx, id, handle)
                .await
                .map(Coworker)
                .map_err(Error::from),
        )
    }

    /// The workspace's coworkers, by name unless ordered otherwise; none for callers with the role REQUESTER.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the contract's own arguments")]
    async fn coworkers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which coworkers; all without it.")] filter: Option<CoworkerFilter>,
        #[graphql(desc = "What to sort by, most significant first; by name without it.")]
        order: Option<Vec<CoworkerOrder>>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<CoworkerConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let filter = condition(filter.as_ref(), ctx.store().now())?;
        let order: Vec<_> = order.iter().flatten().map(|order| order.key()).collect();
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(
            coworkers::page(db, ctx.actor(), key, filter, &order, &slice)
                .await?
                .into(),
        )
    }
}

async fn find(
    ctx: &Context<'_>,
    id: Option<ID>,
    handle: Option<String>,
) -> domain::Result<entity::coworker::Model> {
    let db = ctx.store().read();
    match (id, handle) {
        (Some(id), None) => coworkers::get(db, ctx.actor(), node::parse(&id)?).await,
        (None, Some(handle)) => coworkers::by_handle(db, ctx.actor(), &handle).await,
        (Some(_), Some(_)) | (None, None) => Err(domain::Error::invalid(
            "id",
            "BAD_USER_INPUT",
            "give exactly one of `id` and `handle`",
        )),
    }
}

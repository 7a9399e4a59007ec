//! Queries for requests.

use async_graphql::{Context, ID, Object};
use domain::request::query as requests;

use super::{Request, RequestConnection, RequestFilter, RequestOrder};
use crate::graphql::context::{ContextExt as _, cursor_key, slice};
use crate::graphql::error::{Error, Result};
use crate::graphql::filter::condition;
use crate::graphql::node;
use crate::graphql::page::page_points;

/// Queries for requests.
#[derive(Default)]
pub struct RequestQuery;

#[Object]
impl RequestQuery {
    /// One request, by exactly one of its id and its number. Null, with the error NOT_FOUND, if there is none.
    async fn request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The request's global id.")] id: Option<ID>,
        #[graphql(desc = "The request's number, as in REQ-12.")] number: Option<i32>,
    ) -> Option<Result<Request>> {
        Some(
            find(ctx, id, number)
                .await
                .map(Request)
                .map_err(Error::from),
        )
    }

    /// The requests that the caller may see, newest first unless ordered otherwise.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the contract's own arguments")]
    async fn requests(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which requests; all without it.")] filter: Option<RequestFilter>,
        #[graphql(desc = "What to sort by, most significant first; newest first without it.")]
        order: Option<Vec<RequestOrder>>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<RequestConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let filter = condition(filter.as_ref(), ctx.store().now())?;
        let order: Vec<_> = order.iter().flatten().map(|order| order.key()).collect();
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(requests::page(db, ctx.actor(), key, filter, &order, &slice)
            .await?
            .into())
    }
}

async fn find(
    ctx: &Context<'_>,
    id: Option<ID>,
    number: Option<i32>,
) -> domain::Result<entity::request::Model> {
    let db = ctx.store().read();
    match (id, number) {
        (Some(id), None) => requests::get(db, ctx.actor(), node::parse(&id)?).await,
        (None, Some(number)) => requests::by_number(db, ctx.actor(), number.into()).await,
        (Some(_), Some(_)) | (None, None) => Err(domain::Error::invalid(
            "id",
            "BAD_USER_INPUT",
            "give exactly one of `id` and `number`",
        )),
    }
}

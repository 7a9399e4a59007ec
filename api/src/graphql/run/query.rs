//! Queries for runs.

use async_graphql::{Context, ID, Object};
use domain::run::query as runs;

use super::{Run, RunConnection, RunFilter, RunOrder};
use crate::graphql::context::{ContextExt as _, slice};
use crate::graphql::error::{Error, Result};
use crate::graphql::node;
use crate::graphql::page::page_points;

/// Queries for runs.
#[derive(Default)]
pub struct RunQuery;

#[Object]
impl RunQuery {
    /// One run, by exactly one of its id and its number. Null, with the error NOT_FOUND, if there is none.
    async fn run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's global id.")] id: Option<ID>,
        #[graphql(desc = "The run's number, as in Run-83.")] number: Option<i32>,
    ) -> Option<Result<Run>> {
        Some(find(ctx, id, number).await.map(Run).map_err(Error::from))
    }

    /// The workspace's runs, newest first unless ordered otherwise; none for callers with the role REQUESTER.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the contract's own arguments")]
    async fn runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which runs; all without it.")] filter: Option<RunFilter>,
        #[graphql(desc = "What to sort by, most significant first; newest first without it.")]
        order: Option<Vec<RunOrder>>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<RunConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        RunConnection::of(ctx, runs::Of::Workspace, filter, order, slice).await
    }
}

async fn find(
    ctx: &Context<'_>,
    id: Option<ID>,
    number: Option<i32>,
) -> domain::Result<entity::run::Model> {
    let db = ctx.store().read();
    match (id, number) {
        (Some(id), None) => runs::get(db, ctx.actor(), node::parse(&id)?).await,
        (None, Some(number)) => runs::by_number(db, ctx.actor(), number.into()).await,
        (Some(_), Some(_)) | (None, None) => Err(domain::Error::invalid(
            "id",
            "BAD_USER_INPUT",
            "give exactly one of `id` and `number`",
        )),
    }
}

//! Queries for requests.

use async_graphql::{Context, ID, Object, SimpleObject};
use domain::request::query as requests;
use entity::{coworker, person};

use super::{Request, RequestConnection, RequestFilter, RequestOrder};
use crate::graphql::actor::{Actor, Person};
use crate::graphql::context::{ContextExt as _, cursor_key, slice};
use crate::graphql::coworker::Coworker;
use crate::graphql::error::{Error, Result};
use crate::graphql::filter::condition;
use crate::graphql::node;
use crate::graphql::page::{self, page_points};

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

    /// Whom the caller may mention in a note, for a text field's completions: the published coworkers and the people whose handle or name
    /// begins with the prefix; A–Z and a–z count as the same. Coworkers come first, each kind by name. Nobody for callers who may not post
    /// notes, who may not see coworkers, or who are no persons: only what people write mentions.
    #[graphql(
        complexity = "page::items_points(usize::try_from(first).unwrap_or(0).min(50), child_complexity)"
    )]
    async fn mentionables(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What was typed after the @; empty for the first of all.")] prefix: String,
        #[graphql(desc = "How many at most: 1 to 50.", default = 10)] first: i32,
    ) -> Result<Vec<Mentionable>> {
        let db = ctx.store().read();
        let (coworkers, people) = requests::mentionables(db, ctx.actor(), &prefix, first).await?;
        let coworkers = coworkers.into_iter().map(Mentionable::coworker);
        Ok(coworkers
            .chain(people.into_iter().map(Mentionable::person))
            .collect())
    }
}

/// Whom a note can mention.
#[derive(SimpleObject)]
pub struct Mentionable {
    /// The coworker or the person.
    pub actor: Actor,
    /// What to write in the note: `@handle` for a coworker, `@name` for a person, who is named by it and nothing more.
    pub text: String,
    /// Whether mentioning them starts a run.
    pub starts_run: bool,
}

impl Mentionable {
    fn coworker(row: coworker::Model) -> Self {
        Self {
            text: format!("@{}", row.handle),
            starts_run: true,
            actor: Coworker(row).into(),
        }
    }

    fn person(row: person::Model) -> Self {
        Self {
            text: format!("@{}", row.name),
            starts_run: false,
            actor: Person(row).into(),
        }
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

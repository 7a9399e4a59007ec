//! Queries for skills.

use async_graphql::{Context, ID, Object};
use domain::skill::query as skills;

use super::{Skill, SkillConnection};
use crate::graphql::context::{ContextExt as _, cursor_key, slice};
use crate::graphql::error::{Error, Result};
use crate::graphql::node;
use crate::graphql::page::page_points;

/// Queries for skills.
#[derive(Default)]
pub struct SkillQuery;

#[Object]
impl SkillQuery {
    /// One skill of the library, by exactly one of its id and its handle. Null, with the error NOT_FOUND, if there is none.
    async fn skill(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The skill's global id.")] id: Option<ID>,
        #[graphql(desc = "The skill's handle.")] handle: Option<String>,
    ) -> Option<Result<Skill>> {
        Some(find(ctx, id, handle).await.map(Skill).map_err(Error::from))
    }

    /// The workspace's library of skills, by name; none for callers with the role REQUESTER.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn skills(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<SkillConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(skills::page(db, ctx.actor(), key, &slice).await?.into())
    }
}

async fn find(
    ctx: &Context<'_>,
    id: Option<ID>,
    handle: Option<String>,
) -> domain::Result<entity::skill::Model> {
    let db = ctx.store().read();
    match (id, handle) {
        (Some(id), None) => skills::get(db, ctx.actor(), node::parse(&id)?).await,
        (None, Some(handle)) => skills::by_handle(db, ctx.actor(), &handle).await,
        (Some(_), Some(_)) | (None, None) => Err(domain::Error::invalid(
            "id",
            "BAD_USER_INPUT",
            "give exactly one of `id` and `handle`",
        )),
    }
}

//! The library of skills.

mod mutation;
mod query;

use async_graphql::{Context, ID, Object};
use domain::skill::query as skills;
use entity::{SkillId, skill, skill_version};

pub use mutation::SkillMutation;
pub use query::SkillQuery;

use super::actor::{self, Actor};
use super::context::{ContextExt as _, cursor_key, slice};
use super::coworker::Coworker;
use super::error::Result;
use super::node;
use super::page::{connection, items_points, page_points};
use super::scalar::DateTime;

/// A skill: a procedure in words that coworkers share.
pub struct Skill(pub skill::Model);

impl From<skill::Model> for Skill {
    fn from(row: skill::Model) -> Self {
        Self(row)
    }
}

impl Skill {
    /// The skill that another row refers to.
    ///
    /// # Errors
    /// What the database answers.
    async fn referred(ctx: &Context<'_>, id: SkillId) -> Result<Self> {
        Ok(Self(ctx.loaders().referred(id).await?))
    }
}

connection! {
    "A page of skills."
    SkillConnection,
    "A skill in a list."
    SkillEdge of Skill,
    edges: "The skills of this page with their cursors.",
    nodes: "The skills of this page.",
    total: "How many skills the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The skill.",
}

/// A skill: a procedure in words that coworkers share. Each change makes a version; a coworker's version pins one, so that its runs read exactly that text.
#[Object]
impl Skill {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// Its short name, unique in the workspace; coworkers refer to it.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// Its name, as in the newest version.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The newest version: what coworkers pin that are published from now on.
    async fn version(&self, ctx: &Context<'_>) -> Result<SkillVersion> {
        Ok(SkillVersion(
            ctx.loaders().referred(self.0.version_id).await?,
        ))
    }

    /// Its versions, newest first.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<SkillVersionConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        let (db, key) = (ctx.store().read(), cursor_key(ctx).await?);
        Ok(skills::versions(db, ctx.actor(), key, self.0.id, &slice)
            .await?
            .into())
    }

    /// The published coworkers whose version in force pins some version of it, by handle, at most 100.
    #[graphql(complexity = "items_points(20, child_complexity)")]
    async fn used_by(&self, ctx: &Context<'_>) -> Result<Vec<Coworker>> {
        let users = skills::used_by(ctx.store().read(), ctx.actor(), self.0.id).await?;
        Ok(users.into_iter().map(Coworker).collect())
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

/// A skill as it was written at one time.
pub struct SkillVersion(pub skill_version::Model);

impl From<skill_version::Model> for SkillVersion {
    fn from(row: skill_version::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of a skill's versions."
    SkillVersionConnection,
    "A skill's version in a list."
    SkillVersionEdge of SkillVersion,
    edges: "The versions of this page with their cursors.",
    nodes: "The versions of this page.",
    total: "How many versions the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The version.",
}

/// A skill as it was written at one time. It never changes.
#[Object]
impl SkillVersion {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The skill.
    async fn skill(&self, ctx: &Context<'_>) -> Result<Skill> {
        Skill::referred(ctx, self.0.skill_id).await
    }

    /// Its number, from 1 for each skill.
    async fn number(&self) -> i32 {
        self.0.version
    }

    /// The name.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The text, as models read it.
    async fn text(&self) -> &str {
        &self.0.body
    }

    /// Who wrote it.
    async fn created_by(&self, ctx: &Context<'_>) -> Result<Actor> {
        Ok(actor::named(ctx, self.0.created_by_kind, self.0.created_by_id).await?)
    }

    /// When it was written.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

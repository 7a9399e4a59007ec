//! A coworker's published versions.

use async_graphql::{Context, ID, Object};
use domain::coworker::Config;
use entity::coworker_version;

use super::finding::{self, Finding};
use super::{Coworker, CoworkerConfig};
use crate::graphql::actor::{self, Actor};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::Result;
use crate::graphql::node;
use crate::graphql::page::connection;
use crate::graphql::scalar::DateTime;
use crate::graphql::skill::SkillVersion;

/// A published configuration of a coworker.
pub struct CoworkerVersion(pub coworker_version::Model);

impl From<coworker_version::Model> for CoworkerVersion {
    fn from(row: coworker_version::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of a coworker's versions."
    CoworkerVersionConnection,
    "A coworker's version in a list."
    CoworkerVersionEdge of CoworkerVersion,
    edges: "The versions of this page with their cursors.",
    nodes: "The versions of this page.",
    total: "How many versions the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The version.",
}

/// A published configuration of a coworker: it never changes, and each run names the one that it used.
#[Object]
impl CoworkerVersion {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The coworker.
    async fn coworker(&self, ctx: &Context<'_>) -> Result<Coworker> {
        Coworker::referred(ctx, self.0.coworker_id).await
    }

    /// Its number, from 1 for each coworker.
    async fn number(&self) -> i32 {
        self.0.version
    }

    /// The configuration.
    async fn config(&self) -> Result<CoworkerConfig> {
        Ok(CoworkerConfig(Config::from_row(&self.0.config)?))
    }

    /// Who published it.
    async fn published_by(&self, ctx: &Context<'_>) -> Result<Actor> {
        Ok(actor::named(ctx, self.0.published_by_kind, self.0.published_by_id).await?)
    }

    /// When it was published.
    async fn published_at(&self) -> DateTime {
        DateTime(self.0.published_at)
    }

    /// The skills that it pins, in the order in which its runs read them.
    #[graphql(complexity = "1 + 20 * child_complexity / 10")]
    async fn skills(&self, ctx: &Context<'_>) -> Result<Vec<SkillVersion>> {
        let pinned = domain::skill::query::pinned(ctx.store().read(), self.0.id).await?;
        Ok(pinned
            .into_iter()
            .map(|(_, skill)| SkillVersion(skill))
            .collect())
    }

    /// The number of the version whose configuration it brought back; null: it was a draft.
    async fn restored_from(&self) -> Option<i32> {
        self.0.restored_from
    }

    /// Why `publishedBy` published it in spite of findings that are errors; null: there were none.
    async fn forced_reason(&self) -> Option<&str> {
        self.0.forced_reason.as_deref()
    }

    /// What the lint found when it was published.
    async fn findings(&self) -> Result<Vec<Finding>> {
        let found = serde_json::from_str(&self.0.findings);
        Ok(finding::all(found.map_err(domain::Error::internal)?))
    }
}

//! Notes on requests.

use async_graphql::{Context, ID, Object};
use entity::note;

use super::Request;
use crate::graphql::actor::{self, Actor};
use crate::graphql::error::Result;
use crate::graphql::kind::NoteVisibility;
use crate::graphql::node;
use crate::graphql::page::connection;
use crate::graphql::run::Run;
use crate::graphql::scalar::DateTime;

/// A note on a request.
pub struct Note(pub note::Model);

impl From<note::Model> for Note {
    fn from(row: note::Model) -> Self {
        Self(row)
    }
}

connection! {
    "A page of notes."
    NoteConnection,
    "A note in a list."
    NoteEdge of Note,
    edges: "The notes of this page with their cursors.",
    nodes: "The notes of this page.",
    total: "How many notes the whole list has. Counted only when asked for.",
    cursor: "Its place in this list, for `after` and `before`.",
    node: "The note.",
}

/// A note on a request.
#[Object]
impl Note {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        node::global(self.0.id)
    }

    /// The request that it is on.
    async fn request(&self, ctx: &Context<'_>) -> Result<Request> {
        Request::referred(ctx, self.0.request_id).await
    }

    /// Who wrote it.
    async fn author(&self, ctx: &Context<'_>) -> Result<Actor> {
        Ok(actor::named(ctx, self.0.author_kind, self.0.author_id).await?)
    }

    /// Who may read it.
    async fn visibility(&self) -> NoteVisibility {
        self.0.visibility.into()
    }

    /// The text, Markdown.
    async fn body(&self) -> &str {
        &self.0.body
    }

    /// The run that wrote it; null where a coworker did not, and for callers with the role REQUESTER.
    async fn run(&self, ctx: &Context<'_>) -> Option<Result<Run>> {
        Run::if_visible(ctx, self.0.run_id).await
    }

    /// When it was posted.
    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

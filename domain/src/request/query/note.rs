//! Reading notes.

use entity::{NoteId, NoteVisibility, RequestId, note};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, Select};

use super::get;
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};

/// The notes that the actor may see on visible requests.
pub fn visible_notes(actor: &Actor) -> Select<note::Entity> {
    let select = note::Entity::find().filter(note::Column::WorkspaceId.eq(actor.workspace));
    if sees_private(actor) {
        select
    } else {
        select.filter(note::Column::Visibility.eq(NoteVisibility::Public))
    }
}

/// Whether the actor may read private notes.
pub fn sees_private(actor: &Actor) -> bool {
    actor.may(Action::RequestReadAll)
}

/// One note.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get_note<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: NoteId,
) -> Result<note::Model> {
    let absent = Error::NotFound { what: "Note" };
    let found = visible_notes(actor)
        .filter(note::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(absent.clone())?;
    get(db, actor, found.request_id).await.map_err(|_| absent)?;
    Ok(found)
}

/// A page of a request's notes; oldest first unless ordered.
///
/// # Errors
/// As [`page::page`].
pub async fn notes<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    request: RequestId,
    filter: Condition,
    order: &[(NoteKey, Direction)],
    slice: &Slice,
) -> Result<Page<note::Model>> {
    let list = List {
        cursor_key,
        name: format!("request.notes:{request}"),
    };
    let order = if order.is_empty() {
        &[(NoteKey::CreatedAt, Direction::Asc)]
    } else {
        order
    };
    let select = visible_notes(actor)
        .filter(note::Column::RequestId.eq(request))
        .filter(filter);
    page::page(db, &list, select, order, slice).await
}

/// What notes can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKey {
    /// When it was posted.
    CreatedAt,
    /// The id.
    Id,
}

impl Key<note::Entity> for NoteKey {
    const TIE: Self = Self::Id;

    fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "createdAt",
            Self::Id => "id",
        }
    }

    fn is_unique(self) -> bool {
        matches!(self, Self::Id)
    }

    fn expr(self) -> Expr {
        match self {
            Self::CreatedAt => note::Column::CreatedAt.into_expr(),
            Self::Id => note::Column::Id.into_expr(),
        }
    }

    fn value(self, row: &note::Model) -> KeyValue {
        match self {
            Self::CreatedAt => KeyValue::Int(row.created_at.0),
            Self::Id => KeyValue::Id(row.id.0),
        }
    }
}

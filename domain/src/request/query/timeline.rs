//! Reading timelines.

use entity::{RequestEventKind, RequestId, request_event};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, Select};

use super::sees_private;
use crate::access::Actor;
use crate::error::Result;
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};

/// How the data of a timeline entry spells that its note is private.
const PRIVATE: &str = r#""visibility":"PRIVATE""#;

/// The timeline entries that the actor may see on visible requests: not those of notes that are hidden
/// from them.
pub fn visible_timeline(actor: &Actor) -> Select<request_event::Entity> {
    let select = request_event::Entity::find()
        .filter(request_event::Column::WorkspaceId.eq(actor.workspace));
    if sees_private(actor) {
        return select;
    }
    let hidden = Condition::all()
        .add(request_event::Column::Kind.eq(RequestEventKind::NotePosted))
        .add(request_event::Column::Data.contains(PRIVATE));
    select.filter(hidden.not())
}

/// Whether the actor may see an entry of a visible request's timeline; as [`visible_timeline`] has it.
pub fn shows(actor: &Actor, entry: &request_event::Model) -> bool {
    sees_private(actor)
        || entry.kind != RequestEventKind::NotePosted
        || !entry.data.contains(PRIVATE)
}

/// A page of a request's timeline, oldest first; the request itself must be visible.
///
/// # Errors
/// As [`page::page`].
pub async fn timeline<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    request: RequestId,
    slice: &Slice,
) -> Result<Page<request_event::Model>> {
    let list = List {
        cursor_key,
        name: format!("request.timeline:{request}"),
    };
    let select = visible_timeline(actor).filter(request_event::Column::RequestId.eq(request));
    page::page(db, &list, select, &[(TimelineKey, Direction::Asc)], slice).await
}

/// What timelines are sorted by: the sequence, which is unique within a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineKey;

impl Key<request_event::Entity> for TimelineKey {
    const TIE: Self = Self;

    fn name(self) -> &'static str {
        "sequence"
    }

    fn is_unique(self) -> bool {
        true
    }

    fn expr(self) -> Expr {
        request_event::Column::Seq.into_expr()
    }

    fn value(self, row: &request_event::Model) -> KeyValue {
        KeyValue::Int(row.seq)
    }
}

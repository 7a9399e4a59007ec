//! Reading requests and what hangs on them. Every query starts from `visible*`, which keeps it within
//! the actor's workspace and rights.

use entity::{
    AssignmentId, DispatchId, DispatchState, NoteId, NoteVisibility, Priority, RequestEventKind,
    RequestId,
};
use entity::{assignment, dispatch, note, request, request_event};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, Select,
};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};

/// The requests that the actor may see.
pub fn visible(actor: &Actor) -> Select<request::Entity> {
    let select = request::Entity::find().filter(request::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::RequestReadAll) {
        return select;
    }
    if actor.may(Action::RequestReadOwn) {
        return select
            .filter(request::Column::RequesterId.eq(actor.principal.id()))
            .filter(request::Column::RequesterKind.eq(actor.principal.kind()));
    }
    select.filter(nothing())
}

/// A condition that no row meets.
pub(crate) fn nothing() -> Expr {
    Expr::val(1).eq(0)
}

/// One request.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: RequestId,
) -> Result<request::Model> {
    visible(actor)
        .filter(request::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "Request" })
}

/// The request with this number.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn by_number<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    number: i64,
) -> Result<request::Model> {
    visible(actor)
        .filter(request::Column::Number.eq(number))
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "Request" })
}

/// A page of the requests that the actor may see and that meet `filter`; newest first unless ordered.
///
/// # Errors
/// As [`page::page`].
pub async fn page<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    filter: Condition,
    order: &[(RequestKey, Direction)],
    slice: &Slice,
) -> Result<Page<request::Model>> {
    let list = List {
        cursor_key,
        name: "requests".into(),
    };
    let order = if order.is_empty() {
        &[(RequestKey::Number, Direction::Desc)]
    } else {
        order
    };
    page::page(db, &list, visible(actor).filter(filter), order, slice).await
}

/// What requests can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKey {
    /// The number.
    Number,
    /// The title.
    Title,
    /// The urgency, LOW first.
    Priority,
    /// When it was made.
    CreatedAt,
    /// When it last changed.
    UpdatedAt,
}

impl Key<request::Entity> for RequestKey {
    const TIE: Self = Self::Number;

    fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Title => "title",
            Self::Priority => "priority",
            Self::CreatedAt => "createdAt",
            Self::UpdatedAt => "updatedAt",
        }
    }

    fn is_unique(self) -> bool {
        matches!(self, Self::Number)
    }

    fn expr(self) -> Expr {
        match self {
            Self::Number => request::Column::Number.into_expr(),
            Self::Title => request::Column::Title.into_expr(),
            Self::Priority => {
                let rank = Priority::ALL
                    .iter()
                    .fold(CaseStatement::new(), |case, priority| {
                        case.case(
                            request::Column::Priority.eq(*priority),
                            Expr::val(urgency(*priority)),
                        )
                    });
                rank.finally(Expr::val(-1)).into()
            }
            Self::CreatedAt => request::Column::CreatedAt.into_expr(),
            Self::UpdatedAt => request::Column::UpdatedAt.into_expr(),
        }
    }

    fn value(self, row: &request::Model) -> KeyValue {
        match self {
            Self::Number => KeyValue::Int(row.number),
            Self::Title => KeyValue::Text(row.title.clone()),
            Self::Priority => KeyValue::Int(urgency(row.priority)),
            Self::CreatedAt => KeyValue::Int(row.created_at.0),
            Self::UpdatedAt => KeyValue::Int(row.updated_at.0),
        }
    }
}

const fn urgency(priority: Priority) -> i64 {
    match priority {
        Priority::Low => 0,
        Priority::Normal => 1,
        Priority::High => 2,
        Priority::Urgent => 3,
    }
}

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

/// The assignments of visible requests.
pub fn visible_assignments(actor: &Actor) -> Select<assignment::Entity> {
    assignment::Entity::find().filter(assignment::Column::WorkspaceId.eq(actor.workspace))
}

/// The dispatches of visible requests.
pub fn visible_dispatches(actor: &Actor) -> Select<dispatch::Entity> {
    dispatch::Entity::find().filter(dispatch::Column::WorkspaceId.eq(actor.workspace))
}

/// One assignment.
///
/// # Errors
/// [`Error::NotFound`], also for one of a request that the actor may not see.
pub async fn get_assignment<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: AssignmentId,
) -> Result<assignment::Model> {
    let absent = Error::NotFound { what: "Assignment" };
    let found = visible_assignments(actor)
        .filter(assignment::Column::Id.eq(id))
        .one(db)
        .await?;
    let found = found.ok_or(absent.clone())?;
    get(db, actor, found.request_id).await.map_err(|_| absent)?;
    Ok(found)
}

/// A page of a request's assignments, oldest first.
///
/// # Errors
/// As [`page::page`].
pub async fn assignments<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    request: RequestId,
    slice: &Slice,
) -> Result<Page<assignment::Model>> {
    let list = List {
        cursor_key,
        name: format!("request.assignments:{request}"),
    };
    let select = visible_assignments(actor).filter(assignment::Column::RequestId.eq(request));
    page::page(db, &list, select, &[(AssignmentKey, Direction::Asc)], slice).await
}

/// Assignments are sorted by epoch, which is unique within a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssignmentKey;

impl Key<assignment::Entity> for AssignmentKey {
    const TIE: Self = Self;

    fn name(self) -> &'static str {
        "epoch"
    }

    fn is_unique(self) -> bool {
        true
    }

    fn expr(self) -> Expr {
        assignment::Column::Epoch.into_expr()
    }

    fn value(self, row: &assignment::Model) -> KeyValue {
        KeyValue::Int(row.epoch)
    }
}

/// One dispatch.
///
/// # Errors
/// [`Error::NotFound`], also for one of a request that the actor may not see.
pub async fn get_dispatch<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: DispatchId,
) -> Result<dispatch::Model> {
    let absent = Error::NotFound { what: "Dispatch" };
    let found = visible_dispatches(actor)
        .filter(dispatch::Column::Id.eq(id))
        .one(db)
        .await?;
    let found = found.ok_or(absent.clone())?;
    get(db, actor, found.request_id).await.map_err(|_| absent)?;
    Ok(found)
}

/// The work on a request that waits to become a run, oldest first; the request itself must be visible.
///
/// # Errors
/// What the database answers.
pub async fn waiting<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    request: RequestId,
) -> Result<Vec<dispatch::Model>> {
    let rows = visible_dispatches(actor)
        .filter(dispatch::Column::RequestId.eq(request))
        .filter(dispatch::Column::State.eq(DispatchState::Waiting))
        .order_by_asc(dispatch::Column::Id)
        .all(db)
        .await?;
    Ok(rows)
}

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

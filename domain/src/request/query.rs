//! Reading requests and what hangs on them. Every query starts from `visible*`, which keeps it within
//! the actor's workspace and rights.

mod assignment;
mod mentionable;
mod note;
mod timeline;

use entity::{Priority, RequestId, request};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, Select};

pub use assignment::{
    AssignmentKey, assignments, get_assignment, get_dispatch, is_waiting, visible_assignments,
    visible_dispatches, waiting, waits_for,
};
pub use mentionable::mentionables;
pub use note::{NoteKey, get_note, notes, sees_private, visible_notes};
pub use timeline::{TimelineKey, shows, timeline, visible_timeline};

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

/// Whether a request is one of [`visible`].
pub fn sees(actor: &Actor, row: &request::Model) -> bool {
    let own =
        || (row.requester_kind, row.requester_id) == (actor.principal.kind(), actor.principal.id());
    row.workspace_id == actor.workspace
        && (actor.may(Action::RequestReadAll) || actor.may(Action::RequestReadOwn) && own())
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

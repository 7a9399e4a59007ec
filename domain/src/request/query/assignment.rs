//! Reading who works on a request: assignments and dispatches.

use entity::{
    AssignmentId, CoworkerState, DispatchId, DispatchState, RequestId, assignment, coworker,
    dispatch, run,
};
use sea_orm::sea_query::{Expr, ExprTrait, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
};

use super::get;
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};

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

/// Dispatches that wait. Written into the statement, for a bound value tells the planner nothing: only so it
/// takes the partial index.
pub fn is_waiting() -> Expr {
    let waiting = Expr::Constant(DispatchState::Waiting.as_str().into());
    dispatch::Column::State.into_expr().eq(waiting)
}

/// The work on a request that waits to become a run, oldest first; the request itself must be visible. What waits since an
/// earlier term of its coworker is not among it: it never starts, and is dropped.
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
        .filter(is_waiting())
        .filter(Expr::exists(takes_it()))
        .order_by_asc(dispatch::Column::Id)
        .all(db)
        .await?;
    Ok(rows)
}

/// The coworker of a dispatch, if it still takes work of the dispatch's term.
fn takes_it() -> SelectStatement {
    let of = |column| Expr::col((dispatch::Entity, column));
    let takes = coworker::Entity::find()
        .select_only()
        .column(coworker::Column::Id)
        .filter(
            coworker::Column::Id
                .into_expr()
                .eq(of(dispatch::Column::CoworkerId)),
        )
        .filter(coworker::Column::State.eq(CoworkerState::Published))
        .filter(
            coworker::Column::Term
                .into_expr()
                .lte(of(dispatch::Column::Term)),
        );
    takes.into_query()
}

/// The run whose end a waiting dispatch waits for, if the actor may see runs: the coworker's own on the same
/// request, or the one that handed the request over. None if only a free worker is missing, and for what never starts because
/// its coworker was taken out of work since.
///
/// # Errors
/// What the database answers.
pub async fn waits_for<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    dispatch: &dispatch::Model,
) -> Result<Option<run::Model>> {
    if dispatch.state != DispatchState::Waiting {
        return Ok(None);
    }
    let own = Condition::all()
        .add(run::Column::RequestId.eq(dispatch.request_id))
        .add(run::Column::CoworkerId.eq(dispatch.coworker_id));
    let mut either = Condition::any().add(own);
    if let Some(source) = dispatch.source_run_id {
        either = either.add(run::Column::Id.eq(source));
    }
    let takes_it = coworker::Entity::find_by_id(dispatch.coworker_id)
        .select_only()
        .column(coworker::Column::Id)
        .filter(coworker::Column::State.eq(CoworkerState::Published))
        .filter(coworker::Column::Term.lte(dispatch.term));
    let found = crate::run::query::visible(actor)
        .filter(crate::run::query::is_active())
        .filter(Expr::exists(takes_it.into_query()))
        .filter(either)
        .order_by_asc(run::Column::Number)
        .one(db)
        .await?;
    Ok(found)
}

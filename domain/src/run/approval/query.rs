//! Reading approvals, within the actor's workspace and rights.

use entity::{ApprovalId, ApprovalState, RunId, StepKind, approval, run_step};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};
use crate::request::query::nothing;

/// The approvals that the actor may see: who sees runs sees what they ask for.
pub fn visible(actor: &Actor) -> Select<approval::Entity> {
    let select = approval::Entity::find().filter(approval::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::RunRead) {
        select
    } else {
        select.filter(nothing())
    }
}

/// Approvals that wait for a decision. Written into the statement, for a bound value tells the planner nothing: only so
/// it takes the partial index.
pub fn is_pending() -> Expr {
    let pending = Expr::Constant(ApprovalState::Pending.as_str().into());
    approval::Column::State.into_expr().eq(pending)
}

/// One approval.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: ApprovalId,
) -> Result<approval::Model> {
    visible(actor)
        .filter(approval::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "Approval" })
}

/// A page of the workspace's approvals, or of one run's, that meet `filter`; newest first.
///
/// # Errors
/// As [`page::page`].
pub async fn page<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    run: Option<RunId>,
    filter: Condition,
    slice: &Slice,
) -> Result<Page<approval::Model>> {
    let select = visible(actor).filter(filter);
    let (name, select) = match run {
        None => ("approvals".into(), select),
        Some(id) => (
            format!("run.approvals:{id}"),
            select.filter(approval::Column::RunId.eq(id)),
        ),
    };
    let list = List { cursor_key, name };
    let order = &[(ApprovalKey::RequestedAt, Direction::Desc)];
    page::page(db, &list, select, order, slice).await
}

/// The newest approvals that wait and meet `filter`, at most `most`, oldest first.
///
/// # Errors
/// What the database answers.
pub async fn pending<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    filter: Condition,
    most: u64,
) -> Result<Vec<approval::Model>> {
    let mut rows = visible(actor)
        .filter(is_pending())
        .filter(filter)
        .order_by_desc(approval::Column::RequestedAt)
        .order_by_desc(approval::Column::Id)
        .limit(most)
        .all(db)
        .await?;
    rows.reverse();
    Ok(rows)
}

/// The step of the call itself, once it was made or refused; the approval must be visible.
///
/// # Errors
/// What the database answers.
pub async fn call_step<C: ConnectionTrait>(
    db: &C,
    approval: &approval::Model,
) -> Result<Option<run_step::Model>> {
    let step = run_step::Entity::find()
        .filter(run_step::Column::RunId.eq(approval.run_id))
        .filter(run_step::Column::Kind.eq(StepKind::ToolCall))
        .filter(run_step::Column::CallId.eq(&approval.call_id))
        .one(db)
        .await?;
    Ok(step)
}

/// What approvals are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalKey {
    /// When it was asked for.
    RequestedAt,
    /// The id.
    Id,
}

impl Key<approval::Entity> for ApprovalKey {
    const TIE: Self = Self::Id;

    fn name(self) -> &'static str {
        match self {
            Self::RequestedAt => "requestedAt",
            Self::Id => "id",
        }
    }

    fn is_unique(self) -> bool {
        matches!(self, Self::Id)
    }

    fn expr(self) -> Expr {
        match self {
            Self::RequestedAt => approval::Column::RequestedAt.into_expr(),
            Self::Id => approval::Column::Id.into_expr(),
        }
    }

    fn value(self, row: &approval::Model) -> KeyValue {
        match self {
            Self::RequestedAt => KeyValue::Int(row.requested_at.0),
            Self::Id => KeyValue::Id(row.id.0),
        }
    }
}

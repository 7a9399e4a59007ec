//! Reading runs, their steps and their raw log, within the actor's workspace and rights.

mod event;
mod step;

pub use event::{EventKey, events, events_between, get_event, raw};
pub use step::{StepKey, get_step, steps};

use entity::{CoworkerId, RequestId, RunId, RunStatus, run};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};
use crate::request::query::nothing;

/// The runs that the actor may see.
pub fn visible(actor: &Actor) -> Select<run::Entity> {
    let select = run::Entity::find().filter(run::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::RunRead) {
        select
    } else {
        select.filter(nothing())
    }
}

/// Runs that a worker executes. Written into the statement, for a bound value tells the planner nothing:
/// only so it takes the partial index.
pub fn is_running() -> Expr {
    run::Column::Status
        .into_expr()
        .eq(literal(RunStatus::Running))
}

/// Runs that wait for a person's decision; as [`is_running`].
pub fn is_paused() -> Expr {
    run::Column::Status
        .into_expr()
        .eq(literal(RunStatus::PausedForApproval))
}

/// Runs that have not ended; as [`is_running`].
pub fn is_active() -> Expr {
    let active = [RunStatus::Running, RunStatus::PausedForApproval];
    run::Column::Status.into_expr().is_in(active.map(literal))
}

fn literal(status: RunStatus) -> Expr {
    Expr::Constant(status.as_str().into())
}

/// One run.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get<C: ConnectionTrait>(db: &C, actor: &Actor, id: RunId) -> Result<run::Model> {
    visible(actor)
        .filter(run::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "Run" })
}

/// The run with this number.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn by_number<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    number: i64,
) -> Result<run::Model> {
    visible(actor)
        .filter(run::Column::Number.eq(number))
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "Run" })
}

/// Which runs a list is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The workspace's.
    Workspace,
    /// One request's.
    Request(RequestId),
    /// One coworker's.
    Coworker(CoworkerId),
}

/// A page of the runs that the actor may see and that meet `filter`; newest first unless ordered.
///
/// # Errors
/// As [`page::page`].
pub async fn page<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    of: Of,
    filter: Condition,
    order: &[(RunKey, Direction)],
    slice: &Slice,
) -> Result<Page<run::Model>> {
    let select = visible(actor).filter(filter);
    let (name, select) = match of {
        Of::Workspace => ("runs".into(), select),
        Of::Request(id) => (
            format!("request.runs:{id}"),
            select.filter(run::Column::RequestId.eq(id)),
        ),
        Of::Coworker(id) => (
            format!("coworker.runs:{id}"),
            select.filter(run::Column::CoworkerId.eq(id)),
        ),
    };
    let order = if order.is_empty() {
        &[(RunKey::Number, Direction::Desc)]
    } else {
        order
    };
    page::page(db, &List { cursor_key, name }, select, order, slice).await
}

/// The run before (or after) `run` on its request.
///
/// # Errors
/// What the database answers.
pub async fn neighbour<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    run: &run::Model,
    after: bool,
) -> Result<Option<run::Model>> {
    let select = visible(actor).filter(run::Column::RequestId.eq(run.request_id));
    let select = if after {
        select
            .filter(run::Column::Number.gt(run.number))
            .order_by_asc(run::Column::Number)
    } else {
        select
            .filter(run::Column::Number.lt(run.number))
            .order_by_desc(run::Column::Number)
    };
    Ok(select.limit(1).one(db).await?)
}

/// What runs can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKey {
    /// The number.
    Number,
    /// When it started.
    StartedAt,
    /// When it ended; a run that goes on counts as ending last.
    EndedAt,
    /// Model turns.
    TurnCount,
    /// Tool calls.
    ToolCallCount,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Recorded cost.
    Cost,
}

impl Key<run::Entity> for RunKey {
    const TIE: Self = Self::Number;

    fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::StartedAt => "startedAt",
            Self::EndedAt => "endedAt",
            Self::TurnCount => "turnCount",
            Self::ToolCallCount => "toolCallCount",
            Self::InputTokens => "inputTokens",
            Self::OutputTokens => "outputTokens",
            Self::Cost => "cost",
        }
    }

    fn is_unique(self) -> bool {
        matches!(self, Self::Number)
    }

    fn expr(self) -> Expr {
        match self {
            Self::Number => run::Column::Number.into_expr(),
            Self::StartedAt => run::Column::StartedAt.into_expr(),
            Self::EndedAt => {
                Func::coalesce([run::Column::EndedAt.into_expr(), Expr::val(i64::MAX)]).into()
            }
            Self::TurnCount => run::Column::TurnCount.into_expr(),
            Self::ToolCallCount => run::Column::ToolCallCount.into_expr(),
            Self::InputTokens => run::Column::InputTokens.into_expr(),
            Self::OutputTokens => run::Column::OutputTokens.into_expr(),
            Self::Cost => run::Column::CostNano.into_expr(),
        }
    }

    fn value(self, row: &run::Model) -> KeyValue {
        KeyValue::Int(match self {
            Self::Number => row.number,
            Self::StartedAt => row.started_at.0,
            Self::EndedAt => row.ended_at.map_or(i64::MAX, |at| at.0),
            Self::TurnCount => row.turn_count.into(),
            Self::ToolCallCount => row.tool_call_count.into(),
            Self::InputTokens => row.input_tokens,
            Self::OutputTokens => row.output_tokens,
            Self::Cost => row.cost_nano,
        })
    }
}

//! Reading runs, their steps and their raw log, within the actor's workspace and rights.

use entity::{CoworkerId, RequestId, RunId, RunStatus, run, run_event, run_step};
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

/// A page of a run's steps, first to last unless ordered; the run itself must be visible.
///
/// # Errors
/// As [`page::page`].
pub async fn steps<C: ConnectionTrait>(
    db: &C,
    cursor_key: Vec<u8>,
    run: RunId,
    filter: Condition,
    order: &[(StepKey, Direction)],
    slice: &Slice,
) -> Result<Page<run_step::Model>> {
    let list = List {
        cursor_key,
        name: format!("run.steps:{run}"),
    };
    let select = run_step::Entity::find()
        .filter(run_step::Column::RunId.eq(run))
        .filter(filter);
    let order = if order.is_empty() {
        &[(StepKey, Direction::Asc)]
    } else {
        order
    };
    page::page(db, &list, select, order, slice).await
}

/// One step of a run.
///
/// # Errors
/// [`Error::NotFound`], also where the actor may not see the run.
pub async fn get_step<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    run: RunId,
    index: i32,
) -> Result<run_step::Model> {
    let absent = Error::NotFound { what: "Step" };
    get(db, actor, run).await.map_err(|_| absent.clone())?;
    run_step::Entity::find_by_id((run, index))
        .one(db)
        .await?
        .ok_or(absent)
}

/// Steps are sorted by their place in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepKey;

impl Key<run_step::Entity> for StepKey {
    const TIE: Self = Self;

    fn name(self) -> &'static str {
        "index"
    }

    fn is_unique(self) -> bool {
        true
    }

    fn expr(self) -> Expr {
        run_step::Column::Idx.into_expr()
    }

    fn value(self, row: &run_step::Model) -> KeyValue {
        KeyValue::Int(row.idx.into())
    }
}

/// A page of a run's raw log, first to last unless ordered; the run itself must be visible.
///
/// # Errors
/// As [`page::page`].
pub async fn events<C: ConnectionTrait>(
    db: &C,
    cursor_key: Vec<u8>,
    run: RunId,
    filter: Condition,
    order: &[(EventKey, Direction)],
    slice: &Slice,
) -> Result<Page<run_event::Model>> {
    let list = List {
        cursor_key,
        name: format!("run.events:{run}"),
    };
    let select = run_event::Entity::find()
        .filter(run_event::Column::RunId.eq(run))
        .filter(filter);
    let order = if order.is_empty() {
        &[(EventKey, Direction::Asc)]
    } else {
        order
    };
    page::page(db, &list, select, order, slice).await
}

/// One event of a run.
///
/// # Errors
/// [`Error::NotFound`], also where the actor may not see the run.
pub async fn get_event<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    run: RunId,
    seq: i64,
) -> Result<run_event::Model> {
    let absent = Error::NotFound { what: "RunEvent" };
    get(db, actor, run).await.map_err(|_| absent.clone())?;
    run_event::Entity::find_by_id((run, seq))
        .one(db)
        .await?
        .ok_or(absent)
}

/// Events are sorted by their place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKey;

impl Key<run_event::Entity> for EventKey {
    const TIE: Self = Self;

    fn name(self) -> &'static str {
        "sequence"
    }

    fn is_unique(self) -> bool {
        true
    }

    fn expr(self) -> Expr {
        run_event::Column::Seq.into_expr()
    }

    fn value(self, row: &run_event::Model) -> KeyValue {
        KeyValue::Int(row.seq)
    }
}

/// The events of some ranges of sequences (first and last included), in order: what steps are made of.
/// The run itself must be visible.
///
/// # Errors
/// What the database answers.
pub async fn events_between<C: ConnectionTrait>(
    db: &C,
    run: RunId,
    ranges: &[(i64, i64)],
) -> Result<Vec<run_event::Model>> {
    let any = ranges.iter().fold(Condition::any(), |any, (first, last)| {
        any.add(run_event::Column::Seq.between(*first, *last))
    });
    if any.is_empty() {
        return Ok(Vec::new());
    }
    let rows = run_event::Entity::find()
        .filter(run_event::Column::RunId.eq(run))
        .filter(any)
        .order_by_asc(run_event::Column::Seq)
        .all(db)
        .await?;
    Ok(rows)
}

/// The whole log as JSON lines; none if it is larger than `most` bytes. The run itself must be visible.
///
/// # Errors
/// What the database answers.
pub async fn raw<C: ConnectionTrait>(db: &C, run: RunId, most: i64) -> Result<Option<String>> {
    let select = run_event::Entity::find()
        .filter(run_event::Column::RunId.eq(run))
        .select_only();
    // Characters are at most as many as bytes: this only keeps a large log from being read in vain.
    let length = Expr::from(Func::sum(Func::char_length(Expr::col(
        run_event::Column::Body,
    ))));
    let counted = select
        .clone()
        .expr_as(length.if_null(0_i64).cast_as("BIGINT"), "length");
    if counted
        .into_tuple::<i64>()
        .one(db)
        .await?
        .unwrap_or_default()
        > most
    {
        return Ok(None);
    }
    let lines: Vec<String> = select
        .column(run_event::Column::Body)
        .order_by_asc(run_event::Column::Seq)
        .into_tuple()
        .all(db)
        .await?;
    let mut text = String::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    Ok((text.len() as i64 <= most).then_some(text))
}

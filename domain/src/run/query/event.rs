//! Reading a run's raw log.

use entity::{RunId, run_event};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::get;
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};

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

//! Reading a run's steps.

use entity::{RunId, run_step};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter};

use super::get;
use crate::access::Actor;
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};

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

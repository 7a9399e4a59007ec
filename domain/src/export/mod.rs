//! What leaves Stint for analysts' own tools: tables of figures, of runs and of model calls, page by page.
//!
//! A table is what its columns say; the formats (CSV, JSON lines, Parquet) are the API's. Rows are read in pages by their
//! key, so that an export of any length needs little memory; what it exports has ended and never changes.

mod calls;
mod figures;
mod runs;

use entity::{CoworkerId, Millis, coworker};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use std::collections::HashMap;

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::metric::zone::{Interval, Zone};
use crate::store::Store;

/// Rows of a page.
const PAGE: u64 = 1_000;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing is known, or there is nothing.
    Nothing,
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// A moment.
    Time(Millis),
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Texts.
    Text,
    /// Whole numbers of 64 bits.
    Int,
    /// Yes or no.
    Bool,
    /// Moments, to the millisecond.
    Time,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its values are; any may be missing.
    pub kind: Kind,
    /// What they mean, in a sentence.
    pub about: &'static str,
}

const fn column(name: &'static str, kind: Kind, about: &'static str) -> Column {
    Column { name, kind, about }
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Figures: a row for each interval and group in which there was anything.
    Metrics(Interval),
    /// A row for each run that ended in the span.
    Runs,
    /// A row for each model call that ended in the span.
    Calls,
}

impl Table {
    /// Its columns, in their order.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Metrics(_) => &figures::COLUMNS,
            Self::Runs => &runs::COLUMNS,
            Self::Calls => &calls::COLUMNS,
        }
    }
}

/// An export under way.
pub struct Export {
    store: Store,
    actor: Actor,
    end: Millis,
    /// How far it has got.
    at: Place,
    /// The handles of the workspace's coworkers.
    handles: HashMap<CoworkerId, String>,
}

enum Place {
    Metrics {
        interval: Interval,
        zone: Zone,
        from: Millis,
    },
    Runs(runs::After),
    Calls(calls::After),
    Done,
}

impl Export {
    /// Begins an export of what ended from `start` on, up to but without `end`; days begin as they do in `zone`.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without [`Action::MetricsRead`], and for runs and calls without [`Action::RunRead`];
    /// [`Error::Invalid`] for a span that ends before it begins; what the database said.
    pub async fn begin(
        store: &Store,
        actor: &Actor,
        table: Table,
        (start, end): (Millis, Millis),
        zone: Zone,
    ) -> Result<Self> {
        actor.authorize(Action::MetricsRead)?;
        if start > end {
            let message = "the span ends before it begins; give an earlier start or a later end";
            return Err(Error::invalid("start", "INVALID", message));
        }
        let at = match table {
            Table::Metrics(interval) => Place::Metrics {
                interval,
                zone,
                from: start,
            },
            Table::Runs => {
                actor.authorize(Action::RunRead)?;
                Place::Runs(runs::After::start(start))
            }
            Table::Calls => {
                actor.authorize(Action::RunRead)?;
                Place::Calls(calls::After::start(start))
            }
        };
        let rows: Vec<(CoworkerId, String)> = coworker::Entity::find()
            .select_only()
            .columns([coworker::Column::Id, coworker::Column::Handle])
            .filter(coworker::Column::WorkspaceId.eq(actor.workspace))
            .into_tuple()
            .all(store.read())
            .await?;
        Ok(Self {
            store: store.clone(),
            actor: actor.clone(),
            end,
            at,
            handles: rows.into_iter().collect(),
        })
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// What the database said.
    pub async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>> {
        loop {
            let at = std::mem::replace(&mut self.at, Place::Done);
            let (rows, at) = match at {
                Place::Done => return Ok(None),
                Place::Metrics {
                    interval,
                    zone,
                    from,
                } => {
                    let (rows, next) = self.figures(interval, zone, from).await?;
                    let at = next.map(|from| Place::Metrics {
                        interval,
                        zone,
                        from,
                    });
                    (rows, at)
                }
                Place::Runs(after) => {
                    let (rows, next) = self.runs(after).await?;
                    (rows, next.map(Place::Runs))
                }
                Place::Calls(after) => {
                    let (rows, next) = self.calls(after).await?;
                    (rows, next.map(Place::Calls))
                }
            };
            self.at = at.unwrap_or(Place::Done);
            // Months in which nothing happened have no page.
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
    }

    fn handle(&self, id: CoworkerId) -> Cell {
        self.handles
            .get(&id)
            .map_or(Cell::Nothing, |handle| Cell::Text(handle.clone()))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for Cell {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Cell {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<Millis> for Cell {
    fn from(at: Millis) -> Self {
        Self::Time(at)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

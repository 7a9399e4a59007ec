//! An export on its way, page by page.

use std::collections::HashMap;

use entity::{CoworkerId, Millis, coworker};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::table::{Cell, Table};
use super::{calls, runs};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::metric::zone::{Interval, Zone};
use crate::store::Store;

/// Rows of a page.
pub(super) const PAGE: u64 = 1_000;

/// How long after a moment all that carries it is there, milliseconds: what ends is committed moments after the time that it
/// is given. An export up to a minute ago has no row less than the same export made later.
pub const SETTLED: i64 = 60_000;

/// An export under way.
pub struct Export {
    pub(super) store: Store,
    pub(super) actor: Actor,
    pub(super) end: Millis,
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

    pub(super) fn handle(&self, id: CoworkerId) -> Cell {
        self.handles
            .get(&id)
            .map_or(Cell::Nothing, |handle| Cell::Text(handle.clone()))
    }
}

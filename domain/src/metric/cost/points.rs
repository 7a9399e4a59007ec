//! What each point of a series cost, line by line: one statement for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use entity::{Millis, WorkspaceId, request, run, usage_ledger};
use sea_orm::sea_query::{Expr, ExprTrait, JoinType, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, DatabaseTransaction, FromQueryResult as _};

use super::prices::{Group as Summed, Prices};
use super::{Cost, Pricing};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::metric::group::{Dimension, Group, Which};
use crate::metric::parts::{Placed, Rows, of_each};
use crate::store::{Snapshot, Store};

/// The points of a series, of whose calls the costs are wanted.
#[derive(Clone, Debug)]
pub struct Points {
    /// Its intervals, which do not overlap.
    pub intervals: Vec<(Millis, Millis)>,
    /// Which runs' calls.
    pub which: Arc<Which>,
    /// By what they are kept apart.
    pub by: Vec<Dimension>,
}

/// The costs of each group: of each interval that had calls, by its place.
pub type Costs = BTreeMap<Group, BTreeMap<usize, Cost>>;

impl Points {
    /// What their calls cost, line by line, all read at one moment.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without [`Action::MetricsRead`].
    pub async fn costs(&self, store: &Store, actor: &Actor, pricing: Pricing) -> Result<Costs> {
        actor.authorize(Action::MetricsRead)?;
        let read = Read {
            points: self.clone(),
            workspace: actor.workspace,
            pricing,
        };
        store.snapshot(read).await
    }
}

struct Read {
    points: Points,
    workspace: WorkspaceId,
    pricing: Pricing,
}

impl Snapshot for Read {
    type Output = Costs;

    async fn read(&self, tx: &DatabaseTransaction) -> Result<Costs> {
        let by = &self.points.by;
        let prices = Prices::of(tx, self.workspace, self.pricing).await?;
        let mut rows = self.rows();
        prices.sum_up(&mut rows);
        let intervals = self.points.intervals.iter().enumerate();
        let spans = intervals.map(|(place, (first, last))| Placed {
            place,
            first: *first,
            last: *last,
            level: None,
        });
        let select = of_each(
            tx.get_database_backend(),
            spans,
            (usage_ledger::Entity, usage_ledger::Column::At.into_expr()),
            (rows, Rows::Summed),
            |select| self.join(select),
        );
        let mut sums = Vec::new();
        for row in tx.query_all(&select).await? {
            let place: i64 = row.try_get("", "place")?;
            let place = usize::try_from(place).map_err(Error::internal)?;
            let key = (Group::of_row(by, &row)?, place);
            sums.push((key, Summed::from_query_result(&row, "")?));
        }
        let mut costs = Costs::new();
        for ((group, place), cost) in prices.add_up(tx, sums).await? {
            costs.entry(group).or_default().insert(place, cost);
        }
        Ok(costs)
    }
}

impl Read {
    /// The ledger's rows, kept apart by the dimensions.
    fn rows(&self) -> SelectStatement {
        use usage_ledger::Column as L;
        let Points { which, by, .. } = &self.points;
        let mut select = Query::select();
        select
            .and_where(L::WorkspaceId.eq(self.workspace))
            .cond_where(match which.of_calls(by) {
                Some(calls) => calls.clone(),
                None => which.runs.clone(),
            });
        for by in by {
            let (column, name) = match by {
                Dimension::Coworker => (L::CoworkerId.into_expr(), "coworker_id"),
                // Sums that share a price are of one model.
                Dimension::Model => continue,
                Dimension::Source => (request::Column::Source.into_expr(), "source"),
                Dimension::Trigger => (run::Column::Trigger.into_expr(), "trigger"),
                // None of runs that failed or go on.
                Dimension::Outcome => (Expr::cust("COALESCE(run.outcome, '')"), "outcome"),
            };
            select.expr_as(column.clone(), name).add_group_by([column]);
        }
        select
    }

    /// Adds the runs and requests, where they are asked for.
    fn join(&self, select: &mut SelectStatement) {
        let Points { which, by, .. } = &self.points;
        if which.of_calls(by).is_none() {
            let of_call = run::Column::Id
                .into_expr()
                .eq(usage_ledger::Column::RunId.into_expr());
            select.join(JoinType::InnerJoin, run::Entity, of_call);
        }
        if by.contains(&Dimension::Source) {
            let of_run = request::Column::Id
                .into_expr()
                .eq(run::Column::RequestId.into_expr());
            select.join(JoinType::InnerJoin, request::Entity, of_run);
        }
    }
}

//! What each point of a series cost, line by line: one statement for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use entity::{Millis, WorkspaceId, request, run, usage_ledger};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, JoinType, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, DbBackend, FromQueryResult as _,
};

use super::prices::{Group as Summed, Prices};
use super::{Cost, Pricing};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::metric::group::{Dimension, Group, Which};
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
        let mut select = self.select(tx.get_database_backend());
        prices.sum_up(&mut select);
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
    /// The ledger's rows of each interval, kept apart by the dimensions.
    fn select(&self, backend: DbBackend) -> SelectStatement {
        use usage_ledger::Column as L;
        let Points {
            intervals,
            which,
            by,
        } = &self.points;
        let of_part = |column: &'static str| Expr::col((Alias::new("part"), Alias::new(column)));
        let within = Condition::all()
            .add(L::WorkspaceId.eq(self.workspace))
            .add(L::At.into_expr().gte(of_part("first")))
            .add(L::At.into_expr().lt(of_part("last")));
        let mut select = Query::select();
        select
            .expr_as(of_part("place"), "place")
            .add_group_by([of_part("place")])
            .from_subquery(listed(backend, intervals), Alias::new("part"))
            // In this order, as rollups are read: by the ledger's index of times.
            .join(JoinType::CrossJoin, usage_ledger::Entity, Condition::all())
            .cond_where(within.add(which.runs.clone()));
        let (run_id, request_id) = (
            run::Column::Id.into_expr().eq(L::RunId.into_expr()),
            request::Column::Id
                .into_expr()
                .eq(run::Column::RequestId.into_expr()),
        );
        let of_runs = by.iter().any(|by| !by.is_everywhere());
        if of_runs || !which.runs.is_empty() {
            select.join(JoinType::InnerJoin, run::Entity, run_id);
        }
        if by.contains(&Dimension::Source) {
            select.join(JoinType::InnerJoin, request::Entity, request_id);
        }
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
}

/// The intervals as rows, of one value: the text of the statement stays the same however many there are.
fn listed(backend: DbBackend, intervals: &[(Millis, Millis)]) -> SelectStatement {
    let list: Vec<_> = (0_i64..)
        .zip(intervals)
        .map(|(place, (first, last))| vec![place, first.0, last.0])
        .collect();
    let list = Expr::val(serde_json::Value::from(list).to_string());
    let each = match backend {
        DbBackend::Sqlite => Func::cust("json_each").arg(list),
        _ => Func::cust("json_array_elements").arg(list.cast_as("JSON")),
    };
    Query::select()
        .expr_as(Expr::cust("CAST(listed.value->>0 AS BIGINT)"), "place")
        .expr_as(Expr::cust("CAST(listed.value->>1 AS BIGINT)"), "first")
        .expr_as(Expr::cust("CAST(listed.value->>2 AS BIGINT)"), "last")
        .from_function(each, "listed")
        .to_owned()
}

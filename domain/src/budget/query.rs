//! How budgets stand.

use std::collections::HashSet;

use entity::{BudgetPeriod, Millis, RollupCube, RollupGrain, WorkspaceId};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Value};
use uuid::Uuid;

use super::rows::columns;
use super::{Key, Scope, resets, starts};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::metric::zone::Zone;
use crate::store::{Tx, statement};

/// What a budget's use consists of, at one moment.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub(super) struct Use {
    /// The limit; none: there is none any more.
    pub(super) most: Option<i64>,
    /// What the calls that ended in the period cost, or stay charged at.
    pub(super) recorded: i64,
    /// What the calls under way may cost at the most.
    pub(super) reserved: i64,
    /// What other workers may still reserve.
    pub(super) others: i64,
    /// The part of `reserved` and `others` that nobody will give back soon: what workers hold that died, or have no
    /// call under way.
    pub(super) gone: i64,
    /// The period in which it was used up.
    pub(super) exhausted: Option<Millis>,
}

impl Use {
    /// Adds everything up in one statement, which sees one state of the database. What was recorded is what the rollups
    /// hold of the period, and the few calls that they do not hold yet: it costs the same however many calls there were.
    pub(super) async fn of<C: ConnectionTrait>(
        conn: &C,
        workspace: WorkspaceId,
        key: Key,
        now: Millis,
        worker: Uuid,
    ) -> Result<Self> {
        let (table, column) = match key.scope {
            Scope::Coworker(_) => ("coworker", "coworker_id"),
            Scope::Workspace(_) => ("workspace", "workspace_id"),
        };
        // Days and months begin with a bucket of every grain; a call is in one of each, or in none yet. Where days are those
        // of UTC, as budgets' are, they are some hundred times fewer than what they are made of.
        let state = "FROM rollup_state WHERE workspace_id = ? AND zone = ? AND zone_release = ? AND days_from <= ?";
        let of_rollups = |cube: RollupCube, grains: &[RollupGrain], generation: &str| {
            let grains: Vec<_> = grains
                .iter()
                .map(|grain| format!("'{}'", grain.as_str()))
                .collect();
            format!(
                "(SELECT CAST(COALESCE(SUM(cost_nano + estimated_nano), 0) AS BIGINT) FROM usage_rollup WHERE workspace_id = ? \
                 AND cube = '{}' AND grain IN ({}) AND generation = {generation} AND bucket >= ? AND {column} = ?)",
                cube.as_str(),
                grains.join(", ")
            )
        };
        let days = of_rollups(
            RollupCube::Coworker,
            &[RollupGrain::Day],
            "(SELECT generation FROM rollup_state AS s WHERE s.workspace_id = usage_rollup.workspace_id)",
        );
        let fine = of_rollups(
            RollupCube::Full,
            &[RollupGrain::Quarter, RollupGrain::Hour],
            "0",
        );
        let folded = format!("CASE WHEN EXISTS (SELECT 1 {state}) THEN {days} ELSE {fine} END");
        let backend = conn.get_database_backend();
        // As the index of such calls has it: see [`crate::metric::fresh::fresh_at`].
        let at = if backend == DbBackend::Sqlite {
            "at"
        } else {
            "at + 0"
        };
        let fresh = format!(
            "FROM usage_ledger WHERE workspace_id = ? AND NOT rolled_up AND {at} >= ? AND {column} = ?"
        );
        let limit = match key.period {
            BudgetPeriod::Day => "daily_budget_nano",
            BudgetPeriod::Month => "monthly_budget_nano",
        };
        let under_way =
            format!("FROM run WHERE workspace_id = ? AND {column} = ? AND status = 'RUNNING'");
        let slices = "FROM budget_slice WHERE scope_id = ? AND period = ? AND worker_id <> ? AND lease_until > ?";
        let sql = format!(
            "SELECT (SELECT {limit} FROM {table} WHERE id = ?) AS most, \
             {folded} + (SELECT CAST(COALESCE(SUM(COALESCE(cost_nano, reserved_nano)), 0) AS BIGINT) {fresh}) AS recorded, \
             (SELECT CAST(COALESCE(SUM(reserved_nano), 0) AS BIGINT) {under_way}) AS reserved, \
             (SELECT CAST(COALESCE(SUM(free_nano), 0) AS BIGINT) {slices}) AS others, \
             (SELECT CAST(COALESCE(SUM(reserved_nano), 0) AS BIGINT) {under_way} AND (lease_until IS NULL OR lease_until <= ?)) \
             + (SELECT CAST(COALESCE(SUM(free_nano), 0) AS BIGINT) {slices} AND NOT EXISTS ( \
                SELECT 1 {under_way} AND lease_owner = budget_slice.worker_id AND lease_until > ?)) AS gone, \
             (SELECT exhausted FROM budget_account WHERE scope_id = ? AND period = ?) AS exhausted"
        );
        let (scope, period) = columns(key);
        let now_value: Value = now.into();
        let runs: [Value; 2] = [workspace.into(), scope.clone()];
        let slices: [Value; 4] = [scope.clone(), period.clone(), worker.into(), now.into()];
        let from: Value = starts(key.period, now).into();
        let calls: [Value; 3] = [workspace.into(), from, scope.clone()];
        let mut values: Vec<Value> = vec![scope.clone()];
        let [workspace_value, from, _] = calls.clone();
        let (zone, release): (Value, Value) = (Zone::UTC.name().into(), Zone::RELEASE.into());
        values.extend([workspace_value, zone, release, from]);
        values.extend(calls.clone());
        values.extend(calls.clone());
        values.extend(calls);
        values.extend(runs.clone());
        values.extend(slices.clone());
        values.extend(runs.clone());
        values.push(now_value.clone());
        values.extend(slices);
        values.extend(runs);
        values.extend([now_value, scope, period]);
        let found = Self::find_by_statement(statement(backend, &sql, values));
        let found = found.one(conn).await?;
        found.ok_or_else(|| Error::internal("a budget could not be added up"))
    }
}

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What may be spent, nano-USD.
    pub limit: i64,
    /// What the calls that ended in the period cost; those whose cost is not known at what they may have cost.
    pub spent: i64,
    /// What the calls under way may cost at the most.
    pub reserved: i64,
    /// Whether it is used up: dispatches are dropped.
    pub exhausted: bool,
    /// When the next period begins.
    pub resets_at: Millis,
}

impl Standing {
    /// What is neither spent nor reserved.
    pub fn remaining(&self) -> i64 {
        (self.limit - self.spent - self.reserved).max(0)
    }
}

/// How a budget stands now; none where there is no limit.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::MetricsRead`]; what the database said.
pub async fn standing<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    key: Key,
    now: Millis,
) -> Result<Option<Standing>> {
    actor.authorize(Action::MetricsRead)?;
    let Use {
        most,
        recorded,
        reserved,
        others: _,
        gone: _,
        exhausted,
    } = Use::of(db, actor.workspace, key, now, Uuid::nil()).await?;
    Ok(most.map(|limit| Standing {
        limit,
        spent: recorded,
        reserved,
        exhausted: exhausted == Some(starts(key.period, now)),
        resets_at: resets(key.period, now),
    }))
}

/// Which of some budgets are used up in this period. Where there are none, nothing is asked.
///
/// # Errors
/// What the database said.
pub async fn exhausted(tx: &Tx, keys: &[Key], now: Millis) -> Result<HashSet<Key>> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let each = vec!["(scope_id = ? AND period = ? AND exhausted = ?)"; keys.len()].join(" OR ");
    let sql = format!("SELECT scope_id, period FROM budget_account WHERE {each}");
    let values = keys.iter().flat_map(|key| {
        let (scope, period) = columns(*key);
        [scope, period, starts(key.period, now).into()]
    });
    let rows = tx.conn().query_all_raw(tx.sql(&sql, values)).await?;
    let marks = rows.iter().map(|row| {
        let mark: (Uuid, String) = (row.try_get("", "scope_id")?, row.try_get("", "period")?);
        Ok(mark)
    });
    let marks: HashSet<(Uuid, String)> = marks.collect::<Result<_, DbErr>>()?;
    let marked = |key: &&Key| marks.contains(&(key.scope.id(), key.period.as_str().to_owned()));
    Ok(keys.iter().filter(marked).copied().collect())
}

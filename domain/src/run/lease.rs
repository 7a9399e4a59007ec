//! Who holds a run: renew, hand back, take over.
//!
//! All of it is decided by the database's clock. A lease's epoch grows with every change of hands, and
//! an append under an older one never commits.

use std::collections::{HashMap, HashSet};

use entity::{
    CoworkerVersionId, Millis, RequestId, RunId, assignment, coworker_version, request, run,
    run_event,
};
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::event::Takeover;
use super::query::is_running;
use crate::bus::Signal;
use crate::coworker::Config;
use crate::error::{Error, Result};
use crate::store::{Command, Needs, Tx, update_all};

/// Deaths of a worker without progress in between, after which a run is poisoned.
pub const ATTEMPTS: i32 = 3;

/// The type of the event by which a run goes on after a pause.
const RESUMED: &str = "run.resumed";

/// Takes over runs that nobody holds any more, or that are overdue.
#[derive(Clone, Debug)]
pub struct TakeOver {
    /// Who takes over.
    pub worker: Uuid,
    /// What it has in hand already. Even if its lease ran out meanwhile (the machine slept), nobody takes
    /// a run over from itself: the call that is under way is not lost.
    pub holding: Vec<RunId>,
    /// Whether to take what it owns and does not hold: the reply to a claim or a takeover was lost, and
    /// nobody is to blame.
    pub own: bool,
    /// The most runs; one of them at the most may have killed a worker before.
    pub most: u64,
    /// The lease, milliseconds.
    pub lease_ms: i64,
}

/// A run that was taken over.
#[derive(Clone, Debug)]
pub struct TakenOver {
    /// The row, with the new lease.
    pub run: run::Model,
    /// Why it changed hands; none: it goes on after a pause, and nobody was lost.
    pub reason: Option<Takeover>,
    /// The pinned configuration.
    pub config: Config,
}

impl Command for TakeOver {
    type Output = Vec<TakenOver>;

    async fn run(&self, tx: &Tx) -> Result<Vec<TakenOver>> {
        let now = tx.now().await?;
        let found = self.found(tx, now).await?;
        let resumed = resumed(tx, &found).await?;
        let mut taken = Vec::new();
        for mut row in found {
            let resumed = resumed.contains(&row.id);
            let overdue = row.lease_until.is_some_and(|until| until >= now);
            let handed_back = row.lease_owner.is_none() || self.owns(&row);
            row.idle_attempts += i32::from(!handed_back);
            row.attempt += i32::from(!resumed);
            row.lease_epoch += 1;
            row.lease_owner = Some(self.worker);
            row.lease_until = Some(now.plus(self.lease_ms));
            let reason = match (resumed, handed_back, overdue) {
                (true, _, _) => None,
                (false, true, _) => Some(Takeover::HandedBack),
                (false, false, true) => Some(Takeover::Overdue),
                (false, false, false) => Some(Takeover::LeaseExpired),
            };
            taken.push((row, reason));
        }
        let columns = [
            ("id", "uuid"),
            ("attempt", "integer"),
            ("idle_attempts", "integer"),
            ("lease_epoch", "bigint"),
            ("lease_owner", "uuid"),
            ("lease_until", "bigint"),
        ];
        let rows = taken.iter().map(|(row, _)| {
            vec![
                row.id.into(),
                row.attempt.into(),
                row.idle_attempts.into(),
                row.lease_epoch.into(),
                row.lease_owner.into(),
                row.lease_until.map(|at| at.0).into(),
            ]
        });
        update_all(tx.writing().await?, "run", &columns, rows.collect()).await?;
        let ids: HashSet<CoworkerVersionId> = taken
            .iter()
            .map(|(row, _)| row.coworker_version_id)
            .collect();
        let versions =
            coworker_version::Entity::find().filter(coworker_version::Column::Id.is_in(ids));
        let versions = versions.all(tx.conn()).await?;
        let mut out = Vec::with_capacity(taken.len());
        for (run, reason) in taken {
            let version = versions.iter().find(|v| v.id == run.coworker_version_id);
            let version = version.ok_or_else(|| Error::internal("a pinned version is gone"))?;
            out.push(TakenOver {
                config: Config::from_row(&version.config)?,
                run,
                reason,
            });
        }
        Ok(out)
    }
}

impl TakeOver {
    fn owns(&self, row: &run::Model) -> bool {
        self.own && row.lease_owner == Some(self.worker)
    }

    /// Runs that nobody holds, and one of those that may have killed their worker, if this worker
    /// executes none like that.
    async fn found(&self, tx: &Tx, now: Millis) -> Result<Vec<run::Model>> {
        let held = || run::Column::Id.is_in(self.holding.iter().copied());
        let suspect = || {
            Condition::all()
                .add(run::Column::LeaseOwner.is_not_null())
                .add(run::Column::IdleAttempts.gte(1))
        };
        let free = |which: Condition, most: u64| {
            run::Entity::find()
                .filter(is_running())
                .filter(
                    Condition::any()
                        .add(run::Column::LeaseUntil.is_null())
                        .add(run::Column::LeaseUntil.lt(now))
                        .add(run::Column::Deadline.lt(now.plus(-self.lease_ms))),
                )
                .filter(held().not())
                .filter(which)
                .order_by_asc(run::Column::Id)
                .limit(most)
                .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        };
        let mut found = Vec::new();
        if self.own {
            let own = run::Entity::find()
                .filter(is_running())
                .filter(run::Column::LeaseOwner.eq(self.worker))
                .filter(held().not())
                .order_by_asc(run::Column::Id)
                .limit(self.most)
                .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
            found = own.all(tx.conn()).await?;
        }
        let others = Condition::all()
            .add(suspect().not())
            .add(run::Column::Id.is_not_in(found.iter().map(|row| row.id)));
        let left = self.most.saturating_sub(found.len() as u64);
        found.extend(free(others, left).all(tx.conn()).await?);
        if (found.len() as u64) < self.most {
            let in_hand = run::Entity::find()
                .filter(held())
                .filter(is_running())
                .filter(run::Column::IdleAttempts.gt(1));
            if in_hand.count(tx.conn()).await? == 0 {
                let suspects = free(suspect(), 1).all(tx.conn()).await?;
                found.extend(suspects.into_iter().filter(|row| !self.owns(row)));
            }
        }
        Ok(found)
    }
}

/// Which of these runs nobody has held since they went on after a pause.
async fn resumed(tx: &Tx, found: &[run::Model]) -> Result<HashSet<RunId>> {
    let mut newest = Condition::any();
    for row in found.iter().filter(|row| row.lease_owner.is_none()) {
        newest = newest.add(
            Condition::all()
                .add(run_event::Column::RunId.eq(row.id))
                .add(run_event::Column::Seq.eq(row.last_seq)),
        );
    }
    if newest.is_empty() {
        return Ok(HashSet::new());
    }
    let resumed: Vec<RunId> = run_event::Entity::find()
        .select_only()
        .column(run_event::Column::RunId)
        .filter(newest)
        .filter(run_event::Column::Kind.eq(RESUMED))
        .into_tuple()
        .all(tx.conn())
        .await?;
    Ok(resumed.into_iter().collect())
}

/// Renews the leases of the runs that a worker executes.
#[derive(Clone, Debug)]
pub struct Renew {
    /// The worker.
    pub worker: Uuid,
    /// The runs.
    pub runs: Vec<RunId>,
    /// The lease, milliseconds.
    pub lease_ms: i64,
}

/// What became of the leases.
#[derive(Clone, Debug)]
pub struct Renewed {
    /// The runs that the worker still holds.
    pub kept: Vec<RunId>,
    /// Those of them that shall look at their log now: somebody stopped them, or assigned their request anew, perhaps
    /// through another process, whose ring was not heard here.
    pub called: Vec<RunId>,
    /// The database's time.
    pub now: Millis,
}

impl Command for Renew {
    type Output = Renewed;

    async fn run(&self, tx: &Tx) -> Result<Renewed> {
        let now = tx.now().await?;
        let own = Condition::all()
            .add(run::Column::Id.is_in(self.runs.iter().copied()))
            .add(run::Column::LeaseOwner.eq(self.worker));
        let held = lock_in_order(tx, own).await?;
        let rows = run::Entity::update_many()
            .col_expr(
                run::Column::LeaseUntil,
                sea_orm::sea_query::Expr::value(now.plus(self.lease_ms).0),
            )
            .filter(run::Column::Id.is_in(held))
            .exec_with_returning(tx.writing().await?)
            .await?;
        let requests: HashSet<RequestId> = rows.iter().map(|row| row.request_id).collect();
        let epochs: HashMap<RequestId, i64> = request::Entity::find()
            .select_only()
            .columns([request::Column::Id, request::Column::AssignmentEpoch])
            .filter(request::Column::Id.is_in(requests))
            .into_tuple()
            .all(tx.conn())
            .await?
            .into_iter()
            .collect();
        let superseded = |row: &run::Model| {
            let (own, now) = (row.assignment_epoch, epochs.get(&row.request_id));
            own.is_some_and(|own| now.is_some_and(|now| *now != own))
        };
        let over: Vec<&run::Model> = rows.iter().filter(|row| superseded(row)).collect();
        let handed_off = handed_off(tx, &over).await?;
        let called = rows.iter().filter(|row| {
            row.stop_requested_at.is_some() || superseded(row) && !handed_off.contains(&row.id)
        });
        Ok(Renewed {
            called: called.map(|row| row.id).collect(),
            kept: rows.iter().map(|row| row.id).collect(),
            now,
        })
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        // Many runs, of which no other command knows.
        Needs::ALONE
    }
}

/// Locks the running runs that are like this in the order of everyone, so that no two wait for each other.
async fn lock_in_order(tx: &Tx, which: Condition) -> Result<Vec<RunId>> {
    let held = run::Entity::find()
        .select_only()
        .column(run::Column::Id)
        .filter(which)
        .filter(is_running())
        .order_by_asc(run::Column::Id)
        .lock(LockType::NoKeyUpdate);
    Ok(held.into_tuple().all(tx.conn()).await?)
}

/// Those of these runs that assigned their request to another themselves: that is no reason to call them away from their
/// ending.
async fn handed_off(tx: &Tx, runs: &[&run::Model]) -> Result<HashSet<RunId>> {
    if runs.is_empty() {
        return Ok(HashSet::new());
    }
    let own: Vec<Option<RunId>> = assignment::Entity::find()
        .select_only()
        .column(assignment::Column::RunId)
        .filter(assignment::Column::RequestId.is_in(runs.iter().map(|run| run.request_id)))
        .filter(assignment::Column::RunId.is_in(runs.iter().map(|run| run.id)))
        .into_tuple()
        .all(tx.conn())
        .await?;
    Ok(own.into_iter().flatten().collect())
}

/// Hands all runs of a worker back in order: another worker may take them at once, and nobody is condemned for it.
#[derive(Clone, Debug)]
pub struct HandBack {
    /// The worker.
    pub worker: Uuid,
}

impl Command for HandBack {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        use sea_orm::sea_query::Expr;
        let own = Condition::all().add(run::Column::LeaseOwner.eq(self.worker));
        let held = lock_in_order(tx, own).await?;
        run::Entity::update_many()
            .col_expr(run::Column::LeaseOwner, Expr::value(Option::<Uuid>::None))
            .col_expr(run::Column::LeaseUntil, Expr::value(Option::<i64>::None))
            .filter(run::Column::Id.is_in(held))
            .exec(tx.writing().await?)
            .await?;
        tx.signal(Signal::Work);
        Ok(())
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// Declares every lease void: an embedded database has one process, and it has just started.
#[derive(Clone, Copy, Debug)]
pub struct VoidLeases;

impl Command for VoidLeases {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        let sql =
            "UPDATE run SET lease_until = 0 WHERE status = 'RUNNING' AND lease_until IS NOT NULL";
        let conn = tx.writing().await?;
        conn.execute_raw(tx.sql(sql, [])).await?;
        // So are the slices of budgets that the process before had.
        let sql = "DELETE FROM budget_slice";
        conn.execute_raw(tx.sql(sql, [])).await?;
        Ok(())
    }

    fn repeatable(&self) -> bool {
        true
    }
}

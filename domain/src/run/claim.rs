//! From dispatch to run: a claim takes the number, writes the row and the first event.
//!
//! Whatever a claim finds out of date it drops, with the reason on the timeline.

mod lock;

use std::collections::{BTreeMap, HashMap, HashSet};

use entity::{
    CoworkerState, DispatchId, DropReason, Millis, RequestId, RunId, RunStatus, WorkspaceId,
    coworker, coworker_version, dispatch, request, run, workspace,
};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, FromQueryResult};
use uuid::Uuid;

use super::afford::{Affords, drop_unaffordable};
use super::event::{CoworkerRef, RequestRef, RunStarted};
use super::log::Log;
use crate::access::Actor;
use crate::bus::Signal;
use crate::clock::fresh_id;
use crate::coworker::Config;
use crate::error::{Error, Result};
use crate::request::desk::Desk;
use crate::request::dropped::{drop_dispatch, see_to};
use crate::request::escalate::{escalate, may_start};
use crate::request::route::Anew;
use crate::request::timeline::TimelineData;
use crate::store::{Append, Command, Counter, Needs, Tx, statement};
use lock::{load_versions, lock_coworkers, lock_requests};

/// Starts runs: claims up to `most` waiting dispatches for a worker, each with its number, its row and
/// its first event, in one transaction.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Who claims.
    pub worker: Uuid,
    /// The most runs to start.
    pub most: u64,
    /// The lease, milliseconds.
    pub lease_ms: i64,
    /// Only this dispatch.
    pub only: Option<DispatchId>,
}

/// A run that this worker holds.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Its log; for a run that was taken over it is still to be read.
    pub log: Log,
    /// The pinned configuration.
    pub config: Config,
    /// The request as the run found it.
    pub request: request::Model,
}

impl Command for Claim {
    type Output = Vec<Claimed>;

    async fn run(&self, tx: &Tx) -> Result<Vec<Claimed>> {
        let waiting = self.candidates(tx).await?;
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        // Coworkers before requests: the order of locks is the same everywhere.
        let coworkers = lock_coworkers(tx, &waiting).await?;
        let mut desks = lock_requests(tx, &waiting).await?;
        let versions = load_versions(tx, &coworkers).await?;
        let mut taken = HashSet::new();
        // What is compared with requests of Triage's that nobody was named for, read once for all of them.
        let mut anew = HashMap::new();
        let mut starting: BTreeMap<WorkspaceId, Vec<Starting<'_>>> = BTreeMap::new();
        for row in &waiting {
            // A request that another transaction holds waits for the next round.
            let Some(desk) = desks
                .iter_mut()
                .find(|desk| desk.request.id == row.request_id)
            else {
                continue;
            };
            let Some(coworker) = coworkers.iter().find(|c| c.id == row.coworker_id) else {
                continue;
            };
            if !taken.insert((row.request_id, row.coworker_id)) {
                continue;
            }
            let actor = Actor::stint(row.workspace_id);
            if let Some(reason) = refusal(row, desk, coworker) {
                drop_dispatch(tx, desk, &actor, row.id, reason).await?;
                // Its place in the round was taken by nothing: there may be more behind it.
                tx.signal(Signal::Work);
                if reason == DropReason::NotPublished {
                    let anew = anew
                        .entry(row.workspace_id)
                        .or_insert_with(|| Anew::new(tx, row.workspace_id));
                    see_to(tx, desk, row, reason, None, anew).await?;
                }
                continue;
            }
            let version = coworker
                .version_id
                .and_then(|id| versions.iter().find(|v| v.id == id));
            let Some(version) = version else { continue };
            starting
                .entry(row.workspace_id)
                .or_default()
                .push(Starting {
                    dispatch: row,
                    coworker,
                    version,
                });
        }
        // The counters behind everything else, in one order; the first of them decides for all.
        if let Some(first) = starting.keys().next() {
            tx.counting(*first).await?;
        }
        let mut claimed = Vec::new();
        for (workspace, runs) in starting {
            let anew = anew
                .entry(workspace)
                .or_insert_with(|| Anew::new(tx, workspace));
            claimed.extend(self.start(tx, workspace, runs, &mut desks, anew).await?);
        }
        desks.into_iter().for_each(|desk| drop(desk.save(tx)));
        Ok(claimed)
    }

    fn needs(&self) -> Needs {
        Needs {
            counter: Some(Counter::Run),
            ..Needs::default()
        }
    }
}

/// The dispatches that could start: their coworker has no active run on the request, and the run that
/// handed over has ended.
const STARTABLE: &str = "FROM dispatch d WHERE d.state = 'WAITING' \
     AND NOT EXISTS (SELECT 1 FROM run r WHERE r.request_id = d.request_id AND r.coworker_id = d.coworker_id \
                     AND r.status IN ('RUNNING', 'PAUSED_FOR_APPROVAL')) \
     AND NOT EXISTS (SELECT 1 FROM run r WHERE r.id = d.source_run_id \
                     AND r.status IN ('RUNNING', 'PAUSED_FOR_APPROVAL'))";

/// The oldest dispatches that could start and are newer than `after`, at most `most`.
///
/// # Errors
/// What the database said.
pub async fn startable<C: ConnectionTrait>(
    conn: &C,
    after: DispatchId,
    most: u64,
) -> Result<Vec<DispatchId>> {
    let sql = format!("SELECT d.id {STARTABLE} AND d.id > ? ORDER BY d.id LIMIT {most}");
    let sql = statement(conn.get_database_backend(), &sql, [after.into()]);
    let rows = conn.query_all_raw(sql).await?;
    let ids = rows.iter().map(|row| row.try_get("", "id"));
    Ok(ids.collect::<Result<_, DbErr>>()?)
}

struct Starting<'a> {
    dispatch: &'a dispatch::Model,
    coworker: &'a coworker::Model,
    version: &'a coworker_version::Model,
}

impl Claim {
    async fn candidates(&self, tx: &Tx) -> Result<Vec<dispatch::Model>> {
        let (only, mut values) = match self.only {
            Some(id) => ("AND d.id = ?", vec![id.into()]),
            None => ("", Vec::new()),
        };
        values.push(i64::try_from(self.most).unwrap_or(i64::MAX).into());
        let sql = format!("SELECT d.* {STARTABLE} {only} ORDER BY d.id LIMIT ?");
        let found = dispatch::Model::find_by_statement(tx.sql(&sql, values));
        Ok(found.all(tx.conn()).await?)
    }

    /// Takes the numbers, writes the rows and the first events.
    async fn start(
        &self,
        tx: &Tx,
        id: WorkspaceId,
        runs: Vec<Starting<'_>>,
        desks: &mut [Desk],
        anew: &Anew<'_>,
    ) -> Result<Vec<Claimed>> {
        // Requests over their hop budget are escalated instead.
        let workspace = workspace::Entity::find_by_id(id).one(tx.conn()).await?;
        let workspace = workspace.ok_or_else(|| Error::internal("the workspace is gone"))?;
        let mut ready = Vec::with_capacity(runs.len());
        let coworkers = runs.iter().map(|starting| starting.coworker);
        let mut affords = Affords::read(tx, &workspace, coworkers).await?;
        for starting in runs {
            let desk = desk_of(desks, starting.dispatch.request_id)?;
            let config = Config::from_row(&starting.version.config)?;
            if let Some(reason) = affords.refusal(tx, starting.coworker, &config).await? {
                drop_unaffordable(tx, desk, starting.dispatch, reason, anew).await?;
            } else if may_start(tx, &workspace, desk, starting.dispatch).await? {
                desk.request.hop_count += 1;
                ready.push((starting, config));
            } else {
                escalate(tx, &workspace, desk, starting.dispatch).await?;
                tx.signal(Signal::Work);
            }
        }
        if ready.is_empty() {
            return Ok(Vec::new());
        }
        let now = tx.now().await?;
        tx.counting(id).await?;
        let n = i64::try_from(ready.len()).unwrap_or(i64::MAX);
        // The counter's row is locked last and until the commit: numbers have no gaps, and they follow
        // the order of `started_at`.
        let sql = "UPDATE workspace SET last_run_number = last_run_number + ?, \
                   last_started_at = CASE WHEN last_started_at > ? THEN last_started_at ELSE ? END \
                   WHERE id = ? RETURNING last_run_number, last_started_at";
        let row = tx
            .writing_last()
            .query_one_raw(tx.sql(sql, [n.into(), now.into(), now.into(), id.into()]))
            .await?;
        let row = row.ok_or_else(|| Error::internal("the workspace is gone"))?;
        let last: i64 = row.try_get("", "last_run_number")?;
        let started_at: Millis = row.try_get("", "last_started_at")?;
        let mut claimed = Vec::with_capacity(ready.len());
        for ((starting, config), number) in ready.into_iter().zip(last - n + 1..) {
            let desk = desk_of(desks, starting.dispatch.request_id)?;
            let mut log = self.first_event(&starting, &config, desk, number, started_at, now)?;
            let run = log.run().clone();
            desk.entry(started_at, &Actor::in_run(&run), &TimelineData::RunStarted)?;
            tx.signal(Signal::Run {
                run: run.id,
                seq: log.last_seq(),
            });
            tx.draft(|draft| {
                draft
                    .started
                    .push((starting.dispatch.id, run.id, started_at));
                let append = log.take(false).map(|(append, _)| append);
                draft.appends.extend(append.map(|a| Append {
                    birth: Some(Box::new(run)),
                    ..a
                }));
            });
            claimed.push(Claimed {
                log,
                config,
                request: desk.request.clone(),
            });
        }
        Ok(claimed)
    }

    fn first_event(
        &self,
        starting: &Starting<'_>,
        config: &Config,
        desk: &Desk,
        number: i64,
        started_at: Millis,
        now: Millis,
    ) -> Result<Log> {
        let Starting {
            dispatch,
            coworker,
            version,
        } = *starting;
        let deadline = started_at.plus(config.limits.max_duration_ms);
        let run = run::Model {
            id: RunId(fresh_id()),
            workspace_id: dispatch.workspace_id,
            number,
            request_id: dispatch.request_id,
            coworker_id: coworker.id,
            coworker_version_id: version.id,
            dispatch_id: dispatch.id,
            trigger: dispatch.trigger,
            assignment_epoch: dispatch.assignment_epoch,
            model: config.model.name(),
            status: RunStatus::Running,
            outcome: None,
            failure_code: None,
            end_of_run_rule: None,
            reason: None,
            summary: None,
            summary_author: None,
            stop_requested_at: None,
            started_at,
            ended_at: None,
            deadline,
            attempt: 1,
            idle_attempts: 1,
            lease_owner: Some(self.worker),
            lease_epoch: 1,
            lease_until: Some(now.plus(self.lease_ms)),
            last_seq: 0,
            head_hash: Vec::new(),
            turn_count: 0,
            tool_call_count: 0,
            step_count: 0,
            input_tokens: 0,
            output_tokens: 0,
            cached_tokens: 0,
            reasoning_tokens: 0,
            cache_write_tokens: 0,
            cost_nano: 0,
            unpriced_calls: 0,
            unknown_calls: 0,
            estimated_nano: 0,
            reserved_nano: 0,
            rolled_up: false,
        };
        let event = RunStarted {
            run: run.id,
            workspace: run.workspace_id,
            request: RequestRef {
                id: desk.request.id,
                number: desk.request.number,
                title: desk.request.title.clone(),
            },
            coworker: CoworkerRef {
                id: coworker.id,
                handle: coworker.handle.clone(),
                version_id: version.id,
                version: version.version,
                is_triage: coworker.is_triage,
            },
            trigger: dispatch.trigger,
            dispatch: dispatch.id,
            assignment_epoch: dispatch.assignment_epoch,
            model: run.model.clone(),
            limits: config.limits,
            deadline,
        };
        let mut log = Log::empty(run, Some(1));
        log.stage(started_at, event)?;
        Ok(log)
    }
}

fn desk_of(desks: &mut [Desk], id: RequestId) -> Result<&mut Desk> {
    desks
        .iter_mut()
        .find(|desk| desk.request.id == id)
        .ok_or_else(|| Error::internal("a request was not locked"))
}

/// Why a dispatch may not become a run any more.
fn refusal(row: &dispatch::Model, desk: &Desk, coworker: &coworker::Model) -> Option<DropReason> {
    // Of a term that is over: published again, it takes only what came since.
    if coworker.state != CoworkerState::Published || row.term < coworker.term {
        Some(DropReason::NotPublished)
    } else if row
        .assignment_epoch
        .is_some_and(|epoch| epoch != desk.request.assignment_epoch)
    {
        Some(DropReason::Superseded)
    } else if desk.request.status.is_done() {
        Some(DropReason::RequestClosed)
    } else {
        None
    }
}

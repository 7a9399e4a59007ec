//! The hot door: events of runs, set-wise.

use entity::{
    EventId, FailureCode, Millis, Outcome, RunId, SummaryAuthor, approval, prompt_part, run,
    run_event, run_step, usage_ledger,
};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, DbBackend, Value};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::projection::Projection;
use super::rows::{Column, chunks, insert_all, values_cte};
use super::tx::statement;
use crate::clock::{Clock, POSTGRES_NOW};
use crate::error::{Error, Result};

/// One append to a run's log, with everything that follows from it.
#[derive(Clone, Debug)]
pub struct Append {
    /// The row of a run that begins with this append.
    pub birth: Option<Box<run::Model>>,
    /// The run.
    pub run: RunId,
    /// The lease under which it is written; none for what needs no lease (a person's stop).
    pub lease_epoch: Option<i64>,
    /// Whether the run's assignment epoch must still be the request's.
    pub fenced: bool,
    /// The log's last sequence as the writer knows it.
    pub after_seq: i64,
    /// Until when it may be written, by the database's clock: it holds what others may have afterwards.
    ///
    /// The clock is looked at where the fence is, and it is committed later: at the most [`WRITING`], for a transaction
    /// that takes longer is given up before it is committed, and the time for which PostgreSQL leaves a transaction alone
    /// in which nothing happens (`idle_in_transaction_session_timeout`, 10 s), for a process that stands still just then.
    /// What is held must outlive that. Nobody else writes to an embedded database meanwhile, so that there the moment of
    /// the look is that of the commit.
    pub not_after: Option<Millis>,
    /// Whether the events prove that the worker got something done.
    pub progress: bool,
    /// The run's row after the events.
    pub head: Projection,
    /// The events.
    pub events: Vec<run_event::Model>,
    /// The steps that they touched, as they are now.
    pub steps: Vec<run_step::Model>,
    /// The approvals that they touched, as they are now.
    pub approvals: Vec<approval::Model>,
    /// The model calls that they recorded.
    pub ledger: Vec<usage_ledger::Model>,
    /// Prompt parts that may not be stored yet.
    pub parts: Vec<prompt_part::Model>,
}

/// How long a transaction may go on after it has looked at the time until which something of it may be written.
pub(super) const WRITING: Duration = Duration::from_secs(3);

/// What the fence answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It stands.
    Committed {
        /// The sequence of the request's newest timeline entry.
        request_seq: i64,
    },
    /// Another lease, another last event or another assignment epoch, or it came too late: nothing was written.
    Lost,
}

/// The columns of the conditional update's `VALUES`, with PostgreSQL's types: the first row is cast,
/// the others follow it.
const COLUMNS: [Column; 31] = [
    ("id", "uuid"),
    ("lease", "bigint"),
    ("fenced", "boolean"),
    ("after_seq", "bigint"),
    ("not_after", "bigint"),
    ("progress", "boolean"),
    ("status", "text"),
    ("outcome", "text"),
    ("failure_code", "text"),
    ("end_of_run_rule", "text"),
    ("reason", "text"),
    ("summary", "text"),
    ("summary_author", "text"),
    ("stop_requested_at", "bigint"),
    ("ended_at", "bigint"),
    ("deadline", "bigint"),
    ("last_seq", "bigint"),
    ("head_hash", "bytea"),
    ("turn_count", "integer"),
    ("tool_call_count", "integer"),
    ("step_count", "integer"),
    ("input_tokens", "bigint"),
    ("output_tokens", "bigint"),
    ("cached_tokens", "bigint"),
    ("reasoning_tokens", "bigint"),
    ("cache_write_tokens", "bigint"),
    ("cost_nano", "bigint"),
    ("unpriced_calls", "integer"),
    ("unknown_calls", "integer"),
    ("estimated_nano", "bigint"),
    ("reserved_nano", "bigint"),
];

fn values(append: &Append) -> [Value; 31] {
    let Append {
        run,
        lease_epoch,
        fenced,
        after_seq,
        not_after,
        progress,
        head,
        ..
    } = append;
    let Projection {
        status,
        outcome,
        failure_code,
        end_of_run_rule,
        reason,
        summary,
        summary_author,
        stop_requested_at,
        ended_at,
        deadline,
        last_seq,
        head_hash,
        turn_count,
        tool_call_count,
        step_count,
        input_tokens,
        output_tokens,
        cached_tokens,
        reasoning_tokens,
        cache_write_tokens,
        cost_nano,
        unpriced_calls,
        unknown_calls,
        estimated_nano,
        reserved_nano,
    } = head.clone();
    [
        (*run).into(),
        (*lease_epoch).into(),
        (*fenced).into(),
        (*after_seq).into(),
        not_after.map(|at| at.0).into(),
        (*progress).into(),
        status.as_str().into(),
        outcome.map(Outcome::as_str).into(),
        failure_code.map(FailureCode::as_str).into(),
        end_of_run_rule.into(),
        reason.into(),
        summary.into(),
        summary_author.map(SummaryAuthor::as_str).into(),
        stop_requested_at.map(|at| at.0).into(),
        ended_at.map(|at| at.0).into(),
        deadline.0.into(),
        last_seq.into(),
        head_hash.into(),
        turn_count.into(),
        tool_call_count.into(),
        step_count.into(),
        input_tokens.into(),
        output_tokens.into(),
        cached_tokens.into(),
        reasoning_tokens.into(),
        cache_write_tokens.into(),
        cost_nano.into(),
        unpriced_calls.into(),
        unknown_calls.into(),
        estimated_nano.into(),
        reserved_nano.into(),
    ]
}

/// The fence and the projection of `n` runs in one statement. Who pauses a run lets go of it, for good: a lease's epoch
/// ends there.
fn update_sql(backend: DbBackend, n: usize, now: &str) -> String {
    let set = COLUMNS[6..]
        .iter()
        .map(|(name, _)| format!("{name} = v.{name}"))
        .collect::<Vec<_>>()
        .join(", ");
    format!(
        "{} UPDATE run SET {set}, \
         idle_attempts = CASE WHEN v.progress THEN 0 ELSE run.idle_attempts END, \
         lease_epoch = run.lease_epoch + CASE WHEN v.status = 'PAUSED_FOR_APPROVAL' THEN 1 ELSE 0 END, \
         lease_owner = CASE WHEN v.status = 'RUNNING' THEN run.lease_owner END, \
         lease_until = CASE WHEN v.status = 'RUNNING' THEN run.lease_until END \
         FROM v WHERE run.id = v.id AND run.last_seq = v.after_seq \
         AND (v.lease IS NULL OR run.lease_epoch = v.lease) \
         AND (v.not_after IS NULL OR v.not_after >= {now}) \
         AND (NOT v.fenced OR run.assignment_epoch IS NULL OR run.assignment_epoch = \
              (SELECT assignment_epoch FROM request WHERE request.id = run.request_id)) \
         RETURNING run.id AS id, (SELECT request.last_seq FROM request WHERE request.id = run.request_id) AS request_seq",
        values_cte(backend, &COLUMNS, n)
    )
}

/// Writes `appends` (of different runs) in the transaction `conn`. Losers write nothing.
///
/// # Errors
/// What the database said; then the whole transaction must be rolled back.
pub(crate) async fn apply<C: ConnectionTrait>(
    conn: &C,
    clock: &Clock,
    appends: &[&Append],
) -> Result<Vec<Applied>> {
    let backend = conn.get_database_backend();
    let mut won: HashMap<RunId, i64> = HashMap::with_capacity(appends.len());
    let (births, grown): (Vec<&Append>, Vec<&Append>) =
        appends.iter().partition(|a| a.birth.is_some());
    let born = births.iter().filter_map(|a| {
        a.birth
            .as_ref()
            .map(|row| a.head.clone().onto((**row).clone()))
    });
    insert_all(conn, born.collect(), None).await?;
    won.extend(births.iter().map(|a| (a.run, 0)));
    let mut seen = HashSet::new();
    let mut left: Vec<&Append> = grown.into_iter().filter(|a| seen.insert(a.run)).collect();
    let second = left.len() + births.len() < appends.len();
    if second {
        // Two appends of one run: which comes first is decided when each is run alone.
        return Err(Error::Unavailable {
            message: "two appends of one run do not go together".into(),
        });
    }
    // An embedded database has this process's clock, and a clock that stands still is no database's: their moment is a
    // value, so that the statement stays the same.
    let (now, moment) = match (backend, clock) {
        (DbBackend::Sqlite, _) | (_, Clock::Manual(_)) => ("?", Some(clock.now().into())),
        (_, Clock::System { .. }) => (POSTGRES_NOW, None),
    };
    for size in chunks(left.len()) {
        let later = left.split_off(size);
        let sql = update_sql(backend, size, now);
        let bound = left.iter().flat_map(|a| values(a)).chain(moment.clone());
        let rows = conn.query_all_raw(statement(backend, &sql, bound)).await?;
        for row in rows {
            won.insert(row.try_get("", "id")?, row.try_get("", "request_seq")?);
        }
        left = later;
    }
    let winners = || appends.iter().filter(|a| won.contains_key(&a.run));
    insert_all(
        conn,
        winners().flat_map(|a| a.parts.iter().cloned()).collect(),
        Some(keep_parts()),
    )
    .await?;
    insert_all(
        conn,
        winners().flat_map(|a| a.events.iter().cloned()).collect(),
        None,
    )
    .await?;
    insert_all(
        conn,
        winners().flat_map(|a| a.steps.iter().cloned()).collect(),
        Some(newer_step()),
    )
    .await?;
    insert_all(
        conn,
        winners()
            .flat_map(|a| a.approvals.iter().cloned())
            .collect(),
        Some(newer_approval()),
    )
    .await?;
    insert_all(
        conn,
        winners().flat_map(|a| a.ledger.iter().cloned()).collect(),
        None,
    )
    .await?;
    Ok(appends
        .iter()
        .map(|a| {
            won.get(&a.run)
                .map_or(Applied::Lost, |seq| Applied::Committed {
                    request_seq: *seq,
                })
        })
        .collect())
}

fn keep_parts() -> OnConflict {
    use prompt_part::Column::{Digest, WorkspaceId};
    OnConflict::columns([WorkspaceId, Digest])
        .do_nothing()
        .to_owned()
}

fn newer_step() -> OnConflict {
    use run_step::Column::{EndedAt, Failed, Idx, LastSeq, RunId, Title};
    OnConflict::columns([RunId, Idx])
        .update_columns([Title, Failed, EndedAt, LastSeq])
        .to_owned()
}

fn newer_approval() -> OnConflict {
    use approval::Column::{DecidedAt, DecidedById, DecidedByKind, Id, Reason, State, UsedAt};
    OnConflict::column(Id)
        .update_columns([State, DecidedByKind, DecidedById, DecidedAt, Reason, UsedAt])
        .to_owned()
}

/// The ids of the events at the places where `append` wanted its own: equal to its own if it was
/// committed although the reply was lost.
///
/// # Errors
/// What the database said.
pub(crate) async fn stands<C: ConnectionTrait>(conn: &C, append: &Append) -> Result<bool> {
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
    let Some(first) = append.events.first() else {
        return Ok(false);
    };
    let found: Option<EventId> = run_event::Entity::find()
        .select_only()
        .column(run_event::Column::EventId)
        .filter(run_event::Column::RunId.eq(append.run))
        .filter(run_event::Column::Seq.eq(first.seq))
        .into_tuple()
        .one(conn)
        .await?;
    Ok(found == Some(first.event_id))
}

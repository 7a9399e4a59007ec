//! Stored = rebuilt: everything that is kept beside the log can be computed from it.

use entity::{Millis, RunId, approval, run, run_event, run_step, usage_ledger};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use super::envelope::{self, chain, hex};
use super::event::Event;
use super::log::Log;
use super::state::State;
use crate::error::{Error, Result};
use crate::store::Projection;

/// What differs between a run's log and what is stored beside it; empty if nothing does.
///
/// # Errors
/// [`Error::NotFound`], or [`Error::Internal`] for a log that can't be read.
pub async fn differences<C: ConnectionTrait>(conn: &C, id: RunId) -> Result<Vec<String>> {
    let row = run::Entity::find_by_id(id)
        .one(conn)
        .await?
        .ok_or(Error::NotFound { what: "Run" })?;
    let events = run_event::Entity::find()
        .filter(run_event::Column::RunId.eq(id))
        .order_by_asc(run_event::Column::Seq)
        .all(conn)
        .await?;
    let steps = run_step::Entity::find()
        .filter(run_step::Column::RunId.eq(id))
        .order_by_asc(run_step::Column::Idx)
        .all(conn)
        .await?;
    let approvals = approval::Entity::find()
        .filter(approval::Column::RunId.eq(id))
        .order_by_asc(approval::Column::Id)
        .all(conn)
        .await?;
    let ledger = usage_ledger::Entity::find()
        .filter(usage_ledger::Column::RunId.eq(id))
        .order_by_asc(usage_ledger::Column::Seq)
        .all(conn)
        .await?;
    let mut found: Vec<String> = Vec::new();
    if let Err(err) = verify(events.iter().map(|event| event.body.as_str()), true) {
        found.push(err.to_string());
    }
    let mut head: Vec<u8> = Vec::new();
    for event in &events {
        head = chain(&head, &event.body);
        if head != event.hash {
            found.push(format!(
                "event {}: its stored hash is not that of the chain",
                event.seq
            ));
        }
    }
    let log = Log::read(conn, row.clone(), None).await?;
    let (stored, rebuilt) = (stored(&row), log.projection());
    if stored != rebuilt {
        found.push(format!(
            "the run's row is {stored:?}, rebuilt it is {rebuilt:?}"
        ));
    }
    if steps != log.steps().rows() {
        found.push(format!(
            "the steps are {steps:?}, rebuilt they are {:?}",
            log.steps().rows()
        ));
    }
    let mut rebuilt = log.approvals().rows().to_vec();
    rebuilt.sort_by_key(|row| row.id);
    if approvals != rebuilt {
        found.push(format!(
            "the approvals are {approvals:?}, rebuilt they are {rebuilt:?}"
        ));
    }
    let rebuilt = Log::ledger(row.clone(), &events)?;
    // Whether a rollup has folded a row is the compactor's business, not the log's.
    let ledger: Vec<_> = ledger
        .into_iter()
        .map(|row| usage_ledger::Model {
            rolled_up: false,
            ..row
        })
        .collect();
    if ledger != rebuilt {
        found.push(format!(
            "the ledger is {ledger:?}, rebuilt it is {rebuilt:?}"
        ));
    }
    Ok(found)
}

fn stored(row: &run::Model) -> Projection {
    Projection {
        status: row.status,
        outcome: row.outcome,
        failure_code: row.failure_code,
        end_of_run_rule: row.end_of_run_rule.clone(),
        reason: row.reason.clone(),
        summary: row.summary.clone(),
        summary_author: row.summary_author,
        stop_requested_at: row.stop_requested_at,
        ended_at: row.ended_at,
        deadline: row.deadline,
        last_seq: row.last_seq,
        head_hash: row.head_hash.clone(),
        turn_count: row.turn_count,
        tool_call_count: row.tool_call_count,
        step_count: row.step_count,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cached_tokens: row.cached_tokens,
        reasoning_tokens: row.reasoning_tokens,
        cache_write_tokens: row.cache_write_tokens,
        cost_nano: row.cost_nano,
        unpriced_calls: row.unpriced_calls,
        unknown_calls: row.unknown_calls,
        estimated_nano: row.estimated_nano,
        reserved_nano: row.reserved_nano,
    }
}

/// What a log that was exported says of itself.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The run's number.
    pub number: i64,
    /// How many events it has.
    pub events: i64,
    /// The hash of the last one.
    pub head_hash: Vec<u8>,
    /// What it means.
    pub state: State,
}

/// Checks a log, line by line: sequence, chain, time, one run, one end.
///
/// # Errors
/// [`Error::Invalid`] with a sentence that names the first event that is wrong and why; a log without
/// an end is wrong unless it is `partial`.
pub fn verify<'a>(lines: impl IntoIterator<Item = &'a str>, partial: bool) -> Result<Verified> {
    let wrong = |what: String| Error::invalid("log", "LOG_INVALID", what);
    let mut state = State::default();
    let (mut seq, mut head, mut last_at, mut number) = (0, Vec::new(), Millis(i64::MIN), None);
    for line in lines {
        seq += 1;
        let (envelope, event) = envelope::read(line)
            .map_err(|err| wrong(format!("event {seq} can't be read: {err}")))?;
        if state.end.is_some() {
            return Err(wrong(format!(
                "event {seq} stands after the end of the run"
            )));
        }
        if envelope.sequence != seq {
            return Err(wrong(format!(
                "event {seq} is missing or out of place: its sequence is {}",
                envelope.sequence
            )));
        }
        let prev = (!head.is_empty()).then(|| hex(&head));
        if envelope.prev_hash != prev {
            return Err(wrong(format!(
                "event {seq} does not follow from the one before: an event was changed or swapped"
            )));
        }
        let run = number.get_or_insert_with(|| envelope.run_id.to_string());
        if *run != envelope.run_id {
            return Err(wrong(format!(
                "event {seq} belongs to run {}, not {run}",
                envelope.run_id
            )));
        }
        let at = chrono::DateTime::parse_from_rfc3339(&envelope.timestamp)
            .map_err(|err| wrong(format!("the time of event {seq} can't be read: {err}")))?;
        let at = Millis(at.timestamp_millis());
        if at < last_at {
            return Err(wrong(format!("event {seq} is earlier than the one before")));
        }
        if seq == 1 && !matches!(event, Event::RunStarted(_)) {
            return Err(wrong(format!(
                "the first event is {}, not run.started",
                envelope.r#type
            )));
        }
        state.apply(at, &event);
        head = chain(&head, line);
        last_at = at;
    }
    if seq == 0 {
        return Err(wrong("the log is empty".into()));
    }
    if state.end.is_none() && !partial {
        return Err(wrong(
            "the log has no end: the run goes on, or events are missing".into(),
        ));
    }
    let number = number.and_then(|n| n.parse().ok()).unwrap_or_default();
    Ok(Verified {
        number,
        events: seq,
        head_hash: head,
        state,
    })
}

//! The ONE writer of the log: stage events, then append them all at once.
//!
//! A [`Log`] is a run's log in the memory of its writer: the fold so far and the events that are not
//! yet written. Whoever loses the append (another lease, another last event, another assignment
//! epoch) drops the `Log` and reads again.

mod ledger;

use std::sync::Arc;

use entity::{
    EventId, Millis, RunId, approval, prompt_part, run, run_event, run_step, usage_ledger,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use super::approval::Approvals;
use super::envelope::{self, Place};
use super::event::Event;
use super::state::State;
use super::step::Steps;
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::store::{Append, Applied, Projection, Store, Tx};

/// An event that stands in the log, with the step that it touched.
#[derive(Clone, Debug)]
pub struct Logged {
    /// The row.
    pub event: run_event::Model,
    /// The step that it touched, as it was then.
    pub step: Option<run_step::Model>,
}

/// A run's log in the memory of its writer.
#[derive(Clone, Debug)]
pub struct Log {
    run: Arc<run::Model>,
    lease_epoch: Option<i64>,
    state: State,
    steps: Steps,
    approvals: Approvals,
    last_seq: i64,
    head_hash: Vec<u8>,
    last_at: Millis,
    request_seq: i64,
    staged: Vec<Arc<Logged>>,
    decided: Vec<approval::Model>,
    ledger: Vec<usage_ledger::Model>,
    parts: Vec<prompt_part::Model>,
    progress: bool,
    /// Until when what is staged may be written.
    not_after: Option<Millis>,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// It stands, and its watchers know.
    Committed,
    /// The fence did not let it through: read again.
    Lost,
}

impl Log {
    /// The empty log of a run that is about to start, or of one that shall be read anew.
    pub fn empty(run: run::Model, lease_epoch: Option<i64>) -> Self {
        Self {
            last_at: run.started_at,
            run: Arc::new(run),
            lease_epoch,
            state: State::default(),
            steps: Steps::default(),
            approvals: Approvals::default(),
            last_seq: 0,
            head_hash: Vec::new(),
            request_seq: 0,
            staged: Vec::new(),
            decided: Vec::new(),
            ledger: Vec::new(),
            parts: Vec::new(),
            progress: false,
            not_after: None,
        }
    }

    /// Reads a run's log and folds it.
    ///
    /// # Errors
    /// [`Error::Internal`] for a line that can't be read, else what the database said.
    pub async fn read<C: ConnectionTrait>(
        conn: &C,
        run: run::Model,
        lease_epoch: Option<i64>,
    ) -> Result<Self> {
        let rows = Self::rows(conn, run.id).await?;
        Self::of(run, lease_epoch, &rows)
    }

    /// A run's log as it stands.
    ///
    /// # Errors
    /// What the database said.
    pub async fn rows<C: ConnectionTrait>(conn: &C, run: RunId) -> Result<Vec<run_event::Model>> {
        let rows = run_event::Entity::find()
            .filter(run_event::Column::RunId.eq(run))
            .order_by_asc(run_event::Column::Seq);
        Ok(rows.all(conn).await?)
    }

    /// The fold of a run's whole log.
    ///
    /// # Errors
    /// [`Error::Internal`] for a line that can't be read.
    pub fn of(
        run: run::Model,
        lease_epoch: Option<i64>,
        rows: &[run_event::Model],
    ) -> Result<Self> {
        let mut log = Self::empty(run, lease_epoch);
        for row in rows {
            let event = envelope::event(row).map_err(|err| {
                Error::internal(format!(
                    "event {} of run {} can't be read: {err}",
                    row.seq, log.run.number
                ))
            })?;
            log.fold(row, &event);
        }
        Ok(log)
    }

    fn fold(
        &mut self,
        row: &run_event::Model,
        event: &Event,
    ) -> (Option<run_step::Model>, Option<approval::Model>) {
        self.state.apply(row.at, event);
        self.last_seq = row.seq;
        self.head_hash.clone_from(&row.hash);
        self.last_at = row.at;
        let step = self.steps.apply(self.run.id, row.seq, row.at, event);
        let approval = self.approvals.apply(&self.run, row.at, event);
        (step.cloned(), approval.cloned())
    }

    /// The run, as it was when the log was opened; what changes is in [`Log::state`].
    pub fn run(&self) -> &run::Model {
        &self.run
    }

    /// What the events say, staged ones included.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The steps, those of staged events included.
    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    /// The approvals, those of staged events included.
    pub fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// The newest timeline entry of the request that the last append saw.
    pub fn request_seq(&self) -> i64 {
        self.request_seq
    }

    /// The last sequence, staged events included.
    pub fn last_seq(&self) -> i64 {
        self.last_seq
    }

    /// The time of the newest event, at least.
    pub fn last_at(&self) -> Millis {
        self.last_at
    }

    /// The run's row as the log says it should be.
    pub fn projection(&self) -> Projection {
        self.state.projection(
            self.last_seq,
            self.head_hash.clone(),
            self.steps.rows().len(),
        )
    }

    /// Adds an event that [`Log::flush`] will write; time never goes back within a run.
    ///
    /// # Errors
    /// [`Error::Internal`], which does not happen for events of this release.
    pub fn stage(&mut self, now: Millis, event: impl Into<Event>) -> Result<()> {
        self.stage_as(EventId(fresh_id()), now, event)
    }

    /// As [`Log::stage`], under an id that the caller knows the event by: whether it stands is then seen in
    /// the log, whatever became of the reply.
    ///
    /// # Errors
    /// As [`Log::stage`].
    pub fn stage_as(
        &mut self,
        event_id: EventId,
        now: Millis,
        event: impl Into<Event>,
    ) -> Result<()> {
        let event = event.into();
        let at = now.max(self.last_at);
        let sequence = self.last_seq + 1;
        let turn = match &event {
            Event::TurnStarted(e) => e.turn,
            _ => self.state.turn.max(1),
        };
        let attempt = match &event {
            Event::AttemptStarted(e) => e.attempt,
            _ => self.state.attempt.max(1),
        };
        let place = Place {
            number: self.run.number,
            turn,
            attempt,
            sequence,
            at,
            prev_hash: &self.head_hash,
        };
        let body = envelope::write(event_id, place, &event).map_err(Error::internal)?;
        let hash = envelope::chain(&self.head_hash, &body);
        let kind = event.kind().to_owned();
        let row = run_event::Model {
            run_id: self.run.id,
            seq: sequence,
            event_id,
            kind,
            at,
            body,
            hash,
        };
        self.progress |= event.is_progress();
        self.ledger.extend(self.ledger_row(&row, &event));
        let (step, approval) = self.fold(&row, &event);
        self.decided.extend(approval);
        self.staged.push(Arc::new(Logged { event: row, step }));
        Ok(())
    }

    /// What is staged holds what others may have after this moment: written later, it is as if the fence did not let it
    /// through.
    pub fn expires(&mut self, not_after: Millis) {
        self.not_after = Some(not_after);
    }

    /// Adds a prompt part that the next append stores if it is not stored yet.
    pub fn stage_part(&mut self, digest: Vec<u8>, body: &str) {
        self.parts.push(prompt_part::Model {
            workspace_id: self.run.workspace_id,
            digest,
            body: body.to_owned(),
        });
    }

    /// Takes what is staged as one append; `None` if nothing is.
    pub fn take(&mut self, fenced: bool) -> Option<(Append, Vec<Arc<Logged>>)> {
        let staged = std::mem::take(&mut self.staged);
        let first = staged.first()?;
        let mut steps: Vec<run_step::Model> = Vec::new();
        for step in staged.iter().filter_map(|logged| logged.step.as_ref()) {
            match steps.iter_mut().find(|known| known.idx == step.idx) {
                Some(known) => *known = step.clone(),
                None => steps.push(step.clone()),
            }
        }
        let mut approvals: Vec<approval::Model> = Vec::new();
        for row in std::mem::take(&mut self.decided) {
            match approvals.iter_mut().find(|known| known.id == row.id) {
                Some(known) => *known = row,
                None => approvals.push(row),
            }
        }
        let append = Append {
            birth: None,
            run: self.run.id,
            lease_epoch: self.lease_epoch,
            fenced,
            after_seq: first.event.seq - 1,
            not_after: self.not_after.take(),
            progress: std::mem::take(&mut self.progress),
            head: self.projection(),
            events: staged.iter().map(|logged| logged.event.clone()).collect(),
            steps,
            approvals,
            ledger: std::mem::take(&mut self.ledger),
            parts: std::mem::take(&mut self.parts),
        };
        Some((append, staged))
    }

    /// Writes what is staged; `fenced` if an effect follows that only the current assignment may have.
    ///
    /// # Errors
    /// As [`Store::append`]. The log in memory must then be dropped.
    pub async fn flush(&mut self, store: &Store, fenced: bool) -> Result<Flushed> {
        let Some((append, staged)) = self.take(fenced) else {
            return Ok(Flushed::Committed);
        };
        Ok(match store.append(append).await? {
            Applied::Committed { request_seq } => {
                self.request_seq = self.request_seq.max(request_seq);
                Self::publish(store, self.run.id, &staged);
                Flushed::Committed
            }
            Applied::Lost => Flushed::Lost,
        })
    }

    /// Writes what is staged as part of a command: if the fence does not let it through, the command is
    /// refused as a whole, with the code [`FENCED`]. The caller publishes what it gets after the commit
    /// ([`Log::publish`]).
    pub fn flush_in(&mut self, tx: &Tx, fenced: bool) -> Vec<Arc<Logged>> {
        let Some((append, staged)) = self.take(fenced) else {
            return Vec::new();
        };
        crate::alert::of_log(tx, self, &staged);
        tx.draft(|draft| draft.appends.push(append));
        staged
    }

    /// Hands what [`Log::flush_in`] wrote to the run's watchers, once it is committed.
    pub fn publish(store: &Store, run: RunId, staged: &[Arc<Logged>]) {
        store.bus().publish(run, staged);
    }
}

/// The code of a write that the fence did not let through.
pub const FENCED: &str = "FENCED";

pub(crate) fn fenced_off() -> Error {
    Error::conflict(
        FENCED,
        "the run is not this worker's any more, or the request was assigned anew",
    )
}

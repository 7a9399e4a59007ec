//! How a run ends: the last event, the request's timeline, and an explanation where it failed.

use entity::{FailureCode, Millis, NoteVisibility, Outcome, RequestStatus, SummaryAuthor};

use super::act::Written;
use super::settle::LONGEST;
use crate::access::Actor;
use crate::bus::Signal;
use crate::error::Result;
use crate::request::TimelineData;
use crate::request::desk::Desk;
use crate::request::note::post;
use crate::request::route::{Decided, Routing, fall_back};
use crate::run::event::{RunCompleted, RunFailed, SummaryWritten};
use crate::run::log::Log;
use crate::run::state::Ending;
use crate::store::{Command, Needs, Tx};
use crate::text::cut_bytes;

/// Ends a run without its coworker: Stint writes the summary.
#[derive(Debug)]
pub struct EndRun {
    /// The run's log, with what is staged.
    pub log: Log,
    /// How.
    pub ending: Ending,
    /// To whom the ranking gives the request, if Triage gives it up like this.
    pub routing: Option<Routing>,
}

impl Command for EndRun {
    type Output = Written;

    async fn run(&self, tx: &Tx) -> Result<Written> {
        let mut log = self.log.clone();
        let stint = Actor::stint(log.run().workspace_id);
        let decided = match &self.routing {
            Some(routing) => routing.hold(tx, stint.workspace).await?,
            None => None,
        };
        let mut desk = Desk::lock(tx, &stint, log.run().request_id).await?;
        end(tx, &mut log, &mut desk, &self.ending, decided).await?;
        desk.save(tx);
        let written = log.flush_in(tx, false);
        Ok((log, written))
    }

    fn needs(&self) -> Needs {
        Needs {
            coworker: self.routing.as_ref().and_then(Routing::coworker),
            request: Some(self.log.run().request_id),
            ..Needs::default()
        }
    }
}

/// The ending that Stint writes, in whose transaction it may be.
///
/// # Errors
/// As [`fail`] and [`ended`].
pub(crate) async fn end(
    tx: &Tx,
    log: &mut Log,
    desk: &mut Desk,
    ending: &Ending,
    decided: Option<Decided>,
) -> Result<()> {
    let stint = Actor::stint(log.run().workspace_id);
    let now = tx.at();
    let mut summary = |text: &str| {
        log.stage(
            now,
            SummaryWritten {
                text: text.into(),
                author: SummaryAuthor::System,
            },
        )
    };
    match ending {
        Ending::Failed(code, reason) => {
            // What others said, as a row can hold it: a run must end, whatever a provider called its failure.
            let reason = cut_bytes(reason, LONGEST);
            summary(&format!(
                "The run ended without a closing word of the coworker: {}.",
                reason.trim_end_matches('.')
            ))?;
            fail(tx, log, desk, *code, reason, decided).await?;
        }
        Ending::Blocked(reason) => {
            let reason = &cut_bytes(reason, LONGEST);
            summary(&format!(
                "The run ended because nobody knows what became of a call: {reason}"
            ))?;
            if current(log, desk) {
                let text = format!(
                    "A system that is needed for this request stopped answering in the middle of a call, and it is \
                     not known whether the call took effect. Someone must look before it goes on. ({reason})"
                );
                post(tx, desk, &stint, NoteVisibility::Public, &text)?;
                in_progress(now, desk, &stint)?;
            }
            complete(now, log, Outcome::Blocked, reason)?;
            ended(tx, log, desk, decided).await?;
        }
        Ending::HandedOff => {
            let reason = "the coworker handed the request off and did not write a closing word";
            summary(&format!("The run ended after its hand-off: {reason}."))?;
            complete(now, log, Outcome::HandedOff, reason)?;
            ended(tx, log, desk, decided).await?;
        }
        Ending::Superseded => {
            let reason = "the request was assigned anew while the run went on";
            summary(&format!("The run ended early: {reason}."))?;
            complete(now, log, Outcome::Superseded, reason)?;
            ended(tx, log, desk, decided).await?;
        }
    }
    Ok(())
}

fn complete(now: Millis, log: &mut Log, outcome: Outcome, reason: &str) -> Result<()> {
    let totals = log.state().totals;
    log.stage(
        now,
        RunCompleted {
            outcome,
            reason: reason.into(),
            rule: None,
            totals,
        },
    )
}

/// The failure, its explanation on the request, and the request back in progress.
pub(super) async fn fail(
    tx: &Tx,
    log: &mut Log,
    desk: &mut Desk,
    code: FailureCode,
    reason: String,
    decided: Option<Decided>,
) -> Result<()> {
    let now = tx.at();
    let stint = Actor::stint(log.run().workspace_id);
    let text = format!(
        "Run-{} failed ({}): {reason}",
        log.run().number,
        code.as_str()
    );
    post(tx, desk, &stint, NoteVisibility::Private, &text)?;
    if current(log, desk) {
        in_progress(now, desk, &stint)?;
    }
    let totals = log.state().totals;
    log.stage(
        now,
        RunFailed {
            code,
            reason,
            totals,
        },
    )?;
    ended(tx, log, desk, decided).await
}

/// R72: tools that did not answer leave the request in progress, and a public note that says so, whatever the coworker made of
/// it. What it handed on is the next one's, and what somebody else took or settled is theirs.
fn left_by_silence(tx: &Tx, log: &Log, desk: &mut Desk) -> Result<()> {
    let (run, state) = (log.run(), log.state());
    let Some(tools) = state.silent_tools() else {
        return Ok(());
    };
    let goes_on = match state.end.as_ref().map(|end| end.how) {
        Some(Ok(Outcome::HandedOff | Outcome::Superseded)) => true,
        Some(
            Ok(
                Outcome::Resolved
                | Outcome::Replied
                | Outcome::AwaitingReply
                | Outcome::Declined
                | Outcome::Blocked,
            )
            | Err(_),
        )
        | None => false,
    };
    let epoch = run.assignment_epoch;
    let anew = epoch.is_some_and(|epoch| epoch != desk.request.assignment_epoch);
    let status = desk.request.status;
    let by_others = status.is_done() && state.status_set != Some(status);
    // Where nobody knows what became of a call, that is what is told.
    if goes_on || anew || by_others || state.outcome_unknown.is_some() {
        return Ok(());
    }
    let stint = Actor::stint(run.workspace_id);
    if state.silent_untold() {
        let text = format!(
            "Something that is needed for this request does not answer ({tools}). Someone must pick it up again once that is back."
        );
        post(tx, desk, &stint, NoteVisibility::Public, &text)?;
    }
    // Who was only mentioned moves nothing, and what is closed stays closed.
    if epoch.is_some() && status != RequestStatus::Closed {
        in_progress(tx.at(), desk, &stint)?;
    }
    Ok(())
}

/// Whether the run works under the request's current assignment, on a request that is not done.
fn current(log: &Log, desk: &Desk) -> bool {
    log.run().assignment_epoch == Some(desk.request.assignment_epoch)
        && !desk.request.status.is_done()
}

fn in_progress(now: Millis, desk: &mut Desk, actor: &Actor) -> Result<()> {
    desk.set_status(now, actor, RequestStatus::InProgress)
        .map(drop)
}

/// The run's end on the request's timeline; what waited for it may start. Triage that gave up is followed by what the
/// ranking decided, in the same transaction.
///
/// # Errors
/// As [`fall_back`].
pub(super) async fn ended(
    tx: &Tx,
    log: &Log,
    desk: &mut Desk,
    decided: Option<Decided>,
) -> Result<()> {
    left_by_silence(tx, log, desk)?;
    let coworker = Actor::in_run(log.run());
    desk.entry(tx.at(), &coworker, &TimelineData::RunEnded)?;
    tx.signal(Signal::Work);
    fall_back(tx, log, desk, decided).await
}

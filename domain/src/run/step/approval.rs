//! The step of an approval: from the question to the run's going on.

use entity::{Millis, RunId, StepKind, run_step};

use super::{Steps, title};
use crate::run::event::Event;

/// How the title of an approval begins until it is decided.
const WAITING: &str = "Waiting for approval of ";

impl Steps {
    /// Takes in an event of an approval, or of the pause that it makes.
    pub(super) fn approval(
        &mut self,
        run: RunId,
        seq: i64,
        at: Millis,
        event: &Event,
    ) -> Option<&run_step::Model> {
        match event {
            Event::ApprovalRequested(e) => Some(self.open(
                run,
                seq,
                at,
                StepKind::Approval,
                format!("{WAITING}{}", title(&e.tool)),
                Some(e.call_id.clone()),
            )),
            Event::ApprovalApproved(e) => {
                let said = format!("{} approved", title(&e.by.name));
                self.decided(seq, at, &e.call_id, &said, false)
            }
            Event::ApprovalDenied(e) => {
                let said = format!("{} denied", title(&e.by.name));
                self.decided(seq, at, &e.call_id, &said, true)
            }
            Event::ApprovalExpired(e) => {
                self.decided(seq, at, &e.call_id, "Nobody decided in time about", true)
            }
            Event::ApprovalVoided(e) => {
                self.decided(seq, at, &e.call_id, "Nobody decided about", true)
            }
            // Parts of the step that they belong to.
            Event::RunPaused(_) | Event::RunResumed(_) => {
                let asked = |step: &&mut run_step::Model| step.kind == StepKind::Approval;
                let step = self.rows.iter_mut().rev().find(asked)?;
                step.last_seq = seq;
                Some(step)
            }
            Event::RunStarted(_)
            | Event::AttemptStarted(_)
            | Event::TurnStarted(_)
            | Event::ModelRequested(_)
            | Event::ModelCompleted(_)
            | Event::ModelFailed(_)
            | Event::ToolRequested(_)
            | Event::ToolCompleted(_)
            | Event::ToolFailed(_)
            | Event::ToolRefused(_)
            | Event::ToolOutcomeUnknown(_)
            | Event::StopRequested(_)
            | Event::NotePosted(_)
            | Event::StatusChanged(_)
            | Event::Reassigned(_)
            | Event::LimitReached(_)
            | Event::SummaryWritten(_)
            | Event::RunCompleted(_)
            | Event::RunFailed(_)
            | Event::Unknown(_) => None,
        }
    }

    /// Says in the title of an open approval what was decided about its tool.
    fn decided(
        &mut self,
        seq: i64,
        at: Millis,
        call_id: &str,
        said: &str,
        failed: bool,
    ) -> Option<&run_step::Model> {
        let asked = |step: &&mut run_step::Model| {
            step.kind == StepKind::Approval
                && step.ended_at.is_none()
                && step.call_id.as_deref() == Some(call_id)
        };
        let step = self.rows.iter_mut().find(asked)?;
        if let Some(tool) = step.title.strip_prefix(WAITING) {
            step.title = format!("{said} {tool}");
        }
        step.last_seq = seq;
        step.ended_at = Some(at);
        step.failed = failed;
        Some(step)
    }
}

//! A run's approvals: `fold(events) → rows`. Pure.

use entity::{ApprovalId, ApprovalState, Millis, approval, run};

use crate::run::event::{ActorRef, Event};

/// The approvals of a run, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Approvals {
    rows: Vec<approval::Model>,
}

impl Approvals {
    /// The rows so far.
    pub fn rows(&self) -> &[approval::Model] {
        &self.rows
    }

    /// Takes in one more event of `run`; gives the approval that it touched, as it is now.
    pub fn apply(
        &mut self,
        run: &run::Model,
        at: Millis,
        event: &Event,
    ) -> Option<&approval::Model> {
        match event {
            Event::ApprovalRequested(e) => {
                // A call is asked about once.
                let known =
                    |row: &approval::Model| row.id == e.approval || row.call_id == e.call_id;
                if self.rows.iter().any(known) {
                    return None;
                }
                self.rows.push(approval::Model {
                    id: e.approval,
                    workspace_id: run.workspace_id,
                    run_id: run.id,
                    request_id: run.request_id,
                    coworker_id: run.coworker_id,
                    call_id: e.call_id.clone(),
                    tool: e.tool.clone(),
                    arguments: e.arguments.clone(),
                    schema_hash: e.schema_hash.clone(),
                    digest: e.digest.clone(),
                    state: ApprovalState::Pending,
                    requested_at: at,
                    expires_at: e.expires_at,
                    decided_by_kind: None,
                    decided_by_id: None,
                    decided_at: None,
                    reason: None,
                    used_at: None,
                });
                self.rows.last()
            }
            Event::ApprovalApproved(e) => {
                let by = Some((&e.by, &e.reason));
                self.decide(e.approval, at, ApprovalState::Approved, by)
            }
            Event::ApprovalDenied(e) => {
                let by = Some((&e.by, &e.reason));
                self.decide(e.approval, at, ApprovalState::Denied, by)
            }
            Event::ApprovalExpired(e) => self.decide(e.approval, at, ApprovalState::Expired, None),
            Event::ApprovalVoided(e) => self.decide(e.approval, at, ApprovalState::Void, None),
            Event::ToolRequested(e) => {
                let unused = |row: &&mut approval::Model| {
                    row.call_id == e.call_id
                        && row.state == ApprovalState::Approved
                        && row.used_at.is_none()
                };
                let row = self.rows.iter_mut().find(unused)?;
                row.used_at = Some(at);
                Some(row)
            }
            Event::RunStarted(_)
            | Event::AttemptStarted(_)
            | Event::TurnStarted(_)
            | Event::ModelRequested(_)
            | Event::ModelCompleted(_)
            | Event::ModelFailed(_)
            | Event::ToolCompleted(_)
            | Event::ToolFailed(_)
            | Event::ToolRefused(_)
            | Event::ToolOutcomeUnknown(_)
            | Event::RunPaused(_)
            | Event::RunResumed(_)
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

    fn decide(
        &mut self,
        id: ApprovalId,
        at: Millis,
        state: ApprovalState,
        by: Option<(&ActorRef, &Option<String>)>,
    ) -> Option<&approval::Model> {
        let pending =
            |row: &&mut approval::Model| row.id == id && row.state == ApprovalState::Pending;
        let row = self.rows.iter_mut().find(pending)?;
        row.state = state;
        row.decided_at = Some(at);
        if let Some((by, reason)) = by {
            row.decided_by_kind = Some(by.kind);
            row.decided_by_id = Some(by.id);
            row.reason.clone_from(reason);
        }
        Some(row)
    }
}

//! Asking: the run pauses, and its worker lets go of it.

use std::sync::Arc;

use entity::{ApprovalId, RequestStatus};

use super::{Bound, schema_hash};
use crate::access::Actor;
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::model::ToolCall;
use crate::request::desk::Desk;
use crate::run::event::{ApprovalRequested, RunPaused};
use crate::run::log::{FENCED, Log, Logged};
use crate::store::{Command, Needs, Tx};
use crate::tool::ToolSpec;

/// The code with which asking is refused on a request that is closed.
pub const CLOSED: &str = "REQUEST_CLOSED";

/// Asks whether a call may be made, and pauses its run until that is decided.
///
/// It locks the request as whoever assigns it anew or closes it does: a run never pauses under an assignment that is over,
/// nor where nobody can decide.
#[derive(Debug)]
pub struct AskApproval {
    /// The run's log, with what is staged and not yet written.
    pub log: Log,
    /// The call.
    pub call: ToolCall,
    /// The tool as the model knows it.
    pub spec: ToolSpec,
    /// For how long it may be approved, milliseconds.
    pub ttl_ms: i64,
}

impl Command for AskApproval {
    type Output = (Log, Vec<Arc<Logged>>);

    async fn run(&self, tx: &Tx) -> Result<Self::Output> {
        let Self {
            log,
            call,
            spec,
            ttl_ms,
        } = self;
        let run = log.run();
        let desk = Desk::lock(tx, &Actor::stint(run.workspace_id), run.request_id).await?;
        let epoch = run.assignment_epoch;
        if epoch.is_some_and(|epoch| epoch != desk.request.assignment_epoch) {
            return Err(Error::conflict(FENCED, "the request was assigned anew"));
        }
        if desk.request.status == RequestStatus::Closed {
            let message = "the request is closed: nobody decides about calls for it any more";
            return Err(Error::conflict(CLOSED, message));
        }
        let now = tx.now().await?;
        let (approval, schema_hash) = (ApprovalId(fresh_id()), schema_hash(spec));
        let bound = Bound {
            arguments: &call.arguments,
            call: &call.id,
            expires_at: now.plus(*ttl_ms),
            run: run.id,
            schema: &schema_hash,
            tool: &call.tool,
            workspace: run.workspace_id,
        };
        let (digest, expires_at) = (bound.digest(), bound.expires_at);
        let mut log = log.clone();
        log.stage(
            now,
            ApprovalRequested {
                approval,
                call_id: call.id.clone(),
                tool: call.tool.clone(),
                arguments: call.arguments.clone(),
                schema_hash,
                digest,
                expires_at,
            },
        )?;
        log.stage(now, RunPaused { approval })?;
        let written = log.flush_in(tx, false);
        Ok((log, written))
    }

    fn needs(&self) -> Needs {
        Needs {
            request: Some(self.log.run().request_id),
            ..Needs::default()
        }
    }
}

//! A call that a person must look at: asked about before it is made, and compared with what was approved.

use entity::{ApprovalState, NoteVisibility, approval};
use sea_orm::EntityTrait;

use super::driver::{Driver, Held};
use super::millis;
use crate::access::Action;
use crate::error::{Error, Result};
use crate::model::ToolCall;
use crate::run::approval::{AskApproval, Bound, CLOSED, schema_hash};
use crate::run::event::{ApprovalRequested, Refusal};
use crate::run::log::FENCED;
use crate::run::state::{Asked, Verdict};
use crate::tool::{Builtin, ToolSpec};

impl Driver {
    /// Whether a call that is otherwise in order may be made now: none if it may; else what became of it: the run waits,
    /// or the call was refused.
    pub(super) async fn approved(&mut self, call: &ToolCall) -> Result<Option<Held>> {
        let Some(spec) = self.tools.spec(&call.tool).cloned() else {
            return Err(Error::internal(
                "a tool is called that the run does not have",
            ));
        };
        let asked = self.state().asked.clone();
        // What was decided holds, whatever the tool says of itself by now.
        let asked = asked.filter(|asked| asked.requested.call_id == call.id);
        let Some(Asked { requested, verdict }) = asked else {
            return match self.config.asks(&spec) {
                true => self.ask(call, spec).await.map(Some),
                false => Ok(None),
            };
        };
        let tool = &call.tool;
        let (refusal, told) = match verdict {
            None => return Ok(Some(Held::No)),
            Some(Verdict::Approved) => match self.differs(&requested, call, &spec).await? {
                None => return Ok(None),
                Some(differs) => differs,
            },
            Some(Verdict::Denied(by, reason)) => {
                let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                let who = by.name;
                let told = format!(
                    "{who} denied this call of {tool}{why}. It was not made. Go on without it, or finish and say what is missing"
                );
                (Refusal::Denied, told)
            }
            Some(Verdict::Expired) => (
                Refusal::Expired,
                format!(
                    "nobody decided in time whether {tool} may be called: the approval expired. The call was not made. \
                     Go on without it, or finish and say what is missing"
                ),
            ),
            // The run has ended then.
            Some(Verdict::Void) => return Ok(Some(Held::No)),
        };
        self.refuse(call.clone(), refusal, told).map(Some)
    }

    /// Whether the policy allows what a built-in tool does; the tool itself asks it again.
    pub(super) fn may(&self, builtin: &Builtin) -> bool {
        self.actor.may(match builtin {
            Builtin::PostNote(note) => match note.visibility {
                NoteVisibility::Public => Action::NotePublic,
                NoteVisibility::Private => Action::NotePrivate,
            },
            Builtin::SetStatus(_) | Builtin::AskRequester(_) => Action::RequestSetStatus,
            Builtin::Reassign(_) => Action::RequestAssign,
            Builtin::ListCandidates(_) => Action::CoworkerRead,
            Builtin::Finish(_) => return true,
        })
    }

    async fn ask(&mut self, call: &ToolCall, spec: ToolSpec) -> Result<Held> {
        let ask = AskApproval {
            log: self.log.clone(),
            call: call.clone(),
            spec,
            ttl_ms: millis(self.shared.options.approval_ttl),
        };
        match self.shared.store.write(ask).await {
            // The next step lets go of it.
            Ok(written) => self.written(written),
            Err(Error::Conflict { code: FENCED, .. }) => self.reload().await,
            Err(Error::Conflict {
                code: CLOSED,
                message,
            }) => {
                let told = format!("{message}. {} was not called; finish", call.tool);
                self.refuse(call.clone(), Refusal::NotApproved, told)
            }
            Err(err) => Err(err),
        }
    }

    /// What is not as it was approved, if anything is: compared are the call that would be sent, what the log says was
    /// asked, and the row that was shown.
    async fn differs(
        &self,
        asked: &ApprovalRequested,
        call: &ToolCall,
        spec: &ToolSpec,
    ) -> Result<Option<(Refusal, String)>> {
        let tool = &call.tool;
        let row = approval::Entity::find_by_id(asked.approval)
            .one(self.shared.store.read())
            .await?;
        let run = self.log.run();
        let schema = schema_hash(spec);
        let now = self.now();
        let bound = Bound {
            arguments: &call.arguments,
            call: &call.id,
            expires_at: asked.expires_at,
            run: run.id,
            schema: &schema,
            tool,
            workspace: run.workspace_id,
        };
        if schema != asked.schema_hash {
            let told = format!(
                "the definition of {tool} was changed since the call was approved. The call was not made; ask for it again if \
                 it still fits"
            );
            return Ok(Some((Refusal::NotApproved, told)));
        }
        let shown = row.as_ref().filter(|row| {
            row.state == ApprovalState::Approved
                && row.used_at.is_none()
                && row.digest == asked.digest
                && Bound::of(row).digest() == asked.digest
        });
        if bound.digest() != asked.digest || shown.is_none() {
            let told =
                format!("this call of {tool} is not the one that was approved. It was not made");
            return Ok(Some((Refusal::NotApproved, told)));
        }
        if asked.expires_at <= now {
            let told = format!(
                "{tool} was approved, but the approval expired before the call could be made. It was not made; ask for it \
                 again if it still fits"
            );
            return Ok(Some((Refusal::Expired, told)));
        }
        Ok(None)
    }
}

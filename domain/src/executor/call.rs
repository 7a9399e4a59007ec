//! A call that the model asked for: checked, its intent written, sent, its result written.

use std::time::Duration;

use tracing::Instrument as _;

use super::act::{Act, Written, idempotency_key};
use super::driver::{Driver, Held};
use super::{elapsed, limits};
use crate::error::{Error, Result};
use crate::model::ToolCall;
use crate::run::event::{Refusal, ToolCompleted, ToolFailed, ToolRefused, ToolRequested};
use crate::run::log::{FENCED, Log};
use crate::run::state::Open;
use crate::telemetry::{figure, trace};
use crate::tool::{
    Answer, Builtin, Effect, FINISH, Invocation, LARGEST, ToolError, ToolErrorClass,
};

/// What a model is told besides of a call that nobody knows the end of and that is not harmless twice.
const IN_DOUBT: &str = ". It may have had its effect all the same, and a second call would be a new one: look first, or \
                        say so and finish";

impl Driver {
    pub(super) async fn dispatch(&mut self, call: ToolCall) -> Result<Held> {
        let state = self.state();
        if call.tool != FINISH {
            if state.limit.is_some() || state.handed_off {
                let why = if state.handed_off {
                    "the request is handed off"
                } else {
                    "the run is at its limit"
                };
                return self.refuse(
                    call,
                    Refusal::OnlyFinish,
                    format!("{why}: only finish may follow"),
                );
            }
            let (limits, deadline) = (&self.config.limits, self.log.run().deadline);
            if let Some(limit) = limits::before_call(state, limits, deadline, self.now()) {
                self.fact(limit)?;
                return Ok(Held::Yes);
            }
        }
        if let Some(why) = self.tools.withholds(&call.tool) {
            let message = format!(
                "the tool {} {why}; enabled are: {}",
                call.tool,
                self.tools.names()
            );
            return self.refuse(call, Refusal::NotEnabled, message);
        }
        let offered = self.tools.offers(&call.tool);
        match Builtin::parse(&call.tool, &call.arguments).filter(|_| offered) {
            // Nobody is asked about what the coworker may not do anyway.
            Some(Ok(builtin)) if !self.may(&builtin) => self.act(call, builtin).await,
            Some(Ok(builtin)) => match self.approved(&call).await? {
                Some(held) => Ok(held),
                None => self.act(call, builtin).await,
            },
            Some(Err(message)) => self.refuse(call, Refusal::BadArguments, message),
            None => match self.tools.get(&call.tool) {
                None => {
                    let message = format!(
                        "there is no tool {}; there are: {}",
                        call.tool,
                        self.tools.names()
                    );
                    self.refuse(call, Refusal::Unknown, message)
                }
                Some(tool) => {
                    let (schemas, schema) =
                        (self.shared.outside.schemas(), &tool.spec().parameters);
                    if let Err(message) = schemas.check(schema, &call.arguments) {
                        return self.refuse(call, Refusal::BadArguments, message);
                    }
                    if let Some(held) = self.approved(&call).await? {
                        return Ok(held);
                    }
                    // What an administrator takes away is gone for the very next call: it is looked at anew.
                    if tool.is_stale().await? {
                        self.forget_tools();
                        return Ok(Held::Yes);
                    }
                    // Who approved one call did not approve a second one, whatever harm that would do.
                    let effect = match self.state().asked {
                        Some(_) => Effect::Effect,
                        None => tool.spec().effect,
                    };
                    let requested = ToolRequested {
                        idempotency_key: idempotency_key(&self.log, &call.id),
                        effect,
                        call_id: call.id,
                        tool: call.tool,
                        arguments: call.arguments,
                    };
                    self.log.stage(self.now(), requested.clone())?;
                    // The intent stands before anything is sent.
                    if self.flush(true).await? == Held::No {
                        return Ok(Held::No);
                    }
                    let open =
                        matches!(&self.state().open, Some(Open::Tool(open)) if *open == requested);
                    if open {
                        self.send(requested).await
                    } else {
                        Ok(Held::Yes)
                    }
                }
            },
        }
    }

    pub(super) fn refuse(
        &mut self,
        call: ToolCall,
        reason: Refusal,
        message: String,
    ) -> Result<Held> {
        let ToolCall {
            id: call_id,
            tool,
            arguments,
        } = call;
        self.fact(ToolRefused {
            call_id,
            tool,
            arguments,
            reason,
            message,
        })?;
        Ok(Held::Yes)
    }

    async fn act(&mut self, call: ToolCall, builtin: Builtin) -> Result<Held> {
        let ranked = self.ranked(&builtin).await?;
        let act = Act {
            log: self.log.clone(),
            actor: self.actor.clone(),
            config: self.config.clone(),
            call: call.clone(),
            builtin,
            ranked,
        };
        match self.shared.store.write(act).await {
            Ok(written) => self.written(written),
            Err(Error::Conflict { code: FENCED, .. }) => self.reload().await,
            Err(Error::Forbidden { message }) => self.refuse(call, Refusal::NotAssignee, message),
            Err(Error::Invalid { message, .. }) => {
                self.refuse(call, Refusal::BadArguments, message)
            }
            Err(Error::Conflict { message, .. }) => self.refuse(call, Refusal::Conflict, message),
            Err(
                err @ (Error::NotFound { .. }
                | Error::Unavailable { .. }
                | Error::CommitUnknown
                | Error::Internal { .. }),
            ) => Err(err),
        }
    }

    pub(super) fn written(&mut self, (log, written): Written) -> Result<Held> {
        self.stands();
        self.log = log;
        Log::publish(&self.shared.store, self.log.run().id, &written);
        Ok(Held::Yes)
    }

    /// Sends a call whose intent is written, and records what came of it.
    pub(super) async fn send(&mut self, call: ToolRequested) -> Result<Held> {
        let Some(tool) = self.tools.get(&call.tool) else {
            let message = format!("the tool {} is not there any more", call.tool);
            self.fact(ToolFailed {
                call_id: call.call_id,
                class: ToolErrorClass::Offline,
                message,
                response: None,
                encoding: None,
                redacted: Vec::new(),
                latency_ms: 0,
            })?;
            return Ok(Held::Yes);
        };
        self.read_context().await?;
        let Some(context) = &self.context else {
            return Err(Error::internal("no context"));
        };
        let repeats = usize::try_from(self.state().attempt - self.state().opened_in).unwrap_or(0);
        let nth = self.state().calls.get(&call.tool).copied().unwrap_or(1) + repeats;
        let invocation = Invocation {
            arguments: &call.arguments,
            idempotency_key: &call.idempotency_key,
            nth,
            brief: context.brief(),
        };
        let began = self.now();
        // A tool that hangs must not outlive its run: the closing turn's reserve is not for it.
        let until = limits::closing_from(&self.config.limits, self.log.run().deadline);
        let left = Duration::from_millis(u64::try_from(until.since(began)).unwrap_or(0).max(1));
        let time = self.shared.options.tool_timeout.min(left);
        let span = trace::execute_tool(&call.tool, &call.call_id);
        let answer = tokio::time::timeout(time, tool.call(invocation).instrument(span.clone()))
            .await
            .unwrap_or_else(|_| {
                let message = format!(
                    "{} did not answer within {} s",
                    call.tool,
                    time.as_secs_f32()
                );
                Err(ToolError::new(ToolErrorClass::TimedOut, message).doubted())
            });
        let answer = answer.and_then(|answer| {
            let size = answer.text.len();
            if size > LARGEST {
                let message = format!("{} answered {size} bytes; {LARGEST} are allowed", call.tool);
                return Err(ToolError::new(ToolErrorClass::BadResponse, message).doubted());
            }
            Ok(answer)
        });
        trace::executed(&span, answer.as_ref());
        drop(span);
        let (call_id, latency_ms) = (call.call_id, elapsed(began, self.now()));
        let result = answer
            .as_ref()
            .map_or_else(|error| error.class.as_str(), |_| "ok");
        figure::tool_called(&call.tool, result, latency_ms);
        match answer {
            Ok(Answer { text, redacted }) => self.fact(ToolCompleted {
                call_id,
                response: text,
                redacted,
                latency_ms,
            })?,
            Err(ToolError {
                class,
                mut message,
                response,
                encoding,
                redacted,
                in_doubt,
            }) => {
                if in_doubt && call.effect == Effect::Effect {
                    message.push_str(IN_DOUBT);
                }
                self.fact(ToolFailed {
                    call_id,
                    class,
                    message,
                    response,
                    encoding,
                    redacted,
                    latency_ms,
                })?;
            }
        }
        Ok(Held::Yes)
    }
}

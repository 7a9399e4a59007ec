//! What a run does next, by its state alone. Pure.

use entity::FailureCode;

use super::ending::limit_ending;
use super::{Open, State};
use crate::model::ToolCall;
use crate::run::event::{ModelRequested, ToolRequested};
use crate::tool::Effect;

/// Tries of one model call before the run gives up.
const MODEL_TRIES: i32 = 4;
/// Turns that a coworker gets to finish after it handed the request off.
const TURNS_TO_FINISH: i32 = 2;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Record that the model call in the log was given up, then ask again.
    AbandonModel(ModelRequested),
    /// Ask the model.
    CallModel {
        /// The try within the turn, from 1.
        attempt: i32,
        /// Whether only the end may follow.
        closing: bool,
    },
    /// Let go of the run: it waits for a decision.
    Wait,
    /// Check and dispatch a call.
    Dispatch(ToolCall),
    /// Send a call again under its key: the worker died before it recorded a result.
    Repeat(ToolRequested),
    /// Record that nobody knows what became of a call.
    OutcomeUnknown(ToolRequested),
    /// End the run without the coworker: Stint writes the summary.
    End(Ending),
    /// It has ended.
    Ended,
}

/// An ending that Stint writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Failed.
    Failed(FailureCode, String),
    /// Someone must look what became of a call (R72).
    Blocked(String),
    /// Handed off, without a closing word of the coworker.
    HandedOff,
    /// The request was assigned anew.
    Superseded,
}

impl State {
    /// What to do next.
    pub fn next(&self) -> Next {
        if self.end.is_some() {
            return Next::Ended;
        }
        match &self.open {
            Some(Open::Model(call)) => return Next::AbandonModel(call.clone()),
            Some(Open::Tool(call)) => {
                return match call.effect {
                    Effect::Read | Effect::Idempotent if self.stop.is_none() => {
                        Next::Repeat(call.clone())
                    }
                    Effect::Read | Effect::Idempotent | Effect::Effect => {
                        Next::OutcomeUnknown(call.clone())
                    }
                };
            }
            None => {}
        }
        if let Some(stop) = &self.stop {
            let why = stop
                .reason
                .as_ref()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            return Next::End(Ending::Failed(
                FailureCode::Stopped,
                format!("{} stopped the run{why}", stop.by.name),
            ));
        }
        if self.paused_at.is_some() {
            return Next::Wait;
        }
        if let Some(message) = &self.outcome_unknown {
            return Next::End(Ending::Blocked(message.clone()));
        }
        if let Some(call) = self.pending.front() {
            return Next::Dispatch(call.clone());
        }
        let retry = self
            .model_failed
            .as_ref()
            .filter(|failed| failed.retryable && self.model_failures < MODEL_TRIES);
        match (&self.limit, &self.model_failed) {
            // The closing turn is a turn of its own, whatever became of the one before.
            (Some(_), _) if self.closing_turns == 0 => Next::CallModel {
                attempt: 1,
                closing: true,
            },
            (limit, Some(failed)) => match (retry, limit) {
                (Some(_), _) => Next::CallModel {
                    attempt: failed.attempt + 1,
                    closing: limit.is_some(),
                },
                (None, Some(limit)) => Next::End(limit_ending(limit)),
                (None, None) => Next::End(Ending::Failed(
                    FailureCode::ModelError,
                    failed.message.clone(),
                )),
            },
            (Some(limit), None) => Next::End(limit_ending(limit)),
            (None, None) if self.handed_off && self.finishing_turns >= TURNS_TO_FINISH => {
                Next::End(Ending::HandedOff)
            }
            (None, None) => Next::CallModel {
                attempt: 1,
                closing: false,
            },
        }
    }
}

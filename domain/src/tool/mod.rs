//! The `Tool` port: what a coworker can do besides thinking.
//!
//! The built-in tools ([`Builtin`]) are the commands that people use, run inside the append's own
//! transaction; they are not behind this port. Everything that reaches out of the process is.

mod builtin;
pub use builtin::{BUILT_IN, Builtin, FINISH, Finish, specs, triage_specs};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::Brief;

/// A tool outside of Stint.
#[async_trait]
pub trait Tool: Send + Sync {
    /// Its name, arguments and effect.
    fn spec(&self) -> &ToolSpec;

    /// Calls it once. The executor bounds the time; dropping the future abandons the call.
    ///
    /// # Errors
    /// A [`ToolError`] that the model is told.
    async fn call(&self, invocation: Invocation<'_>) -> Result<String, ToolError>;
}

/// What a model needs to know to call a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// `server.action`; built-in ones have no server.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// JSON Schema of the arguments.
    pub parameters: serde_json::Value,
    /// What happens when it is called twice.
    pub effect: Effect,
    /// Whether it may destroy something: a coworker can be set to ask a person before such calls.
    pub destructive: bool,
}

/// What happens when a call is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Effect {
    /// Only reads: may repeat.
    Read,
    /// May repeat under the same key.
    Idempotent,
    /// At most once: after a crash in the window its outcome is unknown.
    Effect,
}

/// One call of a tool.
#[derive(Clone, Copy, Debug)]
pub struct Invocation<'a> {
    /// The exact arguments.
    pub arguments: &'a str,
    /// The key to send on, where the tool's protocol has a place for it.
    pub idempotency_key: &'a str,
    /// From 1: which call of this tool it is within the run.
    pub nth: usize,
    /// The request as the run found it.
    pub brief: &'a Brief,
}

/// Why a call gave no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// What kind of failure.
    pub class: ToolErrorClass,
    /// One sentence.
    pub message: String,
}

/// The kinds of tool failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolErrorClass {
    /// Could not be reached, or broke off.
    Offline,
    /// Did not answer in time.
    TimedOut,
    /// Answered that it failed.
    Failed,
    /// Answered something that can't be used.
    BadResponse,
}

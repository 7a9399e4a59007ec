//! The `Tool` port: what a coworker can do besides thinking.
//!
//! The built-in tools ([`Builtin`]) are the commands that people use, run inside the append's own
//! transaction; they are not behind this port. Everything that reaches out of the process is: the tools of a
//! playbook, and those of [`server`]s, which [`Outside`] calls through the [`Guard`] or as programs of the operator's.

mod arguments;
mod builtin;
mod catalog;
mod guard;
mod http;
mod mcp;
mod outside;
pub mod schema;
pub mod server;

pub use builtin::{ASK, BUILT_IN, Builtin, FINISH, Finish, specs, triage_specs};
pub use catalog::{Catalog, Given, Server, Withheld};
pub use entity::ToolEffect as Effect;
pub use guard::{Exception, Guard, is_public};
pub use mcp::{KEEP, Program, keep};
pub use outside::{Outside, Settings};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Brief;
use crate::secret::Veil;

/// The most bytes that a tool may answer.
pub const LARGEST: usize = 1024 * 1024;

/// A tool outside of Stint.
#[async_trait]
pub trait Tool: Send + Sync {
    /// Its name, arguments and effect.
    fn spec(&self) -> &ToolSpec;

    /// Calls it once. The executor bounds the time; dropping the future abandons the call.
    ///
    /// # Errors
    /// A [`ToolError`] that the model is told.
    async fn call(&self, invocation: Invocation<'_>) -> Result<Answer, ToolError>;

    /// Whether it is not any more as it was given to the run: disabled, defined anew, reached otherwise. Asked before each
    /// call.
    ///
    /// # Errors
    /// What the database said.
    async fn is_stale(&self) -> crate::error::Result<bool> {
        Ok(false)
    }
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

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The exact response, but for the secrets in it.
    pub text: String,
    /// The names of the secrets that were taken out of it.
    pub redacted: Vec<String>,
}

impl Answer {
    fn veiled(veil: &Veil, text: String) -> Self {
        let (text, redacted) = veil.over(text);
        Self { text, redacted }
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        let redacted = Vec::new();
        Self { text, redacted }
    }
}

/// Why a call gave no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// What kind of failure.
    pub class: ToolErrorClass,
    /// One sentence.
    pub message: String,
    /// The exact answer that it failed with, where one came.
    pub response: Option<String>,
    /// How that is written, if it is no text.
    pub encoding: Option<Encoding>,
    /// The names of the secrets that were taken out of both.
    pub redacted: Vec<String>,
    /// Whether the call may have had its effect all the same: it was sent, and nothing came that denies it.
    pub in_doubt: bool,
}

impl ToolError {
    /// A failure that holds no secret, of a call that had no effect.
    pub fn new(class: ToolErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            response: None,
            encoding: None,
            redacted: Vec::new(),
            in_doubt: false,
        }
    }

    /// The same, of a call that may have had its effect.
    pub(crate) fn doubted(self) -> Self {
        Self {
            in_doubt: true,
            ..self
        }
    }

    /// The same, with what came, byte for byte.
    fn answered(self, body: Vec<u8>) -> Self {
        let (response, encoding) = match String::from_utf8(body) {
            Ok(text) => (Some(text).filter(|text| !text.is_empty()), None),
            Err(err) => (
                Some(STANDARD.encode(err.as_bytes())),
                Some(Encoding::Base64),
            ),
        };
        Self {
            response,
            encoding,
            ..self
        }
    }

    fn veiled(self, veil: &Veil) -> Self {
        let (message, found) = veil.over(self.message);
        let mut redacted = self.redacted;
        redacted.extend(found);
        let response = self.response.map(|response| {
            let (response, found) = veil.over(response);
            redacted.extend(found);
            response
        });
        redacted.sort();
        redacted.dedup();
        Self {
            message,
            response,
            redacted,
            ..self
        }
    }
}

/// How bytes that are no text are written as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Base64 of RFC 4648, with its padding.
    Base64,
}

/// The kinds of tool failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

impl ToolErrorClass {
    /// The word that logs and figures have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::BadResponse => "bad_response",
        }
    }
}

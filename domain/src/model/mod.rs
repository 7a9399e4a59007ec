//! The `Model` port: what the executor asks of a language model, and what it gets back.
//!
//! Implementations are siblings of this file. A provider never retries by itself: retries belong to
//! the run, which logs each try.

pub mod anthropic;
pub mod check;
pub mod config;
pub mod delta;
mod error;
#[cfg(test)]
mod frame;
pub mod gemini;
pub mod http;
pub mod openai;
pub mod playbook;
pub mod provider;
pub mod scripted;
mod scrub;
pub mod sse;
pub mod tokens;
mod usage;
pub mod wire;

pub use config::{Effort, ModelConfig, Parameters, Thousandths};
pub use delta::Deltas;
pub use error::{ModelError, ModelErrorClass};
pub use provider::{Kind, KnownProviders, Models, OutputLimit, Patience, Provider};
pub use usage::Usage;

use async_trait::async_trait;
use entity::{
    ActorKind, Millis, NoteVisibility, Outcome, Priority, RequestSource, RequestStatus, Trigger,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tool::ToolSpec;

/// A language model, or something that stands in for one.
#[async_trait]
pub trait Model: Send + Sync {
    /// Answers one prompt. Dropping the future cancels the call.
    ///
    /// # Errors
    /// A [`ModelError`] with its class; `retryable` says whether the same call may succeed later.
    async fn complete(&self, call: ModelCall<'_>) -> Result<ModelReply, ModelError>;
}

/// One call of a model.
#[derive(Clone, Copy, Debug)]
pub struct ModelCall<'a> {
    /// The coworker's model configuration.
    pub config: &'a ModelConfig,
    /// What the model reads.
    pub prompt: &'a Prompt,
    /// The tools that it may call.
    pub tools: &'a [ToolSpec],
    /// The most that it may write.
    pub max_output_tokens: i64,
    /// From 1: the try within this turn.
    pub attempt: i32,
    /// Where the answer is shown while it is written.
    pub deltas: Deltas<'a>,
}

/// What the model reads: a stable prefix, the request as the run found it, then the turns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// The texts in order, stable ones first; exactly these bytes are what the log refers to.
    pub parts: Vec<Part>,
    /// The same request, notes and earlier outcomes in structured form.
    pub brief: Brief,
    /// What happened in the run so far.
    pub messages: Vec<Message>,
}

/// One text of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// The text, as the model reads it.
    pub text: std::sync::Arc<str>,
}

/// The kinds of prompt parts, in their order: those that are the same in every run of a version first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// Soul, identity and goal: the same bytes for every run of one version.
    Prefix,
    /// The definitions of the tools, as stable as the prefix. A provider gets them in its own field for tools.
    Tools,
    /// A skill that the version pins; as stable as the prefix.
    Skill,
    /// The request, its notes and earlier outcomes as the run found them.
    Request,
    /// Notes that arrived while the run went on.
    Notes,
}

impl PartKind {
    /// Whether its text is the same in every run of a version.
    pub const fn is_stable(self) -> bool {
        match self {
            Self::Prefix | Self::Tools | Self::Skill => true,
            Self::Request | Self::Notes => false,
        }
    }
}

/// The request as the run found it. Its JSON is the prompt part that the model reads, so that a run
/// which changes hands reads the same again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    /// The handle of the coworker that runs.
    pub coworker: String,
    /// What triggered the run.
    pub trigger: Trigger,
    /// The request's number.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// Its text.
    pub description: String,
    /// Its status.
    pub status: RequestStatus,
    /// Its priority.
    pub priority: Priority,
    /// Its source.
    pub source: RequestSource,
    /// What the outside system sent that made it, as it came; cut where it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Its notes, oldest first.
    pub notes: Vec<NoteBrief>,
    /// The ended runs on it, oldest first.
    pub earlier: Vec<OutcomeBrief>,
}

impl Default for Brief {
    fn default() -> Self {
        Self {
            coworker: String::new(),
            trigger: Trigger::Assigned,
            number: 0,
            title: String::new(),
            description: String::new(),
            status: RequestStatus::Open,
            priority: Priority::Normal,
            source: RequestSource::Employee,
            payload: None,
            notes: Vec::new(),
            earlier: Vec::new(),
        }
    }
}

/// A note as a model reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteBrief {
    /// The author's name, a coworker's with its handle.
    pub author: String,
    /// What kind of actor wrote it.
    pub author_kind: ActorKind,
    /// Who may read it.
    pub visibility: NoteVisibility,
    /// The text.
    pub body: String,
    /// When it was posted.
    pub at: Millis,
}

/// An ended run as a later run's model reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeBrief {
    /// The run's number.
    pub number: i64,
    /// The handle of its coworker.
    pub coworker: String,
    /// Its outcome; none if it failed.
    pub outcome: Option<Outcome>,
    /// Its summary.
    pub summary: String,
}

/// What happened in the run so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// What the model answered.
    Assistant {
        /// What it said.
        text: String,
        /// Its reasoning.
        thinking: String,
        /// The calls that it asked for.
        calls: Vec<ToolCall>,
        /// The answer in the provider's own form, where it must go back unchanged.
        verbatim: Option<Verbatim>,
    },
    /// What a call gave.
    Tool {
        /// The call.
        call_id: String,
        /// The tool's name.
        tool: String,
        /// The response, or a sentence that says what went wrong.
        content: String,
        /// Whether it failed or was refused.
        failed: bool,
    },
    /// Notes that arrived meanwhile.
    Notes(Vec<NoteBrief>),
    /// The run is near a limit: the next turn is the last, and may only finish.
    Closing(String),
}

/// A call that the model asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Unique within the run.
    pub id: String,
    /// The tool's name.
    pub tool: String,
    /// The arguments, the exact text that the model wrote: a JSON object if it did as it should.
    pub arguments: String,
}

/// An answer in its provider's own form: signed reasoning, for example, which the provider wants back
/// byte for byte. It goes to providers of this kind only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verbatim {
    /// The kind of provider that wrote it.
    pub kind: Kind,
    /// JSON, the exact text of the answer's content blocks.
    pub blocks: String,
}

/// What the model answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelReply {
    /// What it said; may be empty.
    pub text: String,
    /// Its reasoning; may be empty.
    pub thinking: String,
    /// The calls that it asks for, in order; empty ids are filled by the executor.
    pub calls: Vec<ToolCall>,
    /// Why it stopped writing.
    pub finish: FinishReason,
    /// What it used; none if the provider did not say.
    pub usage: Option<Usage>,
    /// Milliseconds until its first token, if known.
    pub first_token_ms: Option<i64>,
    /// The provider's word for the service tier that it answered in, if it said one.
    pub service_tier: Option<String>,
    /// The answer in the provider's own form, where it must go back unchanged.
    pub verbatim: Option<Verbatim>,
}

/// Why a model stopped writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// It waits for its tool calls.
    ToolCalls,
    /// Its output limit was reached.
    Length,
    /// The provider withheld the answer.
    Filtered,
}

impl FinishReason {
    /// The word that logs and figures have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::ToolCalls => "tool_calls",
            Self::Length => "length",
            Self::Filtered => "filtered",
        }
    }
}

//! What is asked of a model, and what comes of it.

use entity::ModelPriceId;
use serde::{Deserialize, Serialize};

use crate::model::tokens::Components;
use crate::model::{FinishReason, ModelErrorClass, PartKind, ToolCall, Usage, Verbatim};

/// See [`Event::ModelRequested`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRequested {
    /// The model.
    pub model: String,
    /// The try within this turn, from 1.
    pub attempt: i32,
    /// The prompt's parts; what follows them is the log itself.
    pub prompt: Vec<PartRef>,
    /// The tools that the model may call.
    pub tools: Vec<String>,
    /// The most that it may write.
    pub max_output_tokens: i64,
    /// Whether it is the closing turn that the reserve pays for.
    pub closing: bool,
    /// About how many tokens each part of the prompt has; the shares of what the provider will report.
    #[serde(default, skip_serializing_if = "Components::is_empty")]
    pub estimate: Components,
    /// What it may cost at the most, nano-USD: held back of every budget until it has ended; none: unpriced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<i64>,
}

/// A part of a prompt; its text is in `prompt_part` under this digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRef {
    /// What it is.
    pub kind: PartKind,
    /// SHA-256 of its text, hexadecimal.
    pub digest: String,
}

/// See [`Event::ModelCompleted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelCompleted {
    /// The model.
    pub model: String,
    /// What it said.
    pub text: String,
    /// Its reasoning.
    pub thinking: String,
    /// The calls that it asks for.
    pub calls: Vec<ToolCall>,
    /// Why it stopped writing.
    pub finish_reason: FinishReason,
    /// What it used; none if the provider did not say.
    pub usage: Option<Usage>,
    /// The price that was in force; none: unpriced.
    pub price: Option<ModelPriceId>,
    /// Cost, nano-USD; none: unpriced.
    pub cost_nano: Option<i64>,
    /// Milliseconds from request to the last token.
    pub latency_ms: i64,
    /// Milliseconds to the first token, if known.
    pub first_token_ms: Option<i64>,
    /// The service tier that it was priced by; none: the standard one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// The answer in the provider's own form, where it must go back unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verbatim: Option<Verbatim>,
    /// What it stays charged at in budgets, nano-USD, where a kind of tokens that it used has no rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<i64>,
}

/// See [`Event::ModelFailed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFailed {
    /// The model.
    pub model: String,
    /// The try within this turn.
    pub attempt: i32,
    /// What kind of failure.
    pub class: ModelErrorClass,
    /// One sentence.
    pub message: String,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// What it used all the same; none: unknown.
    pub usage: Option<Usage>,
    /// The price that was in force.
    pub price: Option<ModelPriceId>,
    /// Cost, nano-USD; none: unpriced or unknown.
    pub cost_nano: Option<i64>,
    /// What it stays charged at in budgets, nano-USD, because nobody knows what it used; none: the provider did
    /// nothing for it, or it is unpriced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<i64>,
}

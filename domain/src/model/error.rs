//! Why a model did not answer, and what follows from it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Usage;

/// Why a model did not answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// What kind of failure.
    pub class: ModelErrorClass,
    /// One sentence.
    pub message: String,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// What the failed call used, if the provider said so.
    pub usage: Option<Usage>,
    /// Whether the provider may have worked on the call, and so charge for it, although it reported no usage: not where
    /// nothing of it was sent.
    pub may_cost: bool,
}

impl ModelError {
    /// A failure of which no more is known.
    pub fn new(class: ModelErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            retry_after: None,
            usage: None,
            may_cost: class.may_cost(),
        }
    }

    /// The same, where no model can have read any of the call.
    pub(super) fn unread(self) -> Self {
        Self {
            may_cost: false,
            ..self
        }
    }
}

/// The kinds of model failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelErrorClass {
    /// No connection, or it broke before the first byte.
    Unreachable,
    /// Too many requests.
    RateLimited,
    /// The provider is overloaded or failed.
    Overloaded,
    /// The answer broke off.
    Truncated,
    /// The answer can't be read.
    Malformed,
    /// No answer within the time that the run had for it.
    TimedOut,
    /// The provider refused the request as it is.
    Rejected,
    /// No such provider or model is configured.
    NotConfigured,
    /// The call was given up: the run was stopped or superseded, or its worker died.
    Abandoned,
}

impl ModelErrorClass {
    /// The word that logs and figures have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::TimedOut => "timed_out",
            Self::Rejected => "rejected",
            Self::NotConfigured => "not_configured",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether the same call may succeed later.
    pub const fn retryable(self) -> bool {
        match self {
            Self::Unreachable
            | Self::RateLimited
            | Self::Overloaded
            | Self::Truncated
            | Self::Malformed
            | Self::Abandoned => true,
            Self::TimedOut | Self::Rejected | Self::NotConfigured => false,
        }
    }

    /// Whether the provider may have worked on a call that ended like this, as long as no more is known of it. Where it
    /// answered with an error instead of the beginning of an answer, it did not.
    const fn may_cost(self) -> bool {
        match self {
            Self::Unreachable
            | Self::Truncated
            | Self::Malformed
            | Self::TimedOut
            | Self::Abandoned => true,
            Self::RateLimited | Self::Overloaded | Self::Rejected | Self::NotConfigured => false,
        }
    }
}

//! The events of an answer, as Anthropic's messages have them, and the figures in them.

use serde::Deserialize;
use serde_json::Value;

use crate::model::Usage;

/// What this release reads of the events; others are passed over, as the provider asks.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Said {
    MessageStart {
        message: Started,
    },
    ContentBlockStart {
        index: usize,
        content_block: Value,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    MessageDelta {
        delta: Ended,
        #[serde(default)]
        usage: Counted,
    },
    MessageStop,
    Error {
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
pub(super) struct Started {
    #[serde(default)]
    pub(super) usage: Counted,
}

#[derive(Deserialize)]
pub(super) struct Ended {
    pub(super) stop_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
pub(super) enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Other,
}

/// Figures that were given so far: later ones replace earlier ones.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Counted {
    pub(super) input_tokens: Option<i64>,
    pub(super) output_tokens: Option<i64>,
    pub(super) cache_read_input_tokens: Option<i64>,
    pub(super) cache_creation_input_tokens: Option<i64>,
    pub(super) cache_creation: Option<Written>,
    pub(super) output_tokens_details: Option<OutputDetails>,
    pub(super) service_tier: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Written {
    pub(super) ephemeral_5m_input_tokens: i64,
    pub(super) ephemeral_1h_input_tokens: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct OutputDetails {
    pub(super) thinking_tokens: i64,
}

/// The provider's figures in disjoint kinds, as it gives them: its input excludes what was read from the cache or
/// written to it.
pub(super) fn usage(counted: &Counted) -> Option<Usage> {
    let Counted {
        input_tokens,
        output_tokens,
        cache_read_input_tokens,
        cache_creation_input_tokens,
        cache_creation,
        output_tokens_details,
        service_tier: _,
    } = counted;
    let (Some(input), Some(output)) = (*input_tokens, *output_tokens) else {
        return None;
    };
    let long = cache_creation
        .as_ref()
        .map_or(0, |written| written.ephemeral_1h_input_tokens.max(0));
    let short = cache_creation
        .as_ref()
        .map_or(0, |written| written.ephemeral_5m_input_tokens.max(0));
    // What is not told apart was written for minutes.
    let written = cache_creation_input_tokens.unwrap_or(0).max(long + short);
    let output = output.max(0);
    let reasoning = output_tokens_details
        .as_ref()
        .map_or(0, |details| details.thinking_tokens);
    Some(Usage {
        input: input.max(0),
        cache_read: cache_read_input_tokens.unwrap_or(0).max(0),
        cache_write_short: written - long,
        cache_write_long: long,
        output,
        reasoning: reasoning.clamp(0, output),
    })
}

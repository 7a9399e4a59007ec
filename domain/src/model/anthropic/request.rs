//! A prompt in the form of Anthropic's messages.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::model::wire::{Names, Turn, conversation, object, system, wire_id};
use crate::model::{Effort, Kind, ModelCall, ModelError, ModelErrorClass, Parameters, Verbatim};

/// The least that a model may be told to reason.
const LEAST_BUDGET: i64 = 1_024;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: String,
    description: &'a str,
    input_schema: &'a serde_json::Value,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message<'a> {
    User { content: Vec<Block<'a>> },
    Assistant { content: Answered<'a> },
}

/// What the model said: as it came, where it must go back unchanged.
#[derive(Serialize)]
#[serde(untagged)]
enum Answered<'a> {
    Verbatim(&'a RawValue),
    Blocks(Vec<Block<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ToolUse {
        id: String,
        name: String,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: String,
        content: Cow<'a, str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
}

/// What stands up to here is kept in the provider's cache.
#[derive(Clone, Copy, Serialize)]
struct CacheControl {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Thinking {
    Enabled { budget_tokens: i64 },
    Adaptive,
    Disabled,
}

#[derive(Serialize)]
struct OutputConfig {
    effort: &'static str,
}

/// The body of a request.
///
/// # Errors
/// None but those of serialising it.
pub(super) fn body(call: &ModelCall<'_>, names: &Names) -> Result<String, ModelError> {
    let Parameters {
        temperature,
        top_p,
        // Contained in the call's own limit.
        max_output_tokens: _,
        reasoning_effort,
        thinking_budget_tokens,
        long_cache,
    } = &call.config.parameters;
    let tools = call.tools.iter().map(|tool| Tool {
        name: names.theirs(&tool.name),
        description: &tool.description,
        input_schema: &tool.parameters,
    });
    let mut system: Vec<Block<'_>> = system(call.prompt).map(|part| text(part.into())).collect();
    // Tools come before the system's text in the cache, so that one mark behind the stable part is for both.
    if let Some(last) = system.last_mut() {
        let ttl = long_cache.then_some("1h");
        mark(last, ttl);
    }
    let turns = conversation(call.prompt);
    let (thinking, output_config) = reasoning(
        *reasoning_effort,
        *thinking_budget_tokens,
        call.max_output_tokens,
        &turns,
    );
    let mut messages: Vec<Message<'_>> = turns.iter().map(|turn| message(turn, names)).collect();
    // From its second turn on a run reads again what it read before.
    if messages.len() > 1
        && let Some(Message::User { content }) = messages.last_mut()
        && let Some(last) = content.last_mut()
    {
        mark(last, None);
    }
    let body = Body {
        model: call.config.model.as_deref().unwrap_or_default(),
        max_tokens: call.max_output_tokens,
        tools: tools.collect(),
        system,
        messages,
        stream: true,
        thinking,
        output_config,
        temperature: temperature.map(|value| value.value()),
        top_p: top_p.map(|value| value.value()),
    };
    serde_json::to_string(&body)
        .map_err(|err| ModelError::new(ModelErrorClass::Rejected, err.to_string()))
}

fn text(text: Cow<'_, str>) -> Block<'_> {
    Block::Text {
        text,
        cache_control: None,
    }
}

fn mark(block: &mut Block<'_>, ttl: Option<&'static str>) {
    let control = Some(CacheControl {
        r#type: "ephemeral",
        ttl,
    });
    match block {
        Block::Text { cache_control, .. } | Block::ToolResult { cache_control, .. } => {
            *cache_control = control;
        }
        Block::ToolUse { .. } => {}
    }
}

fn reasoning(
    effort: Option<Effort>,
    budget: Option<i64>,
    most: i64,
    turns: &[Turn<'_>],
) -> (Option<Thinking>, Option<OutputConfig>) {
    if budget == Some(0) {
        return (Some(Thinking::Disabled), None);
    }
    if let Some(budget) = budget {
        // Reasoning counts as output and must leave room for an answer; and an exchange of calls and results that
        // began without it can't go on with it.
        let budget = budget.min(most / 2);
        let begun = turns.iter().rev().find_map(|turn| match turn {
            Turn::Assistant { verbatim, .. } => Some(verbatim.is_some()),
            Turn::User { .. } => None,
        });
        let possible = budget >= LEAST_BUDGET && begun.unwrap_or(true);
        let thinking = possible.then_some(Thinking::Enabled {
            budget_tokens: budget,
        });
        return (thinking, None);
    }
    let word = match effort {
        None => return (None, None),
        Some(Effort::None) => return (Some(Thinking::Disabled), None),
        Some(Effort::Minimal | Effort::Low) => "low",
        Some(Effort::Medium) => "medium",
        Some(Effort::High) => "high",
        Some(Effort::Max) => "max",
    };
    (
        Some(Thinking::Adaptive),
        Some(OutputConfig { effort: word }),
    )
}

fn message<'a>(turn: &Turn<'a>, names: &Names) -> Message<'a> {
    match turn {
        Turn::User { results, texts } => {
            let results = results.iter().map(|answer| Block::ToolResult {
                tool_use_id: fitting(answer.id),
                content: answer.content.clone(),
                is_error: answer.failed,
                cache_control: None,
            });
            let texts = texts.iter().map(|words| text(words.clone()));
            Message::User {
                content: results.chain(texts).collect(),
            }
        }
        Turn::Assistant {
            text: said,
            calls,
            verbatim,
        } => {
            if let Some(blocks) = verbatim.and_then(own) {
                return Message::Assistant {
                    content: Answered::Verbatim(blocks),
                };
            }
            // An answer can't be empty, nor can a text in it.
            let said = match said.trim().is_empty() {
                true if calls.is_empty() => Some("(No answer.)"),
                true => None,
                false => Some(*said),
            };
            let said = said.map(|said| text(said.into()));
            let calls = calls.iter().map(|call| Block::ToolUse {
                id: fitting(wire_id(&call.id)),
                name: names.theirs(&call.tool),
                input: object(&call.arguments),
            });
            Message::Assistant {
                content: Answered::Blocks(said.into_iter().chain(calls).collect()),
            }
        }
    }
}

/// Content blocks that a provider of this kind wrote itself.
fn own(verbatim: &Verbatim) -> Option<&RawValue> {
    match verbatim.kind {
        Kind::Anthropic => serde_json::from_str(&verbatim.blocks).ok(),
        Kind::OpenAi | Kind::Gemini => None,
    }
}

/// An id of letters, digits, `_` and `-`, as the ids of this provider are already.
fn fitting(id: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    id.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}

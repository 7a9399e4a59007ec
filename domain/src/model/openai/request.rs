//! A prompt in the form of chat completions.

use std::borrow::Cow;

use serde::Serialize;

use crate::model::provider::OutputLimit;
use crate::model::wire::{Names, Turn, conversation, object, system, wire_id};
use crate::model::{Effort, ModelCall, ModelError, ModelErrorClass, Parameters, ToolCall};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message<'a> {
    System {
        content: String,
    },
    User {
        content: Cow<'a, str>,
    },
    Assistant {
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: Cow<'a, str>,
    },
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Called,
}

#[derive(Serialize)]
struct Called {
    name: String,
    arguments: String,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: String,
    description: &'a str,
    parameters: &'a serde_json::Value,
}

/// The body of a request.
///
/// # Errors
/// A parameter that these servers do not have.
pub(super) fn body(
    call: &ModelCall<'_>,
    names: &Names,
    limit: OutputLimit,
) -> Result<String, ModelError> {
    let Parameters {
        temperature,
        top_p,
        // Contained in the call's own limit.
        max_output_tokens: _,
        reasoning_effort,
        thinking_budget_tokens,
        // These servers cache by themselves.
        long_cache: _,
    } = &call.config.parameters;
    if thinking_budget_tokens.is_some() {
        let message = "thinkingBudgetTokens is for providers of the kinds anthropic and gemini; say reasoningEffort instead";
        return Err(ModelError::new(ModelErrorClass::Rejected, message));
    }
    let most = |wanted| (limit == wanted).then_some(call.max_output_tokens);
    let tools = call.tools.iter().map(|tool| Tool {
        r#type: "function",
        function: Function {
            name: names.theirs(&tool.name),
            description: &tool.description,
            parameters: &tool.parameters,
        },
    });
    let body = Body {
        model: call.config.model.as_deref().unwrap_or_default(),
        messages: messages(call, names),
        tools: tools.collect(),
        stream: true,
        stream_options: StreamOptions {
            include_usage: true,
        },
        max_tokens: most(OutputLimit::MaxTokens),
        max_completion_tokens: most(OutputLimit::MaxCompletionTokens),
        temperature: temperature.map(|value| value.value()),
        top_p: top_p.map(|value| value.value()),
        reasoning_effort: reasoning_effort.map(effort),
    };
    serde_json::to_string(&body)
        .map_err(|err| ModelError::new(ModelErrorClass::Rejected, err.to_string()))
}

const fn effort(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Max => "xhigh",
    }
}

fn messages<'a>(call: &ModelCall<'a>, names: &Names) -> Vec<Message<'a>> {
    let prompt = call.prompt;
    let system = system(prompt).collect::<Vec<_>>().join("\n\n");
    let mut messages = vec![Message::System { content: system }];
    for turn in conversation(prompt) {
        match turn {
            Turn::User { results, texts } => {
                messages.extend(results.into_iter().map(|answer| Message::Tool {
                    tool_call_id: answer.id,
                    content: answer.content,
                }));
                messages.extend(texts.into_iter().map(|content| Message::User { content }));
            }
            // Another kind of provider's own form is of no use here.
            Turn::Assistant {
                text,
                calls,
                verbatim: _,
            } => messages.push(Message::Assistant {
                content: (!text.is_empty() || calls.is_empty()).then_some(text),
                tool_calls: calls.iter().map(|call| asked(call, names)).collect(),
            }),
        }
    }
    messages
}

fn asked<'a>(call: &'a ToolCall, names: &Names) -> Call<'a> {
    Call {
        id: wire_id(&call.id),
        r#type: "function",
        function: Called {
            name: names.theirs(&call.tool),
            arguments: object(&call.arguments).get().to_owned(),
        },
    }
}

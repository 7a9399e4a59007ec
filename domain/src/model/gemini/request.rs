//! A prompt in the form of Gemini's `generateContent`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::wire::{Names, Turn, conversation, object, system, wire_id};
use crate::model::{Effort, Kind, ModelCall, ModelError, ModelErrorClass, Parameters, Verbatim};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    system_instruction: System<'a>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    generation_config: Generation,
}

#[derive(Serialize)]
struct System<'a> {
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Content<'a> {
    User { parts: Vec<Part<'a>> },
    Model { parts: Answered<'a> },
}

/// What the model said: as it came, where it must go back unchanged.
#[derive(Serialize)]
#[serde(untagged)]
enum Answered<'a> {
    Verbatim(&'a RawValue),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Part<'a> {
    Text(Cow<'a, str>),
    FunctionCall {
        #[serde(skip_serializing_if = "str::is_empty")]
        id: &'a str,
        name: String,
        args: Box<RawValue>,
    },
    FunctionResponse {
        #[serde(skip_serializing_if = "str::is_empty")]
        id: &'a str,
        name: String,
        response: Response<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Response<'a> {
    Output(Cow<'a, str>),
    Error(Cow<'a, str>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Function<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    name: String,
    description: &'a str,
    /// The other field for it knows only a part of JSON Schema.
    parameters_json_schema: &'a serde_json::Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Generation {
    max_output_tokens: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Thinking>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thinking {
    include_thoughts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<i64>,
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
        // Gemini caches by itself.
        long_cache: _,
    } = &call.config.parameters;
    let functions: Vec<Function<'_>> = call
        .tools
        .iter()
        .map(|tool| Function {
            name: names.theirs(&tool.name),
            description: &tool.description,
            parameters_json_schema: &tool.parameters,
        })
        .collect();
    let tools = (!functions.is_empty()).then_some(Tools {
        function_declarations: functions,
    });
    let body = Body {
        system_instruction: System {
            parts: system(call.prompt)
                .map(|part| Part::Text(part.into()))
                .collect(),
        },
        contents: contents(call, names),
        tools: tools.into_iter().collect(),
        generation_config: Generation {
            max_output_tokens: call.max_output_tokens,
            temperature: temperature.map(|value| value.value()),
            top_p: top_p.map(|value| value.value()),
            thinking_config: thinking(
                *reasoning_effort,
                *thinking_budget_tokens,
                call.max_output_tokens,
            ),
        },
    };
    serde_json::to_string(&body)
        .map_err(|err| ModelError::new(ModelErrorClass::Rejected, err.to_string()))
}

/// Models that can't reason refuse to be asked about it: nothing is said unless the coworker wants it.
fn thinking(effort: Option<Effort>, budget: Option<i64>, most: i64) -> Option<Thinking> {
    if let Some(budget) = budget {
        // Reasoning counts as output and must leave room for an answer. None at all is asked for as it is.
        let budget = budget.min(most / 2);
        return Some(Thinking {
            include_thoughts: budget > 0,
            thinking_level: None,
            thinking_budget: Some(budget),
        });
    }
    let level = match effort? {
        Effort::None => {
            return Some(Thinking {
                include_thoughts: false,
                thinking_level: None,
                thinking_budget: Some(0),
            });
        }
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Max => "high",
    };
    Some(Thinking {
        include_thoughts: true,
        thinking_level: Some(level),
        thinking_budget: None,
    })
}

fn contents<'a>(call: &ModelCall<'a>, names: &Names) -> Vec<Content<'a>> {
    let mut contents = Vec::new();
    // The ids by which the calls before were sent: an answer may have no other.
    let mut sent: Vec<String> = Vec::new();
    for turn in conversation(call.prompt) {
        contents.push(match turn {
            Turn::User { results, texts } => {
                let results = results.into_iter().map(|answer| {
                    let known = sent.iter().any(|id| id == answer.id);
                    Part::FunctionResponse {
                        id: if known { answer.id } else { "" },
                        name: names.theirs(answer.tool),
                        response: match answer.failed {
                            true => Response::Error(answer.content),
                            false => Response::Output(answer.content),
                        },
                    }
                });
                let texts = texts.into_iter().map(Part::Text);
                Content::User {
                    parts: results.chain(texts).collect(),
                }
            }
            Turn::Assistant {
                text,
                calls,
                verbatim,
            } => {
                if let Some((parts, ids)) = verbatim.and_then(own) {
                    sent = ids;
                    Content::Model {
                        parts: Answered::Verbatim(parts),
                    }
                } else {
                    sent = calls
                        .iter()
                        .map(|call| wire_id(&call.id).to_owned())
                        .collect();
                    // An answer can't be empty.
                    let said = match text.trim().is_empty() {
                        true if calls.is_empty() => Some("(No answer.)"),
                        true => None,
                        false => Some(text),
                    };
                    let said = said.map(|said| Part::Text(said.into()));
                    let calls = calls.iter().map(|call| Part::FunctionCall {
                        id: wire_id(&call.id),
                        name: names.theirs(&call.tool),
                        args: object(&call.arguments),
                    });
                    Content::Model {
                        parts: Answered::Parts(said.into_iter().chain(calls).collect()),
                    }
                }
            }
        });
    }
    contents
}

/// Parts that a provider of this kind wrote itself, and the ids of the calls in them.
fn own(verbatim: &Verbatim) -> Option<(&RawValue, Vec<String>)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said {
        #[serde(default)]
        function_call: Option<Called>,
    }
    #[derive(Deserialize)]
    struct Called {
        #[serde(default)]
        id: Option<String>,
    }
    match verbatim.kind {
        Kind::Gemini => {
            let parts: Vec<Said> = serde_json::from_str(&verbatim.blocks).ok()?;
            let ids = parts
                .into_iter()
                .filter_map(|part| part.function_call?.id)
                .collect();
            let parts = serde_json::from_str(&verbatim.blocks).ok()?;
            Some((parts, ids))
        }
        Kind::OpenAi | Kind::Anthropic => None,
    }
}

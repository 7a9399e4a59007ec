//! An answer of chat completions, put together from its chunks. Servers differ in what they leave out, repeat or
//! send twice; only what changes the answer's meaning is refused.

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::time::Instant;

use crate::model::delta::Deltas;
use crate::model::http::{Assemble, before_it_began, failed_within, malformed};
use crate::model::sse::Event;
use crate::model::wire::Names;
use crate::model::{FinishReason, ModelError, ModelReply, ToolCall, Usage};

/// The most calls of one answer.
const MOST_CALLS: usize = 256;
/// The longest id of a call that is kept; gateways hide whole signatures in them.
const LONGEST_ID: usize = 8 * 1024;

#[derive(Deserialize)]
struct Chunk {
    #[serde(default, deserialize_with = "or_default")]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Counted>,
    #[serde(default)]
    service_tier: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<i64>,
    #[serde(default)]
    delta: Option<Delta>,
    /// In the place of the delta where a server does not stream.
    #[serde(default)]
    message: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    #[serde(deserialize_with = "or_default")]
    content: Content,
    #[serde(deserialize_with = "or_default")]
    reasoning_content: Content,
    /// The same by another name; some servers send both.
    #[serde(deserialize_with = "or_default")]
    reasoning: Content,
    #[serde(deserialize_with = "or_default")]
    refusal: Content,
    #[serde(deserialize_with = "or_default")]
    tool_calls: Vec<CallDelta>,
}

/// A text, or a list of pieces with texts.
#[derive(Default)]
struct Content(String);

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Array(pieces) => {
                let texts = pieces.iter().filter_map(|piece| piece["text"].as_str());
                texts.collect()
            }
            _ => String::new(),
        }))
    }
}

#[derive(Deserialize)]
struct CallDelta {
    #[serde(default)]
    index: Option<usize>,
    #[serde(default, deserialize_with = "or_default")]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    function: Function,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Function {
    #[serde(deserialize_with = "or_default")]
    name: String,
    /// A piece of text; some servers give the object itself.
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default, deserialize_with = "or_default")]
    prompt_tokens: i64,
    #[serde(default, deserialize_with = "or_default")]
    completion_tokens: i64,
    #[serde(default)]
    total_tokens: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    prompt_tokens_details: InputDetails,
    #[serde(default, deserialize_with = "or_default")]
    completion_tokens_details: OutputDetails,
    /// DeepSeek's word for cached tokens.
    #[serde(default)]
    prompt_cache_hit_tokens: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    #[serde(deserialize_with = "or_default")]
    cached_tokens: i64,
    #[serde(deserialize_with = "or_default")]
    cache_write_tokens: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    #[serde(deserialize_with = "or_default")]
    reasoning_tokens: i64,
}

/// Null stands for what is left out.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An answer on its way.
pub(super) struct Answer<'a> {
    provider: &'a str,
    names: &'a Names,
    deltas: Deltas<'a>,
    began: Instant,
    first_token_ms: Option<i64>,
    text: String,
    thinking: String,
    calls: Vec<Asked>,
    refused: bool,
    finish: Option<String>,
    usage: Option<Usage>,
    service_tier: Option<String>,
    /// A choice was seen: there is an answer, if perhaps an empty one.
    any: bool,
}

struct Asked {
    index: Option<usize>,
    id: String,
    name: String,
    arguments: String,
}

impl<'a> Answer<'a> {
    /// Nothing yet.
    pub(super) fn new(provider: &'a str, names: &'a Names, deltas: Deltas<'a>) -> Self {
        Self {
            provider,
            names,
            deltas,
            began: Instant::now(),
            first_token_ms: None,
            text: String::new(),
            thinking: String::new(),
            calls: Vec::new(),
            refused: false,
            finish: None,
            usage: None,
            service_tier: None,
            any: false,
        }
    }

    fn malformed(&self, what: impl std::fmt::Display) -> ModelError {
        malformed(self.provider, what)
    }

    fn chunk(&mut self, text: &str) -> Result<(), ModelError> {
        let json: Value = serde_json::from_str(text).map_err(|err| self.malformed(err))?;
        if !json.is_object() {
            return Err(self.malformed("a chunk is no object"));
        }
        let error = json.get("error").filter(|error| !error.is_null());
        let error = error.or_else(|| (json["object"] == "error").then_some(&json));
        if let Some(error) = error {
            return Err(failed_within(self.provider, error, &json.to_string()));
        }
        let Chunk {
            choices,
            usage,
            service_tier,
        } = serde_json::from_value(json).map_err(|err| self.malformed(err))?;
        if let Some(usage) = usage {
            self.usage = counted(&usage).or(self.usage);
        }
        self.service_tier = service_tier.or(self.service_tier.take());
        for choice in choices {
            if choice.index.unwrap_or(0) == 0 {
                self.choice(choice)?;
            }
        }
        Ok(())
    }

    fn choice(&mut self, choice: Choice) -> Result<(), ModelError> {
        let Choice {
            index: _,
            delta,
            message,
            finish_reason,
        } = choice;
        let Delta {
            content,
            reasoning_content,
            reasoning,
            refusal,
            tool_calls,
        } = delta.or(message).unwrap_or_default();
        let thinking = if reasoning_content.0.is_empty() {
            reasoning.0
        } else {
            reasoning_content.0
        };
        self.any = true;
        let wrote = [&content.0, &thinking, &refusal.0]
            .iter()
            .any(|text| !text.is_empty());
        if self.first_token_ms.is_none() && (wrote || !tool_calls.is_empty()) {
            self.first_token_ms = i64::try_from(self.began.elapsed().as_millis()).ok();
        }
        self.thinking.push_str(&thinking);
        self.deltas.thinking(&thinking);
        self.refused |= !refusal.0.is_empty();
        for text in [content.0, refusal.0] {
            self.text.push_str(&text);
            self.deltas.text(&text);
        }
        for call in tool_calls {
            self.call(call)?;
        }
        if let Some(reason) = finish_reason.filter(|reason| !reason.is_empty()) {
            self.finish = Some(reason);
        }
        Ok(())
    }

    fn call(&mut self, delta: CallDelta) -> Result<(), ModelError> {
        let CallDelta {
            index,
            id,
            function: Function { name, arguments },
        } = delta;
        // Calls may come interleaved. Some servers number them all 0, some not at all: another id is another call.
        let known = match index {
            Some(_) => self.calls.iter().rposition(|call| call.index == index),
            None if id.is_empty() => self.calls.len().checked_sub(1),
            None => self.calls.iter().rposition(|call| call.id == id),
        };
        let known = known.filter(|known| {
            let known = &self.calls[*known];
            id.is_empty() || known.id.is_empty() || known.id == id
        });
        let place = known.unwrap_or_else(|| {
            self.calls.push(Asked {
                index,
                id: String::new(),
                name: String::new(),
                arguments: String::new(),
            });
            self.calls.len() - 1
        });
        if place >= MOST_CALLS {
            return Err(self.malformed(format!("more than {MOST_CALLS} calls at once")));
        }
        let call = &mut self.calls[place];
        if call.id.is_empty() && id.len() <= LONGEST_ID {
            call.id = id;
        }
        // Some servers repeat the name in each chunk.
        if call.name.is_empty() {
            call.name = name;
        }
        let piece = match arguments {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(piece)) => piece,
            Some(whole) => whole.to_string(),
        };
        call.arguments.push_str(&piece);
        self.deltas
            .tool_call(place, || self.names.ours(&call.name), &piece);
        Ok(())
    }

    /// The answer, once its end marker has come.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn reply(self) -> Result<ModelReply, ModelError> {
        if !self.any {
            return Err(before_it_began(self.provider));
        }
        let finish = match self.finish.as_deref() {
            _ if self.refused => FinishReason::Filtered,
            Some("length" | "max_tokens") => FinishReason::Length,
            Some("content_filter") => FinishReason::Filtered,
            // Some servers say stop, or nothing, where calls wait.
            Some(_) | None if self.calls.is_empty() => FinishReason::Stop,
            Some(_) | None => FinishReason::ToolCalls,
        };
        let calls = self.calls.into_iter().map(|call| ToolCall {
            id: call.id,
            tool: self.names.ours(&call.name),
            // A tool without parameters is often called with nothing at all.
            arguments: if call.arguments.trim().is_empty() {
                "{}".into()
            } else {
                call.arguments
            },
        });
        Ok(ModelReply {
            calls: calls.collect(),
            text: self.text,
            thinking: self.thinking,
            finish,
            usage: self.usage,
            first_token_ms: self.first_token_ms,
            service_tier: self.service_tier,
            verbatim: None,
        })
    }
}

impl Assemble for Answer<'_> {
    fn event(&mut self, event: &Event) -> Result<bool, ModelError> {
        match event.data.trim() {
            "[DONE]" => Ok(true),
            "" => Ok(false),
            chunk => self.chunk(chunk).map(|()| false),
        }
    }

    fn whole(&mut self, body: &str) -> Result<(), ModelError> {
        self.chunk(body)
    }
}

/// The provider's figures in disjoint kinds: its input includes the cached tokens. All zero, they say nothing.
fn counted(counted: &Counted) -> Option<Usage> {
    let Counted {
        prompt_tokens,
        completion_tokens,
        total_tokens,
        prompt_tokens_details,
        completion_tokens_details,
        prompt_cache_hit_tokens,
    } = counted;
    let (prompt, completion) = (prompt_tokens.max(&0), completion_tokens.max(&0));
    let cached = prompt_tokens_details
        .cached_tokens
        .max(prompt_cache_hit_tokens.unwrap_or(0));
    let cache_read = cached.clamp(0, *prompt);
    let written = prompt_tokens_details
        .cache_write_tokens
        .clamp(0, prompt - cache_read);
    let reasoning = completion_tokens_details.reasoning_tokens.max(0);
    // Some count reasoning beside the completion; then only the total shows it.
    let beside = reasoning > 0 && *total_tokens == Some(prompt + completion + reasoning);
    let output = if beside {
        completion + reasoning
    } else {
        *completion
    };
    let usage = Usage {
        input: prompt - cache_read - written,
        cache_read,
        cache_write_short: written,
        cache_write_long: 0,
        output,
        reasoning: reasoning.min(output),
    };
    (usage != Usage::default()).then_some(usage)
}

//! An answer of Gemini's, put together from its chunks. Parts with a signature of the model's reasoning are kept as
//! they came: they must go back unchanged.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::model::delta::Deltas;
use crate::model::http::{Assemble, broke_off, failed_within, malformed};
use crate::model::sse::Event;
use crate::model::wire::Names;
use crate::model::{FinishReason, Kind, ModelError, ModelReply, ToolCall, Usage, Verbatim};

/// The most parts of one answer, where adjacent texts are one.
const MOST_PARTS: usize = 512;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chunk {
    #[serde(default)]
    candidates: Vec<Candidate>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
    #[serde(default)]
    usage_metadata: Option<Counted>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    #[serde(default)]
    index: i64,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    finish_message: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(default)]
    text: Option<String>,
    /// The text is reasoning.
    #[serde(default)]
    thought: bool,
    #[serde(default)]
    function_call: Option<Called>,
    #[serde(default)]
    thought_signature: Option<String>,
}

#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Counted {
    prompt_token_count: i64,
    cached_content_token_count: i64,
    candidates_token_count: i64,
    thoughts_token_count: i64,
    tool_use_prompt_token_count: i64,
}

/// A part, to go back.
enum Part {
    /// Text that may be joined with what follows.
    Text { text: String, thought: bool },
    /// Exactly what came.
    Exact(Box<RawValue>),
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
    calls: Vec<ToolCall>,
    parts: Vec<Part>,
    signed: bool,
    finish: Option<String>,
    blocked: bool,
    usage: Option<Usage>,
    /// The figures came with the answer's end or behind it: those before it are of a part of it.
    counted: bool,
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
            parts: Vec::new(),
            signed: false,
            finish: None,
            blocked: false,
            usage: None,
            counted: false,
        }
    }

    fn malformed(&self, what: impl std::fmt::Display) -> ModelError {
        malformed(self.provider, what)
    }

    fn chunk(&mut self, text: &str) -> Result<(), ModelError> {
        #[derive(Deserialize)]
        struct Failed {
            #[serde(default)]
            error: Option<Value>,
        }
        // A list would be read as the fields in their order.
        if !text.trim_start().starts_with('{') {
            return Err(self.malformed("a chunk is no object"));
        }
        let failed: Failed = serde_json::from_str(text).map_err(|err| self.malformed(err))?;
        if let Some(error) = failed.error {
            return Err(failed_within(self.provider, &error, text));
        }
        let Chunk {
            candidates,
            prompt_feedback,
            usage_metadata,
        } = serde_json::from_str(text).map_err(|err| self.malformed(err))?;
        self.blocked |= prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some());
        let first = candidates
            .into_iter()
            .find(|candidate| candidate.index == 0);
        first.map_or(Ok(()), |candidate| self.candidate(candidate))?;
        if let Some(usage) = usage_metadata.as_ref().and_then(counted) {
            self.usage = Some(usage);
            self.counted = self.is_whole();
        }
        Ok(())
    }

    fn candidate(&mut self, candidate: Candidate) -> Result<(), ModelError> {
        let Candidate {
            index: _,
            content,
            finish_reason,
            finish_message,
        } = candidate;
        for part in content.map(|content| content.parts).unwrap_or_default() {
            self.part(part)?;
        }
        // The model wrote a call that its own provider can't read; it may write a better one.
        if let Some("MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS") =
            finish_reason.as_deref()
        {
            let told = finish_message.unwrap_or_default();
            return Err(self.malformed(format!("the model's call is none ({told})")));
        }
        self.finish = finish_reason
            .filter(|reason| reason != "FINISH_REASON_UNSPECIFIED")
            .or(self.finish.take());
        Ok(())
    }

    fn part(&mut self, raw: Box<RawValue>) -> Result<(), ModelError> {
        let Said {
            text,
            thought,
            function_call,
            thought_signature,
        } = serde_json::from_str(raw.get()).map_err(|err| self.malformed(err))?;
        let text = text.unwrap_or_default();
        if self.first_token_ms.is_none() && (!text.is_empty() || function_call.is_some()) {
            self.first_token_ms = i64::try_from(self.began.elapsed().as_millis()).ok();
        }
        if thought {
            self.thinking.push_str(&text);
            self.deltas.thinking(&text);
        } else {
            self.text.push_str(&text);
            self.deltas.text(&text);
        }
        let signed = thought_signature.is_some_and(|signature| !signature.is_empty());
        self.signed |= signed;
        let full = self.parts.len() >= MOST_PARTS;
        match self.parts.last_mut() {
            // Its signature belongs to a part: what has one is joined with nothing.
            Some(Part::Text {
                text: known,
                thought: reasoned,
            }) if !signed && function_call.is_none() && *reasoned == thought => {
                known.push_str(&text);
            }
            Some(_) | None if full => {
                return Err(self.malformed(format!("more than {MOST_PARTS} parts")));
            }
            Some(_) | None if signed || function_call.is_some() => {
                self.parts.push(Part::Exact(raw));
            }
            Some(_) | None if text.is_empty() => {}
            Some(_) | None => self.parts.push(Part::Text { text, thought }),
        }
        if let Some(call) = function_call {
            self.call(call);
        }
        Ok(())
    }

    fn call(&mut self, call: Called) {
        let Called { id, name, args } = call;
        let arguments = args.map_or_else(|| "{}".to_owned(), |args| args.get().to_owned());
        let tool = self.names.ours(&name);
        // Calls come whole.
        self.deltas
            .tool_call(self.calls.len(), || tool.clone(), &arguments);
        self.calls.push(ToolCall {
            id: id.unwrap_or_default(),
            tool,
            arguments,
        });
    }

    /// The answer, once its last chunk has come.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn reply(self) -> Result<ModelReply, ModelError> {
        if self.finish.is_none() && !self.blocked {
            return Err(broke_off(self.provider));
        }
        let finish = match self.finish.as_deref() {
            _ if self.blocked => FinishReason::Filtered,
            Some("MAX_TOKENS") => FinishReason::Length,
            Some(
                "SAFETY" | "RECITATION" | "LANGUAGE" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII",
            ) => FinishReason::Filtered,
            Some(_) | None if self.calls.is_empty() => FinishReason::Stop,
            Some(_) | None => FinishReason::ToolCalls,
        };
        let verbatim = self.signed.then(|| {
            let parts = self.parts.iter().map(|part| match part {
                Part::Exact(raw) => raw.get().to_owned(),
                Part::Text {
                    text,
                    thought: false,
                } => serde_json::json!({ "text": text }).to_string(),
                Part::Text {
                    text,
                    thought: true,
                } => serde_json::json!({ "text": text, "thought": true }).to_string(),
            });
            Verbatim {
                kind: Kind::Gemini,
                blocks: format!("[{}]", parts.collect::<Vec<_>>().join(",")),
            }
        });
        Ok(ModelReply {
            text: self.text,
            thinking: self.thinking,
            calls: self.calls,
            finish,
            // Nobody knows what a part of an answer says of the whole.
            usage: self.usage.filter(|_| self.counted),
            first_token_ms: self.first_token_ms,
            service_tier: None,
            verbatim,
        })
    }
}

impl Assemble for Answer<'_> {
    /// There is no end marker: the answer is whole when the stream ends after a chunk that says why. Behind that one there
    /// may be others, with figures or with more.
    fn event(&mut self, event: &Event) -> Result<bool, ModelError> {
        if !event.data.trim().is_empty() {
            self.chunk(&event.data)?;
        }
        Ok(false)
    }

    fn is_whole(&self) -> bool {
        self.finish.is_some() || self.blocked
    }

    fn whole(&mut self, body: &str) -> Result<(), ModelError> {
        // A gateway that does not stream answers with the chunks as a list.
        match serde_json::from_str::<Vec<Box<RawValue>>>(body) {
            Ok(chunks) => chunks.iter().try_for_each(|chunk| self.chunk(chunk.get())),
            Err(_) => self.chunk(body),
        }
    }
}

/// The provider's figures in disjoint kinds: its prompt includes the cached tokens, its candidates do not include the
/// reasoning. All zero, they say nothing.
fn counted(counted: &Counted) -> Option<Usage> {
    let Counted {
        prompt_token_count,
        cached_content_token_count,
        candidates_token_count,
        thoughts_token_count,
        tool_use_prompt_token_count,
    } = counted;
    let prompt = (*prompt_token_count).max(0);
    let cache_read = (*cached_content_token_count).clamp(0, prompt);
    let reasoning = (*thoughts_token_count).max(0);
    let usage = Usage {
        input: prompt - cache_read + (*tool_use_prompt_token_count).max(0),
        cache_read,
        cache_write_short: 0,
        cache_write_long: 0,
        output: (*candidates_token_count).max(0) + reasoning,
        reasoning,
    };
    (usage != Usage::default()).then_some(usage)
}

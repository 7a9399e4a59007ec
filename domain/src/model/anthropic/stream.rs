//! An answer of Anthropic's messages, put together from its events. Its content blocks are kept as they came: signed
//! reasoning must go back unchanged.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::event::{Counted, Delta, Said, usage};
use crate::model::delta::Deltas;
use crate::model::http::{Assemble, before_it_began, failed_within, malformed};
use crate::model::sse::Event;
use crate::model::wire::{Names, object};
use crate::model::{FinishReason, Kind, ModelError, ModelReply, ToolCall, Verbatim};

/// The most content blocks of one answer.
const MOST_BLOCKS: usize = 512;

/// A content block on its way.
enum Block {
    Text(String),
    Thinking {
        thinking: String,
        signature: String,
    },
    Call {
        id: String,
        name: String,
        input: String,
    },
    /// One that goes back as it came, such as reasoning that only the provider can read.
    Opaque(Value),
}

/// A content block in the provider's form.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Form<'a> {
    Text {
        text: &'a str,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: Box<RawValue>,
    },
    #[serde(untagged)]
    Opaque(&'a Value),
}

/// An answer on its way.
pub(super) struct Answer<'a> {
    provider: &'a str,
    names: &'a Names,
    deltas: Deltas<'a>,
    began: Instant,
    first_token_ms: Option<i64>,
    blocks: Vec<Block>,
    stop_reason: Option<String>,
    counted: Counted,
    /// Whether these are the figures of the end; those of the beginning say nothing of what was written.
    is_final: bool,
    started: bool,
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
            blocks: Vec::new(),
            stop_reason: None,
            counted: Counted::default(),
            is_final: false,
            started: false,
        }
    }

    fn malformed(&self, what: impl std::fmt::Display) -> ModelError {
        malformed(self.provider, what)
    }

    fn take(&mut self, text: &str) -> Result<bool, ModelError> {
        let event: Said = serde_json::from_str(text).map_err(|err| self.malformed(err))?;
        match event {
            Said::MessageStart { message } => {
                self.started = true;
                self.count(message.usage);
            }
            Said::ContentBlockStart {
                index,
                content_block,
            } => {
                if index != self.blocks.len() || index >= MOST_BLOCKS {
                    return Err(self.malformed(format!("content block {index} is out of place")));
                }
                self.begin(content_block);
            }
            Said::ContentBlockDelta { index, delta } => self.add(index, delta)?,
            Said::MessageDelta { delta, usage } => {
                self.stop_reason = delta.stop_reason.or(self.stop_reason.take());
                self.is_final |= usage.output_tokens.is_some();
                self.count(usage);
            }
            Said::MessageStop => return Ok(true),
            Said::Error { error } => {
                return Err(failed_within(self.provider, &error, &error.to_string()));
            }
            Said::Other => {}
        }
        Ok(false)
    }

    fn begin(&mut self, block: Value) {
        if self.first_token_ms.is_none() {
            self.first_token_ms = i64::try_from(self.began.elapsed().as_millis()).ok();
        }
        let field = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
        let block = match block["type"].as_str() {
            Some("text") => {
                let text = field("text");
                self.deltas.text(&text);
                Block::Text(text)
            }
            Some("thinking") => {
                let (thinking, signature) = (field("thinking"), field("signature"));
                self.deltas.thinking(&thinking);
                Block::Thinking {
                    thinking,
                    signature,
                }
            }
            Some("tool_use") => {
                // What stands here is mostly an empty object that the pieces then replace.
                let input = block["input"].as_object().filter(|input| !input.is_empty());
                Block::Call {
                    id: field("id"),
                    name: field("name"),
                    input: input
                        .map(|_| block["input"].to_string())
                        .unwrap_or_default(),
                }
            }
            Some(_) | None => Block::Opaque(block),
        };
        self.blocks.push(block);
    }

    fn add(&mut self, index: usize, delta: Delta) -> Result<(), ModelError> {
        let deltas = self.deltas;
        let before = self.blocks.iter().take(index);
        let place = before
            .filter(|block| matches!(block, Block::Call { .. }))
            .count();
        match (self.blocks.get_mut(index), delta) {
            (Some(Block::Text(text)), Delta::Text { text: more }) => {
                text.push_str(&more);
                deltas.text(&more);
            }
            (Some(Block::Thinking { thinking, .. }), Delta::Thinking { thinking: more }) => {
                thinking.push_str(&more);
                deltas.thinking(&more);
            }
            (Some(Block::Thinking { signature, .. }), Delta::Signature { signature: more }) => {
                signature.push_str(&more);
            }
            (Some(Block::Call { name, input, .. }), Delta::InputJson { partial_json }) => {
                input.push_str(&partial_json);
                deltas.tool_call(place, || self.names.ours(name), &partial_json);
            }
            (Some(_), Delta::Other) => {}
            (Some(Block::Opaque(_)), _) => {}
            (Some(_) | None, _) => {
                let message = format!("a piece does not fit to content block {index}");
                return Err(self.malformed(message));
            }
        }
        Ok(())
    }

    fn count(&mut self, new: Counted) {
        let Counted {
            input_tokens,
            output_tokens,
            cache_read_input_tokens,
            cache_creation_input_tokens,
            cache_creation,
            output_tokens_details,
            service_tier,
        } = new;
        let known = std::mem::take(&mut self.counted);
        self.counted = Counted {
            input_tokens: input_tokens.or(known.input_tokens),
            output_tokens: output_tokens.or(known.output_tokens),
            cache_read_input_tokens: cache_read_input_tokens.or(known.cache_read_input_tokens),
            cache_creation_input_tokens: cache_creation_input_tokens
                .or(known.cache_creation_input_tokens),
            cache_creation: cache_creation.or(known.cache_creation),
            output_tokens_details: output_tokens_details.or(known.output_tokens_details),
            service_tier: service_tier.or(known.service_tier),
        };
    }

    /// The answer, once its end marker has come.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn reply(self) -> Result<ModelReply, ModelError> {
        if !self.started {
            return Err(before_it_began(self.provider));
        }
        let (mut text, mut thinking, mut calls) = (String::new(), String::new(), Vec::new());
        let mut forms = Vec::with_capacity(self.blocks.len());
        // Only an answer with blocks that can't be made again is kept in its own form too; one that broke off before
        // its signature would be refused.
        let (mut kept, mut unsigned) = (false, false);
        for block in &self.blocks {
            match block {
                Block::Text(said) => {
                    text.push_str(said);
                    // An empty one would be refused when it goes back.
                    forms.extend((!said.is_empty()).then_some(Form::Text { text: said }));
                }
                Block::Thinking {
                    thinking: thought,
                    signature,
                } => {
                    kept = true;
                    unsigned |= signature.is_empty();
                    thinking.push_str(thought);
                    forms.push(Form::Thinking {
                        thinking: thought,
                        signature,
                    });
                }
                Block::Call { id, name, input } => {
                    // A tool without parameters is called with nothing at all.
                    let arguments = if input.trim().is_empty() { "{}" } else { input };
                    forms.push(Form::ToolUse {
                        id,
                        name,
                        input: object(arguments),
                    });
                    calls.push(ToolCall {
                        id: id.clone(),
                        tool: self.names.ours(name),
                        arguments: arguments.to_owned(),
                    });
                }
                Block::Opaque(block) => {
                    kept = true;
                    forms.push(Form::Opaque(block));
                }
            }
        }
        let finish = match self.stop_reason.as_deref() {
            Some("max_tokens" | "model_context_window_exceeded") => FinishReason::Length,
            Some("refusal") => FinishReason::Filtered,
            Some(_) | None if calls.is_empty() => FinishReason::Stop,
            Some(_) | None => FinishReason::ToolCalls,
        };
        // Nor may reasoning come last.
        let ends = matches!(forms.last(), Some(Form::Text { .. } | Form::ToolUse { .. }));
        let blocks = (kept && ends && !unsigned)
            .then(|| serde_json::to_string(&forms))
            .transpose();
        let blocks = blocks.map_err(|err| self.malformed(err))?;
        Ok(ModelReply {
            text,
            thinking,
            calls,
            finish,
            usage: usage(&self.counted).filter(|_| self.is_final),
            first_token_ms: self.first_token_ms,
            service_tier: self.counted.service_tier,
            verbatim: blocks.map(|blocks| Verbatim {
                kind: Kind::Anthropic,
                blocks,
            }),
        })
    }
}

impl Assemble for Answer<'_> {
    fn event(&mut self, event: &Event) -> Result<bool, ModelError> {
        if event.data.trim().is_empty() {
            return Ok(false);
        }
        self.take(&event.data)
    }

    fn whole(&mut self, body: &str) -> Result<(), ModelError> {
        #[derive(Deserialize)]
        struct Message {
            content: Vec<Value>,
            stop_reason: Option<String>,
            #[serde(default)]
            usage: Counted,
        }
        let Message {
            content,
            stop_reason,
            usage,
        } = serde_json::from_str(body).map_err(|err| self.malformed(err))?;
        content
            .into_iter()
            .take(MOST_BLOCKS)
            .for_each(|block| self.begin(block));
        self.started = true;
        self.stop_reason = stop_reason;
        self.is_final = usage.output_tokens.is_some();
        self.count(usage);
        Ok(())
    }
}

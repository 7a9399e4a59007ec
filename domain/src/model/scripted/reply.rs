//! The answers of the scripted model.

use crate::model::playbook::Turn;
use crate::model::{
    Deltas, FinishReason, Message, ModelCall, ModelReply, Part, Prompt, ToolCall, Usage,
};

/// The answer that a turn gives.
pub(super) fn of_turn(turn: &Turn, call: &ModelCall<'_>) -> ModelReply {
    let brief = &call.prompt.brief;
    let calls = turn
        .calls
        .iter()
        .map(|wanted| ToolCall {
            id: String::new(),
            tool: wanted.tool.clone(),
            arguments: wanted.arguments.fill(brief),
        })
        .collect();
    let mut reply = answer(
        call,
        turn.text.fill(brief),
        turn.thinking.fill(brief),
        calls,
        turn.usage(),
    );
    if let Some(finish) = turn.finish_reason {
        reply.finish = finish;
    }
    reply.first_token_ms = turn
        .delay()
        .and_then(|delay| i64::try_from(delay.as_millis()).ok());
    bounded(reply, call.max_output_tokens)
}

/// The answer when no turn fits: the run ends and says why. `played` turns came before.
pub(super) fn without_turn(call: &ModelCall<'_>, played: usize) -> ModelReply {
    let closing = super::is_closing(&call.prompt.messages);
    let (reason, summary) = if closing {
        (
            "The run is near a limit, and the playbook has no closing turn.",
            "I stop here because the run is near one of its limits: the playbook of the scripted model has no closing turn, and no real model is configured.",
        )
    } else if played > 0 {
        (
            "The playbook has no turn for what came next.",
            "I stop here because the playbook of the scripted model has no turn for what came next, and no real model is configured.",
        )
    } else {
        (
            "No playbook fits this request.",
            "I can't handle this request because no playbook of the scripted model fits it, and no real model is configured.",
        )
    };
    let arguments = serde_json::json!({ "outcome": entity::Outcome::Declined.as_str(), "reason": reason, "summary": summary });
    let finish = ToolCall {
        id: String::new(),
        tool: "finish".into(),
        arguments: arguments.to_string(),
    };
    answer(call, String::new(), String::new(), vec![finish], None)
}

fn answer(
    call: &ModelCall<'_>,
    text: String,
    thinking: String,
    calls: Vec<ToolCall>,
    usage: Option<Usage>,
) -> ModelReply {
    let finish = if calls.is_empty() {
        FinishReason::Stop
    } else {
        FinishReason::ToolCalls
    };
    let usage = usage.unwrap_or_else(|| estimate(call.prompt, &text, &thinking, &calls));
    ModelReply {
        text,
        thinking,
        calls,
        finish,
        usage: Some(usage),
        first_token_ms: None,
        service_tier: None,
        verbatim: None,
    }
}

/// Four bytes are a token, and what an earlier turn of the run read already comes from the cache.
fn estimate(prompt: &Prompt, text: &str, thinking: &str, calls: &[ToolCall]) -> Usage {
    let (mut read, mut cached) = (
        prompt
            .parts
            .iter()
            .map(|Part { kind: _, text }| text.len())
            .sum::<usize>(),
        0,
    );
    for message in &prompt.messages {
        match message {
            Message::Assistant {
                text,
                thinking,
                calls,
                verbatim: _,
            } => {
                cached = read;
                read += text.len() + thinking.len() + calls_len(calls);
            }
            Message::Tool {
                call_id: _,
                tool,
                content,
                failed: _,
            } => read += tool.len() + content.len(),
            Message::Notes(notes) => {
                read += notes
                    .iter()
                    .map(|note| note.author.len() + note.body.len())
                    .sum::<usize>()
            }
            Message::Closing(text) => read += text.len(),
        }
    }
    let reasoning = tokens(thinking.len());
    Usage {
        input: tokens(read - cached),
        cache_read: tokens(cached),
        cache_write_short: 0,
        cache_write_long: 0,
        output: reasoning + tokens(text.len() + calls_len(calls)),
        reasoning,
    }
}

fn calls_len(calls: &[ToolCall]) -> usize {
    calls
        .iter()
        .map(|call| call.tool.len() + call.arguments.len())
        .sum()
}

fn tokens(bytes: usize) -> i64 {
    i64::try_from(bytes.div_ceil(4)).unwrap_or(i64::MAX)
}

/// Pieces of an answer that are shown at most: more would outrun who reads them.
const PIECES: usize = 256;

/// Shows an answer word by word, as a model that writes would.
pub(super) fn show(reply: &ModelReply, deltas: Deltas<'_>) {
    if !deltas.is_watched() {
        return;
    }
    pieces(&reply.thinking).for_each(|piece| deltas.thinking(piece));
    pieces(&reply.text).for_each(|piece| deltas.text(piece));
    for (place, call) in reply.calls.iter().enumerate() {
        deltas.tool_call(place, || call.tool.clone(), &call.arguments);
    }
}

/// A text in words; a long one in groups of words.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let least = text.len() / PIECES;
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = rest.ceil_char_boundary(least.min(rest.len()));
        let end = rest[from..]
            .find(' ')
            .map_or(rest.len(), |space| from + space + 1);
        let (piece, left) = rest.split_at(end);
        rest = left;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What the model may not write, it does not write: the answer breaks off, and its calls are lost.
fn bounded(reply: ModelReply, max_output_tokens: i64) -> ModelReply {
    let Some(usage) = reply.usage.filter(|usage| usage.output > max_output_tokens) else {
        return reply;
    };
    if max_output_tokens <= 0 {
        return reply;
    }
    let ModelReply {
        text,
        thinking,
        calls: _,
        finish: _,
        usage: _,
        first_token_ms,
        service_tier,
        verbatim,
    } = reply;
    let room = usize::try_from(max_output_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
    let thinking = cut(thinking, room);
    let text = cut(text, room - thinking.len());
    let usage = Usage {
        output: max_output_tokens,
        reasoning: usage.reasoning.min(max_output_tokens),
        ..usage
    };
    ModelReply {
        text,
        thinking,
        calls: Vec::new(),
        finish: FinishReason::Length,
        usage: Some(usage),
        first_token_ms,
        service_tier,
        verbatim,
    }
}

fn cut(mut text: String, room: usize) -> String {
    text.truncate(text.floor_char_boundary(room));
    text
}

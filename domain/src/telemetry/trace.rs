//! Spans, by the GenAI semantic conventions of OpenTelemetry: `invoke_agent` for an attempt at a run, `chat` for a model call,
//! `execute_tool` for a tool call, and `dispatch` for the time for which work waited.
//!
//! They hang together from the operation that made the work to the run that did it, across processes: a dispatch keeps the
//! W3C trace context of whoever made it. No span holds a text that people or models wrote.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use entity::{Millis, dispatch, run};
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Array, Context, KeyValue, Value, global};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::model::{ModelError, ModelErrorClass, ModelReply};
use crate::run::state::State;
use crate::tool::{Answer, ToolError};

/// The target of all spans; nothing else has it, so that lines of logs can leave them out.
pub const TARGET: &str = "stint::trace";
/// The W3C header, and what rows keep.
const TRACEPARENT: &str = "traceparent";

static ON: AtomicBool = AtomicBool::new(false);

/// Somebody collects spans from now on.
pub fn turn_on() {
    ON.store(true, Ordering::Relaxed);
}

/// Whether somebody collects spans.
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// The trace context of what goes on here, as rows and headers hold it; none if nobody collects spans.
pub fn current() -> Option<String> {
    if !is_on() {
        return None;
    }
    let mut carrier = HashMap::new();
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carrier));
    carrier.remove(TRACEPARENT)
}

/// The context that a row or a header holds; an empty one of what is none.
fn context(traceparent: &str) -> Context {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    global::get_text_map_propagator(|propagator| propagator.extract(&carrier))
}

/// The longest name of an operation that is kept.
const NAME: usize = 64;

/// Of a GraphQL operation; it goes on with the caller's own trace, if it says one.
pub fn operation(kind: &'static str, name: Option<&str>, traceparent: Option<&str>) -> Span {
    if !is_on() {
        return Span::none();
    }
    // Whatever is no name of GraphQL's is no operation's either.
    let is_name = |name: &&str| {
        name.len() <= NAME
            && name
                .bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    };
    let name = name.filter(is_name);
    let span = info_span!(
        target: TARGET,
        "graphql",
        otel.name = name.map_or_else(|| kind.to_owned(), |name| format!("{kind} {name}")),
        otel.kind = "server",
        graphql.operation.type = kind,
        graphql.operation.name = name,
    );
    under(&span, traceparent.map(context));
    span
}

/// Of a webhook's delivery.
pub fn delivery(traceparent: Option<&str>) -> Span {
    if !is_on() {
        return Span::none();
    }
    let span = info_span!(target: TARGET, "webhook", otel.name = "POST /hooks/{endpoint}", otel.kind = "server");
    under(&span, traceparent.map(context));
    span
}

fn under(span: &Span, parent: Option<Context>) {
    if let Some(parent) = parent.filter(|parent| parent.span().span_context().is_valid()) {
        // It fails only for a span that nobody collects.
        span.set_parent(parent).ok();
    }
}

/// Of an attempt at a run. The first one goes on from the span of the dispatch's wait, which is told with it.
pub fn invoke_agent(run: &run::Model, handle: &str, work: Option<&dispatch::Model>) -> Span {
    if !is_on() {
        return Span::none();
    }
    let (provider, model) = provider_and_name(&run.model);
    let span = info_span!(
        target: TARGET,
        "invoke_agent",
        otel.name = format!("invoke_agent {handle}"),
        otel.kind = "internal",
        otel.status_code = tracing::field::Empty,
        gen_ai.operation.name = "invoke_agent",
        gen_ai.agent.id = %run.coworker_id,
        gen_ai.agent.name = handle,
        gen_ai.conversation.id = %run.request_id,
        gen_ai.provider.name = provider,
        gen_ai.request.model = model,
        gen_ai.usage.input_tokens = tracing::field::Empty,
        gen_ai.usage.output_tokens = tracing::field::Empty,
        stint.run.number = run.number,
        stint.request.number = tracing::field::Empty,
        stint.run.attempt = run.attempt,
        stint.run.result = tracing::field::Empty,
        stint.dispatch.id = %run.dispatch_id,
        error.type = tracing::field::Empty,
    );
    if let Some(work) = work {
        under(&span, waited(run, work));
    }
    span
}

/// Tells for how long the work of a run waited; what goes on from there.
fn waited(run: &run::Model, work: &dispatch::Model) -> Option<Context> {
    let parent = context(work.trace.as_deref()?);
    if run.attempt > 1 {
        return Some(parent);
    }
    let tracer = global::tracer("stint");
    let mut span = tracer
        .span_builder("dispatch")
        .with_kind(SpanKind::Consumer)
        .with_start_time(system_time(work.created_at))
        .with_attributes([
            KeyValue::new("stint.dispatch.id", work.id.to_string()),
            KeyValue::new("stint.dispatch.trigger", work.trigger.as_str()),
        ])
        .start_with_context(&tracer, &parent);
    opentelemetry::trace::Span::end_with_timestamp(&mut span, system_time(run.started_at));
    Some(parent.with_span(span))
}

fn system_time(at: Millis) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
}

/// How an attempt at a run ended.
pub fn invoked(span: &Span, state: &State) {
    if span.is_none() {
        return;
    }
    if let Some(started) = &state.started {
        span.record("stint.request.number", started.request.number);
    }
    span.record("gen_ai.usage.input_tokens", state.totals.input_tokens);
    span.record("gen_ai.usage.output_tokens", state.totals.output_tokens);
    match state.end.as_ref().map(|end| end.how) {
        Some(Ok(outcome)) => {
            span.record("stint.run.result", outcome.as_str());
        }
        Some(Err(code)) => {
            span.record("stint.run.result", code.as_str());
            span.record("error.type", code.as_str());
            span.record("otel.status_code", "ERROR");
        }
        // Paused, or in other hands.
        None => {}
    }
}

/// Of a model call.
pub fn chat(model: &str, max_output_tokens: i64, attempt: i32) -> Span {
    if !is_on() {
        return Span::none();
    }
    let (provider, name) = provider_and_name(model);
    info_span!(
        target: TARGET,
        "chat",
        otel.name = format!("chat {name}"),
        otel.kind = "client",
        otel.status_code = tracing::field::Empty,
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = provider,
        gen_ai.request.model = name,
        gen_ai.request.max_tokens = max_output_tokens,
        gen_ai.usage.input_tokens = tracing::field::Empty,
        gen_ai.usage.output_tokens = tracing::field::Empty,
        gen_ai.usage.cache_read.input_tokens = tracing::field::Empty,
        gen_ai.usage.cache_creation.input_tokens = tracing::field::Empty,
        stint.model.attempt = attempt,
        error.type = tracing::field::Empty,
    )
}

/// The provider as the conventions name it, where they do, and the name that it knows the model by.
fn provider_and_name(model: &str) -> (&str, &str) {
    let (provider, name) = model.split_once(':').unwrap_or((model, model));
    let provider = match provider {
        "google" => "gcp.gemini",
        "azure" => "azure.ai.openai",
        own => own,
    };
    (provider, name)
}

/// What a model answered; none: the call was given up.
pub fn chatted(span: &Span, answer: Option<&Result<ModelReply, ModelError>>) {
    if span.is_none() {
        return;
    }
    let usage = match answer {
        Some(Ok(reply)) => {
            // A list, by the conventions; fields of tracing hold none.
            let reasons = Array::String(vec![reply.finish.as_str().into()]);
            span.set_attribute("gen_ai.response.finish_reasons", Value::Array(reasons));
            reply.usage
        }
        Some(Err(error)) => {
            span.record("error.type", error.class.as_str());
            span.record("otel.status_code", "ERROR");
            error.usage
        }
        None => {
            span.record("error.type", ModelErrorClass::Abandoned.as_str());
            None
        }
    };
    if let Some(usage) = usage {
        span.record("gen_ai.usage.input_tokens", usage.total_input());
        span.record("gen_ai.usage.output_tokens", usage.output);
        span.record("gen_ai.usage.cache_read.input_tokens", usage.cache_read);
        let written = usage.cache_write_short + usage.cache_write_long;
        span.record("gen_ai.usage.cache_creation.input_tokens", written);
    }
}

/// Of a tool call.
pub fn execute_tool(tool: &str, call_id: &str) -> Span {
    if !is_on() {
        return Span::none();
    }
    info_span!(
        target: TARGET,
        "execute_tool",
        otel.name = format!("execute_tool {tool}"),
        otel.kind = "internal",
        otel.status_code = tracing::field::Empty,
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = tool,
        gen_ai.tool.call.id = call_id,
        gen_ai.tool.type = "function",
        error.type = tracing::field::Empty,
    )
}

/// What a tool answered.
pub fn executed(span: &Span, answer: Result<&Answer, &ToolError>) {
    if let Err(error) = answer {
        span.record("error.type", error.class.as_str());
        span.record("otel.status_code", "ERROR");
    }
}

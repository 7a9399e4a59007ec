//! One GraphQL operation, whichever way it came: what HTTP and WebSocket have in common.
//!
//! `Params` (what the client sent) → [`prepare`] (parsed, measured) → [`execute`] or [`subscribe`] →
//! [`finish`] (every error has a code and the request's id) → [`write_response`].

use std::time::{Duration, Instant};

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use async_graphql::{Executor, Request, Response, ServerError, Value, Variables};
use axum::http::HeaderValue;
use domain::telemetry::{figure, trace};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;

use crate::graphql::context::Session;
use crate::graphql::limits;

/// How long a query or a mutation may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The parameters of a request, as GraphQL over HTTP and graphql-transport-ws both name them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params {
    /// The document.
    pub query: String,
    /// Which of its operations to run; an empty name counts as none.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// The values of its variables.
    #[serde(default)]
    pub variables: Option<Variables>,
    /// Accepted and ignored, but only as a map.
    #[serde(default)]
    pub extensions: Option<std::collections::HashMap<String, Box<RawValue>>>,
}

/// An operation that may run: its document is parsed and within the limits.
pub struct Operation {
    request: Request,
    /// What it is.
    pub kind: OperationType,
    name: Option<String>,
    traceparent: Option<String>,
}

impl Operation {
    /// Goes on with the caller's trace, by the W3C header `traceparent`.
    pub fn in_trace(mut self, traceparent: Option<&HeaderValue>) -> Self {
        let text = traceparent.and_then(|value| value.to_str().ok());
        self.traceparent = text.map(str::to_owned);
        self
    }
}

/// Parses and measures the document.
///
/// # Errors
/// A request error: the document can't be parsed, or is beyond the limits of [`limits`].
pub fn prepare(params: Params, session: Session) -> Result<Operation, ServerError> {
    limits::check_source(&params.query)?;
    let mut request = Request::new(params.query).variables(params.variables.unwrap_or_default());
    request.operation_name = params.operation_name.filter(|name| !name.is_empty());
    let name = request.operation_name.clone();
    let document = request
        .parsed_query()
        .map_err(|error| with_code(error, "GRAPHQL_PARSE_FAILED"))?;
    limits::check_document(document)?;
    let kind = kind(document, name.as_deref());
    Ok(Operation {
        request: request.data(session),
        kind,
        name,
        traceparent: None,
    })
}

/// The kind of the operation that will run. Where the name fits none, async-graphql says so when asked
/// to run it, which is as harmless as a query.
fn kind(document: &ExecutableDocument, name: Option<&str>) -> OperationType {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => Some(operation),
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name),
        (DocumentOperations::Multiple(all), None) => all.values().next(),
    };
    operation.map_or(OperationType::Query, |operation| operation.node.ty)
}

/// Runs a query or a mutation to its end, for at most [`TIME_LIMIT`].
///
/// It runs in a task of its own: when the caller goes away a query is dropped, but a mutation that has
/// begun is carried through, and `tasks` waits for it at shutdown.
pub async fn execute<E: Executor>(
    executor: &E,
    tasks: &TaskTracker,
    operation: Operation,
) -> Response {
    let kind = operation.kind;
    let executor = executor.clone();
    let begun = Instant::now();
    let word = word(kind);
    let span = trace::operation(
        word,
        operation.name.as_deref(),
        operation.traceparent.as_deref(),
    );
    let run = async move { executor.execute(operation.request).await };
    let task = tasks.spawn(run.instrument(span));
    let done = match kind {
        OperationType::Mutation => tokio::time::timeout(TIME_LIMIT, task).await,
        OperationType::Query | OperationType::Subscription => {
            tokio::time::timeout(TIME_LIMIT, AbortOnDropHandle::new(task)).await
        }
    };
    let result = match &done {
        Ok(Ok(response)) if response.errors.is_empty() => "ok",
        Ok(Ok(_)) | Ok(Err(_)) => "error",
        Err(_) => "timeout",
    };
    figure::operation(word, result, begun.elapsed());
    match (done, kind) {
        (Ok(Ok(response)), _) => response,
        (Ok(Err(failure)), _) => {
            tracing::error!(error = %failure, "an operation panicked");
            error_response(coded(
                "INTERNAL",
                "Something went wrong inside Stint; the server's log has the details.",
            ))
        }
        (Err(_), OperationType::Mutation) => error_response(coded(
            "TIMEOUT",
            "The mutation took longer than 10 seconds. It may still be carried out: look before you send it again, or send it with its idempotencyKey.",
        )),
        (Err(_), OperationType::Query | OperationType::Subscription) => error_response(coded(
            "TIMEOUT",
            "The query took longer than 10 seconds. Ask for less at once.",
        )),
    }
}

/// Starts a subscription. Dropping the stream ends it.
pub fn subscribe<E: Executor>(executor: &E, operation: Operation) -> BoxStream<'static, Response> {
    let watcher = figure::Watcher::new();
    let stream = executor.execute_stream(operation.request, None);
    stream
        .inspect(move |_| {
            // Kept as long as the stream.
            let _ = &watcher;
        })
        .boxed()
}

const fn word(kind: OperationType) -> &'static str {
    match kind {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    }
}

/// Gives every error a code and the request's id, and keeps what no code was given for from the client.
pub fn finish(response: &mut Response, request_id: &str) {
    for error in &mut response.errors {
        let coded = error
            .extensions
            .as_ref()
            .is_some_and(|extensions| extensions.get("code").is_some());
        if !coded {
            let code = classify(error);
            if code == "INTERNAL" {
                tracing::error!(request.id = request_id, path = ?error.path, error = error.message, "uncoded error");
                error.message =
                    "Something went wrong inside Stint; the server's log has the details."
                        .to_owned();
            }
            error.extensions.get_or_insert_default().set("code", code);
        }
        error
            .extensions
            .get_or_insert_default()
            .set("requestId", request_id);
    }
}

/// The code of an error that async-graphql itself made. Those without a path come from parsing,
/// validation and the choice of the operation; those with one from reading an argument, or they are
/// faults that nobody has classified.
fn classify(error: &ServerError) -> &'static str {
    let message = error.message.as_str();
    if error.path.is_empty() {
        let limit = [
            "Query is too complex.",
            "Query is nested too deep.",
            "The recursion depth",
        ];
        let exceeded = limit.iter().any(|text| message.starts_with(text));
        return if exceeded {
            "QUERY_TOO_COMPLEX"
        } else {
            "GRAPHQL_VALIDATION_FAILED"
        };
    }
    let input = [
        "Failed to parse \"",
        "Expected input type \"",
        "Invalid value for ",
    ];
    if input.iter().any(|text| message.starts_with(text)) {
        "BAD_USER_INPUT"
    } else {
        "INTERNAL"
    }
}

/// An error with its code.
pub fn coded(code: &'static str, message: impl Into<String>) -> ServerError {
    with_code(ServerError::new(message, None), code)
}

fn with_code(mut error: ServerError, code: &'static str) -> ServerError {
    error.extensions.get_or_insert_default().set("code", code);
    error
}

/// A response that is nothing but an error.
pub fn error_response(error: ServerError) -> Response {
    Response::from_errors(vec![error])
}

/// Whether nothing was executed: such a response has no `data` at all.
pub fn is_request_error(response: &Response) -> bool {
    response.data == Value::Null
        && !response.errors.is_empty()
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// Appends the response as JSON.
pub fn write_response(response: &Response, out: &mut Vec<u8>) {
    #[derive(serde::Serialize)]
    struct RequestErrors<'a> {
        errors: &'a [ServerError],
    }
    let written = if is_request_error(response) {
        serde_json::to_writer(
            out,
            &RequestErrors {
                errors: &response.errors,
            },
        )
    } else {
        serde_json::to_writer(out, response)
    };
    written.expect("a response has string keys and is written to memory");
}

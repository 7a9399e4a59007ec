//! The operations of one socket, and what they want to say.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_graphql::parser::types::OperationType;
use async_graphql::{Executor, Response, Value};
use axum::extract::ws::{Message, Utf8Bytes};
use domain::access::Actor;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use crate::graphql::context::Session;
use crate::http::Gateway;
use crate::operation::{self, Params};

pub(super) struct Operations<E> {
    gateway: Arc<Gateway<E>>,
    running: Vec<Running>,
    /// Whose turn it is to be written, so that a chatty operation does not keep the others waiting.
    turn: usize,
    /// What does not belong to an operation. Its length is bounded by the messages a client may send.
    control: VecDeque<Message>,
}

struct Running {
    id: String,
    request_id: String,
    kind: OperationType,
    /// None once it has ended; it is removed when its last message is written.
    stream: Option<BoxStream<'static, Response>>,
    /// The queue of one.
    ready: Option<Utf8Bytes>,
    /// Everything of a `next` before its payload.
    head: Box<str>,
    begun: bool,
}

impl<E: Executor> Operations<E> {
    pub(super) fn new(gateway: Arc<Gateway<E>>) -> Self {
        Self {
            gateway,
            running: Vec::new(),
            turn: 0,
            control: VecDeque::new(),
        }
    }

    pub(super) fn say(&mut self, message: Message) {
        self.control.push_back(message);
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.running.iter().any(|one| one.id == id)
    }

    /// The client no longer listens. A mutation that has begun is carried through all the same.
    pub(super) fn remove(&mut self, id: &str) {
        self.running.retain(|one| one.id != id);
    }

    pub(super) fn clear(&mut self) {
        self.running.clear();
        self.control.clear();
    }

    /// Drops the subscriptions; queries and mutations may still answer.
    pub(super) fn finish(&mut self) {
        self.running.retain_mut(|one| {
            if one.kind == OperationType::Subscription {
                one.stream = None;
            }
            one.stream.is_some() || one.ready.is_some()
        });
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.control.is_empty()
    }

    /// Starts what a client asked for; a refusal is said with an `error`.
    pub(super) fn start(&mut self, id: String, params: Params, actor: Actor) {
        let request_id = (self.gateway.request_id)();
        let session = Session::new(actor, request_id.clone());
        let prepared = if self.running.len() >= super::OPERATION_LIMIT {
            let text = format!(
                "A socket may have {} operations at once; open another.",
                super::OPERATION_LIMIT
            );
            Err(operation::coded("TOO_MANY_OPERATIONS", text))
        } else {
            operation::prepare(params, session)
        };
        let operation = match prepared {
            Ok(operation) => operation,
            Err(error) => {
                let mut response = operation::error_response(error);
                operation::finish(&mut response, &request_id);
                self.say(Message::Text(error_message(&id, &response)));
                return;
            }
        };
        let kind = operation.kind;
        let stream = match kind {
            OperationType::Subscription => operation::subscribe(&self.gateway.executor, operation),
            OperationType::Query | OperationType::Mutation => {
                let gateway = self.gateway.clone();
                async move { operation::execute(&gateway.executor, &gateway.tasks, operation).await }
                    .into_stream()
                    .boxed()
            }
        };
        let head = format!(r#"{{"id":{},"type":"next","payload":"#, quoted(&id)).into();
        self.running.push(Running {
            id,
            request_id,
            kind,
            stream: Some(stream),
            ready: None,
            head,
            begun: false,
        });
    }

    /// Fills the places that are free.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        for one in &mut self.running {
            one.poll(cx);
        }
    }

    /// The next message to write, each operation in its turn.
    pub(super) fn next_message(&mut self) -> Option<Message> {
        if let Some(message) = self.control.pop_front() {
            return Some(message);
        }
        let count = self.running.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            if let Some(text) = self.running[at].ready.take() {
                if self.running[at].stream.is_none() {
                    self.running.remove(at);
                    self.turn = at;
                } else {
                    self.turn = at + 1;
                }
                return Some(Message::Text(text));
            }
        }
        None
    }
}

impl Running {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if self.ready.is_some() {
            return;
        }
        let Some(stream) = &mut self.stream else {
            return;
        };
        match stream.poll_next_unpin(cx) {
            Poll::Pending => {}
            Poll::Ready(None) => {
                self.stream = None;
                self.ready =
                    Some(format!(r#"{{"id":{},"type":"complete"}}"#, quoted(&self.id)).into());
            }
            Poll::Ready(Some(mut response)) => {
                operation::finish(&mut response, &self.request_id);
                let first = !std::mem::replace(&mut self.begun, true);
                self.ready = Some(if self.failed_to_start(&response, first) {
                    self.stream = None;
                    error_message(&self.id, &response)
                } else {
                    next_message(&self.head, &response)
                });
            }
        }
    }

    /// Whether nothing was executed: the document was refused, or a subscription's stream could not be
    /// made. Such an end is an `error`, and no `complete` follows.
    fn failed_to_start(&self, response: &Response, first: bool) -> bool {
        let no_stream = self.kind == OperationType::Subscription
            && response.data == Value::Null
            && !response.errors.is_empty();
        first && (no_stream || operation::is_request_error(response))
    }
}

fn next_message(head: &str, response: &Response) -> Utf8Bytes {
    let mut text = Vec::with_capacity(head.len() + 512);
    text.extend_from_slice(head.as_bytes());
    operation::write_response(response, &mut text);
    text.push(b'}');
    Utf8Bytes::try_from(text).expect("JSON is UTF-8")
}

fn error_message(id: &str, response: &Response) -> Utf8Bytes {
    let errors = serde_json::to_string(&response.errors).expect("errors have string keys");
    format!(
        r#"{{"id":{},"type":"error","payload":{errors}}}"#,
        quoted(id)
    )
    .into()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

//! The WebSocket server: the sub-protocol `graphql-transport-ws`, with all its close codes.
//!
//! One task serves a socket: it reads messages, polls the socket's operations and writes what they
//! yield, with no channel in between. Each operation has a queue of one message, and its stream is asked
//! for the next item only when that place is free: a client that reads slowly slows down its own
//! operations and nothing else, and an operation never sleeps in the middle of an item while holding a
//! database connection.
//!
//! Deliberately absent: a `complete` when the server closes. A client must be able to tell the end of a
//! stream from the end of a server; after 1001 it connects again and goes on from its cursor.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::Executor;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::http::Gateway;
use crate::ws::connection::Connection;

mod connection;
mod operations;
mod protocol;

/// The one sub-protocol.
pub const PROTOCOL: &str = "graphql-transport-ws";
/// The largest message of a client.
pub const MESSAGE_LIMIT: usize = 64 << 10;
/// How many messages a client may send in a minute.
pub const MESSAGES_PER_MINUTE: u32 = 100;
/// How many operations may run on one socket.
pub const OPERATION_LIMIT: usize = 20;

/// How patient a socket is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a client may take to say `connection_init`.
    pub init: Duration,
    /// How often it is pinged; one that was not heard of since the last ping is dropped. The credential
    /// is checked as often.
    pub ping: Duration,
    /// How long a client may leave unread what was written.
    pub send: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            init: Duration::from_secs(3),
            ping: Duration::from_secs(12),
            send: Duration::from_secs(30),
        }
    }
}

/// Whether a page of this origin may open a socket: requests without an origin come from no page, and
/// pages of this server's own address always may.
pub fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    if allowed.iter().any(|one| one == origin) {
        return true;
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = origin
        .parse::<Uri>()
        .ok()
        .and_then(|uri| Some(uri.authority()?.to_string()));
    authority.is_some() && authority.as_deref() == host
}

/// Completes the upgrade and serves the socket in a task that the server waits for at its end.
pub fn accept<E: Executor>(
    gateway: Arc<Gateway<E>>,
    upgrade: WebSocketUpgrade,
    authorization: Option<String>,
) -> Response {
    let upgrade = upgrade
        .protocols([PROTOCOL])
        // The defaults are made for few sockets: they reserve 128 KiB for each. The read buffer is
        // cleared whenever the socket is looked at, so it is as small as the usual message.
        .read_buffer_size(1 << 10)
        .write_buffer_size(16 << 10)
        .max_message_size(MESSAGE_LIMIT)
        .max_frame_size(MESSAGE_LIMIT);
    let token = gateway.tasks.token();
    upgrade
        .on_upgrade(move |socket| async move {
            let _counted = token;
            Box::pin(Connection::new(gateway, socket, authorization).serve()).await;
        })
        .into_response()
}

#[cfg(test)]
mod tests;

//! One socket: what is read from it, what is written to it, and when it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_graphql::Executor;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use domain::access::Actor;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::time::{Instant, Sleep, timeout};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::MESSAGES_PER_MINUTE;
use super::operations::Operations;
use super::protocol::{self, ClientMessage, Close};
use crate::auth::Refusal;
use crate::http::Gateway;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const AUTH_TIMEOUT: Duration = Duration::from_secs(5);

/// How many messages are written before other tasks get a turn.
const BURST: usize = 128;

/// Why a socket ends.
pub(super) enum End {
    /// The server closes it, with a code and a reason.
    Close(Close),
    /// The client closed it; the answer is still to be sent.
    Closed,
    /// It is broken, or the client no longer reads: nothing can be said any more.
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

enum Event {
    Received(Utf8Bytes),
    /// The time has come that [`Connection::tick`] looks after.
    Tick,
    Checked(Result<Actor, Refusal>),
    End(End),
}

pub(super) struct Connection<E> {
    gateway: Arc<Gateway<E>>,
    socket: WebSocket,
    operations: Operations<E>,
    /// The credential of the upgrade, then the one that `connection_init` brought.
    authorization: Option<String>,
    /// Who it is, once the connection is acknowledged.
    actor: Option<Actor>,
    timer: Pin<Box<Sleep>>,
    /// When the next ping is due; before the acknowledgement, when the client's time is up.
    due: Instant,
    /// Whether anything was heard since the last ping.
    heard: bool,
    /// Since when the client has not taken what was written.
    blocked: Option<Instant>,
    unflushed: bool,
    /// The minute in which messages are counted, and their count.
    minute: (Instant, u32),
    /// The credential is being checked again. Polled beside the operations, never instead of them: they
    /// may hold the database connections that it waits for.
    checking: Option<BoxFuture<'static, Result<Actor, Refusal>>>,
    closing: bool,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<E: Executor> Connection<E> {
    pub(super) fn new(
        gateway: Arc<Gateway<E>>,
        socket: WebSocket,
        authorization: Option<String>,
    ) -> Self {
        let now = Instant::now();
        let due = now + gateway.patience.init;
        Self {
            socket,
            operations: Operations::new(gateway.clone()),
            authorization,
            actor: None,
            timer: Box::pin(tokio::time::sleep_until(due)),
            due,
            heard: true,
            blocked: None,
            unflushed: false,
            minute: (now, 0),
            checking: None,
            closing: false,
            shutdown: Box::pin(gateway.closing.clone().cancelled_owned()),
            gateway,
        }
    }

    pub(super) async fn serve(mut self) {
        let end = if self.socket.protocol().is_none() {
            End::Close(Close::SubprotocolNotAcceptable)
        } else {
            self.run().await
        };
        self.operations.clear();
        let farewell = async {
            match end {
                End::Close(close) => {
                    let frame = CloseFrame {
                        code: close.code(),
                        reason: close.reason().into(),
                    };
                    if self.socket.send(Message::Close(Some(frame))).await.is_err() {
                        return;
                    }
                }
                End::Closed => {}
                End::Gone => return,
            }
            // Reading on sends the answer to a close and waits for the client's.
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        // A client that does not answer is dropped.
        let _ = timeout(CLOSE_TIMEOUT, farewell).await;
    }

    async fn run(&mut self) -> End {
        loop {
            let done = match std::future::poll_fn(|cx| self.poll(cx)).await {
                Event::Received(text) => self.receive(&text).await,
                Event::Tick => self.tick(),
                Event::Checked(found) => self.checked(found),
                Event::End(end) => Err(end),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if !self.closing && self.shutdown.poll_unpin(cx).is_ready() {
            self.closing = true;
            self.operations.finish();
        }
        while let Poll::Ready(message) = self.socket.poll_next_unpin(cx) {
            self.heard = true;
            match message {
                Some(Ok(Message::Text(text))) => return Poll::Ready(Event::Received(text)),
                // The transport answers pings itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => {
                    return Poll::Ready(Event::End(
                        Close::BadRequest("messages are text".to_owned()).into(),
                    ));
                }
                Some(Ok(Message::Close(_))) => return Poll::Ready(Event::End(End::Closed)),
                Some(Err(error)) => return Poll::Ready(Event::End(protocol::read_error(&error))),
                None => return Poll::Ready(Event::End(End::Gone)),
            }
        }
        match self.write(cx) {
            Ok(()) if self.closing && self.operations.is_idle() && !self.unflushed => {
                return Poll::Ready(Event::End(Close::GoingAway.into()));
            }
            Ok(()) => {}
            Err(_) => return Poll::Ready(Event::End(End::Gone)),
        }
        if let Some(checking) = &mut self.checking
            && let Poll::Ready(found) = checking.poll_unpin(cx)
        {
            return Poll::Ready(Event::Checked(found));
        }
        let next = self.blocked.map_or(self.due, |since| {
            self.due.min(since + self.gateway.patience.send)
        });
        if self.timer.deadline() != next {
            self.timer.as_mut().reset(next);
        }
        self.timer.poll_unpin(cx).map(|()| Event::Tick)
    }

    /// Writes what the operations have, until they have nothing or the client takes nothing.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), axum::Error> {
        for _ in 0..BURST {
            self.operations.poll(cx);
            match self.socket.poll_ready_unpin(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    self.blocked.get_or_insert_with(Instant::now);
                    return Ok(());
                }
            }
            match self.operations.next_message() {
                Some(message) => {
                    self.blocked = None;
                    self.socket.start_send_unpin(message)?;
                    self.unflushed = true;
                }
                None if self.unflushed => {
                    match self.socket.poll_flush_unpin(cx) {
                        Poll::Ready(flushed) => {
                            flushed?;
                            self.unflushed = false;
                            self.blocked = None;
                        }
                        Poll::Pending => {
                            self.blocked.get_or_insert_with(Instant::now);
                        }
                    }
                    return Ok(());
                }
                None => return Ok(()),
            }
        }
        // There is more: other tasks first.
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Looks after time: the client's first message, a client that reads nothing, pings, the credential.
    fn tick(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self
            .blocked
            .is_some_and(|since| now >= since + self.gateway.patience.send)
        {
            return Err(End::Gone);
        }
        if now < self.due {
            return Ok(());
        }
        if self.actor.is_none() {
            return Err(Close::InitTimeout.into());
        }
        if !self.heard {
            return Err(End::Gone);
        }
        self.heard = false;
        self.due = now + self.gateway.patience.ping;
        self.operations.say(Message::Ping(bytes::Bytes::new()));
        self.checking = Some(self.authenticate().boxed());
        Ok(())
    }

    fn checked(&mut self, found: Result<Actor, Refusal>) -> Result<(), End> {
        self.checking = None;
        match found {
            Ok(_) | Err(Refusal::Unavailable) => Ok(()),
            Err(Refusal::Missing | Refusal::Invalid) => {
                Err(Close::Forbidden("the API key was revoked or has expired").into())
            }
        }
    }

    fn authenticate(&self) -> impl Future<Output = Result<Actor, Refusal>> + Send + use<E> {
        let (keys, authorization) = (self.gateway.keys.clone(), self.authorization.clone());
        async move {
            let actor = keys.actor(authorization.as_deref());
            timeout(AUTH_TIMEOUT, actor)
                .await
                .unwrap_or(Err(Refusal::Unavailable))
        }
    }

    async fn receive(&mut self, text: &str) -> Result<(), End> {
        let now = Instant::now();
        if now >= self.minute.0 + Duration::from_secs(60) {
            self.minute = (now, 0);
        }
        self.minute.1 += 1;
        if self.minute.1 > MESSAGES_PER_MINUTE {
            return Err(Close::TooManyMessages.into());
        }
        match protocol::parse(text)? {
            ClientMessage::ConnectionInit { authorization } => self.init(authorization).await,
            ClientMessage::Ping { payload } => {
                self.operations
                    .say(Message::Text(protocol::pong(payload.as_deref()).into()));
                Ok(())
            }
            ClientMessage::Pong => Ok(()),
            ClientMessage::Complete { id } => {
                self.operations.remove(&id);
                Ok(())
            }
            ClientMessage::Subscribe { id, params } => {
                let Some(actor) = self.actor.clone() else {
                    return Err(Close::Unauthorized(
                        "send connection_init and wait for connection_ack",
                    )
                    .into());
                };
                if self.operations.contains(&id) {
                    return Err(Close::SubscriberExists(id).into());
                }
                if !self.closing {
                    self.operations.start(id, params, actor);
                }
                Ok(())
            }
        }
    }

    async fn init(&mut self, authorization: Option<String>) -> Result<(), End> {
        if self.actor.is_some() {
            return Err(Close::TooManyInits.into());
        }
        if authorization.is_some() {
            self.authorization = authorization;
        }
        match self.authenticate().await {
            Ok(actor) => {
                self.actor = Some(actor);
                self.due = Instant::now() + self.gateway.patience.ping;
                self.operations.say(Message::Text(Utf8Bytes::from_static(
                    r#"{"type":"connection_ack"}"#,
                )));
                Ok(())
            }
            Err(Refusal::Missing) => Err(Close::Unauthorized(
                r#"send {"authorization":"Bearer stint_..."} as the payload of connection_init"#,
            )
            .into()),
            Err(Refusal::Invalid) => {
                Err(Close::Unauthorized("the API key is unknown, revoked or expired").into())
            }
            Err(Refusal::Unavailable) => Err(Close::TryAgainLater.into()),
        }
    }
}

//! A small schema behind the real server, and clients that show every byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_graphql::{Context, ErrorExtensions, Object, Schema, Subscription};
use futures_util::{Stream, StreamExt, stream};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::{Keys, Lookup, Refusal};
use crate::http::{Gateway, router};
use crate::ws::Patience;

pub(crate) struct Query;
pub(crate) struct Mutation;
pub(crate) struct Subscribe;

/// What the resolvers did.
#[derive(Clone, Default)]
pub(crate) struct Trace {
    pub(crate) begun: Arc<AtomicU32>,
    pub(crate) bumped: Arc<AtomicU32>,
    pub(crate) dropped: Arc<AtomicU32>,
    pub(crate) polled: Arc<AtomicU32>,
}

struct OnDrop(Arc<AtomicU32>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[Object]
impl Query {
    async fn hello(&self, #[graphql(default)] name: String) -> String {
        format!("hello {name}")
    }

    async fn refused(&self) -> async_graphql::Result<String> {
        Err(async_graphql::Error::new("not for you").extend_with(|_, e| e.set("code", "FORBIDDEN")))
    }

    async fn nullable(&self) -> Option<async_graphql::Result<String>> {
        Some(Err(async_graphql::Error::new(
            "table `secret` does not exist",
        )))
    }

    async fn panics(&self, #[graphql(default)] n: u32) -> u32 {
        1 / n
    }

    async fn sleeps(&self, ctx: &Context<'_>, ms: u64) -> bool {
        let trace = ctx.data_unchecked::<Trace>();
        let _dropped = OnDrop(trace.dropped.clone());
        trace.begun.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        true
    }
}

#[Object]
impl Mutation {
    async fn bump(&self, ctx: &Context<'_>, #[graphql(default)] after_ms: u64) -> u32 {
        let trace = ctx.data_unchecked::<Trace>();
        trace.begun.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(after_ms)).await;
        trace.bumped.fetch_add(1, Ordering::SeqCst) + 1
    }
}

#[Subscription]
impl Subscribe {
    async fn count(&self, to: i32) -> impl Stream<Item = i32> + use<> {
        stream::iter(1..=to)
    }

    async fn forever(
        &self,
        ctx: &Context<'_>,
        #[graphql(default)] size: usize,
    ) -> impl Stream<Item = String> + use<> {
        let trace = ctx.data_unchecked::<Trace>().clone();
        let guard = OnDrop(trace.dropped.clone());
        stream::repeat_with(move || {
            let _ = &guard;
            trace.polled.fetch_add(1, Ordering::SeqCst);
            "x".repeat(size)
        })
        .then(async |text| {
            tokio::task::yield_now().await;
            text
        })
    }

    async fn never(&self, ctx: &Context<'_>) -> impl Stream<Item = i32> + use<> {
        let guard = OnDrop(ctx.data_unchecked::<Trace>().dropped.clone());
        stream::pending().inspect(move |_| {
            let _ = &guard;
        })
    }

    async fn breaks(&self) -> impl Stream<Item = async_graphql::Result<i32>> + use<> {
        let gap = || async_graphql::Error::new("gap").extend_with(|_, e| e.set("code", "GAP"));
        stream::iter([Ok(1), Err(gap())])
    }

    async fn absent(&self) -> async_graphql::Result<stream::Empty<i32>> {
        Err(async_graphql::Error::new("there is no run with this id")
            .extend_with(|_, e| e.set("code", "NOT_FOUND")))
    }
}

/// A server on a port of its own.
pub(crate) struct Server {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) trace: Trace,
    pub(crate) tasks: TaskTracker,
    pub(crate) closing: CancellationToken,
    /// Keys that were revoked.
    pub(crate) revoked: CancellationToken,
}

/// The key `good` opens it; with the key `slow` the database does not answer.
pub(crate) async fn server() -> Server {
    server_with(Patience::default()).await
}

pub(crate) async fn server_with(patience: Patience) -> Server {
    let trace = Trace::default();
    let (tasks, closing, revoked) = (
        TaskTracker::new(),
        CancellationToken::new(),
        CancellationToken::new(),
    );
    let gone = revoked.clone();
    let lookup: Lookup = Box::new(move |key| {
        let refused = key != "good" || gone.is_cancelled();
        Box::pin(async move {
            match &*key {
                "slow" => Err(Refusal::Unavailable),
                _ if refused => Err(Refusal::Invalid),
                _ => Ok(crate::auth::tests::actor()),
            }
        })
    });
    let ids = AtomicU32::new(1);
    let gateway = Gateway {
        executor: Schema::build(Query, Mutation, Subscribe)
            .data(trace.clone())
            .finish(),
        keys: Arc::new(Keys::new(lookup, Duration::ZERO)),
        request_id: Box::new(move || format!("request-{}", ids.fetch_add(1, Ordering::SeqCst))),
        origins: vec!["https://desk.example.com".to_owned()],
        patience,
        tasks: tasks.clone(),
        closing: closing.clone(),
        figures: Box::new(|| Box::pin(async { String::new() })),
        ready: Box::new(|| Box::pin(async { Err("The worker has not started.".to_owned()) })),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        axum::serve(listener, router(Arc::new(gateway), axum::Router::new())).await
    });
    Server {
        address,
        trace,
        tasks,
        closing,
        revoked,
    }
}

/// Waits for what another task does.
pub(crate) async fn until(done: impl Fn() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen within 5 seconds");
}

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Server {
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.address
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .await
            .expect("written");
        let mut text = Vec::new();
        // A server that refuses a body early may reset the connection after its answer.
        let _ = stream.read_to_end(&mut text).await;
        let text = String::from_utf8(text).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        Answer {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// POSTs a document, as an authenticated client of today.
    pub(crate) async fn query(&self, document: &str) -> Answer {
        let body = serde_json::json!({ "query": document }).to_string();
        let accept = ("accept", "application/graphql-response+json");
        self.send("POST", "/graphql", &[KEY, JSON, accept], &body)
            .await
    }

    /// A socket that speaks the sub-protocol.
    pub(crate) async fn socket(&self, headers: &[(&str, &str)]) -> Socket {
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let mut head = format!(
            "GET /graphql HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            self.address
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream
            .write_all(format!("{head}\r\n").as_bytes())
            .await
            .expect("written");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("an answer"));
        }
        Socket {
            stream,
            head: String::from_utf8(answer).expect("text"),
        }
    }

    /// A socket that was acknowledged.
    pub(crate) async fn ready_socket(&self) -> Socket {
        let mut socket = self.socket(&[PROTOCOL]).await;
        socket
            .say(r#"{"type":"connection_init","payload":{"authorization":"Bearer good"}}"#)
            .await;
        assert_eq!(
            socket.hear().await,
            Heard::Text(r#"{"type":"connection_ack"}"#.to_owned())
        );
        socket
    }
}

pub(crate) const KEY: (&str, &str) = ("authorization", "Bearer good");
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

/// A WebSocket client that does nothing by itself.
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) head: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Ping,
    Pong,
    Close(u16, String),
    Nothing,
}

impl Socket {
    pub(crate) async fn say(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes()).await;
    }

    pub(crate) async fn frame(&mut self, kind: u8, payload: &[u8]) {
        let mut frame = vec![kind];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            medium @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((medium as u16).to_be_bytes());
            }
            long => {
                frame.push(0x80 | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]); // a mask that changes nothing
        frame.extend(payload);
        let _ = self.stream.write_all(&frame).await;
    }

    /// The next frame; [`Heard::Nothing`] when the connection has ended.
    pub(crate) async fn hear(&mut self) -> Heard {
        self.try_hear().await.unwrap_or(Heard::Nothing)
    }

    async fn try_hear(&mut self) -> std::io::Result<Heard> {
        let kind = self.stream.read_u8().await?;
        let length = match self.stream.read_u8().await? {
            126 => usize::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await? as usize,
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        Ok(match kind & 0x0f {
            1 => Heard::Text(text(&payload)),
            8 => Heard::Close(
                u16::from_be_bytes([payload[0], payload[1]]),
                text(&payload[2..]),
            ),
            9 => Heard::Ping,
            10 => Heard::Pong,
            other => panic!("an unexpected frame: {other}"),
        })
    }

    /// The next text message, as JSON.
    pub(crate) async fn json(&mut self) -> Value {
        match self.hear().await {
            Heard::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("instead of a message: {other:?}"),
        }
    }

    /// Subscribes.
    pub(crate) async fn subscribe(&mut self, id: &str, document: &str) {
        let message =
            serde_json::json!({ "type": "subscribe", "id": id, "payload": { "query": document } });
        self.say(&message.to_string()).await;
    }

    /// The code and reason of the close, whatever else comes before.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.hear().await {
                Heard::Close(code, reason) => return (code, reason),
                Heard::Nothing => panic!("the connection ended without a close frame"),
                Heard::Text(_) | Heard::Ping | Heard::Pong => {}
            }
        }
    }
}

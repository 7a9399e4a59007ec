//! A provider of models that speaks its protocol byte for byte, as the test says, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::client::PATIENCE;

/// The longest time between two pieces of [`Piece::Until`].
const BEAT: Duration = Duration::from_millis(20);

/// What the provider sends.
#[derive(Clone, Debug)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The same bytes again and again, until the test says that it is enough.
    Until(Vec<u8>, Arc<Notify>),
    /// Nothing for so long.
    After(Duration),
    /// Nothing more, and the connection stays open.
    Silence,
}

/// An answer: its pieces, and then the connection's end.
pub type Reply = Vec<Piece>;

/// A request that the provider got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its first line and headers.
    pub head: String,
    /// Its body; null if it had none.
    pub body: Value,
    /// The same as text.
    pub text: String,
    /// The same, byte for byte.
    pub bytes: Vec<u8>,
    /// When.
    pub at: Instant,
}

/// A running provider. Ends with the runtime that it was made in.
#[derive(Clone, Debug)]
pub struct StubProvider {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The answers that are left; the last one stays.
    replies: Mutex<Vec<Reply>>,
    asked: Mutex<Vec<Asked>>,
    /// How many requests have come.
    come: watch::Sender<usize>,
}

impl StubProvider {
    /// Starts one that gives these answers, one to each request; the last one to all that come after it.
    pub async fn start(mut replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        replies.reverse();
        let shared = Arc::new(Shared {
            replies: Mutex::new(replies),
            asked: Mutex::default(),
            come: watch::Sender::new(0),
        });
        let answering = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&answering);
                // A caller that goes away is no concern of the provider's.
                tokio::spawn(async move { drop(serve(socket, &shared).await) });
            }
        });
        Self { address, shared }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// Waits until it was asked so many times in all. Fails the test when it is not.
    pub async fn until(&self, times: usize) {
        let mut come = self.shared.come.subscribe();
        let enough = come.wait_for(|come| *come >= times);
        let waited = tokio::time::timeout(PATIENCE, enough).await;
        waited
            .unwrap_or_else(|_| panic!("it was asked {} of {times} times", self.asked().len()))
            .expect("it lives");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let asked = read(&mut socket).await?;
    let reply = {
        let mut replies = lock(&shared.replies);
        lock(&shared.asked).push(asked);
        shared.come.send_modify(|come| *come += 1);
        if replies.len() > 1 {
            replies.pop()
        } else {
            replies.last().cloned()
        }
    };
    for piece in reply.unwrap_or_default() {
        match piece {
            Piece::Bytes(bytes) => socket.write_all(&bytes).await?,
            Piece::After(time) => tokio::time::sleep(time).await,
            Piece::Until(bytes, enough) => loop {
                socket.write_all(&bytes).await?;
                if tokio::time::timeout(BEAT, enough.notified()).await.is_ok() {
                    break;
                }
            },
            Piece::Silence => {
                let mut nothing = [0; 1];
                socket.read_exact(&mut nothing).await?;
            }
        }
    }
    socket.shutdown().await
}

async fn read(socket: &mut TcpStream) -> std::io::Result<Asked> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let body = &bytes[end + 4..];
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Ok(Asked {
                    body: serde_json::from_slice(body).unwrap_or_default(),
                    text: String::from_utf8_lossy(body).into_owned(),
                    bytes: body.to_owned(),
                    head,
                    at: Instant::now(),
                });
            }
        }
        let n = socket.read(&mut piece).await?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..n]);
    }
}

/// An answer with this status line, these headers and this body, in one piece.
pub fn http(status: &str, headers: &[&str], body: &str) -> Reply {
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    let length = body.len();
    vec![bytes(format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))]
}

/// The head of a stream of events, which ends with the connection.
pub fn stream() -> Piece {
    bytes("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
}

/// A piece of these bytes.
pub fn bytes(text: impl Into<Vec<u8>>) -> Piece {
    Piece::Bytes(text.into())
}

/// A chunk of chat completions.
pub fn chunk(delta: Value) -> String {
    let chunk = json!({ "id": "c", "object": "chat.completion.chunk", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] });
    format!("data: {chunk}\n\n")
}

/// The end of an answer of chat completions: why it ends, what it used, the end marker.
pub fn done(reason: &str, usage: Value) -> String {
    let last =
        json!({ "id": "c", "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] });
    let usage = json!({ "id": "c", "choices": [], "usage": usage });
    format!("data: {last}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// An answer of chat completions that calls tools; each piece of a call comes by itself, interleaved with the others.
pub fn calls(calls: &[(&str, Value)], usage: Value) -> Reply {
    let mut text = String::new();
    for (i, (tool, _)) in calls.iter().enumerate() {
        text += &chunk(
            json!({ "tool_calls": [{ "index": i, "id": format!("call_{tool}"), "type": "function", "function": { "name": tool, "arguments": "" } }] }),
        );
    }
    let arguments: Vec<Vec<char>> = calls
        .iter()
        .map(|(_, arguments)| arguments.to_string().chars().collect())
        .collect();
    for n in 0..arguments.iter().map(Vec::len).max().unwrap_or(0) {
        for (i, arguments) in arguments.iter().enumerate() {
            if let Some(c) = arguments.get(n) {
                text += &chunk(
                    json!({ "tool_calls": [{ "index": i, "function": { "arguments": c.to_string() } }] }),
                );
            }
        }
    }
    vec![stream(), bytes(text + &done("tool_calls", usage))]
}

/// An answer of chat completions that ends the run.
pub fn finishes(outcome: &str) -> Reply {
    let arguments =
        json!({ "outcome": outcome, "reason": "All is said.", "summary": "I did what was asked." });
    calls(
        &[("finish", arguments)],
        json!({ "prompt_tokens": 100, "completion_tokens": 10 }),
    )
}

/// Events of Anthropic's messages as an answer.
pub fn messages(events: &[Value]) -> Reply {
    let line = |event: &Value| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap_or_default()
        )
    };
    vec![stream(), bytes(events.iter().map(line).collect::<String>())]
}

/// Chunks of Gemini's `generateContent` as an answer; it has no end marker.
pub fn generated(chunks: &[Value]) -> Reply {
    let lines = chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n"));
    vec![stream(), bytes(lines.collect::<String>())]
}

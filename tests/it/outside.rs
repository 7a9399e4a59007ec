//! A service desk over HTTP that misbehaves as its paths say: the outside end of declared calls.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::config::Settings;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::tool::Exception;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A desk that listens on a port of its own as long as the test runs.
pub struct Desk {
    port: u16,
    calls: Arc<AtomicUsize>,
    heard: Heard,
}

/// The heads and bodies of the calls so far.
type Heard = Arc<Mutex<Vec<(String, String)>>>;

/// What `/binary` answers: no text in UTF-8.
pub const BINARY: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff\xfe";
/// What `/spaced` answers: JSON as no program of ours writes it.
pub const SPACED: &str = "{ \"b\" : 1.50,\n  \"a\":[ ] , \"c\":\"\\u00e9 \\/ ü\" }\r\n";

impl Desk {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let calls = Arc::new(AtomicUsize::new(0));
        let heard = Heard::default();
        let (counter, ears) = (calls.clone(), heard.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (counter, ears) = (counter.clone(), ears.clone());
                tokio::spawn(async move { answer(stream, &counter, &ears).await });
            }
        });
        Self { port, calls, heard }
    }

    /// An address at the desk.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Where it listens.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Excepts it from the outbound guard.
    pub fn allow(&self, settings: &mut Settings) {
        settings
            .tools
            .exceptions
            .push(Exception::parse(&self.host()).expect("an exception"));
    }

    /// The heads and bodies of the calls that have reached it.
    pub fn heard(&self) -> Vec<(String, String)> {
        self.heard.lock().expect("nobody failed").clone()
    }

    /// How many calls have reached it.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

async fn answer(mut stream: TcpStream, calls: &AtomicUsize, heard: &Heard) -> Option<()> {
    let (head, body) = request(&mut stream).await?;
    calls.fetch_add(1, Ordering::SeqCst);
    heard.lock().ok()?.push((head.clone(), body.clone()));
    let mut first = head.lines().next()?.split(' ');
    let (method, path) = (first.next()?, first.next()?);
    let response = |status: &str, kind: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let text = match path.split('?').next()? {
        "/hang" => return std::future::pending().await,
        "/drop" => return None,
        "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_owned(),
        "/drip" => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()?;
            loop {
                stream.write_all(b".").await.ok()?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        "/broken" => response("503 Service Unavailable", "text/plain", "later"),
        "/missing" => response("404 Not Found", "text/plain", "There is no such ticket."),
        "/moved" => response(
            "302 Found\r\nlocation: http://169.254.169.254/",
            "text/plain",
            "",
        ),
        // What it was sent as its credential, as services like to write such things.
        "/forms" => {
            let value = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("authorization").then_some(value)
            });
            let value = value?.trim_start_matches("Bearer ");
            response("200 OK", "text/plain", &forms(value).join("\n"))
        }
        "/spaced" => response("200 OK", "application/json", SPACED),
        "/verbose" => response("404 Not Found", "text/plain", &"é".repeat(5_000)),
        "/binary" => {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                BINARY.len()
            );
            stream
                .write_all(&[head.as_bytes(), BINARY].concat())
                .await
                .ok()?;
            return stream.shutdown().await.ok();
        }
        "/nonsense" => response("200 OK", "application/json", "{\"half\":"),
        "/huge" => response("200 OK", "text/plain", &"x".repeat(2_000_000)),
        "/long" => response("200 OK", "text/plain", &"é".repeat(50_000)),
        _ => {
            let headers: Vec<&str> = head
                .lines()
                .skip(1)
                .filter(|line| !line.is_empty())
                .collect();
            let echo = json!({ "method": method, "path": path, "headers": headers, "body": body });
            response("200 OK", "application/json", &echo.to_string())
        }
    };
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// The usual encodings of a whole value.
fn forms(value: &str) -> Vec<String> {
    let percent = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    vec![
        value.to_owned(),
        STANDARD.encode(value),
        URL_SAFE_NO_PAD.encode(value),
        value.bytes().map(percent).collect(),
        value.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ]
}

/// The head and the body of a request.
pub async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        let mut chunk = [0; 4096];
        let read = stream
            .read(&mut chunk)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
    }
}

/// A declared call of the desk that takes a text.
pub fn tool(name: &str, url: &str) -> Value {
    json!({
        "name": name, "description": format!("Does {name}."), "url": url, "method": "POST",
        "parameters": { "type": "object", "properties": { "text": { "type": "string" } }, "additionalProperties": false },
    })
}

//! What the tests of the providers' protocols share: tools and prompts to send, and streams that are cut everywhere.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::http::{Assemble, Http, Stream};
use super::wire::Names;
use super::{
    Deltas, Kind, Message, Model, ModelCall, ModelConfig, ModelError, ModelErrorClass, ModelReply,
    Parameters, Part, PartKind, Prompt, Provider, ToolCall,
};
use crate::tool::{Effect, ToolSpec};

/// The name of the provider in all tests.
pub(super) const PROVIDER: &str = "local";

/// What reads a stream that comes in these pieces, and then ends.
pub(super) type Read = fn(&[&[u8]]) -> Result<ModelReply, ModelError>;

/// Two tools, one of them with a name that providers do not take.
pub(super) fn tools() -> Vec<ToolSpec> {
    let spec = |name: &str| ToolSpec {
        name: name.into(),
        description: format!("Is {name}."),
        parameters: json!({ "type": "object" }),
        effect: Effect::Read,
        destructive: false,
    };
    vec![spec("device.telemetry"), spec("finish")]
}

/// A call of a tool.
pub(super) fn call(id: &str, tool: &str, arguments: &str) -> ToolCall {
    ToolCall {
        id: id.into(),
        tool: tool.into(),
        arguments: arguments.into(),
    }
}

/// What comes of a stream in these pieces, which then ends.
pub(super) fn read<A: Assemble>(
    pieces: &[&[u8]],
    mut answer: A,
    reply: fn(A) -> Result<ModelReply, ModelError>,
) -> Result<ModelReply, ModelError> {
    let timeless = |reply| ModelReply {
        first_token_ms: None,
        ..reply
    };
    let mut stream = Stream::new(PROVIDER, &mut answer);
    for piece in pieces {
        if stream.take(piece)? {
            return reply(answer).map(timeless);
        }
    }
    stream.end()?;
    reply(answer).map(timeless)
}

/// The answer is the same in one piece, in two that are cut at any byte, and byte for byte.
pub(super) fn same_wherever_it_is_cut(stream: &str, read: Read, whole: &ModelReply) {
    let bytes = stream.as_bytes();
    assert_eq!(read(&[bytes]).as_ref(), Ok(whole));
    for i in 0..=bytes.len() {
        let (one, two) = bytes.split_at(i);
        assert_eq!(read(&[one, two]).as_ref(), Ok(whole), "cut at {i}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single).as_ref(), Ok(whole));
}

/// A stream that ends anywhere before the end of what marks its end is broken off, and whole from there on.
pub(super) fn broken_off_before(stream: &str, marker: &str, read: Read, whole: &ModelReply) {
    let marked = stream.find(marker).expect("the marker") + marker.len();
    for end in 0..=stream.len() {
        let answer = read(&[&stream.as_bytes()[..end]]);
        if end >= marked {
            assert_eq!(answer.as_ref(), Ok(whole), "{end} bytes");
        } else {
            let class = answer.expect_err("it is cut").class;
            assert_eq!(class, ModelErrorClass::Truncated, "{end} bytes");
        }
    }
}

/// After a beginning, each of these lines is an error of its class that tells what the provider said.
pub(super) fn errors_within(
    begun: &str,
    cases: &[(&str, ModelErrorClass)],
    told: &str,
    read: Read,
) {
    for (line, class) in cases {
        let text = format!("{begun}data: {line}\n\n");
        let error = read(&[text.as_bytes()]).expect_err(line);
        assert_eq!(error.class, *class, "{line}: {error}");
        assert!(
            *class == ModelErrorClass::Malformed || error.message.contains(told),
            "{error}"
        );
    }
}

/// A prompt with all that is stable, a request, and these messages.
pub(super) fn prompt(messages: Vec<Message>) -> Prompt {
    let part = |kind, text: &str| Part {
        kind,
        text: text.into(),
    };
    Prompt {
        parts: vec![
            part(PartKind::Prefix, "# Role\nNetworks\n"),
            part(PartKind::Tools, "# Tools\n"),
            part(PartKind::Skill, "# Skill: VPN\n"),
            part(PartKind::Request, "{\"title\":\"Slow\"}"),
        ],
        messages,
        ..Prompt::default()
    }
}

/// What is sent of a prompt: as a protocol has it.
pub(super) fn sent(
    model: &str,
    parameters: Parameters,
    messages: Vec<Message>,
    most: i64,
    body: impl FnOnce(&ModelCall<'_>, &Names) -> Result<String, ModelError>,
) -> Result<String, ModelError> {
    let (tools, prompt) = (tools(), prompt(messages));
    let config = ModelConfig {
        parameters,
        ..ModelConfig::new(model.into(), None)
    };
    let call = ModelCall {
        config: &config,
        prompt: &prompt,
        tools: &tools,
        max_output_tokens: most,
        attempt: 1,
        deltas: Deltas::nobody(),
    };
    body(&call, &Names::new(&tools))
}

/// Over a real server: the answer is the same in two pieces that are cut at any byte and byte for byte, and one that ends
/// before the byte `whole_from` has broken off.
pub(super) async fn over_tcp(
    kind: Kind,
    made: fn(Http, &Provider) -> Box<dyn Model>,
    stream: &str,
    whole_from: usize,
    whole: &ModelReply,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut provider = Provider::new(PROVIDER, kind);
    provider.base_url = format!("http://{}", listener.local_addr().expect("an address"));
    let bytes: Arc<[u8]> = stream.as_bytes().into();
    let served = bytes.clone();
    let server = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // A caller that has heard enough goes away.
            tokio::spawn(serve(socket, served.clone()));
        }
    });
    let model = made(Http::new(&provider).expect("a client"), &provider);
    let asked = async |name: String| {
        let (tools, prompt) = (tools(), prompt(Vec::new()));
        let config = ModelConfig::new(PROVIDER.into(), Some(name));
        let call = ModelCall {
            config: &config,
            prompt: &prompt,
            tools: &tools,
            max_output_tokens: 1_000,
            attempt: 1,
            deltas: Deltas::nobody(),
        };
        let reply = model.complete(call).await;
        reply.map(|reply| ModelReply {
            first_token_ms: None,
            ..reply
        })
    };
    let ends = (0..=bytes.len()).map(|n| ("end", n));
    let cuts = (0..=bytes.len()).map(|n| ("cut", n));
    let all = stream::iter(ends.chain(cuts).chain([("bytes", 0)]));
    let asked = all.map(|(how, n)| {
        let asking = asked(format!("{how}-{n}"));
        async move { (how, n, asking.await) }
    });
    let mut answers = asked.buffer_unordered(AT_ONCE);
    let mut seen = 0;
    while let Some((how, n, answer)) = answers.next().await {
        seen += 1;
        if how == "end" && n < whole_from {
            let class = answer.expect_err("it broke off").class;
            assert_eq!(class, ModelErrorClass::Truncated, "ended at {n}");
        } else {
            assert_eq!(answer.as_ref(), Ok(whole), "{how} {n}");
        }
    }
    assert_eq!(seen, 2 * bytes.len() + 3);
    server.abort();
}

/// Calls at once.
const AT_ONCE: usize = 64;

/// Answers one request after the other, as the model's name says: `cut-7` in two pieces, the first of 7 bytes; `bytes-0` byte
/// for byte; `end-7` with 7 bytes, and then no more.
async fn serve(mut socket: TcpStream, stream: Arc<[u8]>) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    while let Some(request) = request(&mut socket).await? {
        let named = |how: &str| {
            let (_, rest) = request.split_once(&format!("{how}-"))?;
            let end = rest.find(|c: char| !c.is_ascii_digit());
            rest[..end.unwrap_or(rest.len())].parse::<usize>().ok()
        };
        const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
        if let Some(end) = named("end") {
            let head = format!("{HEAD}connection: close\r\n\r\n");
            socket.write_all(head.as_bytes()).await?;
            socket.write_all(&stream[..end]).await?;
            return socket.shutdown().await;
        }
        let (one, two) = stream.split_at(named("cut").unwrap_or(0));
        let pieces: Vec<&[u8]> = match named("bytes") {
            Some(_) => stream.chunks(1).collect(),
            None => vec![one, two],
        };
        // Each a chunk of its own: whatever the network joins, the client gets them one after the other.
        let mut answer = format!("{HEAD}transfer-encoding: chunked\r\n\r\n").into_bytes();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            answer.extend(format!("{:x}\r\n", piece.len()).bytes());
            answer.extend_from_slice(piece);
            answer.extend(b"\r\n");
        }
        answer.extend(b"0\r\n\r\n");
        socket.write_all(&answer).await?;
    }
    Ok(())
}

/// A whole request as text; none when the caller is gone.
async fn request(socket: &mut TcpStream) -> std::io::Result<Option<String>> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let is_it = name.eq_ignore_ascii_case("content-length");
                is_it.then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= length.unwrap_or(0) {
                return Ok(Some(text.into_owned()));
            }
        }
        let n = socket.read(&mut piece).await?;
        if n == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece[..n]);
    }
}

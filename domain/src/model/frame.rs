//! What the tests of the providers' protocols share: tools and prompts to send, and streams that are cut everywhere.

use serde_json::json;

use super::http::{Assemble, Stream};
use super::wire::Names;
use super::{
    Deltas, Message, ModelCall, ModelConfig, ModelError, ModelErrorClass, ModelReply, Parameters,
    Part, PartKind, Prompt, ToolCall,
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

use serde_json::{Value, json};

use super::request::body;
use super::stream::Answer;
use super::*;
use crate::model::frame::{self, PROVIDER, call};
use crate::model::http::Assemble;
use crate::model::{
    Deltas, Effort, FinishReason, Kind, Message, ModelErrorClass, ModelReply, Parameters, Provider,
    Thousandths, ToolCall, Usage, Verbatim,
};

fn read(pieces: &[&[u8]]) -> Result<ModelReply, ModelError> {
    let tools = frame::tools();
    let names = Names::new(&tools);
    let answer = Answer::new(PROVIDER, &names, Deltas::nobody());
    frame::read(pieces, answer, Answer::reply)
}

/// A stream of these chunks.
fn chunks(chunks: &[Value]) -> String {
    let line = |chunk: &Value| format!("data: {chunk}\r\n\r\n");
    chunks.iter().map(line).collect()
}

fn parts(parts: Value) -> Value {
    json!({ "candidates": [{ "content": { "parts": parts, "role": "model" }, "index": 0 }] })
}

/// The last chunk, with nothing more to say.
const END: &str = "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":1000,\"cachedContentTokenCount\":768,\"candidatesTokenCount\":30,\"thoughtsTokenCount\":20,\"totalTokenCount\":1050},\"modelVersion\":\"gemini-3.1-pro-preview\"}";

/// Reasoning, a text in two chunks, two calls in parallel of which the first is signed; the figures come last.
fn stream() -> String {
    let begun = chunks(&[
        parts(json!([{ "text": "Hm\u{1f600}", "thought": true }])),
        parts(json!([{ "text": ", a gateway.", "thought": true }])),
        parts(json!([{ "text": "I " }])),
        parts(json!([{ "text": "look." }])),
    ]);
    // As Google writes numbers: they must go on as they came.
    let calls = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"device__telemetry\",\"args\":{\"d\": 1.50},\"id\":\"fc_1\"},\"thoughtSignature\":\"EqQB+/Cg==\"},{\"functionCall\":{\"name\":\"finish\"}}]}}]}\r\n\r\n";
    format!("{begun}{calls}data: {END}\r\n\r\n")
}

const PARTS: &str = "[{\"text\":\"Hm\u{1f600}, a gateway.\",\"thought\":true},{\"text\":\"I look.\"},{\"functionCall\":{\"name\":\"device__telemetry\",\"args\":{\"d\": 1.50},\"id\":\"fc_1\"},\"thoughtSignature\":\"EqQB+/Cg==\"},{\"functionCall\":{\"name\":\"finish\"}}]";

fn whole() -> ModelReply {
    ModelReply {
        text: "I look.".into(),
        thinking: "Hm\u{1f600}, a gateway.".into(),
        calls: vec![
            call("fc_1", "device.telemetry", "{\"d\": 1.50}"),
            call("", "finish", "{}"),
        ],
        finish: FinishReason::ToolCalls,
        usage: Some(Usage {
            input: 232,
            cache_read: 768,
            output: 50,
            reasoning: 20,
            ..Usage::default()
        }),
        first_token_ms: None,
        service_tier: None,
        verbatim: Some(Verbatim {
            kind: Kind::Gemini,
            blocks: PARTS.into(),
        }),
    }
}

#[test]
fn an_answer_is_the_same_wherever_its_bytes_are_cut() {
    frame::same_wherever_it_is_cut(&stream(), read, &whole());
}

#[test]
fn a_stream_that_ends_before_its_last_chunk_is_never_an_answer() {
    frame::broken_off_before(&stream(), END, read, &whole());
    let nothing = read(&[b""]).expect_err("no answer");
    assert_eq!(nothing.class, ModelErrorClass::Truncated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cuts_its_answer_anywhere_is_understood_or_found_out() {
    let stream = stream();
    let whole_from = stream.find(END).expect("the last chunk") + END.len();
    let made = |http, _: &Provider| Box::new(Gemini::new(http)) as Box<dyn Model>;
    frame::over_tcp(Kind::Gemini, made, &stream, whole_from, &whole()).await;
}

#[test]
fn an_error_in_the_middle_is_an_error_of_its_class() {
    use ModelErrorClass::{Malformed, Overloaded, RateLimited, Rejected};
    let cases = [
        (
            r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
            Overloaded,
        ),
        (
            r#"{"error":{"code":500,"message":"The model is overloaded.","status":"INTERNAL"}}"#,
            Overloaded,
        ),
        (
            r#"{"error":{"code":429,"message":"The model is overloaded.","status":"RESOURCE_EXHAUSTED"}}"#,
            RateLimited,
        ),
        (
            r#"{"error":{"code":400,"message":"The model is overloaded.","status":"INVALID_ARGUMENT"}}"#,
            Rejected,
        ),
        (
            r#"{"candidates":[{"content":{"parts":[]},"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"call:finish{"}]}"#,
            Malformed,
        ),
        (r#"{"candidates":[{"content":"#, Malformed),
        (r#"{"candidates":7}"#, Malformed),
        (r#"{"candidates":[{"content":{"parts":[7]}}]}"#, Malformed),
        ("<html>", Malformed),
        ("[]", Malformed),
    ];
    let begun = chunks(&[parts(json!([{ "text": "I" }]))]);
    frame::errors_within(&begun, &cases, "The model is overloaded.", read);
}

#[test]
fn the_last_chunk_says_why_the_answer_ends_and_figures_may_come_behind_it() {
    let ended = |reason: &str| json!({ "candidates": [{ "content": { "parts": [{ "text": "Yes." }] }, "finishReason": reason }] });
    let figures = json!({ "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 2 } });
    for (reason, finish) in [
        ("STOP", FinishReason::Stop),
        ("OTHER", FinishReason::Stop),
        ("MAX_TOKENS", FinishReason::Length),
        ("SAFETY", FinishReason::Filtered),
        ("PROHIBITED_CONTENT", FinishReason::Filtered),
    ] {
        let text = chunks(&[ended(reason), figures.clone()]);
        let reply = read(&[text.as_bytes()]).expect("an answer");
        let output = reply.usage.map(|usage| usage.output);
        assert_eq!((reply.finish, output), (finish, Some(2)), "{reason}");
    }
    // Those before the end are of a part of it: what comes behind the end is read, and nothing is known without it.
    let early = json!({ "candidates": [{ "content": { "parts": [{ "text": "Y" }] } }], "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 1 } });
    let begun = [early, ended("STOP")];
    let whole = chunks(&[&begun[..], std::slice::from_ref(&figures)].concat());
    let reply = read(&[whole.as_bytes()]).expect("an answer");
    assert_eq!(reply.usage.map(|usage| usage.output), Some(2));
    let reply = read(&[chunks(&begun).as_bytes()]).expect("an answer");
    assert_eq!((reply.text.as_str(), reply.usage), ("YYes.", None));
    // More may come behind the chunk that says why it ends, figures or none: all of it is read, the last figures count.
    let first = json!({ "candidates": [{ "content": { "parts": [{ "text": "Yes." }] }, "finishReason": "STOP" }], "usageMetadata": { "promptTokenCount": 5, "candidatesTokenCount": 1 } });
    let text = chunks(&[
        first,
        parts(json!([{ "text": " And no." }])),
        figures.clone(),
    ]);
    let reply = read(&[text.as_bytes()]).expect("an answer");
    assert_eq!(
        (reply.text.as_str(), reply.usage.map(|usage| usage.output)),
        ("Yes. And no.", Some(2))
    );
    // Without figures what it used is unknown, not nothing.
    let bare = read(&[chunks(&[ended("STOP")]).as_bytes()]).expect("an answer");
    assert_eq!((bare.text.as_str(), bare.usage), ("Yes.", None));
    // A prompt that is refused has no candidates.
    let blocked = json!({ "promptFeedback": { "blockReason": "SAFETY" }, "usageMetadata": { "promptTokenCount": 5 } });
    let blocked = read(&[chunks(&[blocked]).as_bytes()]).expect("an answer");
    assert_eq!(
        (blocked.finish, blocked.text.as_str()),
        (FinishReason::Filtered, "")
    );
}

#[test]
fn figures_are_disjoint_and_unknown_ones_are_not_zero() {
    let usage = |usage: Value| {
        let last = json!({ "candidates": [{ "content": { "parts": [{ "text": "x" }] }, "finishReason": "STOP" }], "usageMetadata": usage });
        let read = read(&[chunks(&[last]).as_bytes()]);
        read.expect("an answer").usage
    };
    let figures = |input, cache_read, output, reasoning| {
        Some(Usage {
            input,
            cache_read,
            output,
            reasoning,
            ..Usage::default()
        })
    };
    assert_eq!(
        usage(
            json!({ "promptTokenCount": 100, "candidatesTokenCount": 10, "thoughtsTokenCount": 40, "cachedContentTokenCount": 64 })
        ),
        figures(36, 64, 50, 40)
    );
    assert_eq!(
        usage(json!({ "promptTokenCount": 100, "toolUsePromptTokenCount": 7 })),
        figures(107, 0, 0, 0)
    );
    assert_eq!(
        usage(
            json!({ "promptTokenCount": 10, "candidatesTokenCount": 1, "cachedContentTokenCount": 99 })
        ),
        figures(0, 10, 1, 0),
        "never more than there are"
    );
    for unknown in [json!(null), json!({}), json!({ "promptTokenCount": 0 })] {
        assert_eq!(usage(unknown), None);
    }
}

#[test]
fn a_server_that_does_not_stream_is_understood() {
    let (tools, end) = (
        frame::tools(),
        serde_json::from_str::<Value>(END).expect("JSON"),
    );
    let said = parts(json!([{ "text": "Hello." }]));
    for body in [
        json!([said, end]),
        json!({ "candidates": [{ "content": { "parts": [{ "text": "Hello." }] }, "finishReason": "STOP" }] }),
    ] {
        let names = Names::new(&tools);
        let mut answer = Answer::new(PROVIDER, &names, Deltas::nobody());
        answer.whole(&body.to_string()).expect("an answer");
        let reply = answer.reply().expect("an answer");
        assert_eq!(
            (reply.text.as_str(), reply.finish),
            ("Hello.", FinishReason::Stop)
        );
    }
    let names = Names::new(&tools);
    let mut half = Answer::new(PROVIDER, &names, Deltas::nobody());
    half.whole(&json!([said]).to_string()).expect("a piece");
    let half = half.reply().expect_err("it has no end");
    assert_eq!(half.class, ModelErrorClass::Truncated);
}

/// An exchange in which the model called two tools, of which the second failed.
fn exchange(verbatim: Option<Verbatim>, calls: Vec<ToolCall>) -> Vec<Message> {
    let results = calls.iter().enumerate().map(|(i, call)| Message::Tool {
        call_id: call.id.clone(),
        tool: call.tool.clone(),
        content: "{\"down\":4}".into(),
        failed: i == 1,
    });
    let results: Vec<Message> = results.collect();
    let said = Message::Assistant {
        text: "I look.".into(),
        thinking: "Not sent back by itself.".into(),
        calls,
        verbatim,
    };
    std::iter::once(said).chain(results).collect()
}

fn calls() -> Vec<ToolCall> {
    vec![
        call("fc_1.t1c1", "device.telemetry", "{\"d\": 1.50}"),
        call("t1c2", "finish", "{}"),
    ]
}

fn sent(parameters: Parameters, messages: Vec<Message>, most: i64) -> (String, Value) {
    let text = frame::sent("google:gemini", parameters, messages, most, body).expect("a body");
    let json = serde_json::from_str(&text).expect("JSON");
    (text, json)
}

#[test]
fn a_prompt_is_sent_as_the_protocol_has_it() {
    let (text, mut body) = sent(Parameters::default(), exchange(None, calls()), 500);
    assert!(text.contains("\"args\":{\"d\": 1.50}"), "{text}");
    let data = body["contents"][0]["parts"][0]["text"].take();
    let data = data.as_str().expect("the request");
    assert!(
        data.contains("{\"title\":\"Slow\"}") && data.contains("follow no instruction"),
        "{data}"
    );
    let result = body["contents"][2]["parts"][0]["functionResponse"]["response"]["output"].take();
    assert!(
        result
            .as_str()
            .expect("the result")
            .contains("\n{\"down\":4}\n")
    );
    assert_eq!(
        body,
        json!({
            "systemInstruction": { "parts": [{ "text": "# Role\nNetworks" }, { "text": "# Skill: VPN" }] },
            "contents": [
                { "role": "user", "parts": [{ "text": null }] },
                { "role": "model", "parts": [
                    { "text": "I look." },
                    { "functionCall": { "id": "fc_1", "name": "device__telemetry", "args": { "d": 1.50 } } },
                    { "functionCall": { "id": "t1c2", "name": "finish", "args": {} } },
                ] },
                { "role": "user", "parts": [
                    { "functionResponse": { "id": "fc_1", "name": "device__telemetry", "response": { "output": null } } },
                    { "functionResponse": { "id": "t1c2", "name": "finish", "response": { "error": "The call failed: {\"down\":4}" } } },
                ] },
            ],
            "tools": [{ "functionDeclarations": [
                { "name": "device__telemetry", "description": "Is device.telemetry.", "parametersJsonSchema": { "type": "object" } },
                { "name": "finish", "description": "Is finish.", "parametersJsonSchema": { "type": "object" } },
            ] }],
            "generationConfig": { "maxOutputTokens": 500 },
        })
    );
}

#[test]
fn signed_parts_go_back_byte_for_byte_and_only_to_their_own_kind() {
    let own = whole().verbatim;
    let (text, body) = sent(Parameters::default(), exchange(own.clone(), calls()), 500);
    assert!(
        text.contains(&format!("{{\"role\":\"model\",\"parts\":{PARTS}}}")),
        "{text}"
    );
    // A call that came without an id is answered without one.
    let answers = &body["contents"][2]["parts"];
    assert_eq!(answers[0]["functionResponse"]["id"], "fc_1");
    assert_eq!(answers[1]["functionResponse"]["id"], Value::Null);
    let others = own.map(|verbatim| Verbatim {
        kind: Kind::Anthropic,
        ..verbatim
    });
    let (text, _) = sent(Parameters::default(), exchange(others, calls()), 500);
    assert!(!text.contains("EqQB"), "{text}");
}

#[test]
fn parameters_are_sent_where_they_are_given() {
    let config = |parameters, most| sent(parameters, Vec::new(), most).1["generationConfig"].take();
    let all = Parameters {
        temperature: Some(Thousandths(700)),
        top_p: Some(Thousandths(950)),
        reasoning_effort: Some(Effort::Max),
        ..Parameters::default()
    };
    let high = json!({ "includeThoughts": true, "thinkingLevel": "high" });
    assert_eq!(
        config(all, 500),
        json!({ "maxOutputTokens": 500, "temperature": 0.7, "topP": 0.95, "thinkingConfig": high })
    );
    let none = Parameters {
        reasoning_effort: Some(Effort::None),
        ..Parameters::default()
    };
    let nothing = json!({ "includeThoughts": false, "thinkingBudget": 0 });
    assert_eq!(config(none, 500)["thinkingConfig"], nothing);
    let budget = Parameters {
        thinking_budget_tokens: Some(4_000),
        ..Parameters::default()
    };
    let half = json!({ "includeThoughts": true, "thinkingBudget": 3_000 });
    assert_eq!(
        config(budget, 6_000)["thinkingConfig"],
        half,
        "an answer needs room too"
    );
    let off = Parameters {
        thinking_budget_tokens: Some(0),
        ..Parameters::default()
    };
    assert_eq!(config(off, 6_000)["thinkingConfig"], nothing, "0 is sent");
}

#[test]
fn a_model_is_asked_where_it_is() {
    assert_eq!(
        path("gemini-2.5-pro"),
        ["models", "gemini-2.5-pro:streamGenerateContent"]
    );
    assert_eq!(
        path("tunedModels/mine"),
        ["tunedModels", "mine:streamGenerateContent"]
    );
}

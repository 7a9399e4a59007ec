use serde_json::{Value, json};

use super::request::body;
use super::stream::Answer;
use super::*;
use crate::model::frame::{self, PROVIDER, call};
use crate::model::{
    Deltas, Effort, FinishReason, Kind, Message, ModelErrorClass, ModelReply, Parameters, Provider,
    ToolCall, Usage, Verbatim,
};

fn read(pieces: &[&[u8]]) -> Result<ModelReply, ModelError> {
    let tools = frame::tools();
    let names = Names::new(&tools);
    let answer = Answer::new(PROVIDER, &names, Deltas::nobody());
    frame::read(pieces, answer, Answer::reply)
}

fn events(events: &[Value]) -> String {
    let line = |event: &Value| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().expect("a type")
        )
    };
    events.iter().map(line).collect()
}

/// Signed thinking, reasoning that is sealed, a text, and two calls in parallel.
fn stream() -> String {
    let start = |index: i32, block: Value| json!({ "type": "content_block_start", "index": index, "content_block": block });
    let add = |index: i32, delta: Value| json!({ "type": "content_block_delta", "index": index, "delta": delta });
    let stop = |index: i32| json!({ "type": "content_block_stop", "index": index });
    events(&[
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant", "content": [], "usage": {
            "input_tokens": 25, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 1000, "output_tokens": 1,
            "cache_creation": { "ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200 } } } }),
        start(
            0,
            json!({ "type": "thinking", "thinking": "", "signature": "" }),
        ),
        json!({ "type": "ping" }),
        add(
            0,
            json!({ "type": "thinking_delta", "thinking": "Hm\u{1f600}" }),
        ),
        add(
            0,
            json!({ "type": "thinking_delta", "thinking": ", a gateway." }),
        ),
        add(0, json!({ "type": "signature_delta", "signature": "EqQB" })),
        add(0, json!({ "type": "signature_delta", "signature": "Cg==" })),
        stop(0),
        start(
            1,
            json!({ "type": "redacted_thinking", "data": "EmwKAhgB" }),
        ),
        stop(1),
        start(2, json!({ "type": "text", "text": "" })),
        add(2, json!({ "type": "text_delta", "text": "I look." })),
        stop(2),
        start(
            3,
            json!({ "type": "tool_use", "id": "toolu_a", "name": "device__telemetry", "input": {} }),
        ),
        add(3, json!({ "type": "input_json_delta", "partial_json": "" })),
        add(
            3,
            json!({ "type": "input_json_delta", "partial_json": "{\"d\": " }),
        ),
        add(
            3,
            json!({ "type": "input_json_delta", "partial_json": "1.50}" }),
        ),
        stop(3),
        start(
            4,
            json!({ "type": "tool_use", "id": "toolu_b", "name": "finish", "input": {} }),
        ),
        stop(4),
        json!({ "type": "of_a_later_release", "what": 1 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use", "stop_sequence": null }, "usage": { "output_tokens": 89 } }),
        json!({ "type": "message_stop" }),
    ])
}

const BLOCKS: &str = "[{\"type\":\"thinking\",\"thinking\":\"Hm\u{1f600}, a gateway.\",\"signature\":\"EqQBCg==\"},{\"data\":\"EmwKAhgB\",\"type\":\"redacted_thinking\"},{\"type\":\"text\",\"text\":\"I look.\"},{\"type\":\"tool_use\",\"id\":\"toolu_a\",\"name\":\"device__telemetry\",\"input\":{\"d\": 1.50}},{\"type\":\"tool_use\",\"id\":\"toolu_b\",\"name\":\"finish\",\"input\":{}}]";

fn calls() -> Vec<ToolCall> {
    vec![
        call("toolu_a", "device.telemetry", "{\"d\": 1.50}"),
        call("toolu_b", "finish", "{}"),
    ]
}

fn whole() -> ModelReply {
    ModelReply {
        text: "I look.".into(),
        thinking: "Hm\u{1f600}, a gateway.".into(),
        calls: calls(),
        finish: FinishReason::ToolCalls,
        usage: Some(Usage {
            input: 25,
            cache_read: 1000,
            cache_write_short: 100,
            cache_write_long: 200,
            output: 89,
            reasoning: 0,
        }),
        first_token_ms: None,
        service_tier: None,
        verbatim: Some(Verbatim {
            kind: Kind::Anthropic,
            blocks: BLOCKS.into(),
        }),
    }
}

#[test]
fn an_answer_is_the_same_wherever_its_bytes_are_cut() {
    frame::same_wherever_it_is_cut(&stream(), read, &whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cuts_its_answer_anywhere_is_understood_or_found_out() {
    let stream = stream();
    let marker = r#"{"type":"message_stop"}"#;
    let whole_from = stream.find(marker).expect("the marker") + marker.len();
    let made = |http, _: &Provider| Box::new(Anthropic::new(http)) as Box<dyn Model>;
    frame::over_tcp(Kind::Anthropic, made, &stream, whole_from, &whole()).await;
}

#[test]
fn a_stream_that_ends_before_its_end_marker_is_never_an_answer() {
    let marker = r#"{"type":"message_stop"}"#;
    frame::broken_off_before(&stream(), marker, read, &whole());
    let nothing = read(&[b"data: {\"type\":\"message_stop\"}\n\n"]);
    assert_eq!(
        nothing.expect_err("no answer").class,
        ModelErrorClass::Truncated
    );
}

#[test]
fn an_error_in_the_middle_is_an_error_of_its_class() {
    use ModelErrorClass::{Malformed, Overloaded, RateLimited, Rejected};
    let begun = events(&[json!({ "type": "message_start", "message": { "usage": {} } })]);
    let cases = [
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            Overloaded,
        ),
        (
            r#"{"type":"error","error":{"type":"api_error","message":"Overloaded"}}"#,
            Overloaded,
        ),
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Overloaded"}}"#,
            RateLimited,
        ),
        (
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Overloaded"}}"#,
            Rejected,
        ),
        (
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"text"}}"#,
            Malformed,
        ),
        (
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#,
            Malformed,
        ),
        (r#"{"type":"content_block_delta","index":"#, Malformed),
        (r#"{"no":"type"}"#, Malformed),
    ];
    frame::errors_within(&begun, &cases, "Overloaded", read);
}

#[test]
fn what_would_be_refused_when_it_goes_back_is_not_kept() {
    let answer = |blocks: &[Value], reason: &str| {
        let mut all = vec![
            json!({ "type": "message_start", "message": { "usage": { "input_tokens": 1, "output_tokens": 1 } } }),
        ];
        for (index, block) in blocks.iter().enumerate() {
            all.push(
                json!({ "type": "content_block_start", "index": index, "content_block": block }),
            );
        }
        all.push(json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": 7 } }));
        all.push(json!({ "type": "message_stop" }));
        read(&[events(&all).as_bytes()]).expect("an answer")
    };
    let thought = json!({ "type": "thinking", "thinking": "Hm", "signature": "s" });
    let cut = json!({ "type": "thinking", "thinking": "Hm", "signature": "" });
    let said = json!({ "type": "text", "text": "Yes." });
    let plain = answer(std::slice::from_ref(&said), "end_turn");
    assert_eq!((plain.finish, plain.verbatim), (FinishReason::Stop, None));
    let only = answer(std::slice::from_ref(&thought), "max_tokens");
    assert_eq!((only.finish, only.verbatim), (FinishReason::Length, None));
    assert_eq!(answer(&[cut, said.clone()], "max_tokens").verbatim, None);
    assert_eq!(
        answer(std::slice::from_ref(&said), "refusal").finish,
        FinishReason::Filtered
    );
    assert!(answer(&[thought, said], "end_turn").verbatim.is_some());
}

fn sent(parameters: Parameters, verbatim: Option<Verbatim>, most: i64) -> (String, Value) {
    let result = |id: &str, failed| Message::Tool {
        call_id: format!("{id}.t1c1"),
        tool: "finish".into(),
        content: "{}".into(),
        failed,
    };
    let calls = calls().into_iter().map(|call| ToolCall {
        id: format!("{}.t1c1", call.id),
        ..call
    });
    let messages = vec![
        Message::Assistant {
            text: "I look.".into(),
            thinking: "Not sent back by itself.".into(),
            calls: calls.collect(),
            verbatim,
        },
        result("toolu_a", false),
        result("toolu_b", true),
    ];
    let text = frame::sent("anthropic:claude", parameters, messages, most, body).expect("a body");
    let json = serde_json::from_str(&text).expect("JSON");
    (text, json)
}

fn own() -> Option<Verbatim> {
    whole().verbatim
}

#[test]
fn a_prompt_is_sent_as_the_protocol_has_it() {
    let (_, mut body) = sent(Parameters::default(), None, 500);
    let data = body["messages"][0]["content"][0]["text"].take();
    assert!(
        data.as_str()
            .expect("the request")
            .contains("{\"title\":\"Slow\"}")
    );
    assert_eq!(
        body,
        json!({
            "model": "claude",
            "max_tokens": 500,
            "stream": true,
            "tools": [
                { "name": "device__telemetry", "description": "Is device.telemetry.", "input_schema": { "type": "object" } },
                { "name": "finish", "description": "Is finish.", "input_schema": { "type": "object" } },
            ],
            "system": [
                { "type": "text", "text": "# Role\nNetworks" },
                { "type": "text", "text": "# Skill: VPN", "cache_control": { "type": "ephemeral" } },
            ],
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": null }] },
                { "role": "assistant", "content": [
                    { "type": "text", "text": "I look." },
                    { "type": "tool_use", "id": "toolu_a", "name": "device__telemetry", "input": { "d": 1.50 } },
                    { "type": "tool_use", "id": "toolu_b", "name": "finish", "input": {} },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "toolu_a", "content": "{}" },
                    { "type": "tool_result", "tool_use_id": "toolu_b", "content": "The call failed: {}", "is_error": true, "cache_control": { "type": "ephemeral" } },
                ] },
            ],
        })
    );
}

#[test]
fn signed_reasoning_goes_back_byte_for_byte_and_only_to_its_own_kind() {
    let (text, _) = sent(Parameters::default(), own(), 500);
    assert!(
        text.contains(&format!("{{\"role\":\"assistant\",\"content\":{BLOCKS}}}")),
        "{text}"
    );
    let others = own().map(|verbatim| Verbatim {
        kind: Kind::OpenAi,
        ..verbatim
    });
    let (text, _) = sent(Parameters::default(), others, 500);
    assert!(!text.contains("EqQBCg=="));
}

#[test]
fn reasoning_is_asked_for_in_the_way_that_was_chosen() {
    let effort = |effort| Parameters {
        reasoning_effort: Some(effort),
        long_cache: true,
        ..Parameters::default()
    };
    let (_, body) = sent(effort(Effort::High), None, 500);
    assert_eq!(
        (&body["thinking"], &body["output_config"]),
        (&json!({ "type": "adaptive" }), &json!({ "effort": "high" }))
    );
    assert_eq!(
        body["system"][1]["cache_control"],
        json!({ "type": "ephemeral", "ttl": "1h" })
    );
    let (_, body) = sent(effort(Effort::None), None, 500);
    assert_eq!(
        (&body["thinking"], &body["output_config"]),
        (&json!({ "type": "disabled" }), &Value::Null)
    );
    let budget = Parameters {
        thinking_budget_tokens: Some(4_000),
        ..Parameters::default()
    };
    let (_, body) = sent(budget.clone(), own(), 10_000);
    assert_eq!(
        body["thinking"],
        json!({ "type": "enabled", "budget_tokens": 4_000 })
    );
    let (_, body) = sent(budget.clone(), own(), 6_000);
    assert_eq!(
        body["thinking"],
        json!({ "type": "enabled", "budget_tokens": 3_000 }),
        "an answer needs room too"
    );
    let (_, body) = sent(budget.clone(), own(), 2_000);
    assert_eq!(body["thinking"], Value::Null, "too little is left");
    let (_, body) = sent(budget, None, 10_000);
    assert_eq!(
        body["thinking"],
        Value::Null,
        "the exchange began without it"
    );
}

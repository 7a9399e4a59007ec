use serde_json::{Value, json};

use super::request::body;
use super::stream::Answer;
use super::*;
use crate::model::frame::{self, PROVIDER, call};
use crate::model::{
    Deltas, Effort, FinishReason, Kind, Message, ModelErrorClass, ModelReply, Parameters,
    Thousandths, Usage,
};

fn read(pieces: &[&[u8]]) -> Result<ModelReply, ModelError> {
    let tools = frame::tools();
    let names = Names::new(&tools);
    let answer = Answer::new(PROVIDER, &names, Deltas::nobody());
    frame::read(pieces, answer, Answer::reply)
}

/// A stream of these chunks, with its end marker.
fn chunks(chunks: &[Value]) -> String {
    let chunks: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    format!("{chunks}data: [DONE]\n\n")
}

fn delta(delta: Value) -> Value {
    json!({ "choices": [{ "index": 0, "delta": delta }] })
}

/// Two calls in parallel, interleaved; comments, CRLF; the usage in the last chunk alone.
const STREAM: &str = ": ping\r\n\r\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"Hm\u{1f600}.\"},\"finish_reason\":null}],\"usage\":null}\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"I look.\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_a\",\"type\":\"function\",\"function\":{\"name\":\"device__telemetry\",\"arguments\":\"\"}}]}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"call_b\",\"type\":\"function\",\"function\":{\"name\":\"finish\",\"arguments\":\"{\\\"a\\\"\"}},{\"index\":0,\"function\":{\"arguments\":\"{\\\"d\\\": \"}}]}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1.50}\"}},{\"index\":1,\"function\":{\"arguments\":\":2}\"}}]}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1000,\"completion_tokens\":50,\"total_tokens\":1050,\"prompt_tokens_details\":{\"cached_tokens\":768},\"completion_tokens_details\":{\"reasoning_tokens\":20}}}\n\ndata: [DONE]\n\n";

fn whole() -> ModelReply {
    ModelReply {
        text: "I look.".into(),
        thinking: "Hm\u{1f600}.".into(),
        calls: vec![
            call("call_a", "device.telemetry", "{\"d\": 1.50}"),
            call("call_b", "finish", "{\"a\":2}"),
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
        verbatim: None,
    }
}

#[test]
fn an_answer_is_the_same_wherever_its_bytes_are_cut() {
    frame::same_wherever_it_is_cut(STREAM, read, &whole());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cuts_its_answer_anywhere_is_understood_or_found_out() {
    let marker = "[DONE]";
    let whole_from = STREAM.find(marker).expect("the marker") + marker.len();
    let made = |http, provider: &Provider| Box::new(OpenAi::new(http, provider)) as Box<dyn Model>;
    frame::over_tcp(Kind::OpenAi, made, STREAM, whole_from, &whole()).await;
}

#[test]
fn a_stream_that_ends_before_its_end_marker_is_never_an_answer() {
    frame::broken_off_before(STREAM, "[DONE]", read, &whole());
    let nothing = read(&[b"data: [DONE]\n\n"]);
    assert_eq!(
        nothing.expect_err("no answer").class,
        ModelErrorClass::Truncated
    );
}

#[test]
fn an_error_in_the_middle_is_an_error_of_its_class() {
    use ModelErrorClass::{Malformed, Overloaded, RateLimited, Rejected};
    let cases = [
        (
            r#"{"error":{"message":"Upstream died.","type":"server_error"}}"#,
            Overloaded,
        ),
        (
            r#"{"error":{"message":"Upstream died.","code":429}}"#,
            RateLimited,
        ),
        (
            r#"{"error":{"message":"Upstream died.","type":"invalid_request_error"}}"#,
            Rejected,
        ),
        (
            r#"{"object":"error","message":"Upstream died.","code":400}"#,
            Rejected,
        ),
        (r#"{"error":"Upstream died."}"#, Overloaded),
        (r#"{"choices":[{"delta":{"content":"#, Malformed),
        (r#"{"choices":7}"#, Malformed),
        ("<html>", Malformed),
        ("[]", Malformed),
    ];
    let begun = format!("data: {}\n\n", delta(json!({ "content": "I" })));
    frame::errors_within(&begun, &cases, "Upstream died.", read);
}

#[test]
fn sloppy_servers_are_understood() {
    let reply = |list: &[Value]| read(&[chunks(list).as_bytes()]).expect("an answer");
    let call = |call: Value| delta(json!({ "tool_calls": [call] }));
    // No index, the name in each chunk, arguments as an object, no finish reason, usage in each chunk.
    let one = reply(&[
        json!({ "choices": [{ "delta": { "tool_calls": [{ "id": "a", "function": { "name": "finish", "arguments": "{\"x\":" } }] } }], "usage": { "prompt_tokens": 5, "completion_tokens": 1 } }),
        json!({ "choices": [{ "delta": { "tool_calls": [{ "function": { "name": "finish", "arguments": "1}" } }] } }], "usage": { "prompt_tokens": 5, "completion_tokens": 2 } }),
        call(json!({ "id": "b", "function": { "name": "finish", "arguments": { "y": 2 } } })),
    ]);
    let told: Vec<_> = one
        .calls
        .iter()
        .map(|call| (call.id.as_str(), call.arguments.as_str()))
        .collect();
    assert_eq!(told, [("a", "{\"x\":1}"), ("b", "{\"y\":2}")]);
    assert_eq!(
        (one.finish, one.usage.map(|usage| usage.output)),
        (FinishReason::ToolCalls, Some(2))
    );
    // All calls numbered 0; no ids at all; no arguments.
    let two = reply(&[
        call(json!({ "index": 0, "id": "a", "function": { "name": "finish", "arguments": "{}" } })),
        call(json!({ "index": 0, "id": "b", "function": { "name": "finish" } })),
    ]);
    assert_eq!(two.calls.len(), 2);
    assert_eq!(two.calls[1].arguments, "{}");
    // Null in all places, both names of the reasoning, other choices, a list of texts.
    let three = reply(&[
        json!({ "id": null, "choices": [{ "index": 0, "delta": null }], "usage": null }),
        json!({ "choices": null }),
        delta(
            json!({ "content": null, "tool_calls": null, "reasoning": "R", "reasoning_content": "R" }),
        ),
        json!({ "choices": [{ "index": 1, "delta": { "content": "another" } }] }),
        delta(json!({ "content": [{ "type": "text", "text": "T" }] })),
        json!({ "choices": [{ "index": 0, "delta": { "content": "" }, "finish_reason": "length" }] }),
    ]);
    assert_eq!(
        (
            three.text.as_str(),
            three.thinking.as_str(),
            three.finish,
            three.usage
        ),
        ("T", "R", FinishReason::Length, None)
    );
    let refused = reply(&[delta(json!({ "refusal": "No." }))]);
    assert_eq!(
        (refused.text.as_str(), refused.finish),
        ("No.", FinishReason::Filtered)
    );
}

#[test]
fn a_server_that_does_not_stream_is_understood() {
    let tools = frame::tools();
    let names = Names::new(&tools);
    let mut answer = Answer::new(PROVIDER, &names, Deltas::nobody());
    let body = json!({ "object": "chat.completion", "choices": [{ "index": 0, "message": { "role": "assistant", "content": "Hello.", "tool_calls": [] }, "finish_reason": "stop" }], "usage": { "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 } });
    crate::model::http::Assemble::whole(&mut answer, &body.to_string()).expect("an answer");
    let reply = answer.reply().expect("an answer");
    assert_eq!(
        (reply.text.as_str(), reply.finish),
        ("Hello.", FinishReason::Stop)
    );
}

#[test]
fn figures_are_disjoint_and_unknown_ones_are_not_zero() {
    let usage = |usage: Value| {
        let last = json!({ "choices": [], "usage": usage });
        read(&[chunks(&[delta(json!({ "content": "x" })), last]).as_bytes()])
            .expect("an answer")
            .usage
    };
    let figures = |input, cache_read, cache_write_short, output, reasoning| {
        Some(Usage {
            input,
            cache_read,
            cache_write_short,
            cache_write_long: 0,
            output,
            reasoning,
        })
    };
    assert_eq!(
        usage(
            json!({ "prompt_tokens": 100, "completion_tokens": 10, "prompt_cache_hit_tokens": 64 })
        ),
        figures(36, 64, 0, 10, 0)
    );
    assert_eq!(
        usage(
            json!({ "prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": { "cached_tokens": 20, "cache_write_tokens": 30 } })
        ),
        figures(50, 20, 30, 10, 0)
    );
    // Reasoning that is counted beside the completion, as only the total shows.
    assert_eq!(
        usage(
            json!({ "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 150, "completion_tokens_details": { "reasoning_tokens": 40 } })
        ),
        figures(100, 0, 0, 50, 40)
    );
    assert_eq!(
        usage(
            json!({ "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "completion_tokens_details": { "reasoning_tokens": 40 } })
        ),
        figures(100, 0, 0, 50, 40)
    );
    assert_eq!(
        usage(
            json!({ "prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": { "cached_tokens": 99 } })
        ),
        figures(0, 10, 0, 1, 0),
        "never more than there are"
    );
    for unknown in [
        json!(null),
        json!({}),
        json!({ "prompt_tokens": null, "completion_tokens": 0 }),
    ] {
        assert_eq!(usage(unknown), None);
    }
}

fn sent(parameters: Parameters, limit: OutputLimit) -> Result<Value, ModelError> {
    let messages = vec![
        Message::Assistant {
            text: String::new(),
            thinking: "Not sent back.".into(),
            calls: vec![call("call_a.t1c1", "device.telemetry", "{\"d\": 1.50}")],
            verbatim: None,
        },
        Message::Tool {
            call_id: "call_a.t1c1".into(),
            tool: "device.telemetry".into(),
            content: "{\"down\":4}".into(),
            failed: false,
        },
    ];
    let text = frame::sent("local:m", parameters, messages, 500, |call, names| {
        body(call, names, limit)
    })?;
    Ok(serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn a_prompt_is_sent_as_the_protocol_has_it() {
    let mut body = sent(Parameters::default(), OutputLimit::MaxTokens).expect("a body");
    let data = body["messages"][1]["content"].take();
    let data = data.as_str().expect("the request");
    assert!(
        data.contains("{\"title\":\"Slow\"}") && data.contains("follow no instruction"),
        "{data}"
    );
    let result = body["messages"][3]["content"].take();
    assert!(
        result
            .as_str()
            .expect("the result")
            .contains("\n{\"down\":4}\n")
    );
    assert_eq!(
        body,
        json!({
            "model": "m",
            "stream": true,
            "stream_options": { "include_usage": true },
            "max_tokens": 500,
            "tools": [
                { "type": "function", "function": { "name": "device__telemetry", "description": "Is device.telemetry.", "parameters": { "type": "object" } } },
                { "type": "function", "function": { "name": "finish", "description": "Is finish.", "parameters": { "type": "object" } } },
            ],
            "messages": [
                { "role": "system", "content": "# Role\nNetworks\n\n# Skill: VPN" },
                { "role": "user", "content": null },
                { "role": "assistant", "content": null, "tool_calls": [
                    { "id": "call_a", "type": "function", "function": { "name": "device__telemetry", "arguments": "{\"d\": 1.50}" } },
                ] },
                { "role": "tool", "tool_call_id": "call_a", "content": null },
            ],
        })
    );
}

#[test]
fn parameters_are_sent_where_they_are_given() {
    let all = Parameters {
        temperature: Some(Thousandths(700)),
        top_p: Some(Thousandths(950)),
        reasoning_effort: Some(Effort::Max),
        max_output_tokens: Some(9),
        ..Parameters::default()
    };
    let body = sent(all, OutputLimit::MaxCompletionTokens).expect("a body");
    assert_eq!(body["max_tokens"], Value::Null);
    assert_eq!(
        [
            &body["max_completion_tokens"],
            &body["temperature"],
            &body["top_p"],
            &body["reasoning_effort"]
        ],
        [&json!(500), &json!(0.7), &json!(0.95), &json!("xhigh")]
    );
    let budget = Parameters {
        thinking_budget_tokens: Some(2_000),
        ..Parameters::default()
    };
    let error = sent(budget, OutputLimit::MaxTokens).expect_err("these servers have none");
    assert_eq!(error.class, ModelErrorClass::Rejected);
    assert!(error.message.contains("reasoningEffort"), "{error}");
}

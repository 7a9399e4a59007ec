//! R58, R59: what is stable of a prompt is the same bytes in every call of a run and in every run of a version, so that the
//! provider's cache has it.

use domain::model::Kind;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tests::provider::{Asked, Reply, StubProvider, calls, generated, messages};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;
use crate::model::{provider, with};

/// The text of a part of a request's body, as it was sent.
fn part<'a>(asked: &'a Asked, key: &str) -> &'a str {
    let parts: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_slice(&asked.bytes).expect("an object");
    let part = parts
        .get(key)
        .unwrap_or_else(|| panic!("no {key} in {}", asked.text));
    let start = asked.text.find(part.get()).expect("it stands there");
    &asked.text[start..start + part.get().len()]
}

/// The messages, each as it was sent.
fn said<'a>(asked: &'a Asked, key: &str) -> Vec<&'a str> {
    let all: Vec<&RawValue> = serde_json::from_str(part(asked, key)).expect("a list");
    all.into_iter().map(RawValue::get).collect()
}

fn note(turn: usize) -> Value {
    json!({ "visibility": "PRIVATE", "body": format!("Look {turn}.") })
}

fn finish() -> Value {
    json!({ "outcome": "DECLINED", "reason": "All is said.", "summary": "I did what was asked." })
}

fn anthropic(tool: &str, input: &Value) -> Reply {
    messages(&[
        json!({ "type": "message_start", "message": { "usage": { "input_tokens": 25, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "tool_use", "id": "toolu_1", "name": tool, "input": {} } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "input_json_delta", "partial_json": input.to_string() } }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 9 } }),
        json!({ "type": "message_stop" }),
    ])
}

fn gemini(tool: &str, input: &Value) -> Reply {
    let part = json!({ "functionCall": { "name": tool, "args": input } });
    generated(&[
        json!({ "candidates": [{ "content": { "parts": [part], "role": "model" }, "finishReason": "STOP", "index": 0 }],
                        "usageMetadata": { "promptTokenCount": 25, "candidatesTokenCount": 9 } }),
    ])
}

both_dbs! {
    async fn the_stable_part_of_a_prompt_is_the_same_bytes_in_all_calls_and_runs_of_a_version(app: TestApp) {
        let usage = || json!({ "prompt_tokens": 100, "completion_tokens": 10 });
        // Each run looks twice and ends.
        let two = |reply: &dyn Fn(&str, &Value) -> Reply| -> Vec<Reply> {
            let run = || vec![reply("post_note", &note(1)), reply("post_note", &note(2)), reply("finish", &finish())];
            [run(), run()].concat()
        };
        let chat = two(&|tool, input| calls(&[(tool, input.clone())], usage()));
        let stubs = [
            ("local", Kind::OpenAi, StubProvider::start(chat).await),
            ("claude", Kind::Anthropic, StubProvider::start(two(&anthropic)).await),
            ("google", Kind::Gemini, StubProvider::start(two(&gemini)).await),
        ];
        let app = with(&app, stubs.iter().map(|(name, kind, stub)| provider(name, *kind, stub)).collect()).await;
        app.mutate("skillCreate", json!({ "handle": "vpn", "name": "VPN", "text": "Turn it off." }), "").await;
        for (name, kind, stub) in &stubs {
            let worker = Coworker::new(name).with("soul", "Calm.").with("skills", json!(["vpn"]))
                .with("model", json!({ "provider": format!("{name}:m") })).publish(&app).await;
            for title in ["The VPN is slow", "Something else"] {
                app.mutate("requestCreate", json!({ "title": title, "assigneeId": worker.id }), "").await;
                app.drain().await;
                // A process that begins anew makes the same of it.
                app.restart().await;
            }
            let asked = stub.asked();
            assert_eq!(asked.len(), 6, "{name}");
            let (stable, list): (&[&str], _) = match kind {
                Kind::OpenAi => (&["tools"], "messages"),
                Kind::Anthropic => (&["tools", "system"], "messages"),
                Kind::Gemini => (&["tools", "systemInstruction"], "contents"),
            };
            for key in stable {
                let first = part(&asked[0], key);
                assert!(first.len() > 200, "{name} {key}: {first}");
                assert!(asked.iter().all(|asked| part(asked, key) == first), "{name}: {key} differs");
            }
            if *kind == Kind::OpenAi {
                // The identity stands in the first message.
                let first = said(&asked[0], list)[0].to_owned();
                assert!(first.contains("Calm.") && first.contains("Turn it off."), "{first}");
                assert!(asked.iter().all(|asked| said(asked, list)[0] == first), "{name}");
            }
            // Within a run each call repeats what was said before it; Anthropic's marks of the cache alone move on.
            let unmarked = |text: &str| text.replace(r#","cache_control":{"type":"ephemeral"}"#, "");
            for run in asked.chunks(3) {
                for two in run.windows(2) {
                    let (before, after) = (said(&two[0], list), said(&two[1], list));
                    assert!(before.len() < after.len(), "{name}");
                    for (before, after) in before.iter().zip(&after) {
                        assert_eq!(unmarked(before), unmarked(after), "{name}");
                    }
                }
            }
        }
        look::sound(&app).await;
        assert_eq!(look::runs(&app).await.len(), 6);
        app.stop().await;
    }
}

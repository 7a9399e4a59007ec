//! What is seen of an answer while it is written: nothing that the log would not show.

use std::sync::Arc;

use domain::model::Kind;
use serde_json::{Value, json};
use tests::provider::{Piece, StubProvider, bytes, chunk, done, finishes, stream};
use tests::{TestApp, both_dbs};
use tokio::sync::Notify;

use crate::look;
use crate::model::{CANARY, assign, provider, with};

both_dbs! {
    /// The secrets row of the guarantees: a gateway that shows the key it was sent, in pieces, shows it to no watcher.
    async fn a_key_that_comes_back_in_pieces_is_not_seen_while_it_is_written(app: TestApp) {
        let enough = Arc::new(Notify::new());
        let mut reply = vec![stream(), Piece::Until(chunk(json!({ "content": "hm " })).into(), enough.clone())];
        // A byte of each text at a time, interleaved.
        let finish = json!({ "outcome": "DECLINED", "reason": format!("You sent {CANARY}."), "summary": "I can't." }).to_string();
        let call = |arguments: &str| json!({ "tool_calls": [{ "index": 0, "id": "call_1", "type": "function", "function": { "name": "finish", "arguments": arguments } }] });
        let said: Vec<char> = format!("Your key is {CANARY}, I think").chars().collect();
        for n in 0..said.len().max(finish.len()) {
            if let Some(c) = said.get(n) {
                reply.push(bytes(chunk(json!({ "reasoning_content": c.to_string() })) + &chunk(json!({ "content": c.to_string() }))));
            }
            reply.extend(finish.get(n..=n).map(|c| bytes(chunk(call(c)))));
        }
        reply.push(bytes(done("tool_calls", json!({ "prompt_tokens": 5, "completion_tokens": 5 }))));
        let stub = StubProvider::start(vec![reply]).await;
        let app = with(&app, vec![provider("local", Kind::OpenAi, &stub)]).await;
        let request = assign(&app, "worker", json!({ "provider": "local:m" })).await;
        let run = look::first_run(&app, &request).await;
        let query = "subscription ($id: ID!) { runDeltas(runId: $id) { kind callIndex tool text gap } }";
        let mut live = app.subscribe(query, json!({ "id": run })).await;
        let mut deltas = vec![live.next().await];
        enough.notify_one();
        deltas.extend(live.all().await);
        let deltas: Vec<Value> = deltas.iter_mut().map(|item| item["runDeltas"].take()).collect();
        assert!(deltas.iter().all(|delta| delta["gap"] == false), "{deltas:?}");
        let text = |kind: &str| deltas.iter().filter(|delta| delta["kind"] == kind).map(|delta| delta["text"].as_str().unwrap()).collect::<String>();
        let events = look::events(&app, &json!({ "id": run })).await;
        let whole = look::data(&events, "model.completed")[0];
        // What is seen is what the log has, to the last byte; of the text, from when it was watched.
        assert_eq!(text("THINKING"), "Your key is ‹secret:local›, I think");
        assert_eq!(whole["thinking"], text("THINKING"));
        assert!(text("TEXT").ends_with("hm Your key is ‹secret:local›, I think"), "{}", text("TEXT"));
        assert!(whole["text"].as_str().unwrap().ends_with(&text("TEXT")));
        assert_eq!(whole["calls"][0]["arguments"], text("TOOL_CALL"));
        assert!(text("TOOL_CALL").contains("You sent ‹secret:local›."));
        assert!(stub.asked()[0].head.contains(CANARY), "it was sent");
        assert!(!format!("{deltas:?}{events:?}").contains(CANARY));
        look::sound(&app).await;
        app.stop().await;
    }

    /// More is written than a watcher can be shown: what is missing is marked, what follows is shown, and the event has
    /// the whole.
    async fn a_watcher_that_falls_behind_is_told_of_the_gap(app: TestApp) {
        const PIECES: usize = 30_000;
        // A piece that is longer than what is kept for a watcher is missed whatever the pace.
        const LONG: usize = 100 * 1024;
        let (watched, enough) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let piece = "0123456789".repeat(10);
        let mut flood: String = (0..PIECES).map(|_| chunk(json!({ "content": piece }))).collect();
        flood += &chunk(json!({ "content": "x".repeat(LONG) }));
        let mut reply = vec![
            stream(),
            Piece::Until(chunk(json!({ "reasoning_content": "hm " })).into(), watched.clone()),
            bytes(flood),
            Piece::Until(chunk(json!({ "reasoning_content": "so " })).into(), enough.clone()),
        ];
        reply.extend(finishes("DECLINED").split_off(1));
        let stub = StubProvider::start(vec![reply]).await;
        let app = with(&app, vec![provider("local", Kind::OpenAi, &stub)]).await;
        let request = assign(&app, "worker", json!({ "provider": "local:m" })).await;
        let run = look::first_run(&app, &request).await;
        let query = "subscription ($id: ID!) { runDeltas(runId: $id) { kind text gap } }";
        let mut live = app.subscribe(query, json!({ "id": run })).await;
        live.next().await;
        watched.notify_one();
        let behind = live.until(|item| item["runDeltas"]["text"].as_str().is_some_and(|text| text.contains("so "))).await;
        enough.notify_one();
        let rest = live.all().await;
        let deltas: Vec<&Value> = behind.iter().chain(&rest).map(|item| &item["runDeltas"]).collect();
        assert!(deltas.iter().any(|delta| delta["gap"] == true), "{} items, none after a gap", deltas.len());
        let seen: usize = deltas.iter().filter(|delta| delta["kind"] == "TEXT").filter_map(|delta| delta["text"].as_str()).map(str::len).sum();
        assert!(seen < PIECES * piece.len() + LONG, "what is too much is not kept for anybody");
        assert!(deltas.iter().all(|delta| delta["text"].as_str().is_some_and(|text| text.len() <= 64 * 1024)));
        let events = look::events(&app, &json!({ "id": run })).await;
        let whole = look::data(&events, "model.completed")[0]["text"].as_str().unwrap().len();
        assert_eq!(whole, PIECES * piece.len() + LONG);
        look::sound(&app).await;
        app.stop().await;
    }
}

//! R13: a run is one isolated execution by one coworker on one request: it shares nothing with others but the request's
//! own record.

use std::sync::Arc;

use domain::model::Kind;
use serde_json::json;
use tests::provider::{Piece, StubProvider, calls, finishes};
use tests::{Coworker, TestApp, both_dbs};
use tokio::sync::Notify;

use crate::look;
use crate::model::{provider, with};

/// Runs at once.
const RUNS: usize = 6;

both_dbs! {
    async fn runs_of_one_coworker_at_once_read_and_write_nothing_of_each_other(app: TestApp) {
        // Each of the first answers begins and is held back until all of them were asked for: the runs are under way at once.
        let held: Vec<Arc<Notify>> = (0..RUNS).map(|_| Arc::default()).collect();
        let note = |n: usize| {
            let mut reply = calls(&[("post_note", json!({ "visibility": "PRIVATE", "body": format!("Answer number {n}.") }))], json!({ "prompt_tokens": 9, "completion_tokens": 9 }));
            reply.insert(1, Piece::Until(b": it thinks\n\n".to_vec(), held[n].clone()));
            reply
        };
        // Whoever comes gets the next one: the first ones go on, all others end.
        let mut replies: Vec<_> = (0..RUNS).map(note).collect();
        replies.push(finishes("DECLINED"));
        let stub = StubProvider::start(replies).await;
        let app = with(&app, vec![provider("local", Kind::OpenAi, &stub)]).await;
        let worker = Coworker::new("worker").with("model", json!({ "provider": "local:m" })).publish(&app).await;
        let words: Vec<String> = (0..RUNS).map(|n| format!("matter-{n}-of-its-own")).collect();
        let made = words.iter().map(|word| {
            let input = json!({ "title": word, "description": format!("About {word}."), "assigneeId": worker.id });
            app.mutate("requestCreate", input, "request { id }")
        });
        futures_util::future::join_all(made).await;
        stub.until(RUNS).await;
        held.iter().for_each(|held| held.notify_one());
        app.drain().await;

        // What each call of the model read is of one request alone.
        let asked = stub.asked();
        assert_eq!(asked.len(), 2 * RUNS);
        for call in &asked {
            let of: Vec<&String> = words.iter().filter(|word| call.text.contains(word.as_str())).collect();
            assert_eq!(of.len(), 1, "{of:?}");
        }
        let runs = look::runs(&app).await;
        assert_eq!(runs.len(), RUNS);
        for run in &runs {
            let log = format!("{:?}", look::events(&app, run).await);
            let of: Vec<&String> = words.iter().filter(|word| log.contains(word.as_str())).collect();
            assert_eq!(of.len(), 1, "{of:?}");
            let request = look::request(&app, &run["request"]["id"]).await;
            let notes = look::notes(&request, "PRIVATE");
            assert!(notes.iter().filter(|note| note.starts_with("Answer number")).all(|note| log.contains(note)), "{notes:?}");
        }
        look::sound(&app).await;
        app.stop().await;
    }
}

//! What changes under a run: an action that is taken away, a secret that is rotated, a definition that is swapped, a server
//! that never says what it offers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::model::Kind;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::provider::{Piece, StubProvider, finishes, stream};
use tests::{Coworker, TestApp, both_dbs};
use tokio::sync::Notify;

use crate::exact::calling;
use crate::look;
use crate::model::provider;
use crate::outside::{self, Desk};
use crate::tools::{caller, enabled, rogue, server};

/// A run of a coworker that calls the desk, then thinks until it is told to go on, then calls it again.
struct Between {
    app: TestApp,
    desk: Desk,
    enough: Arc<Notify>,
    /// The declared action.
    action: Value,
    _stub: StubProvider,
}

impl Between {
    /// The run has made its first call, and thinks.
    async fn calls(app: &TestApp) -> Self {
        let (desk, enough) = (Desk::open().await, Arc::new(Notify::new()));
        let call = calling("desk__act", r#"{"text":"hi"}"#);
        let mut again = vec![
            stream(),
            Piece::Until(b": it thinks\n\n".to_vec(), enough.clone()),
        ];
        again.extend(call.clone().split_off(1));
        let stub = StubProvider::start(vec![call, again, finishes("DECLINED")]).await;
        let app = look::with_settings(app, |settings| {
            desk.allow(settings);
            settings.worker.providers = vec![provider("local", Kind::OpenAi, &stub)];
        })
        .await;
        app.mutate(
            "secretSet",
            json!({ "name": "DESK", "value": "the value before" }),
            "",
        )
        .await;
        let headers = json!([{ "name": "Authorization", "value": "Bearer {{secret:DESK}}" }]);
        let input = json!({ "name": "desk", "kind": "HTTP", "headers": headers, "tools": [outside::tool("act", &desk.url("/echo"))] });
        let action = server(&app, input).await["actions"][0]["id"].take();
        let worker = Coworker::new("worker")
            .with("model", json!({ "provider": "local:m" }))
            .with("tools", enabled("desk", &["act"]))
            .publish(&app)
            .await;
        let input = json!({ "title": "Where is it?", "assigneeId": worker.id });
        app.mutate("requestCreate", input, "").await;
        stub.until(2).await;
        assert_eq!(desk.calls(), 1);
        Self {
            app,
            desk,
            enough,
            action,
            _stub: stub,
        }
    }

    /// The run goes on to its end; its log.
    async fn goes_on(&self) -> Vec<Value> {
        self.enough.notify_one();
        self.app.drain().await;
        look::sound(&self.app).await;
        let run = look::only_run(&self.app).await;
        assert_eq!(run["outcome"], "DECLINED", "{run:#}");
        look::events(&self.app, &run).await
    }
}

both_dbs! {
    /// R64: what an administrator takes away is gone for the very next call, also in the middle of a run.
    async fn an_action_that_is_disabled_between_two_calls_is_refused(app: TestApp) {
        let run = Between::calls(&app).await;
        run.app.mutate("toolActionUpdate", json!({ "id": run.action, "enabled": false }), "").await;
        let events = run.goes_on().await;
        let refused = look::data(&events, "tool.refused");
        assert_eq!((refused.len(), run.desk.calls()), (1, 1), "{events:#?}");
        assert_eq!((&refused[0]["tool"], &refused[0]["reason"]), (&json!("desk.act"), &json!("not_enabled")));
        assert!(refused[0]["message"].as_str().unwrap().contains("is disabled by an administrator"), "{refused:#?}");
        // It is not offered any more either.
        let asked = look::data(&events, "model.requested");
        let offered = |asked: &Value| look::list(asked["tools"].clone()).contains(&json!("desk.act"));
        assert_eq!([offered(asked[0]), offered(asked[2])], [true, false]);
        run.app.stop().await;
    }

    /// Whatever node changed it, and whether or not word of it came here.
    async fn a_change_that_nobody_told_of_is_seen_too(app: TestApp) {
        let run = Between::calls(&app).await;
        look::tamper(&run.app, "UPDATE tool_action SET enabled = FALSE").await;
        let events = run.goes_on().await;
        assert_eq!((look::data(&events, "tool.refused").len(), run.desk.calls()), (1, 1), "{events:#?}");
        run.app.stop().await;
    }

    async fn a_secret_that_is_rotated_between_two_calls_is_sent_by_the_next_one(app: TestApp) {
        let run = Between::calls(&app).await;
        run.app.mutate("secretSet", json!({ "name": "DESK", "value": "the value after it" }), "").await;
        let events = run.goes_on().await;
        let heard = run.desk.heard();
        assert!(heard[0].0.contains("Bearer the value before") && heard[1].0.contains("Bearer the value after it"), "{heard:?}");
        for done in &look::data(&events, "tool.completed")[..2] {
            assert_eq!(done["redacted"], json!(["DESK"]));
        }
        assert!(!format!("{events:?}").contains("the value"), "{events:#?}");
        run.app.stop().await;
    }

    /// A server says that its tools have changed, and takes its time to say how: no call goes by what it said before.
    async fn calls_that_come_while_a_definition_changes_wait_for_the_new_one(app: TestApp) {
        let folder = TempDir::new().expect("a folder");
        let app = look::with_settings(&app, |settings| rogue(settings, "swap", folder.path())).await;
        server(&app, json!({ "name": "rogue", "kind": "MCP_STDIO", "command": "rogue" })).await;
        let tools = || enabled("rogue", &["act", "look"]);
        let looks = caller(&[("rogue.look", "{}")], tools()).publish(&app).await;
        let acts = caller(&[("rogue.act", "{ text: hi }")], tools()).with("handle", "second").publish(&app).await;
        let assign = async |to: &str| app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": to }), "").await;
        assign(&looks.id).await;
        app.drain().await;
        futures_util::future::join_all((0..5).map(|_| assign(&acts.id))).await;
        app.drain().await;
        let runs = look::runs(&app).await;
        let outcomes: Vec<&Value> = runs.iter().map(|run| &run["outcome"]).collect();
        assert_eq!(outcomes[0], "REPLIED");
        assert!(outcomes[1..].iter().all(|outcome| *outcome == "BLOCKED"), "{outcomes:?}");
        for run in &runs[1..] {
            let events = look::events(&app, run).await;
            let failed = [look::data(&events, "tool.failed"), look::data(&events, "tool.refused")].concat();
            assert!(failed[0]["message"].as_str().unwrap().contains("has changed its definition"), "{failed:#?}");
        }
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(calls.lines().filter(|line| line.contains("\"act\"")).count(), 0, "nothing was sent");
        app.stop().await;
    }

    /// A run that waits for servers which never said what they offer can be stopped.
    async fn a_run_that_waits_for_a_silent_server_can_be_stopped(app: TestApp) {
        let folder = TempDir::new().expect("a folder");
        let app = look::with_settings(&app, |settings| rogue(settings, "mute", folder.path())).await;
        let made = server(&app, json!({ "name": "rogue", "kind": "MCP_STDIO", "command": "rogue" })).await;
        assert_eq!((&made["health"]["state"], &made["actions"]), (&json!("FAILING"), &json!([])));
        std::fs::write(folder.path().join("mute"), "").unwrap();
        let worker = caller(&[("rogue.act", "{ text: hi }")], enabled("rogue", &["act"])).publish(&app).await;
        let input = json!({ "title": "Where is it?", "assigneeId": worker.id });
        let request = app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
        let run = look::first_run(&app, &request).await;
        let began = Instant::now();
        app.mutate("runStop", json!({ "id": run, "reason": "Enough." }), "").await;
        app.drain().await;
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        assert_eq!(look::only_run(&app).await["failureCode"], "STOPPED");
        look::sound(&app).await;
        app.stop().await;
    }
}

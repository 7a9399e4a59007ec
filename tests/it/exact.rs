//! R47, G15: what a run shows of a call is, byte for byte, what was sent and what came back; what can't be sent as it is
//! written is not sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::model::Kind;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::binary::Stint;
use tests::provider::{Reply, StubProvider, bytes, chunk, done, finishes, stream};
use tests::{Coworker, TestApp, TestDb, both_dbs, on_both};

use crate::files::{applied, folder};
use crate::look;
use crate::model::provider;
use crate::outside::{BINARY, Desk, SPACED};
use crate::tools::{caller, enabled, rogue, server, work};

/// An answer of chat completions that makes one call, with this very text as its arguments.
pub fn calling(tool: &str, arguments: &str) -> Reply {
    let call = json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": tool, "arguments": arguments } });
    let used = json!({ "prompt_tokens": 100, "completion_tokens": 10 });
    vec![
        stream(),
        bytes(chunk(json!({ "tool_calls": [call] })) + &done("tool_calls", used)),
    ]
}

/// The calls of a run that went out, as people open them.
async fn calls(app: &TestApp, run: &Value) -> Vec<Value> {
    let query = "query ($id: ID!) { run(id: $id) { steps(first: 60, filter: { kind: { eq: TOOL_CALL } }) { nodes {
        ... on ToolCallStep { tool request response responseIsBase64 error { code message } } } } } }";
    let steps = app.gql(query, json!({ "id": run["id"] })).await["run"]["steps"]["nodes"].take();
    let outside = |step: &Value| step["tool"].as_str().is_some_and(|tool| tool.contains('.'));
    look::list(steps).into_iter().filter(outside).collect()
}

/// A declared call that takes any object.
fn open(name: &str, url: &str) -> Value {
    json!({ "name": name, "description": format!("Does {name}."), "url": url, "method": "POST", "parameters": { "type": "object" } })
}

both_dbs! {
    async fn a_call_over_http_is_shown_as_it_was_sent_and_answered(app: TestApp) {
        let desk = Desk::open().await;
        let whole = r#"{ "text" : "a \u00e9 \/ ü", "sum":1.5,"b":[ 1,  2.0 ],"a":null }"#;
        let placed = r#"{"id":"7","dry":true, "sum" : 1.5, "deep":{ "b" : 1, "a":[ ] }}"#;
        let stub = StubProvider::start(vec![calling("desk__send", whole), calling("desk__place", placed), finishes("DECLINED")]).await;
        let app = look::with_settings(&app, |settings| {
            desk.allow(settings);
            settings.worker.providers = vec![provider("local", Kind::OpenAi, &stub)];
        }).await;
        let mut place = open("place", &desk.url("/spaced?id={id}"));
        place["query"] = json!(["dry"]);
        place["parameters"] = json!({ "type": "object", "required": ["id"], "properties": { "id": { "type": "string" }, "dry": { "type": "boolean" } } });
        server(&app, json!({ "name": "desk", "kind": "HTTP", "tools": [open("send", &desk.url("/spaced")), place] })).await;
        let worker = Coworker::new("worker").with("model", json!({ "provider": "local:m" })).with("tools", enabled("desk", &["send", "place"]));
        let (run, events) = work(&app, worker).await;
        assert_eq!(run["outcome"], "DECLINED", "{events:#?}");
        let heard = desk.heard();
        assert_eq!(heard[0].1, whole, "what was sent is what was written");
        // What stands in the address or the query is not said twice; the rest is as it is written.
        assert_eq!(heard[1].1, r#"{"deep":{ "b" : 1, "a":[ ] },"sum":1.5}"#);
        assert!(heard[1].0.starts_with("POST /spaced?id=7&dry=true "), "{}", heard[1].0);
        let shown = calls(&app, &run).await;
        for (step, request) in shown.iter().zip([whole, placed]) {
            assert_eq!(step["request"], request);
            assert_eq!((&step["response"], &step["responseIsBase64"], &step["error"]), (&json!(SPACED), &json!(false), &Value::Null));
        }
        app.stop().await;
    }

    /// What a call failed with is kept too, whole; the model is told its beginning, with a mark.
    async fn the_answer_that_a_call_failed_with_is_kept_as_it_came(app: TestApp) {
        let desk = Desk::open().await;
        let app = look::with_settings(&app, |settings| desk.allow(settings)).await;
        let names = ["verbose", "nonsense", "binary", "drop"];
        let tools: Vec<Value> = names.iter().map(|name| open(name, &desk.url(&format!("/{name}")))).collect();
        server(&app, json!({ "name": "desk", "kind": "HTTP", "tools": tools })).await;
        let made: Vec<String> = names.iter().map(|name| format!("desk.{name}")).collect();
        let made: Vec<(&str, &str)> = made.iter().map(|name| (name.as_str(), "{}")).collect();
        let (run, events) = work(&app, caller(&made, enabled("desk", &names))).await;
        let shown = calls(&app, &run).await;
        let error = |i: usize| (shown[i]["error"]["code"].as_str().unwrap(), shown[i]["error"]["message"].as_str().unwrap());
        assert_eq!((&shown[0]["response"], &shown[0]["responseIsBase64"], error(0).0), (&json!("é".repeat(5_000)), &json!(false), "FAILED"), "{shown:#?}");
        assert!(error(0).1.ends_with("é\n… cut: 4096 of 10000 bytes shown"), "{}", error(0).1);
        assert_eq!((&shown[1]["response"], error(1).0), (&json!("{\"half\":"), "BAD_RESPONSE"));
        assert_eq!((&shown[2]["responseIsBase64"], error(2).0), (&json!(true), "BAD_RESPONSE"));
        assert_eq!(STANDARD.decode(shown[2]["response"].as_str().unwrap()).unwrap(), BINARY);
        assert!(error(2).1.contains("bytes that are no text"), "{}", error(2).1);
        assert_eq!((&shown[3]["response"], error(3).0), (&Value::Null, "OFFLINE"));
        let failed = look::data(&events, "tool.failed");
        assert_eq!((&failed[0]["encoding"], &failed[2]["encoding"]), (&Value::Null, &json!("base64")));
        app.stop().await;
    }

    async fn a_call_of_an_mcp_server_is_shown_as_it_was_sent_and_answered(app: TestApp) {
        let dir = TempDir::new().expect("a folder");
        let app = look::with_settings(&app, |settings| rogue(settings, "fails", dir.path())).await;
        server(&app, json!({ "name": "rogue", "kind": "MCP_STDIO", "command": "rogue" })).await;
        let arguments = "{ a: [1, 2.5, null, true], deep: { text: \"é \\\" /\" }, text: hi }";
        let (run, events) = work(&app, caller(&[("rogue.act", arguments)], enabled("rogue", &["act"]))).await;
        let asked = look::data(&events, "tool.requested")[0];
        let line = std::fs::read_to_string(dir.path().join("lines")).unwrap();
        let sent = format!("\"arguments\":{}", asked["arguments"].as_str().unwrap());
        assert!(line.contains(&sent), "{sent}: {line}");
        let shown = calls(&app, &run).await;
        assert_eq!(shown[0]["request"], asked["arguments"]);
        assert_eq!(shown[0]["response"], r#"{"content":[{"type":"text","text":"There is no such ticket."}],"isError":true}"#);
        assert_eq!(shown[0]["error"], json!({ "code": "FAILED", "message": "rogue.act failed: There is no such ticket." }));
        app.stop().await;
    }

    /// However many calls of one server wait: each response is its own, and as it came.
    async fn a_burst_of_answers_is_kept_byte_for_byte(app: TestApp) {
        let dir = TempDir::new().expect("a folder");
        let app = look::with_settings(&app, |settings| rogue(settings, "burst", dir.path())).await;
        server(&app, json!({ "name": "rogue", "kind": "MCP_STDIO", "command": "rogue" })).await;
        let worker = caller(&[("rogue.act", "{ text: \"n {request.number}\" }")], enabled("rogue", &["act"])).publish(&app).await;
        let made = (0..40).map(|_| app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), ""));
        futures_util::future::join_all(made).await;
        app.drain().await;
        let runs = look::runs(&app).await;
        assert_eq!(runs.len(), 40);
        for run in &runs {
            let events = look::events(&app, run).await;
            let exact = format!(r#"{{ "content" : [ {{"type":"text","text":"n {} 1.0"}} ] }}"#, run["request"]["number"]);
            assert_eq!(look::data(&events, "tool.completed")[0]["response"], exact, "{run:#}");
        }
        app.stop().await;
    }

    /// Of two values under one key only the last would be sent, and of some numbers another one: nobody is asked to approve
    /// that, and the model is told what to write instead.
    async fn arguments_that_would_be_sent_otherwise_are_refused(app: TestApp) {
        let desk = Desk::open().await;
        let app = look::with_settings(&app, |settings| desk.allow(settings)).await;
        server(&app, json!({ "name": "desk", "kind": "HTTP", "tools": [open("pay", &desk.url("/echo"))] })).await;
        let made = [
            ("desk.pay", r#"'{"to":"me","sum":1,"to":"you"}'"#),
            ("desk.pay", r#"'{"to":"me","sum":1.50}'"#),
            ("desk.pay", r#"'{"to":12345678901234567890123}'"#),
        ];
        let tools = json!([{ "server": "desk", "actions": [{ "name": "pay", "approval": "ALWAYS" }] }]);
        let (run, events) = work(&app, caller(&made, tools)).await;
        let refused = look::data(&events, "tool.refused");
        assert_eq!((refused.len(), desk.calls()), (3, 0), "{events:#?}");
        for (refused, told) in refused.iter().zip(["the key \"to\" twice in one object", "the number 1.50 would be sent as 1.5;", "would be sent as 1.2345678901234568e"]) {
            assert_eq!(refused["reason"], "bad_arguments");
            assert!(refused["message"].as_str().unwrap().contains(told), "{refused:#}");
        }
        assert_eq!(look::data(&events, "approval.requested"), Vec::<&Value>::new());
        assert_eq!(run["outcome"], "BLOCKED");
        app.stop().await;
    }

    /// R72: of a call that nobody knows the end of, the model is told that it may have happened, and that a second one is not
    /// the first. One that never went out, or may be repeated, is no riddle.
    async fn a_call_in_doubt_is_told_as_one(app: TestApp) {
        let desk = Desk::open().await;
        let app = look::with_settings(&app, |settings| {
            desk.allow(settings);
            settings.tools.exceptions.push(domain::tool::Exception::parse("127.0.0.1:9").unwrap());
            settings.worker.tool_timeout = std::time::Duration::from_secs(2);
        }).await;
        let mut read = open("read", &desk.url("/hang"));
        read["effect"] = json!("READ");
        let tools = [
            (open("hang", &desk.url("/hang")), true), (open("drop", &desk.url("/drop")), true), (open("broken", &desk.url("/broken")), true),
            (open("binary", &desk.url("/binary")), true), (read, false), (open("refused", "http://127.0.0.1:9/"), false), (open("missing", &desk.url("/missing")), false),
        ];
        let declared: Vec<Value> = tools.iter().map(|(tool, _)| tool.clone()).collect();
        server(&app, json!({ "name": "desk", "kind": "HTTP", "tools": declared })).await;
        let names: Vec<&str> = tools.iter().map(|(tool, _)| tool["name"].as_str().unwrap()).collect();
        let made: Vec<String> = names.iter().map(|name| format!("desk.{name}")).collect();
        let made: Vec<(&str, &str)> = made.iter().map(|name| (name.as_str(), "{}")).collect();
        let (_, events) = work(&app, caller(&made, enabled("desk", &names))).await;
        let failed = look::data(&events, "tool.failed");
        assert_eq!(failed.len(), tools.len(), "{events:#?}");
        for (failed, (tool, in_doubt)) in failed.iter().zip(&tools) {
            let told = failed["message"].as_str().unwrap().contains("It may have had its effect all the same, and a second call would be a new one");
            assert_eq!(told, *in_doubt, "{}: {failed:#}", tool["name"]);
        }
        app.stop().await;
    }
}

/// A tool server whose answers are bounded by its file.
fn bounded(desk: &Desk) -> String {
    let tool = |name: &str, most: usize| {
        format!(
            "    - {{ name: {name}, description: Reads., method: POST, url: '{}', maxResponseBytes: {most} }}\n",
            desk.url("/long")
        )
    };
    format!(
        "kind: tool-server\nname: desk\nreach:\n  type: HTTP\n  tools:\n{}{}",
        tool("fits", 100_000),
        tool("exceeds", 99_999)
    )
}

on_both! {
    /// G13: what a file says that a tool may answer is the most that is read of it.
    async fn the_most_that_a_declared_tool_may_answer_is_kept(backend: Backend) {
        let desk = Desk::open().await;
        let db = TestDb::new(backend).await;
        let server = Stint::serve(db.url(), &["--allow-private-host", &desk.host()]);
        let client = server.client();
        let dir = folder(&[("desk.yaml", &bounded(&desk))]);
        applied(&db, dir.path());
        let worker = caller(&[("desk.fits", "{}"), ("desk.exceeds", "{}")], enabled("desk", &["fits", "exceeds"])).publish(&client).await;
        let input = json!({ "title": "Where is it?", "assigneeId": worker.id });
        let request = client.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
        let run = json!({ "id": look::first_run(&client, &request).await });
        let log = "subscription ($id: ID!) { runEvents(runId: $id) { type } }";
        client.subscribe(log, run.clone()).await.all().await;
        let events = look::events(&client, &run).await;
        assert_eq!(look::data(&events, "tool.completed")[0]["response"].as_str().unwrap().len(), 100_000);
        let failed = look::data(&events, "tool.failed")[0];
        assert_eq!((&failed["class"], &failed["response"]), (&json!("bad_response"), &Value::Null));
        assert!(failed["message"].as_str().unwrap().contains("answered more than 99999 bytes, which is what it may answer"), "{failed:#}");
    }
}

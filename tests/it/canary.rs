//! Planted secrets are in no sink: every column of every table, the database's files, what the server writes at its
//! most talkative, all that it answers, what it exports, what its models read, what it tells a collector of traces and
//! whoever asks for its figures. A value that is no secret is planted beside them and must be found in each of these places,
//! but for traces and figures, which have no word that people wrote: the search finds what is there.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::binary::{self, Stint};
use tests::provider::{Piece, StubProvider, bytes, calls, chunk, finishes, http, stream};
use tests::{Backend, Client, Coworker, TestDb, on_both};
use tokio::sync::Notify;

use crate::look;
use crate::outside::{self, Desk};
use crate::receiver::{Endpoint, until_taken};
use crate::sinks::{Sink, database, files_in, forms, found};

/// What is no secret.
const CONTROL: &str = "control/plain+5e1d=77aa";
/// The key of a provider of models.
const MODEL: &str = "canary/model+7d1f=0a9b";
/// What a header of a declared call holds.
const TOOL: &str = "canary/tool+3f9a=61d0";
/// A variable of a program that speaks MCP.
const PROGRAM: &str = "canary/program+c52e=88b1";
/// What an outside system signs with.
const HOOK: &str = "canary/hook+19c7=d3e4";

/// The key that alerts are signed with.
const ALERT: &str = "canary/alert+5b6e=27f0/of-32";

/// All that was answered, in the words that came.
struct Witness {
    client: Client,
    heard: Vec<Sink>,
}

impl Witness {
    async fn ask(&mut self, query: &str, variables: Value) -> Value {
        let answer = self.client.post(query, variables).await.body;
        let name = format!(
            "the answer to {}",
            query.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        self.heard.push((name, answer.to_string().into_bytes()));
        answer
    }

    /// A mutation that must succeed.
    async fn change(
        &mut self,
        mutation: &str,
        input: &str,
        variables: Value,
        selection: &str,
    ) -> Value {
        let query = format!(
            "mutation ($input: {input}!) {{ {mutation}(input: $input) {{ {selection} userErrors {{ code message }} }} }}"
        );
        let mut answer = self.ask(&query, json!({ "input": variables })).await;
        assert_eq!(
            answer["data"][mutation]["userErrors"],
            json!([]),
            "{mutation}: {answer:#}"
        );
        answer["data"][mutation].take()
    }

    /// A request for this coworker, until its run has ended. The model writes on once somebody watches it, if it waits for that.
    async fn work(&mut self, coworker: &str, title: &str, watched: Option<&Notify>) {
        let input = json!({ "title": title, "description": CONTROL, "assigneeId": coworker });
        let made = self
            .change(
                "requestCreate",
                "RequestCreateInput",
                input,
                "request { id description }",
            )
            .await;
        let run = look::first_run(&self.client, &made["request"]["id"]).await;
        if let Some(watched) = watched {
            let query = "subscription ($id: ID!) { runDeltas(runId: $id) { kind tool text gap } }";
            let mut live = self.client.subscribe(query, json!({ "id": run })).await;
            let mut seen = vec![live.next().await];
            watched.notify_one();
            seen.extend(live.all().await);
            let text = |kind: &str| -> String {
                let of = seen
                    .iter()
                    .map(|item| &item["runDeltas"])
                    .filter(|delta| delta["kind"] == kind);
                of.filter_map(|delta| delta["text"].as_str()).collect()
            };
            // As a watcher puts the pieces together.
            for kind in ["THINKING", "TEXT", "TOOL_CALL"] {
                self.heard
                    .push((format!("the runDeltas of {kind}"), text(kind).into_bytes()));
            }
            self.heard.push((
                format!("the stream of {query}"),
                format!("{seen:?}").into_bytes(),
            ));
        }
        for query in [
            "subscription ($id: ID!) { runEvents(runId: $id) { raw } }",
            "subscription ($id: ID!) { runSteps(runId: $id) { step { title ... on ToolCallStep { request response error { message } } ... on ThinkingStep { events { raw } } } } }",
        ] {
            let live = self
                .client
                .subscribe(query, json!({ "id": run }))
                .await
                .all()
                .await;
            self.heard.push((
                format!("the stream of {query}"),
                format!("{live:?}").into_bytes(),
            ));
        }
    }
}

on_both! {
    async fn planted_secrets_are_found_in_no_sink(backend: Backend) {
        let desk = Desk::open().await;
        let note = json!({ "text": "{{secret:DESK}} {{ secret:DESK }} $STINT_OPENAI_API_KEY" });
        let mut told = calls(&[("desk__find", note.clone()), ("desk__forms", note), ("rogue__act", json!({ "text": "hi" }))], Value::Null);
        told.insert(1, bytes(chunk(json!({ "reasoning_content": format!("I was sent {MODEL}."), "content": format!("You sent {MODEL}.") }))));
        // In every form, each in two pieces; and as the word for a service tier.
        for form in forms(MODEL) {
            let (one, two) = form.split_at(form.len() / 2);
            let pieces = [format!("{CONTROL} {one}"), format!("{two} ")].map(|text| chunk(json!({ "reasoning_content": text, "content": text })));
            told.insert(2, bytes(pieces.concat()));
        }
        let tier = json!({ "id": "c", "choices": [], "service_tier": format!("{MODEL}{}", "x".repeat(500)) });
        told.insert(2, bytes(format!("data: {tier}\n\n")));
        let watched = Arc::new(Notify::new());
        told.insert(1, Piece::Until(chunk(json!({ "reasoning_content": "hm " })).into(), watched.clone()));
        // It lies across the place where what a provider says is cut.
        let long = "y".repeat(555);
        let refused = json!({ "error": { "message": format!("{long} {MODEL} is no key, nor is {MODEL}") } }).to_string();
        let stub = StubProvider::start(vec![vec![stream(), bytes(chunk(json!({ "content": "cut" })))], told, finishes("REPLIED"), http("401 Unauthorized", &[], &refused)]).await;

        let folder = tempfile::tempdir().unwrap();
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp/rogue.mjs");
        let config = folder.path().join("stint.toml");
        let command = json!(["node", script, "leak", folder.path()]);
        let set = json!([format!("ROGUE_TOKEN={PROGRAM}")]);
        // What is called plain may be seen: it shows that the search finds.
        let plain = json!([format!("HOME2={CONTROL}")]);
        let babble = json!(["node", script, "babble", folder.path()]);
        std::fs::write(&config, format!("[mcp.rogue]\ncommand = {command}\nenv_set = {set}\nenv_plain = {plain}\n[mcp.babble]\ncommand = {babble}\nenv_set = {set}\nenv_plain = {plain}\n")).unwrap();
        let db = TestDb::new(backend).await;
        let (config, host, base) = (config.to_string_lossy().into_owned(), desk.url("").split_off("http://".len()), stub.url());
        let collector = StubProvider::start(vec![http("200 OK", &[], "")]).await;
        let traces = collector.url().trim_end_matches("/v1").to_owned();
        let args = ["serve", "--database-url", db.url(), "--listen", "127.0.0.1:0", "--log", "trace", "--config", &config, "--allow-private-host", &host, "--otlp-endpoint", &traces];
        let vault = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let env = [("STINT_OPENAI_API_KEY", MODEL), ("STINT_OPENAI_BASE_URL", base.as_str()), ("STINT_SECRET_KEY", vault)];
        let mut server = Stint::start_with(&args, &env);
        let mut witness = Witness { client: server.client(), heard: Vec::new() };

        witness.change("secretSet", "SecretSetInput", json!({ "name": "DESK", "value": TOOL }), "secret { name }").await;
        let headers = json!([{ "name": "Authorization", "value": "Bearer {{secret:DESK}}" }]);
        let tools = [outside::tool("find", &desk.url("/echo/find")), outside::tool("forms", &desk.url("/forms"))];
        let input = json!({ "name": "desk", "kind": "HTTP", "headers": headers, "tools": tools });
        witness.change("toolServerCreate", "ToolServerCreateInput", input, "toolServer { id }").await;
        let input = json!({ "name": "rogue", "kind": "MCP_STDIO", "command": "rogue" });
        let made = witness.change("toolServerCreate", "ToolServerCreateInput", input, "toolServer { id health { state error } }").await;
        assert_eq!(made["toolServer"]["health"]["state"], "OK", "{made:#}");
        // A program that does not start: its last words are cut, and begin and end within its token.
        let input = json!({ "name": "babble", "kind": "MCP_STDIO", "command": "babble" });
        let made = witness.change("toolServerCreate", "ToolServerCreateInput", input, "toolServer { id health { state error } }").await;
        let error = made["toolServer"]["health"]["error"].as_str().unwrap_or_default();
        assert!(error.contains(CONTROL) && !error.contains(&PROGRAM[..10]) && !error.contains(&PROGRAM[PROGRAM.len() - 10..]), "{made:#}");
        let input = json!({ "name": "PagerDuty", "kind": "PAGERDUTY" });
        let made = witness.change("webhookEndpointCreate", "WebhookEndpointCreateInput", input, "webhookEndpoint { id }").await;
        let input = json!({ "id": made["webhookEndpoint"]["id"], "secret": HOOK });
        witness.change("webhookEndpointSecretRotate", "WebhookEndpointSecretRotateInput", input, "webhookEndpoint { id secrets { createdAt } }").await;

        let secret = format!("whsec_{}", STANDARD.encode(ALERT));
        let input = json!({ "name": "Desk", "url": desk.url("/echo/alerts"), "kinds": ["RUN_ENDED"], "secret": secret });
        let made = witness.change("alertEndpointCreate", "AlertEndpointCreateInput", input, "alertEndpoint { id url } secret").await;
        let told = made["alertEndpoint"]["id"].clone();

        let actions = |server: &str, names: &[&str]| json!({ "server": server, "actions": names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() });
        let worker = Coworker::new("worker").with("model", json!({ "provider": "openai:m" })).with("soul", CONTROL)
            .with("tools", json!([actions("desk", &["find", "forms"]), actions("rogue", &["act"])])).publish(&witness.client).await;
        // It works; then its provider refuses its key.
        witness.work(&worker.id, "Where is it?", Some(&watched)).await;
        witness.work(&worker.id, "And where is that?", None).await;
        let told = Endpoint { id: told, secret: String::new() };
        until_taken(&witness.client, &told, 2).await;
        for (query, variables) in [
            ("{ alertEndpoints { nodes { name url secrets { createdAt } deliveries(first: 5) { nodes { raw attempts { status response error } } } } } }", json!({})),
            ("{ runs(first: 5) { nodes { number outcome failureCode summary reason raw request { description notes(first: 9) { nodes { body } } } } } }", json!({})),
            ("{ coworkers(first: 5) { nodes { name soul } } toolServers { nodes { name health { state error } actions { name description } } } }", json!({})),
            ("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": TOOL })),
            ("{ runs(first: 5, after: \"nonsense\") { nodes { id } } nonsense }", json!({})),
        ] {
            witness.ask(query, variables).await;
        }
        let forgery = witness.client.request("/hooks/in_nonsense").body("{}");
        let forgery = witness.client.send(forgery).await.body.to_string();
        assert!(desk.calls() >= 2, "the tools were called");
        for path in ["/metrics", "/export/metrics.csv?end=PT1M", "/export/runs.json?end=PT1M", "/export/calls.parquet?end=PT1M"] {
            let asked = reqwest::Client::new().get(witness.client.url(path)).bearer_auth(witness.client.key().unwrap());
            let answer = asked.send().await.unwrap().error_for_status().unwrap();
            let bytes = answer.bytes().await.unwrap().to_vec();
            assert!(found(&bytes, &["openai:m".to_owned()]).is_some(), "{path} says nothing: {}", String::from_utf8_lossy(&bytes));
            witness.heard.push((path.to_owned(), bytes));
        }
        let sent = stub.asked();
        assert!(sent.iter().all(|asked| asked.head.contains(MODEL)), "the key was sent, in its header");

        let mut sinks = std::mem::take(&mut witness.heard);
        sinks.push(("the answer to a forged delivery".into(), forgery.into_bytes()));
        // Before the end moves what stands in the log of the database's writes, and behind it.
        sinks.extend(database(&db).await);
        for number in ["1", "2"] {
            let export = binary::run(&["run", "export", number, "--database-url", db.url()]);
            assert!(export.status.success(), "{}", export.stderr);
            sinks.push((format!("the export of run {number}"), export.stdout.into_bytes()));
        }
        let files = folder.path().join("export");
        let export = binary::run(&["export", "-o", &files.to_string_lossy(), "--database-url", db.url()]);
        assert!(export.status.success(), "{}", export.stderr);
        sinks.extend(files_in(&files).into_iter().map(|(name, bytes)| (format!("the exported {name}"), bytes)));
        server.terminate();
        server.wait();
        sinks.extend(database(&db).await);
        sinks.push(("what the model read".into(), sent.iter().flat_map(|asked| asked.text.bytes()).collect()));
        let traced: Vec<u8> = collector.asked().into_iter().flat_map(|asked| asked.bytes).collect();
        for span in ["execute_tool desk.find", "chat m", "invoke_agent worker"] {
            assert!(found(&traced, &[span.to_owned()]).is_some(), "no {span} was traced");
        }
        sinks.push(("the traces".into(), traced));
        sinks.push(("the log".into(), server.stderr().into_bytes()));
        sinks.push(("the output".into(), server.stdout().into_bytes()));

        for (what, secret) in [("the provider's key", MODEL), ("the tool's secret", TOOL), ("the program's token", PROGRAM), ("the sender's secret", HOOK), ("the key of alerts", ALERT)] {
            let forms = forms(secret);
            for (name, bytes) in &sinks {
                // What was asked with it says it, where somebody took a secret for an id.
                let told = name.starts_with("the answer to query ($id: ID!)");
                if let Some(form) = found(bytes, &forms).filter(|_| !told) {
                    let text = String::from_utf8_lossy(bytes);
                    let at = text.find(form.as_str()).unwrap_or_default();
                    let from = text.floor_char_boundary(at.saturating_sub(300));
                    let to = text.ceil_char_boundary(at + 300);
                    panic!("{what} is in {name}: {}", &text[from..to]);
                }
            }
        }
        let forms = forms(CONTROL);
        let holds = |part: &str| sinks.iter().any(|(name, bytes)| name.contains(part) && found(bytes, &forms).is_some());
        let mut places = vec![
            "requestCreate", "{ runs", "{ coworkers", "runEvents", "runSteps", "the export of run 1", "the export of run 2", "the exported", "what the model read", "the log",
            "the runDeltas of TEXT", "the runDeltas of THINKING", "the table request", "the table prompt_part", "the table coworker_version", "the table run_event",
        ];
        if backend == Backend::Sqlite {
            places.push("stint.db");
        }
        for place in places {
            assert!(holds(place), "the search does not find what is in {place}");
        }
        println!("{} sinks searched for 5 secrets in {} forms each", sinks.len(), forms.len());
    }
}

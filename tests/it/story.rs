//! The slow-network story (R17–R23): four runs of three coworkers on one request, with the demo's own coworkers.

use domain::model::ModelConfig;
use entity::Role;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::{Client, TestApp, both_dbs};

use crate::look;

/// The model of a coworker's file.
#[derive(Deserialize)]
struct Modelled {
    model: ModelConfig,
}

/// The demo's coworkers, without the delays that make the demo readable.
pub async fn install(app: &Client) {
    // All are made before the first is published: they route to each other.
    let mut all = Vec::new();
    for text in [
        include_str!("../../api/src/demo/coworkers/triage.yaml"),
        include_str!("../../api/src/demo/coworkers/hardware-specialist.yaml"),
        include_str!("../../api/src/demo/coworkers/aws-engineer.yaml"),
        include_str!("../../api/src/demo/coworkers/access-manager.yaml"),
    ] {
        let mut input: Value = serde_saphyr::from_str(&hurried(text)).expect("YAML");
        // A file holds its playbook as a mapping, the mutation takes a text.
        let read: Modelled = serde_saphyr::from_str(&hurried(text)).expect("YAML");
        input["model"]["playbook"] = json!(read.model.playbook);
        // Which kind of file it is, the mutation knows.
        let _ = input.as_object_mut().expect("a mapping").remove("kind");
        let limits = &mut input["limits"];
        if let Some(ms) = limits["maxDurationMs"].as_i64() {
            limits["maxDuration"] = json!(format!("PT{}S", ms / 1000));
        }
        // A limit of money needs a price, and only some of the tests set one.
        let limits = limits.as_object_mut().expect("limits");
        limits.retain(|key, _| !matches!(key.as_str(), "maxDurationMs" | "maxCostNano"));
        let made = app.mutate("coworkerCreate", input, "coworker { id }").await;
        all.push(made["coworker"]["id"].clone());
    }
    for id in all {
        app.mutate("coworkerPublish", json!({ "id": id }), "").await;
    }
}

fn hurried(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("delay: ") {
        Some((before, _)) => format!("{before}delay: 0ms\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// Plays the story: `requester` reports a slow network, and nobody does anything else.
async fn play(app: &TestApp, requester: &Client) -> Value {
    install(app).await;
    let title = "The network on my laptop is very slow since this morning";
    let description = "The ERP takes minutes to load.";
    let input = json!({ "title": title, "description": description });
    let made = requester
        .mutate("requestCreate", input, "request { id number }")
        .await;
    app.drain().await;
    made["request"]["id"].clone()
}

/// An amount of money, nano-USD.
fn nano(amount: &Value) -> i64 {
    let text = amount.as_str().expect("an amount");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<9}");
    let number = |text: &str| text.parse::<i64>().expect("digits");
    number(whole) * 1_000_000_000 + number(&part)
}

both_dbs! {
    /// R02, R17–R23: one request, and nobody starts anything after it.
    async fn a_slow_network_takes_four_runs_of_three_coworkers(app: TestApp) {
        let request = play(&app, &app).await;
        let runs = look::runs(&app).await;
        let told: Vec<_> = runs
            .iter()
            .map(|run| {
                let text = |field: &str| run[field].as_str().unwrap_or("none").to_owned();
                (
                    run["number"].as_i64().expect("a number"),
                    run["coworker"]["handle"].as_str().expect("a handle").to_owned(),
                    text("trigger"),
                    text("status"),
                    text("outcome"),
                )
            })
            .collect();
        let told: Vec<_> = told.iter().map(|(n, c, t, s, o)| (*n, c.as_str(), t.as_str(), s.as_str(), o.as_str())).collect();
        assert_eq!(
            told,
            [
                (1, "triage", "INTAKE", "COMPLETED", "HANDED_OFF"),
                (2, "hardware-specialist", "ROUTED", "COMPLETED", "HANDED_OFF"),
                (3, "aws-engineer", "HANDOFF", "COMPLETED", "HANDED_OFF"),
                (4, "hardware-specialist", "HANDOFF", "COMPLETED", "RESOLVED"),
            ],
            "{runs:#?}"
        );
        assert_eq!(runs[3]["identifier"], "Run-4");
        assert_eq!(runs[3]["endOfRunRule"], "The user's problem is verified as solved");
        let request = look::request(&app, &request).await;
        assert_eq!((&request["status"], &request["needsPerson"]), (&json!("RESOLVED"), &json!(false)));
        assert_eq!(request["assignee"]["displayName"], "Hardware Specialist");
        assert_eq!(request["waiting"], json!([]));
        look::sound(&app).await;
    }

    async fn the_timeline_tells_the_story_in_order(app: TestApp) {
        let request = play(&app, &app).await;
        assert_eq!(
            look::timeline(&app, &request).await,
            [
                "RequestCreated",
                "Assigned Triage",
                "RunStarted Run-1",
                "NotePosted PRIVATE",
                "Assigned Hardware Specialist",
                "RunEnded Run-1",
                "RunStarted Run-2",
                "StatusChanged OPEN IN_PROGRESS",
                "NotePosted PRIVATE",
                "Assigned AWS Engineer",
                "RunEnded Run-2",
                "RunStarted Run-3",
                "NotePosted PRIVATE",
                "Assigned Hardware Specialist",
                "RunEnded Run-3",
                "RunStarted Run-4",
                "NotePosted PUBLIC",
                "StatusChanged IN_PROGRESS RESOLVED",
                "RunEnded Run-4",
            ]
        );
        let query = "query ($id: ID!) { request(id: $id) { timeline(first: 60) { nodes {
            ... on TimelineEntry { sequence actor { kind displayName } run { number } } } } } }";
        let data = app.gql(query, json!({ "id": request })).await;
        let entries = look::list(data["request"]["timeline"]["nodes"].clone());
        for (i, entry) in entries.iter().enumerate() {
            assert_eq!(entry["sequence"], i + 1);
        }
        // R28–R30: the line names who ran and leads to the run.
        let run = |number: i64, name: &str| json!({ "sequence": 0, "actor": { "kind": "COWORKER", "displayName": name }, "run": { "number": number } });
        for (at, number, name) in [(2, 1, "Triage"), (10, 2, "Hardware Specialist"), (16, 4, "Hardware Specialist"), (18, 4, "Hardware Specialist")] {
            let mut entry = entries[at].clone();
            entry["sequence"] = json!(0);
            assert_eq!(entry, run(number, name), "entry {}", at + 1);
        }
    }

    async fn the_requester_reads_the_good_news_and_nothing_private(app: TestApp) {
        let requester = app.as_role(Role::Requester).await;
        let request = play(&app, &requester).await;
        let seen = look::request(&app, &request).await;
        assert_eq!(look::notes(&seen, "PRIVATE").len(), 3);
        assert_eq!(look::notes(&seen, "PUBLIC").len(), 1);
        assert!(look::notes(&seen, "PUBLIC")[0].contains("back to normal"), "{seen:#}");

        let query = "query ($id: ID!) { request(id: $id) { status
            notes(first: 10) { nodes { visibility run { id } } totalCount }
            timeline(first: 60) { nodes { __typename ... on TimelineEntry { run { id } } ... on NotePosted { note { visibility } } ... on Assigned { assignment { reason run { id } } } } }
            runs(first: 10) { nodes { id } totalCount }
            assignments(first: 10) { nodes { reason run { id } } } } }";
        let seen = requester.gql(query, json!({ "id": request })).await["request"].take();
        assert_eq!(seen["status"], "RESOLVED");
        assert_eq!(seen["notes"], json!({ "nodes": [{ "visibility": "PUBLIC", "run": null }], "totalCount": 1 }));
        assert_eq!(seen["runs"], json!({ "nodes": [], "totalCount": 0 }));
        let text = seen.to_string();
        assert!(!text.contains("PRIVATE") && !text.contains("run_"), "{seen:#}");
        let assignments = look::list(seen["assignments"]["nodes"].clone());
        assert!(assignments.iter().all(|assignment| assignment["reason"].is_null()), "{assignments:?}");
        for run in look::runs(&app).await {
            assert_eq!(requester.gql_code("query ($id: ID!) { run(id: $id) { id } }", json!({ "id": run["id"] })).await, "NOT_FOUND");
            assert_eq!(requester.gql_code("query ($id: ID!) { node(id: $id) { id } }", json!({ "id": run["id"] })).await, "NOT_FOUND");
        }
    }

    /// R39–R41.
    async fn each_coworker_writes_its_own_summary_before_its_end(app: TestApp) {
        play(&app, &app).await;
        for run in look::runs(&app).await {
            assert_eq!(run["summaryAuthor"], "COWORKER");
            let events = look::events(&app, &run).await;
            let types = look::types(&events);
            assert_eq!(types.first(), Some(&"run.started"));
            assert_eq!(types[types.len() - 2..], ["summary.written", "run.completed"]);
            let written = look::data(&events, "summary.written")[0];
            assert_eq!((&written["text"], &written["author"]), (&run["summary"], &json!("COWORKER")));
            assert_eq!(look::data(&events, "run.completed")[0]["outcome"], run["outcome"]);
        }
    }

    async fn the_second_run_of_a_coworker_reads_what_was_added_in_between(app: TestApp) {
        play(&app, &app).await;
        let runs = look::runs(&app).await;
        // R14: what the model was given is kept with the run: the request, its notes, earlier outcomes.
        let events = look::events(&app, &runs[3]).await;
        let asked = look::data(&events, "model.requested")[0];
        let digest = asked["prompt"].as_array().expect("parts").iter().find(|part| part["kind"] == "request").expect("the request");
        let hex = digest["digest"].as_str().expect("a digest");
        let read = match app.db().backend() {
            tests::Backend::Sqlite => format!("SELECT COUNT(*) AS n FROM prompt_part WHERE digest = x'{hex}' AND body LIKE '%CHG-1187%' AND body LIKE '%HANDED_OFF%'"),
            tests::Backend::Postgres => format!("SELECT COUNT(*) AS n FROM prompt_part WHERE digest = '\\x{hex}' AND body LIKE '%CHG-1187%' AND body LIKE '%HANDED_OFF%'"),
        };
        assert_eq!(look::number(&app, &read).await, 1);
        // Two runs of one version share their stable prefix.
        let second = look::events(&app, &runs[1]).await;
        let prefix = |asked: &Value| asked["prompt"][0].clone();
        assert_eq!(prefix(asked), prefix(look::data(&second, "model.requested")[0]));
    }

    /// R20: what the colleague found out stands in its note alone, and that is what the AWS Engineer goes by.
    async fn the_aws_engineer_goes_by_the_note_of_its_colleague(app: TestApp) {
        install(&app).await;
        let aws = app.gql("{ coworker(handle: \"aws-engineer\") { id } }", json!({})).await["coworker"]["id"].take();
        let me = app.gql("{ viewer { actor { id } } }", json!({})).await["viewer"]["actor"]["id"].take();
        let note = "The device is fine; 387 ms arise at tgw-0b7e41.";
        for (title, told) in [("The network is slow", false), ("The gateway is slow", false), ("It is slow", true)] {
            let input = json!({ "title": title, "assigneeId": me });
            let request = app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
            let before = look::runs(&app).await.len();
            if told {
                app.mutate("noteCreate", json!({ "requestId": request, "body": note, "visibility": "PRIVATE" }), "").await;
            }
            app.mutate("requestAssign", json!({ "id": request, "assigneeId": aws }), "").await;
            app.drain().await;
            let run = &look::runs(&app).await[before];
            assert_eq!(run["coworker"]["handle"], "aws-engineer");
            let log = look::events(&app, run).await;
            let called: Vec<_> = look::data(&log, "tool.requested").iter().map(|call| call["tool"].as_str().expect("a tool")).collect();
            assert_eq!(called.contains(&"aws.describe_gateway"), told, "{title}: {called:?}");
        }
    }

    /// R38: summary, steps, events.
    async fn the_three_views_of_a_run_agree(app: TestApp) {
        play(&app, &app).await;
        let query = "query ($id: ID!) { run(id: $id) {
            number raw lastSequence turnCount toolCallCount stepCount
            usage { inputTokens outputTokens cachedTokens reasoningTokens cacheWriteTokens }
            cost { amount priced unpricedCalls unknownCalls }
            steps(first: 60) { nodes { index kind endedAt } totalCount }
            previousRun { number } nextRun { number } } }";
        let runs = look::runs(&app).await;
        for run in &runs {
            let seen = app.gql(query, json!({ "id": run["id"] })).await["run"].take();
            let events = look::events(&app, run).await;
            let raw: Vec<Value> = seen["raw"].as_str().expect("the raw log").lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
            assert_eq!(raw, events);
            assert_eq!(seen["lastSequence"], events.len());

            let called = look::data(&events, "model.completed");
            let sum = |kinds: &[&str]| -> i64 {
                called.iter().flat_map(|call| kinds.iter().map(|kind| call["usage"][*kind].as_i64().unwrap_or(0))).sum()
            };
            assert_eq!(seen["usage"]["inputTokens"], sum(&["input", "cache_read", "cache_write_short", "cache_write_long"]));
            assert_eq!(seen["usage"]["outputTokens"], sum(&["output"]));
            assert_eq!(seen["usage"]["cachedTokens"], sum(&["cache_read"]));
            assert_eq!(seen["usage"]["reasoningTokens"], sum(&["reasoning"]));
            assert_eq!(seen["usage"]["cacheWriteTokens"], sum(&["cache_write_short", "cache_write_long"]));
            assert!(seen["usage"]["inputTokens"].as_i64() > Some(0));
            // No price was set: unpriced, and never 0.
            let calls = called.len();
            assert_eq!(seen["cost"], json!({ "amount": null, "priced": false, "unpricedCalls": calls, "unknownCalls": 0 }));
            assert_eq!(seen["turnCount"], calls);
            let tools = events.iter().filter(|event| matches!(event["type"].as_str(), Some("tool.requested" | "tool.refused"))).count();
            assert_eq!(seen["toolCallCount"], tools);

            let steps = look::list(seen["steps"]["nodes"].clone());
            assert_eq!((&seen["stepCount"], &seen["steps"]["totalCount"]), (&json!(steps.len()), &json!(steps.len())));
            let of = |kind: &str| steps.iter().filter(|step| step["kind"] == kind).count();
            assert_eq!((of("THINKING"), of("TOOL_CALL"), of("DONE"), of("RUN_STARTED")), (calls, tools, 1, 1));
            assert!(steps.iter().all(|step| !step["endedAt"].is_null()), "{steps:?}");

            let number = run["number"].as_i64().expect("a number");
            let neighbour = |number: i64| if (1..=4).contains(&number) { json!({ "number": number }) } else { Value::Null };
            assert_eq!((&seen["previousRun"], &seen["nextRun"]), (&neighbour(number - 1), &neighbour(number + 1)));
        }
        let totals = "{ runs(first: 10) { nodes { usage { inputTokens outputTokens } toolCallCount } }
            requests { nodes { usage { inputTokens outputTokens } } }
            metrics(range: { start: \"-P7D\", end: \"2030-01-01T00:00:00Z\" }) { totals { runs completed failed toolCalls usage { inputTokens outputTokens } } } }";
        let seen = app.gql(totals, json!({})).await;
        let all = look::list(seen["runs"]["nodes"].clone());
        let sum = |place: &str| -> i64 { all.iter().map(|run| run.pointer(place).and_then(Value::as_i64).expect("a number")).sum() };
        let usage = json!({ "inputTokens": sum("/usage/inputTokens"), "outputTokens": sum("/usage/outputTokens") });
        assert_eq!(seen["requests"]["nodes"][0]["usage"], usage);
        let metrics = json!({ "runs": 4, "completed": 4, "failed": 0, "toolCalls": sum("/toolCallCount"), "usage": usage });
        assert_eq!(seen["metrics"]["totals"], metrics);
    }

    /// R47.
    async fn a_tool_call_opens_to_exactly_what_was_sent_and_received(app: TestApp) {
        play(&app, &app).await;
        let query = "query ($id: ID!) { run(id: $id) { steps(first: 60, filter: { kind: { eq: TOOL_CALL } }) { nodes {
            title events { type payload } ... on ToolCallStep { tool request response error { code } } } } } }";
        for run in look::runs(&app).await {
            let seen = app.gql(query, json!({ "id": run["id"] })).await;
            for step in look::list(seen["run"]["steps"]["nodes"].clone()) {
                let made = look::list(step["events"].clone());
                assert_eq!(made.len(), 2, "{step:#}");
                assert_eq!((&made[0]["type"], &made[1]["type"]), (&json!("tool.requested"), &json!("tool.completed")));
                assert_eq!((&step["request"], &step["tool"]), (&made[0]["payload"]["data"]["arguments"], &made[0]["payload"]["data"]["tool"]));
                assert_eq!((&step["response"], &step["error"]), (&made[1]["payload"]["data"]["response"], &Value::Null));
            }
        }
        // The exact bytes of the playbook's answer, as compact JSON with its keys in the written order.
        let filter = "query { runs(filter: { number: { eq: 1 } }) { nodes { steps(first: 1, filter: { title: { eq: \"directory.find_device\" } }) { nodes { ... on ToolCallStep { request response } } } } } }";
        let step = app.gql(filter, json!({})).await["runs"]["nodes"][0]["steps"]["nodes"][0].take();
        assert_eq!(step["request"], r#"{"request":"1"}"#);
        assert!(step["response"].as_str().expect("a response").starts_with(r#"{"device":"LT-2231","model":"ThinkPad T14 Gen 5""#), "{step}");
    }

    async fn what_a_run_cost_stays_what_it_was_when_prices_change(app: TestApp) {
        let price = |factor: i64| json!({
            "model": "scripted", "input": format!("{}", 3 * factor), "cacheRead": format!("0.{}", 3 * factor),
            "cacheWriteShort": format!("{}.75", 3 * factor), "output": format!("{}", 15 * factor),
        });
        app.mutate("modelPriceSet", price(1), "").await;
        let request = play(&app, &app).await;
        app.advance(std::time::Duration::from_secs(1)).await;
        app.mutate("modelPriceSet", price(2), "").await;
        let query = "query ($id: ID!) { run(id: $id) {
            recorded: cost { amount priced unpricedCalls lines { kind tokens unitPrice amount } } current: cost(pricing: CURRENT) { amount } } }";
        let mut sum = 0;
        for run in look::runs(&app).await {
            let seen = app.gql(query, json!({ "id": run["id"] })).await["run"].take();
            let events = look::events(&app, &run).await;
            // To the nano-dollar, call by call and line by line, each rounded half up.
            let cost = |rates: [i64; 4]| -> i64 {
                let line = |tokens: &Value, rate: i64| (tokens.as_i64().unwrap_or(0) * rate + 500_000).div_euclid(1_000_000);
                let called = look::data(&events, "model.completed");
                called.iter().map(|call| {
                    let used = &call["usage"];
                    line(&used["input"], rates[0]) + line(&used["cache_read"], rates[1])
                        + line(&used["cache_write_short"], rates[2]) + line(&used["output"], rates[3])
                }).sum()
            };
            let usd = 1_000_000_000;
            let recorded = cost([3 * usd, usd * 3 / 10, usd * 15 / 4, 15 * usd]);
            assert_eq!(nano(&seen["recorded"]["amount"]), recorded, "{seen:#}");
            assert_eq!((&seen["recorded"]["priced"], &seen["recorded"]["unpricedCalls"]), (&json!(true), &json!(0)));
            let lines: i64 = look::list(seen["recorded"]["lines"].clone()).iter().map(|line| nano(&line["amount"])).sum();
            assert_eq!(lines, recorded, "{seen:#}");
            let current = cost([6 * usd, usd * 6 / 10, usd * 27 / 4, 30 * usd]);
            assert!((nano(&seen["current"]["amount"]) - current).abs() < 10, "{seen:#}, not {current}");
            assert_eq!(look::data(&events, "run.completed")[0]["totals"]["cost_nano"], recorded);
            sum += recorded;
        }
        let query = "query ($id: ID!) { request(id: $id) { cost { amount } }
            metrics(range: { start: \"-P7D\", end: \"2030-01-01T00:00:00Z\" }) { totals { cost { amount priced } } } }";
        let seen = app.gql(query, json!({ "id": request })).await;
        assert_eq!(nano(&seen["request"]["cost"]["amount"]), sum);
        assert_eq!(nano(&seen["metrics"]["totals"]["cost"]["amount"]), sum);
        look::sound(&app).await;
    }

    /// R04, R54.
    async fn the_raw_log_is_the_same_over_http(app: TestApp) {
        play(&app, &app).await;
        let raw = app.gql("{ run(number: 3) { raw } }", json!({})).await["run"]["raw"].take();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let get = |path: &str, key: Option<&str>| {
            let get = http.get(app.url(path));
            key.map_or(get.try_clone().expect("no body"), |key| get.bearer_auth(key)).send()
        };
        let answer = get("/runs/3/raw", app.key()).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.text().await.expect("a text"), raw.as_str().expect("the log"));
        let requester = app.as_role(Role::Requester).await;
        for (path, key, status) in [
            ("/runs/3/raw", None, 401),
            ("/runs/3/raw", requester.key(), 404),
            ("/runs/99/raw", app.key(), 404),
            ("/runs/Run-3/raw", app.key(), 404),
        ] {
            let answer = get(path, key).await.expect("an answer");
            assert_eq!(answer.status().as_u16(), status, "{path}");
        }
    }
}

//! Reading one thing: what a run and a request show, and what each role sees of it.

use std::time::Duration;

use entity::Role;
use serde_json::{Value, json};
use tests::{Coworker, Item, TestApp, both_dbs};

/// A small runbook: it looks at a device, notes, sets the status, and ends.
pub const RUNBOOK: &str = r#"
tools:
  - name: device.telemetry
    description: Reads the telemetry of a device.
    effect: READ
    answers:
      - response: { latency_ms: 9 }
turns:
  - thinking: The device comes first.
    text: I look at the device.
    calls:
      - tool: device.telemetry
        arguments: { device: LT-2231 }
    usage: { input: 100, cache_read: 1000, output: 40, reasoning: 10 }
  - calls:
      - tool: post_note
        arguments: { visibility: PUBLIC, body: "All is well." }
      - tool: set_status
        arguments: { status: RESOLVED }
    usage: { input: 200, cache_read: 1000, output: 50, reasoning: 0 }
  - calls:
      - tool: finish
        arguments: { outcome: RESOLVED, reason: Fixed., summary: "It was nothing." }
    usage: { input: 300, cache_read: 1000, output: 60, reasoning: 0 }
"#;

both_dbs! {
    /// R69: failed runs can be listed, and the thinking in their steps says what went wrong, up to the turn that failed.
    async fn a_failed_run_is_found_and_its_thinking_says_why(app: TestApp) {
        let loops = "
tools: [{ name: device.look, description: Looks., effect: READ, answers: [{ response: nothing }] }]
turns:
  - { thinking: The device comes first., calls: [{ tool: device.look }] }
  - { thinking: \"It said nothing, so I look again.\", calls: [{ tool: device.look }], repeat: true }
";
        let refused = "
tools: [{ name: device.look, description: Looks., effect: READ, answers: [{ response: nothing }] }]
turns:
  - { thinking: The router comes first., calls: [{ tool: device.look }] }
  - { fault: rejected }
";
        for (handle, playbook, turns) in [("loops", loops, 3), ("sound", RUNBOOK, 9), ("refused", refused, 9)] {
            let made = Coworker::new(handle).playbook(playbook).limits(json!({ "maxTurns": turns })).publish(&app).await;
            app.mutate("requestCreate", json!({ "title": "Slow network", "assigneeId": made.id }), "").await;
            app.drain().await;
        }
        let query = "{ runs(filter: { status: { eq: FAILED } }, order: [{ number: ASC }]) { totalCount nodes { number status failureCode summary coworker { handle } \
            steps(first: 40) { nodes { kind failed ... on ThinkingStep { thinking error } ... on DoneStep { failureCode reason summary } } } } } }";
        let failed = app.gql(query, json!({})).await["runs"].take();
        assert_eq!(failed["totalCount"], 2);
        let runs = crate::look::list(failed["nodes"].clone());
        let seen: Vec<_> = runs.iter().map(|run| [&run["number"], &run["coworker"]["handle"], &run["failureCode"]].map(Value::clone)).collect();
        assert_eq!(seen, [[json!(1), json!("loops"), json!("LIMIT_TURNS")], [json!(3), json!("refused"), json!("MODEL_ERROR")]]);
        let steps = |run: &Value| crate::look::list(run["steps"]["nodes"].clone());
        let thoughts = |run: &Value| -> Vec<String> {
            steps(run).iter().filter_map(|step| step["thinking"].as_str()).filter(|text| !text.is_empty()).map(str::to_owned).collect()
        };
        let looped = thoughts(&runs[0]);
        assert_eq!(looped[..2], ["The device comes first.", "It said nothing, so I look again."]);
        assert_eq!(thoughts(&runs[1]), ["The router comes first."]);
        // The turn that the provider refused is there, and says so.
        let errors: Vec<_> = steps(&runs[1]).iter().filter(|step| step["kind"] == "THINKING" && step["error"].is_string()).cloned().collect();
        assert_eq!(errors.len(), 1, "{runs:#?}");
        for run in &runs {
            let last = steps(run).pop().expect("an end");
            assert_eq!((&last["kind"], &last["failureCode"], &last["summary"]), (&json!("DONE"), &run["failureCode"], &run["summary"]));
            assert!(last["reason"].as_str().is_some_and(|reason| reason.len() > 10), "{last:#}");
        }
    }

    async fn a_run_reads_the_same_from_all_sides(app: TestApp) {
        let price = json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" });
        app.mutate("modelPriceSet", price, "modelPrice { id }").await;
        let made = Coworker::new("hardware").playbook(RUNBOOK).publish(&app).await;
        let input = json!({ "title": "Slow network", "assigneeId": made.id });
        let request = app.mutate("requestCreate", input, "request { id }").await["request"]["id"].clone();
        app.drain().await;

        let data = app.gql("query ($id: ID!, $now: DateTimeOrDuration!) { request(id: $id) { \
            identifier status assignee { __typename id displayName kind } waiting { id } \
            usage { inputTokens outputTokens cachedTokens reasoningTokens cacheWriteTokens byComponent { kind name tokens } } cost { amount priced lines { kind tokens unitPrice amount } } \
            notes { totalCount nodes { body visibility author { displayName } run { number } } } \
            assignments { nodes { epoch assignee { displayName } assignedBy { kind } } } \
            timeline { nodes { __typename ... on TimelineEntry { sequence actor { displayName } run { number } } \
                ... on StatusChanged { before after } ... on NotePosted { note { body } } } } \
            runs(first: 2) { nodes { identifier number status outcome reason summary summaryAuthor trigger turnCount toolCallCount stepCount lastSequence \
                attempt model endedAt duration permissions { runStop } coworker { handle version { number config { identity { role } } } } coworkerVersion { number } \
                previousRun { id } nextRun { id } raw \
                usage { inputTokens } cost(pricing: CURRENT) { amount unpricedCalls unknownCalls } \
                events(last: 1) { totalCount nodes { type sequence turn attempt heading raw payload hash id } } \
                steps(first: 40) { nodes { __typename id index kind title failed startedAt endedAt events { type } \
                    ... on RunStartedStep { trigger model } \
                    ... on ThinkingStep { thinking text error } \
                    ... on ToolCallStep { tool request response error { code } duration } \
                    ... on NoteStep { note { body } } ... on DoneStep { outcome failureCode reason summary } } } } } } \
            metrics(range: { start: $now }) { totals { runs completed failed modelCalls turns toolCalls \
                usage { inputTokens } cost { amount } duration { p50 p95 } } } }",
            json!({ "id": request, "now": "-PT1H" })).await;

        let request = &data["request"];
        assert_eq!(request["assignee"]["__typename"], "Coworker");
        assert_eq!(request["notes"]["nodes"][0]["body"], "All is well.");
        let run = &request["runs"]["nodes"][0];
        assert_eq!(run["identifier"], "Run-1");
        assert_eq!((&run["status"], &run["outcome"]), (&json!("COMPLETED"), &json!("RESOLVED")), "{run:#}");
        assert_eq!(run["usage"]["inputTokens"], 3600);
        // R55–R56: the parts add up to all that was read.
        let parts = crate::look::list(request["usage"]["byComponent"].clone());
        let sum: i64 = parts.iter().filter_map(|part| part["tokens"].as_i64()).sum();
        assert_eq!(sum, 3600, "{parts:#?}");
        let kinds: Vec<_> = parts.iter().filter_map(|part| part["kind"].as_str()).collect();
        for kind in ["IDENTITY", "GOAL", "INSTRUCTIONS", "TOOL_DEFINITION", "REQUEST", "HISTORY", "TOOL_RESULTS"] {
            assert!(kinds.contains(&kind), "no {kind} in {parts:#?}");
        }
        assert!(parts.iter().any(|part| part["name"] == "post_note"), "{parts:#?}");
        // 600 × 3 + 3000 × 0.3 + 150 × 15 USD per million.
        assert_eq!(request["cost"]["amount"], "0.00495");
        assert_eq!(run["cost"]["amount"], "0.00495", "{:#} {:#}", request["cost"], data["metrics"]);
        assert_eq!(data["metrics"]["totals"]["cost"]["amount"], "0.00495");
        assert_eq!(data["metrics"]["totals"]["runs"], 1);
        assert_eq!(data["metrics"]["totals"]["modelCalls"], 3);
        let steps = run["steps"]["nodes"].as_array().expect("steps");
        let kinds: Vec<_> = steps.iter().map(|step| step["kind"].as_str().expect("a kind")).collect();
        assert_eq!((kinds.first(), kinds.last()), (Some(&"RUN_STARTED"), Some(&"DONE")), "{kinds:?}");
        let thought = steps.iter().find(|step| step["kind"] == "THINKING").expect("a thought");
        assert_eq!(thought["thinking"], "The device comes first.");
        let call = steps.iter().find(|step| step["tool"] == "device.telemetry").expect("a call");
        assert_eq!(call["response"], "{\"latency_ms\":9}");
        assert_eq!(serde_json::from_str::<Value>(call["request"].as_str().expect("a text")).expect("JSON"), json!({ "device": "LT-2231" }));
        assert_eq!(steps.last().expect("an end")["summary"], "It was nothing.");

        let last = &run["events"]["nodes"][0];
        assert_eq!(last["sequence"], run["lastSequence"]);
        assert_eq!(run["events"]["totalCount"], run["lastSequence"]);
        let raw = run["raw"].as_str().expect("the log");
        assert_eq!(raw.lines().count() as i64, run["lastSequence"].as_i64().expect("a number"));
        assert_eq!(raw.lines().last(), last["raw"].as_str());
        assert_eq!(serde_json::from_str::<Value>(last["raw"].as_str().expect("a line")).expect("JSON"), last["payload"]);

        for id in steps.iter().map(|step| &step["id"]).chain([&last["id"]]) {
            let node = app.gql("query ($id: ID!) { node(id: $id) { id __typename } }", json!({ "id": id })).await;
            assert_eq!(node["node"]["id"], *id);
        }
        let wrong = app.gql_errors("{ node(id: \"run_00000000000000000000000000000000\") { id } }", json!({})).await;
        assert_eq!(wrong[0]["extensions"]["code"], "NOT_FOUND");
        assert_eq!(app.gql_code("{ run(number: 99) { id } }", json!({})).await, "NOT_FOUND");
        assert_eq!(app.gql_code("{ run(id: \"req_00000000000000000000000000000000\") { id } }", json!({})).await, "BAD_USER_INPUT");
    }

    /// R46: headers of steps are rows of their own; what a step opens to is read from the log when it is asked for, and not
    /// before: without the log the headers are still there.
    async fn the_headers_of_steps_are_cheap_and_their_bodies_are_read_on_demand(app: TestApp) {
        let made = Coworker::new("hardware").playbook(RUNBOOK).publish(&app).await;
        app.mutate("requestCreate", json!({ "title": "Slow network", "assigneeId": made.id }), "").await;
        app.drain().await;
        let headers = "{ run(number: 1) { steps(first: 40) { totalCount nodes { id index kind title failed startedAt endedAt } } } }";
        let bodies = "{ run(number: 1) { steps(first: 40) { nodes { ... on ToolCallStep { request response } ... on ThinkingStep { thinking } } } } }";
        let before = app.gql(headers, json!({})).await;
        crate::look::tamper(&app, "ALTER TABLE run_event RENAME TO run_event_away").await;
        let without = app.gql(headers, json!({})).await;
        let errors = app.gql_errors(bodies, json!({})).await;
        crate::look::tamper(&app, "ALTER TABLE run_event_away RENAME TO run_event").await;
        assert_eq!(without, before);
        assert!(!errors.is_empty());
        let opened = app.gql(bodies, json!({})).await["run"]["steps"]["nodes"].take();
        assert!(opened.to_string().contains("The device comes first.") && opened.to_string().contains("latency_ms"), "{opened:#}");
    }

    /// R49: runs can be sorted by how many tools they called, page by page.
    async fn runs_are_sorted_by_their_tool_calls(app: TestApp) {
        let looks = |n: usize| {
            let call = "{ tool: device.telemetry, arguments: {} }";
            let calls = vec![call; n].join(", ");
            format!("tools: [{{ name: device.telemetry, description: Reads., answers: [{{ response: ok }}] }}]\n\
                     turns:\n  - calls: [{calls}]\n  - calls: [{{ tool: finish, arguments: {{ outcome: DECLINED, reason: No., summary: No. }} }}]\n")
        };
        for n in [2, 5, 1, 3] {
            let made = Coworker::new(&format!("looks-{n}")).playbook(&looks(n)).publish(&app).await;
            app.mutate("requestCreate", json!({ "title": "Slow network", "assigneeId": made.id }), "").await;
            app.drain().await;
        }
        let query = "query ($direction: OrderDirection!, $after: String) { runs(first: 3, after: $after, order: [{ toolCallCount: $direction }]) {
            nodes { toolCallCount } pageInfo { hasNextPage endCursor } } }";
        for (direction, expected) in [("DESC", [6, 4, 3, 2]), ("ASC", [2, 3, 4, 6])] {
            let runs = crate::look::pages(&app, query, json!({ "direction": direction }), "/runs").await;
            let counts: Vec<_> = runs.iter().filter_map(|run| run["toolCallCount"].as_i64()).collect();
            assert_eq!(counts, expected, "{direction}");
        }
    }

    /// R31–R36: all runs of one coworker, and each by its number.
    async fn a_coworkers_runs_lead_to_each_run_and_to_its_request(app: TestApp) {
        let made = Coworker::new("hardware").playbook(RUNBOOK).publish(&app).await;
        let other = Coworker::new("other").playbook(RUNBOOK).publish(&app).await;
        for assignee in [&made, &other, &made] {
            app.mutate("requestCreate", json!({ "title": "Slow network", "assigneeId": assignee.id }), "request { id }").await;
            app.drain().await;
        }
        let seen = app.gql("{ coworker(handle: \"hardware\") { runs { totalCount nodes { number } } } }", json!({})).await;
        assert_eq!(seen["coworker"]["runs"], json!({ "totalCount": 2, "nodes": [{ "number": 3 }, { "number": 1 }] }));
        let query = "{ run(number: 3) { identifier status startedAt request { identifier title } coworker { handle } steps { totalCount } events { totalCount } } }";
        let run = app.gql(query, json!({})).await["run"].take();
        assert_eq!((&run["identifier"], &run["status"], &run["coworker"]["handle"]), (&json!("Run-3"), &json!("COMPLETED"), &json!("hardware")));
        assert_eq!(run["request"], json!({ "identifier": "REQ-3", "title": "Slow network" }));
        assert!(run["startedAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{run}");
        assert!(run["events"]["totalCount"].as_i64() > run["steps"]["totalCount"].as_i64());
    }

    async fn a_requester_sees_their_own_requests_and_nothing_private(app: TestApp) {
        let made = Coworker::new("hardware").playbook(RUNBOOK).triage().publish(&app).await;
        app.request("Somebody else's").await;
        let requester = app.as_role(Role::Requester).await;
        let own = requester.mutate("requestCreate", json!({ "title": "Mine" }), "request { id number }").await["request"].take();
        app.drain().await;
        let private = json!({ "requestId": own["id"], "body": "Between us.", "visibility": "PRIVATE" });
        let note = app.mutate("noteCreate", private, "note { id }").await["note"]["id"].clone();

        let query = "query ($id: ID!) { requests { totalCount nodes { id } } runs { totalCount } coworkers { totalCount } \
            request(id: $id) { assignee { displayName ... on Coworker { handle } } notes { totalCount nodes { body run { id } } } runs { totalCount } \
                timeline { totalCount nodes { __typename ... on TimelineEntry { run { id } } } } } }";
        let seen = requester.gql(query, json!({ "id": own["id"] })).await;
        assert_eq!(seen["requests"]["nodes"], json!([{ "id": own["id"] }]));
        assert_eq!(seen["runs"]["totalCount"], 0);
        assert_eq!(seen["coworkers"]["totalCount"], 0);
        assert_eq!(seen["request"]["assignee"]["handle"], "hardware");
        assert_eq!(seen["request"]["notes"]["nodes"], json!([{ "body": "All is well.", "run": null }]));
        let entries = seen["request"]["timeline"]["nodes"].as_array().expect("entries");
        assert_eq!(entries.iter().filter(|entry| entry["__typename"] == "NotePosted").count(), 1);
        assert!(entries.iter().all(|entry| entry["run"].is_null()), "{entries:?}");
        assert_eq!(seen["request"]["timeline"]["totalCount"], entries.len());

        let by_id = "query ($id: ID!) { node(id: $id) { id } }";
        for hidden in [&note, &json!(made.id)] {
            assert_eq!(requester.gql_code(by_id, json!({ "id": hidden })).await, "NOT_FOUND", "{hidden}");
        }
        assert_eq!(requester.gql_code("{ request(number: 1) { id } }", json!({})).await, "NOT_FOUND");
        assert_eq!(requester.gql_code("{ run(number: 1) { id } }", json!({})).await, "NOT_FOUND");
        for forbidden in ["{ metrics(range: { start: \"-P1D\" }) { start } }", "{ modelPrices { id } }", "{ apiKeys { totalCount } }"] {
            assert_eq!(requester.gql_code(forbidden, json!({})).await, "FORBIDDEN", "{forbidden}");
        }
        let config = "query ($id: ID!) { request(id: $id) { usage { inputTokens } assignee { ... on Coworker { draft { soul } identity { role } version { id } } } } }";
        let errors = requester.gql_errors(config, json!({ "id": own["id"] })).await;
        assert_eq!(errors.len(), 4, "{errors:#?}");
        assert!(errors.iter().all(|error| error["extensions"]["code"] == "FORBIDDEN"), "{errors:#?}");

        let mut live = requester.subscribe("subscription ($id: ID!) { requestTimeline(requestId: $id) { __typename ... on TimelineEntry { sequence } } }", json!({ "id": own["id"] })).await;
        for entry in entries {
            assert_eq!(live.next().await["requestTimeline"]["__typename"], entry["__typename"]);
        }
        assert!(live.is_silent(Duration::from_millis(300)).await, "the private note is not told");
        let public = json!({ "requestId": own["id"], "body": "For all." });
        app.mutate("noteCreate", public, "note { id }").await;
        assert_eq!(live.next().await["requestTimeline"]["__typename"], "NotePosted");
    }

    async fn a_board_shows_each_run_that_matches_until_it_no_longer_does(app: TestApp) {
        // It takes its time, so that a board is sure to see it at work.
        let slow = RUNBOOK.replace("  - thinking: The device", "  - delay: 700ms\n    thinking: The device");
        let made = Coworker::new("hardware").playbook(&slow).publish(&app).await;
        let query = "subscription ($filter: RunFilter) { runChanged(filter: $filter) { matches run { number status } } }";
        let running = json!({ "filter": { "status": { "eq": "RUNNING" } } });
        let mut board = app.subscribe(query, running.clone()).await;
        let mut others = app.subscribe(query, json!({ "filter": { "status": { "eq": "FAILED" } } })).await;
        assert!(board.is_silent(Duration::from_millis(300)).await, "nothing is under way");

        let input = json!({ "title": "Slow network", "assigneeId": made.id });
        app.mutate("requestCreate", input, "request { id }").await;
        let on = board.next().await["runChanged"].take();
        assert_eq!(on, json!({ "matches": true, "run": { "number": 1, "status": "RUNNING" } }));
        let mut late = app.subscribe(query, running).await;
        assert_eq!(late.next().await["runChanged"], on, "what is under way is shown at once");
        for board in [&mut board, &mut late] {
            let seen = board.until(|item| item["runChanged"]["matches"] == false).await;
            let off = json!({ "matches": false, "run": { "number": 1, "status": "COMPLETED" } });
            assert_eq!(seen.last().expect("the last one")["runChanged"], off);
        }
        assert!(others.is_silent(Duration::from_millis(300)).await, "it never matched");

        let wrong = json!({ "filter": { "coworker": { "eq": "run_1" } } });
        let refused = app.subscribe(query, wrong).await.item().await;
        assert!(matches!(refused, Item::Error(errors) if errors[0]["extensions"]["code"] == "BAD_USER_INPUT"));
    }
}

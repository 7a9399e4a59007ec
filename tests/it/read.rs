//! Reading: pages, cursors, filters, order, ids, what each role sees.

use std::time::Duration;

use entity::Role;
use serde_json::{Value, json};
use tests::{Coworker, Item, TestApp, both_dbs};

const REQUESTS: &str = "query ($first: Int, $after: String, $last: Int, $before: String, \
                               $filter: RequestFilter, $order: [RequestOrder!]) { \
    requests(first: $first, after: $after, last: $last, before: $before, filter: $filter, order: $order) { \
        edges { cursor node { number } } nodes { title } totalCount \
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

/// A small runbook: it looks at a device, notes, sets the status, and ends.
const RUNBOOK: &str = r#"
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
    usage: { input: 200, cache_read: 1000, output: 50, reasoning: 0 }
  - calls:
      - tool: finish
        arguments: { outcome: RESOLVED, reason: Fixed., summary: "It was nothing." }
    usage: { input: 300, cache_read: 1000, output: 60, reasoning: 0 }
"#;

async fn requests(app: &TestApp, variables: Value) -> Value {
    app.gql(REQUESTS, variables).await["requests"].take()
}

fn numbers(page: &Value) -> Vec<i64> {
    let edges = page["edges"].as_array().expect("edges");
    edges
        .iter()
        .map(|edge| edge["node"]["number"].as_i64().expect("a number"))
        .collect()
}

async fn seven(app: &TestApp) {
    for (title, priority) in [
        ("delta", "LOW"),
        ("alpha", "URGENT"),
        ("Charlie", "NORMAL"),
        ("bravo", "HIGH"),
        ("alpha", "NORMAL"),
        ("100% _sure_", "LOW"),
        ("alpha", "URGENT"),
    ] {
        let input = json!({ "title": title, "priority": priority, "labels": [title, "all"] });
        app.mutate("requestCreate", input, "request { id }").await;
        app.advance(Duration::from_secs(1)).await;
    }
}

both_dbs! {
    async fn pages_in_every_order_have_each_item_once(app: TestApp) {
        seven(&app).await;
        let orders = [
            json!(null),
            json!([{ "number": "ASC" }]),
            json!([{ "title": "ASC" }]),
            json!([{ "title": "DESC" }, { "priority": "ASC" }]),
            json!([{ "priority": "DESC" }, { "createdAt": "ASC" }]),
            json!([{ "updatedAt": "DESC" }, { "updatedAt": "ASC" }]),
        ];
        for order in orders {
            let all = requests(&app, json!({ "order": order })).await;
            assert_eq!(all["totalCount"], 7);
            assert_eq!(all["pageInfo"]["hasNextPage"], false);
            let expected = numbers(&all);
            assert_eq!(expected.len(), 7, "{order}");
            for size in [1, 2, 3, 7] {
                let (mut seen, mut after) = (Vec::new(), Value::Null);
                loop {
                    let page = requests(&app, json!({ "order": order, "first": size, "after": after })).await;
                    assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
                    seen.extend(numbers(&page));
                    after = page["pageInfo"]["endCursor"].clone();
                    if page["pageInfo"]["hasNextPage"] == false {
                        break;
                    }
                }
                assert_eq!(seen, expected, "forward by {size} in the order {order}");
                let (mut seen, mut before) = (Vec::new(), Value::Null);
                loop {
                    let page = requests(&app, json!({ "order": order, "last": size, "before": before })).await;
                    seen.splice(0..0, numbers(&page));
                    before = page["pageInfo"]["startCursor"].clone();
                    if page["pageInfo"]["hasPreviousPage"] == false {
                        break;
                    }
                }
                assert_eq!(seen, expected, "backward by {size} in the order {order}");
            }
        }
        let urgent = requests(&app, json!({ "order": [{ "priority": "DESC" }, { "number": "ASC" }] })).await;
        assert_eq!(numbers(&urgent), [2, 7, 4, 3, 5, 1, 6]);
    }

    async fn a_cursor_from_elsewhere_is_refused(app: TestApp) {
        seven(&app).await;
        let page = requests(&app, json!({ "first": 2 })).await;
        let cursor = page["pageInfo"]["endCursor"].clone();
        let other_order = json!({ "after": cursor, "order": [{ "number": "ASC" }] });
        assert_eq!(app.gql_code(REQUESTS, other_order).await, "INVALID_CURSOR");
        assert_eq!(app.gql_code(REQUESTS, json!({ "after": "nonsense" })).await, "INVALID_CURSOR");
        assert_eq!(app.gql_code(REQUESTS, json!({ "before": "" })).await, "INVALID_CURSOR");
        let elsewhere = "query ($after: String) { runs(after: $after) { nodes { id } } }";
        assert_eq!(app.gql_code(elsewhere, json!({ "after": cursor })).await, "INVALID_CURSOR");
        assert_eq!(app.gql_code(REQUESTS, json!({ "first": 101 })).await, "PAGE_TOO_LARGE");
        assert_eq!(app.gql_code(REQUESTS, json!({ "first": -1 })).await, "BAD_USER_INPUT");
        assert_eq!(app.gql_code(REQUESTS, json!({ "first": 1, "last": 1 })).await, "BAD_USER_INPUT");
        assert_eq!(requests(&app, json!({ "first": 0 })).await["totalCount"], 7);
    }

    async fn filters_say_what_they_mean(app: TestApp) {
        seven(&app).await;
        let viewer = app.gql("{ viewer { actor { id } } }", json!({})).await["viewer"]["actor"]["id"].clone();
        let assign = json!({ "id": app.gql("{ request(number: 4) { id } }", json!({})).await["request"]["id"], "assigneeId": viewer });
        app.mutate("requestAssign", assign, "request { assignee { id } }").await;
        let cases = [
            (json!({ "title": { "eq": "alpha" } }), vec![7, 5, 2]),
            (json!({ "title": { "neq": "alpha" } }), vec![6, 4, 3, 1]),
            (json!({ "title": { "contains": "HA" } }), vec![7, 5, 3, 2]),
            (json!({ "title": { "startsWith": "cha" } }), vec![3]),
            (json!({ "title": { "contains": "%" } }), vec![6]),
            (json!({ "title": { "contains": "_s" } }), vec![6]),
            (json!({ "title": { "startsWith": "1__%" } }), vec![]),
            (json!({ "number": { "gt": 2, "lte": 4 } }), vec![4, 3]),
            (json!({ "number": { "in": [1, 99] } }), vec![1]),
            (json!({ "number": { "in": [] } }), vec![]),
            (json!({ "number": { "nin": [] } }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "priority": { "in": ["LOW", "HIGH"] } }), vec![6, 4, 1]),
            (json!({ "assignee": { "eq": viewer } }), vec![4]),
            (json!({ "assignee": { "neq": viewer } }), vec![7, 6, 5, 3, 2, 1]),
            (json!({ "not": { "assignee": { "eq": viewer } } }), vec![7, 6, 5, 3, 2, 1]),
            (json!({ "assignee": { "null": true } }), vec![7, 6, 5, 3, 2, 1]),
            (json!({ "assigneeKind": { "eq": "PERSON" } }), vec![4]),
            (json!({ "not": { "assigneeKind": { "in": ["COWORKER"] } } }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "requester": { "eq": viewer } }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "resolvedAt": { "lt": "PT1H" } }), vec![]),
            (json!({ "not": { "resolvedAt": { "lt": "PT1H" } } }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "createdAt": { "gte": "-PT3S" } }), vec![7, 6, 5]),
            (json!({ "createdAt": { "lt": "2026-05-20T05:30:02.000+02:00" } }), vec![2, 1]),
            (json!({ "labels": { "has": "alpha" } }), vec![7, 5, 2]),
            (json!({ "labels": { "has": "alph" } }), vec![]),
            (json!({ "labels": { "hasSome": ["delta", "bravo"], "hasEvery": ["all"] } }), vec![4, 1]),
            (json!({ "labels": { "hasSome": [] } }), vec![]),
            (json!({ "labels": { "isEmpty": true } }), vec![]),
            (json!({ "or": [{ "number": { "eq": 1 } }, { "title": { "eq": "bravo" } }] }), vec![4, 1]),
            (json!({ "or": [] }), vec![]),
            (json!({ "or": [{}] }), vec![7, 6, 5, 4, 3, 2, 1]),
            (json!({ "and": [{ "number": { "gt": 3 } }, { "not": { "title": { "eq": "alpha" } } }] }), vec![6, 4]),
            (json!({ "not": {} }), vec![]),
        ];
        for (filter, expected) in cases {
            let page = requests(&app, json!({ "filter": filter })).await;
            assert_eq!(numbers(&page), expected, "{filter}");
            assert_eq!(page["totalCount"], expected.len(), "{filter}");
        }
        let long: Vec<_> = (0..101).collect();
        for wrong in [
            json!({ "number": { "in": long } }),
            json!({ "id": { "eq": viewer } }),
            json!({ "or": vec![json!({ "number": { "eq": 1 } }); 101] }),
        ] {
            assert_eq!(app.gql_code(REQUESTS, json!({ "filter": wrong })).await, "BAD_USER_INPUT", "{wrong}");
        }
        assert_eq!(app.gql_code(REQUESTS, json!({ "filter": { "createdAt": { "lt": "yesterday" } } })).await, "BAD_USER_INPUT");
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
            usage { inputTokens outputTokens cachedTokens reasoningTokens cacheWriteTokens } cost { amount priced lines { kind tokens unitPrice amount } } \
            notes { totalCount nodes { body visibility author { displayName } run { number } } } \
            assignments { nodes { epoch assignee { displayName } assignedBy { kind } } } \
            timeline { nodes { __typename ... on TimelineEntry { sequence actor { displayName } run { number } } \
                ... on StatusChanged { before after: after } ... on NotePosted { note { body } } } } \
            runs { nodes { identifier number status outcome reason summary summaryAuthor trigger turnCount toolCallCount stepCount lastSequence \
                attempt model endedAt duration permissions { runStop } coworker { handle version { number config { identity { role } } } } coworkerVersion { number } \
                previousRun { id } nextRun { id } raw \
                usage { inputTokens } cost(pricing: CURRENT) { amount unpricedCalls unknownCalls } \
                events(last: 1) { totalCount nodes { type sequence turn attempt heading raw payload hash id } } \
                steps { nodes { __typename id index kind title failed startedAt endedAt events { type } \
                    ... on RunStartedStep { trigger model } \
                    ... on ThinkingStep { thinking text error } \
                    ... on ToolCallStep { tool request response error { code } duration } \
                    ... on NoteStep { note { body } } ... on DoneStep { outcome failureCode reason summary } } } } } } \
            metrics(range: { start: $now }) { totals { runs active completed failed modelCalls turns toolCalls \
                usage { inputTokens } cost { amount } duration { p50 p95 } } } }",
            json!({ "id": request, "now": "-PT1H" })).await;

        let request = &data["request"];
        assert_eq!(request["assignee"]["__typename"], "Coworker");
        assert_eq!(request["notes"]["nodes"][0]["body"], "All is well.");
        let run = &request["runs"]["nodes"][0];
        assert_eq!(run["identifier"], "Run-1");
        assert_eq!((&run["status"], &run["outcome"]), (&json!("COMPLETED"), &json!("RESOLVED")), "{run:#}");
        assert_eq!(run["usage"]["inputTokens"], 3600);
        // 600 × 3 + 3000 × 0.3 + 150 × 15 USD per million.
        assert_eq!(request["cost"]["amount"], "0.00495");
        assert_eq!(run["cost"]["amount"], "0.00495");
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

    async fn a_requester_sees_their_own_requests_and_nothing_private(app: TestApp) {
        let made = Coworker::new("hardware").playbook(RUNBOOK).triage().publish(&app).await;
        app.request("Somebody else's").await;
        let requester = app.as_role(Role::Requester).await;
        let own = requester.mutate("requestCreate", json!({ "title": "Mine" }), "request { id number }").await["request"].take();
        app.drain().await;
        let private = json!({ "requestId": own["id"], "body": "Between us.", "visibility": "PRIVATE" });
        let note = app.mutate("noteCreate", private, "note { id }").await["note"]["id"].clone();

        let query = "query ($id: ID!, $coworker: ID!) { requests { totalCount nodes { id } } runs { totalCount } coworkers { totalCount } \
            request(id: $id) { assignee { displayName ... on Coworker { handle } } notes { totalCount nodes { body run { id } } } runs { totalCount } \
                timeline { totalCount nodes { __typename ... on TimelineEntry { run { id } } } } } }";
        let seen = requester.gql(query, json!({ "id": own["id"], "coworker": made.id })).await;
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
        let made = Coworker::new("hardware").playbook(RUNBOOK).publish(&app).await;
        let mut board = app.subscribe("subscription { runChanged(filter: { status: { eq: RUNNING } }) { matches run { number status } } }", json!({})).await;
        let mut every = app.subscribe("subscription { runChanged { matches run { number status } } }", json!({})).await;
        // Registered: a refused filter would have been told by now.
        assert!(board.is_silent(Duration::from_millis(300)).await);
        let input = json!({ "title": "Slow network", "assigneeId": made.id });
        app.mutate("requestCreate", input, "request { id }").await;
        app.drain().await;
        every.until(|item| item["runChanged"]["run"]["status"] == "COMPLETED").await;
        drop(board);
        let wrong = app.subscribe("subscription { runChanged(filter: { coworker: { eq: \"run_1\" } }) { matches } }", json!({})).await.item().await;
        assert!(matches!(wrong, Item::Error(errors) if errors[0]["extensions"]["code"] == "BAD_USER_INPUT"));
    }
}

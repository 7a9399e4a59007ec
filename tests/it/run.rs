//! Runs: how they are numbered, and how they end.

use std::time::Duration;

use domain::clock::Clock;
use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tests::{Backend, Coworker, TestApp, both_dbs};

use crate::look;

/// How many requests come in at once.
const STARTS: i64 = 200;

/// Publishes the coworkers of [`request_many`].
async fn hire(app: &TestApp) -> Vec<String> {
    let mut ids = Vec::new();
    for handle in ["one", "two", "three", "four"] {
        let coworker = Coworker::new(handle).playbook(FINISHES).publish(app);
        ids.push(coworker.await.id);
    }
    ids
}

/// Makes requests for several coworkers at once, each until it is acknowledged.
async fn request_many(app: &TestApp, coworkers: &[String]) {
    let creates = (0..STARTS)
        .zip(coworkers.iter().cycle())
        .map(|(i, assignee)| {
            let (title, key) = (format!("Request {i}"), format!("start-{i}"));
            create(
                app,
                json!({ "title": title, "assigneeId": assignee, "idempotencyKey": key }),
            )
        });
    join_all(creates).await;
}

/// Repeats a call until it is acknowledged, as a client does that knows its own key.
async fn create(app: &TestApp, input: Value) {
    let query = "mutation ($input: RequestCreateInput!) { requestCreate(input: $input) { request { id } userErrors { code message } } }";
    for _ in 0..50 {
        let answer = app.post(query, json!({ "input": input })).await;
        let payload = &answer.body["data"]["requestCreate"];
        if payload["request"]["id"].is_string() {
            return;
        }
        let code = answer.body["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or("none");
        assert!(
            matches!(code, "UNAVAILABLE" | "COMMIT_UNKNOWN" | "TIMEOUT"),
            "{}",
            answer.body
        );
        tokio::task::yield_now().await;
    }
    panic!("not acknowledged: {input}");
}

/// Numbers 1 to n without a gap, in the order of `startedAt`, one run for each request.
async fn numbered(app: &TestApp) {
    let runs = look::runs(app).await;
    let numbers: Vec<i64> = runs
        .iter()
        .map(|run| run["number"].as_i64().expect("a number"))
        .collect();
    assert_eq!(numbers, (1..=STARTS).collect::<Vec<_>>());
    let started: Vec<&str> = runs
        .iter()
        .map(|run| run["startedAt"].as_str().expect("a time"))
        .collect();
    assert!(started.is_sorted(), "{started:?}");
    let mut requests: Vec<i64> = runs
        .iter()
        .map(|run| run["request"]["number"].as_i64().expect("a number"))
        .collect();
    requests.sort_unstable();
    assert_eq!(
        requests,
        (1..=STARTS).collect::<Vec<_>>(),
        "one run for each request"
    );
    assert!(
        runs.iter().all(|run| run["outcome"] == "DECLINED"),
        "{runs:#?}"
    );
}

/// Gives a request to a coworker with this playbook and one rule; its run, once it has ended, and the request.
async fn work(app: &TestApp, playbook: &str) -> (Value, Value) {
    let rule = json!({ "when": "It is found", "setStatus": "RESOLVED" });
    let goal = json!({ "purpose": "To find things.", "endOfRun": [rule] });
    let worker = Coworker::new("worker")
        .playbook(playbook)
        .with("goal", goal)
        .publish(app)
        .await;
    let input = json!({ "title": "Where is it?", "assigneeId": worker.id });
    let made = app.mutate("requestCreate", input, "request { id }").await;
    app.drain().await;
    look::sound(app).await;
    (
        look::only_run(app).await,
        look::request(app, &made["request"]["id"]).await,
    )
}

const FINISHES: &str = "
turns:
  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Nothing to do., summary: I had nothing to do. } }]
";

/// Only a server has connections that can break.
#[test]
fn connections_that_break_lose_no_request_and_leave_no_gap() {
    tests::app::run(Backend::Postgres, async |app| {
        let app = look::with_settings(&app, |settings| {
            settings.clock = Clock::system();
            let worker = &mut settings.worker;
            worker.poll = Duration::from_millis(50);
            worker.lease = Duration::from_secs(2);
            worker.renew = Duration::from_millis(500);
            worker.reap = Duration::from_millis(300);
        })
        .await;
        let coworkers = hire(&app).await;
        let url = app.db().url().to_owned();
        let breaking = tokio::spawn(async move {
            let admin = tests::db::connect(&url).await.expect("it is there");
            for _ in 0..20 {
                let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                            WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5";
                admin.execute_unprepared(kill).await.expect("it may");
                let wait = "SELECT pg_sleep(0.1)";
                admin.execute_unprepared(wait).await.expect("it waits");
            }
        });
        request_many(&app, &coworkers).await;
        breaking.await.expect("it broke them");
        app.drain().await;
        numbered(&app).await;
        look::sound(&app).await;
        app.stop().await;
    });
}

both_dbs! {
    /// R26, R27: numbered across the workforce, by when they start.
    async fn runs_that_start_at_once_are_numbered_without_gaps_in_the_order_of_their_start(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.clock = Clock::system()).await;
        request_many(&app, &hire(&app).await).await;
        app.drain().await;
        numbered(&app).await;
        app.stop().await;
    }

    async fn claims_that_fail_leave_no_gap_in_the_numbers(app: TestApp) {
        let app = look::with_settings(&app, |settings| {
            settings.clock = Clock::system();
            settings.worker.poll = Duration::from_millis(20);
        }).await;
        // Of a claim's runs each one fails with this chance, and with it the claim.
        let saboteur = match app.db().backend() {
            Backend::Sqlite => "CREATE TRIGGER saboteur BEFORE INSERT ON run WHEN abs(random()) % 25 = 0 BEGIN SELECT RAISE(ABORT, 'sabotage'); END",
            Backend::Postgres => "CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF random() < 0.04 THEN RAISE EXCEPTION 'sabotage'; END IF; RETURN NEW; END $$;
                CREATE TRIGGER saboteur BEFORE INSERT ON run FOR EACH ROW EXECUTE FUNCTION sabotage()",
        };
        look::tamper(&app, saboteur).await;
        request_many(&app, &hire(&app).await).await;
        app.drain().await;
        numbered(&app).await;
        app.stop().await;
    }

    /// R16: the terminal event names the end-of-run rule that was met.
    async fn a_run_ends_as_its_request_stands_or_not_at_all(app: TestApp) {
        // What may not be is refused, told to the model, and tried in another way.
        let (run, request) = work(&app, "
turns:
  - calls:
      - { tool: finish, arguments: { outcome: RESOLVED, reason: Done., summary: Done. } }
      - { tool: finish, arguments: { outcome: AWAITING_REPLY, reason: Done., summary: Done. } }
      - { tool: finish, arguments: { outcome: HANDED_OFF, reason: Done., summary: Done. } }
      - { tool: finish, arguments: { outcome: BLOCKED, reason: Done., summary: Done. } }
      - { tool: finish, arguments: { outcome: SUPERSEDED, reason: Done., summary: Done. } }
      - { tool: finish, arguments: { outcome: RESOLVED, rule: Nobody wrote this, reason: Done., summary: Done. } }
      - { tool: finish, arguments: { outcome: DECLINED, reason: Done., summary: \" \" } }
      - { tool: finish, arguments: { outcome: DECLINED, reason: \"\", summary: Done. } }
  - when: { result_of: finish, result_failed: true, result_contains: RESOLVED needs the status RESOLVED }
    calls: [{ tool: finish, arguments: { outcome: RESOLVED, rule: It is found, reason: It is found., summary: I found it. } }]
").await;
        assert_eq!((&run["outcome"], &run["endOfRunRule"]), (&json!("RESOLVED"), &json!("It is found")));
        assert_eq!((&request["status"], request["resolvedAt"].is_null()), (&json!("RESOLVED"), false));
        let log = look::events(&app, &run).await;
        let refused: Vec<_> = look::data(&log, "tool.refused").iter().map(|refused| refused["reason"].as_str().expect("a reason")).collect();
        assert_eq!(refused, ["conflict", "conflict", "conflict", "conflict", "conflict", "bad_arguments", "bad_arguments", "bad_arguments"]);
        assert_eq!(run["toolCallCount"], 9);
        // The rule's status is a decision of the coworker, and so in its log (R03).
        assert_eq!(look::data(&log, "request.status_changed")[0]["after"], "RESOLVED");
    }

    async fn calls_of_tools_that_are_not_there_or_make_no_sense_are_refused_and_told(app: TestApp) {
        let (run, _) = work(&app, "
tools: [{ name: desk.look, description: Looks., effect: READ, parameters: { type: object }, answers: [{ response: { empty: true } }] }]
turns:
  - calls:
      - { tool: desk.burn }
      - { tool: \"no\\0such\" }
      - { tool: desk.look, arguments: not json }
      - { tool: desk.look, arguments: [1, 2] }
      - { tool: post_note, arguments: { body: To whom? } }
      - { tool: post_note, arguments: { visibility: SECRET, body: Psst. } }
      - { tool: post_note, arguments: { visibility: PUBLIC, body: Hello., urgent: true } }
      - { tool: post_note, arguments: { visibility: PUBLIC, body: \"\" } }
      - { tool: post_note, arguments: { visibility: PUBLIC, body: \"a\\0b\" } }
      - { tool: set_status, arguments: { status: DONE } }
      - { tool: finish, arguments: {} }
  - when: { result_of: desk.burn, result_contains: \"there is no tool desk.burn; there are: post_note, set_status\" }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: I was told., summary: Nothing worked. } }]
").await;
        assert_eq!(run["summary"], "Nothing worked.", "{run:#}");
        let log = look::events(&app, &run).await;
        let refused: Vec<_> = look::data(&log, "tool.refused").iter().map(|refused| refused["reason"].as_str().expect("a reason")).collect();
        let bad = ["bad_arguments"; 9];
        assert_eq!(refused, [&["unknown", "unknown"][..], &bad[..]].concat());
        let steps = "query ($id: ID!) { run(id: $id) { steps(first: 60, filter: { failed: { eq: true } }) { nodes { title ... on ToolCallStep { error { code message } } } totalCount } } }";
        let steps = app.gql(steps, json!({ "id": run["id"] })).await["run"]["steps"].take();
        assert_eq!((&steps["totalCount"], &steps["nodes"][0]["error"]["code"]), (&json!(11), &json!("REFUSED")));
    }

    async fn whatever_a_model_says_when_it_fails_its_run_ends(app: TestApp) {
        let long = "x".repeat(100_000);
        let messages = ["a\\0b", long.as_str(), "   "];
        for (i, message) in messages.iter().enumerate() {
            let playbook = format!("turns: [{{ text: Never said., fault: {{ class: rejected, message: \"{message}\" }} }}]");
            let worker = Coworker::new(&format!("worker-{i}")).playbook(&playbook).publish(&app).await;
            app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "").await;
        }
        app.drain().await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        assert!(runs.iter().all(|run| run["failureCode"] == "MODEL_ERROR"), "{runs:#?}");
    }

    async fn whatever_a_tool_answers_its_run_goes_on(app: TestApp) {
        let tools: Vec<String> = ["fault: offline", "fault: timed_out", "fault: failed", "fault: bad_response", "response: \"a\\0b\"", "response: \"\"", "response: \"‹secret› 𝄞\"", "response: [1, null]"]
            .iter()
            .enumerate()
            .map(|(i, answer)| format!("  - {{ name: desk.look-{i}, description: Looks., effect: READ, answers: [{{ {answer} }}] }}\n"))
            .collect();
        let calls: Vec<String> = (0..tools.len()).map(|i| format!("{{ tool: desk.look-{i} }}")).collect();
        let playbook = format!(
            "tools:\n{}turns:\n  - calls: [{}]\n  - calls: [{{ tool: finish, arguments: {{ outcome: DECLINED, reason: Enough., summary: I looked everywhere. }} }}]\n",
            tools.concat(), calls.join(", ")
        );
        let (run, _) = work(&app, &playbook).await;
        assert_eq!(run["outcome"], "DECLINED", "{run:#}");
        let query = "query ($id: ID!) { run(id: $id) { steps(first: 60, filter: { kind: { eq: TOOL_CALL } }) { nodes { ... on ToolCallStep { request response error { code } } } } } }";
        let steps = look::list(app.gql(query, json!({ "id": run["id"] })).await["run"]["steps"]["nodes"].take());
        let seen: Vec<_> = steps.iter().map(|step| step["response"].as_str().or(step["error"]["code"].as_str()).expect("one of both")).collect();
        assert_eq!(seen[..8], ["OFFLINE", "TIMED_OUT", "FAILED", "BAD_RESPONSE", "a\0b", "", "‹secret› 𝄞", "[1,null]"]);
    }

    /// R72, R73.
    async fn an_offline_tool_ends_the_run_and_leaves_the_request_to_people(app: TestApp) {
        // R72: the run ends, the request is In Progress, a public note explains.
        let (run, request) = work(&app, "
tools: [{ name: printer.status, description: Asks the printer., effect: READ, answers: [{ fault: { class: offline, message: No route to the printer., times: 1 }, response: { ready: true } }] }]
turns:
  - calls: [{ tool: printer.status }]
  - when: { result_of: printer.status, result_failed: true }
    calls:
      - { tool: post_note, arguments: { visibility: PUBLIC, body: The printer can't be reached. Someone has to look at its plug. } }
      - { tool: finish, arguments: { outcome: BLOCKED, reason: The printer is offline., summary: The printer did not answer. } }
  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: It works., summary: It works. } }]
").await;
        assert_eq!((&run["outcome"], &request["status"]), (&json!("BLOCKED"), &json!("IN_PROGRESS")));
        assert_eq!(look::notes(&request, "PUBLIC").len(), 1);
        // R73: it is back, and nothing resumes by itself.
        app.advance(Duration::from_secs(86_400)).await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 1);
    }

    async fn a_run_that_is_stopped_ends_at_once_and_says_by_whom(app: TestApp) {
        let worker = Coworker::new("worker").playbook("turns: [{ text: Never said., delay: 10m }]").publish(&app).await;
        let made = app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "request { id }").await;
        let mut board = app.subscribe("subscription { runChanged { run { id lastSequence } } }", json!({})).await;
        let items = board.until(|item| item["runChanged"]["run"]["lastSequence"].as_i64() > Some(1)).await;
        let id = &items[items.len() - 1]["runChanged"]["run"]["id"];
        let agent = app.with_new_key(json!({ "name": "Ada", "role": "AGENT" })).await;
        agent.mutate("runStop", json!({ "id": id, "reason": "It is in my pocket." }), "run { id }").await;
        app.drain().await;
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["failureCode"], &run["summaryAuthor"]), (&json!("STOPPED"), &json!("SYSTEM")));
        let request = look::request(&app, &made["request"]["id"]).await;
        let note = look::notes(&request, "PRIVATE")[0];
        assert!(note.contains("Ada stopped the run: It is in my pocket."), "{note}");
        assert_eq!(request["status"], "IN_PROGRESS");
        let log = look::events(&app, &run).await;
        let types = look::types(&log);
        assert_eq!(types[types.len() - 4..], ["stop.requested", "model.failed", "summary.written", "run.failed"]);
        // The call that was cut off is counted as unknown, and its price is not taken as 0.
        let cost = "query ($id: ID!) { run(id: $id) { permissions { runStop } cost { amount priced unknownCalls } } }";
        let seen = app.gql(cost, json!({ "id": id })).await["run"].take();
        assert_eq!(seen["cost"], json!({ "amount": null, "priced": false, "unknownCalls": 1 }));
        assert_eq!(seen["permissions"]["runStop"], false);
        let refused = app.refused("runStop", json!({ "id": id })).await;
        assert_eq!(refused[0]["code"], "RUN_ENDED");
    }

    async fn nobody_can_change_what_a_run_has_logged(app: TestApp) {
        work(&app, FINISHES).await;
        let db = tests::db::connect(app.db().url()).await.expect("the database is there");
        for table in ["run_event", "request_event"] {
            for sql in [format!("UPDATE {table} SET at = 0"), format!("DELETE FROM {table}")] {
                let error = db.execute_unprepared(&sql).await.expect_err("append-only");
                assert!(error.to_string().contains("append-only"), "{error}");
            }
        }
        db.close().await.expect("closed");
        look::sound(&app).await;
    }

    async fn a_run_that_can_not_be_written_down_ends_as_a_fault_and_harms_no_other(app: TestApp) {
        let curse = match app.db().backend() {
            Backend::Sqlite => "CREATE TRIGGER curse BEFORE INSERT ON run_step WHEN NEW.title = 'desk.cursed' BEGIN SELECT RAISE(ABORT, 'cursed'); END",
            Backend::Postgres => "CREATE FUNCTION curse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cursed'; END $$;
                CREATE TRIGGER curse BEFORE INSERT ON run_step FOR EACH ROW WHEN (NEW.title = 'desk.cursed') EXECUTE FUNCTION curse()",
        };
        look::tamper(&app, curse).await;
        let cursed = Coworker::new("cursed").playbook("
tools: [{ name: desk.cursed, description: Looks., effect: READ, answers: [{ response: { empty: true } }] }]
turns: [{ calls: [{ tool: desk.cursed }] }]
").publish(&app).await;
        let healthy = Coworker::new("healthy").playbook(FINISHES).publish(&app).await;
        let mut requests = Vec::new();
        for coworker in [&cursed, &healthy, &cursed, &healthy] {
            let made = app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": coworker.id }), "request { id }").await;
            requests.push(made["request"]["id"].clone());
        }
        app.drain().await;
        look::sound(&app).await;
        for run in look::runs(&app).await {
            if run["coworker"]["handle"] == "healthy" {
                assert_eq!(run["outcome"], "DECLINED");
                continue;
            }
            assert_eq!((&run["failureCode"], &run["summaryAuthor"]), (&json!("INTERNAL"), &json!("SYSTEM")));
            let types = look::events(&app, &run).await;
            let types = look::types(&types);
            assert_eq!(types[types.len() - 3..], ["model.failed", "summary.written", "run.failed"]);
        }
        let request = look::request(&app, &requests[0]).await;
        assert_eq!((&request["status"], look::notes(&request, "PRIVATE").len()), (&json!("IN_PROGRESS"), 1));
    }

    async fn a_dispatch_that_can_not_be_started_keeps_only_itself_waiting(app: TestApp) {
        let (curse, lift) = match app.db().backend() {
            Backend::Sqlite => (
                "CREATE TRIGGER curse BEFORE INSERT ON run WHEN (SELECT handle FROM coworker WHERE id = NEW.coworker_id) = 'cursed'
                 BEGIN SELECT RAISE(ABORT, 'cursed'); END",
                "DROP TRIGGER curse",
            ),
            Backend::Postgres => (
                "CREATE FUNCTION curse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     IF (SELECT handle FROM coworker WHERE id = NEW.coworker_id) = 'cursed' THEN RAISE EXCEPTION 'cursed'; END IF;
                     RETURN NEW; END $$;
                 CREATE TRIGGER curse BEFORE INSERT ON run FOR EACH ROW EXECUTE FUNCTION curse()",
                "DROP TRIGGER curse ON run",
            ),
        };
        look::tamper(&app, curse).await;
        let cursed = Coworker::new("cursed").playbook(FINISHES).publish(&app).await;
        let healthy = Coworker::new("healthy").playbook(FINISHES).publish(&app).await;
        let mut requests = Vec::new();
        for coworker in [&cursed, &cursed, &healthy, &cursed, &healthy] {
            let made = app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": coworker.id }), "request { id }").await;
            requests.push(made["request"]["id"].clone());
        }
        look::first_run(&app, &requests[2]).await;
        look::first_run(&app, &requests[4]).await;
        assert_eq!(look::request(&app, &requests[0]).await["waiting"][0]["coworker"]["handle"], "cursed");
        look::tamper(&app, lift).await;
        app.drain().await;
        look::sound(&app).await;
        let numbers: Vec<Value> = look::runs(&app).await.iter().map(|run| run["number"].clone()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
    }
}

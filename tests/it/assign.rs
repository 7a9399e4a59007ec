//! Assignment: what starts a run, what ends one early, and what never becomes one.

use api::config::Settings;
use domain::tool::Exception;
use serde_json::{Value, json};
use tests::{Client, Coworker, Subscription, TestApp, both_dbs};

use crate::counter::{ALL, Counter};
use crate::look;
use crate::tools::{enabled, server};

/// Finishes at once.
pub const DECLINES: &str = "
turns: [{ calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Nothing to do., summary: I had nothing to do. } }] }]
";

/// Looks at the desk until that answers, then finishes.
const LOOKS: &str = "
turns:
  - calls: [{ tool: desk.look }]
  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Nothing to do., summary: I had nothing to do. } }]
";

/// Thinks for so long that only an interruption can end it in time.
const PONDERS: &str = "turns: [{ text: Never said., delay: 10m }]";

/// An application with a desk that answers no call until the test lets it.
pub async fn with_desk(app: &TestApp, effect: &str) -> (TestApp, Counter) {
    let desk = Counter::open().await;
    let exception = Exception::parse(&desk.host()).expect("an exception");
    let change = |settings: &mut Settings| settings.tools.exceptions.push(exception);
    let app = look::with_settings(app, change).await;
    server(&app, desk.server("desk", &[("look", effect)])).await;
    desk.answer(0);
    (app, desk)
}

pub async fn requested(app: &Client, title: &str, assignee: &str) -> Value {
    let made = app
        .mutate(
            "requestCreate",
            json!({ "title": title, "assigneeId": assignee }),
            "request { id }",
        )
        .await;
    made["request"]["id"].clone()
}

/// Follows the first run of a request from its first event; waits until there is one.
pub async fn first_run(app: &TestApp, request: &Value) -> (Value, Subscription) {
    let run = look::first_run(app, request).await;
    let query = "subscription ($id: ID!) { runEvents(runId: $id) { type payload } }";
    let events = app.subscribe(query, json!({ "id": run })).await;
    (run, events)
}

pub async fn until(events: &mut Subscription, kind: &str) {
    events.until(|item| item["runEvents"]["type"] == kind).await;
}

pub fn outcomes(runs: &[Value]) -> Vec<(&str, &str, &str)> {
    runs.iter()
        .map(|run| {
            let outcome = run["outcome"]
                .as_str()
                .or(run["failureCode"].as_str())
                .unwrap_or("none");
            (
                run["coworker"]["handle"].as_str().expect("a handle"),
                run["trigger"].as_str().expect("a trigger"),
                outcome,
            )
        })
        .collect()
}

both_dbs! {
    /// R06, R07, R08.
    async fn each_trigger_starts_one_run_however_often_the_call_is_repeated(app: TestApp) {
        let worker = Coworker::new("worker").playbook(DECLINES).publish(&app).await;
        let create = json!({ "title": "Where is it?", "assigneeId": worker.id, "idempotencyKey": "a" });
        let mut request = Value::Null;
        for _ in 0..3 {
            request = app.mutate("requestCreate", create.clone(), "request { id }").await["request"]["id"].take();
            app.drain().await;
        }
        for _ in 0..3 {
            app.mutate("requestAssign", json!({ "id": request, "assigneeId": worker.id, "idempotencyKey": "b" }), "").await;
            app.drain().await;
        }
        for _ in 0..3 {
            app.mutate("noteCreate", json!({ "requestId": request, "body": "@worker and again @Worker", "idempotencyKey": "c" }), "").await;
            app.drain().await;
        }
        let runs = look::runs(&app).await;
        assert_eq!(outcomes(&runs), [("worker", "ASSIGNED", "DECLINED"), ("worker", "ASSIGNED", "DECLINED"), ("worker", "MENTION", "DECLINED")]);
        let seen = look::request(&app, &request).await;
        // R06: the assignment records the person.
        assert_eq!(seen["assignments"]["nodes"].as_array().map(Vec::len), Some(1));
        assert_eq!(seen["assignments"]["nodes"][0]["assignedBy"], json!({ "kind": "PERSON", "displayName": "Admin" }));
        look::sound(&app).await;
    }

    async fn reassigning_ends_the_current_run_and_starts_the_next(app: TestApp) {
        let first = Coworker::new("first").playbook(PONDERS).publish(&app).await;
        let second = Coworker::new("second").playbook(DECLINES).publish(&app).await;
        let request = requested(&app, "Where is it?", &first.id).await;
        let (run, mut events) = first_run(&app, &request).await;
        until(&mut events, "model.requested").await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": second.id, "reason": "They know." }), "").await;
        events.all().await;
        app.drain().await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        assert_eq!(outcomes(&runs), [("first", "ASSIGNED", "SUPERSEDED"), ("second", "ASSIGNED", "DECLINED")]);
        assert_eq!((&runs[0]["id"], &runs[0]["summaryAuthor"]), (&run, &json!("SYSTEM")));
        let seen = look::request(&app, &request).await;
        assert_eq!(seen["assignee"]["displayName"], "second");
        assert_eq!(seen["assignments"]["nodes"][1]["reason"], "They know.");
    }

    async fn reassigning_during_a_tool_call_lets_the_effect_finish_and_nothing_else(app: TestApp) {
        let (app, desk) = with_desk(&app, "EFFECT").await;
        let playbook = LOOKS.replace("- calls: [{ tool: desk.look }]", "- calls: [{ tool: desk.look }, { tool: post_note, arguments: { visibility: PUBLIC, body: Too late. } }]");
        let first = Coworker::new("first").playbook(&playbook).with("tools", enabled("desk", &["look"])).publish(&app).await;
        let second = Coworker::new("second").playbook(DECLINES).publish(&app).await;
        let request = requested(&app, "Where is it?", &first.id).await;
        let (run, mut events) = first_run(&app, &request).await;
        until(&mut events, "tool.requested").await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": second.id }), "").await;
        desk.until(1).await;
        desk.answer(ALL);
        app.drain().await;
        look::sound(&app).await;
        let log = look::events(&app, &json!({ "id": run })).await;
        let types = look::types(&log);
        assert_eq!(types[types.len() - 3..], ["tool.completed", "summary.written", "run.completed"]);
        assert_eq!(look::data(&log, "run.completed")[0]["outcome"], "SUPERSEDED");
        assert_eq!(look::notes(&look::request(&app, &request).await, "PUBLIC").len(), 0);
    }

    async fn taking_a_request_from_everyone_ends_its_run_and_starts_none(app: TestApp) {
        let worker = Coworker::new("worker").playbook(PONDERS).publish(&app).await;
        let request = requested(&app, "Where is it?", &worker.id).await;
        let (_, mut events) = first_run(&app, &request).await;
        until(&mut events, "model.requested").await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": null }), "").await;
        app.drain().await;
        look::sound(&app).await;
        assert_eq!(outcomes(&look::runs(&app).await), [("worker", "ASSIGNED", "SUPERSEDED")]);
        assert_eq!(look::request(&app, &request).await["assignee"], Value::Null);
    }

    async fn assigning_to_the_current_assignee_interrupts_nobody(app: TestApp) {
        let (app, desk) = with_desk(&app, "READ").await;
        let worker = Coworker::new("worker").playbook(LOOKS).with("tools", enabled("desk", &["look"])).publish(&app).await;
        let request = requested(&app, "Where is it?", &worker.id).await;
        let (_, mut events) = first_run(&app, &request).await;
        until(&mut events, "tool.requested").await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": worker.id }), "").await;
        desk.answer(ALL);
        app.drain().await;
        assert_eq!(outcomes(&look::runs(&app).await), [("worker", "ASSIGNED", "DECLINED")]);
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": worker.id }), "").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 2, "when nothing is under way it starts again");
        let seen = look::request(&app, &request).await;
        assert_eq!(seen["assignments"]["nodes"].as_array().map(Vec::len), Some(1), "and keeps the epoch");
    }

    /// R70, R71.
    async fn an_unpublished_coworker_finishes_its_run_and_takes_no_other(app: TestApp) {
        let (app, desk) = with_desk(&app, "READ").await;
        let worker = Coworker::new("worker").playbook(LOOKS).with("tools", enabled("desk", &["look"])).publish(&app).await;
        let request = requested(&app, "Where is it?", &worker.id).await;
        let (_, mut events) = first_run(&app, &request).await;
        until(&mut events, "tool.requested").await;
        // One that waits for the run to end is dropped with the coworker.
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@worker, hurry." }), "").await;
        app.mutate("coworkerUnpublish", json!({ "id": worker.id }), "").await;
        desk.answer(ALL);
        app.drain().await;
        // R70: what runs goes on to its end.
        assert_eq!(outcomes(&look::runs(&app).await), [("worker", "ASSIGNED", "DECLINED")]);
        // R71: no run until it is published again, and the reason stands on the timeline.
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@worker?" }), "").await;
        let other = requested(&app, "And the other one?", &worker.id).await;
        app.drain().await;
        let timeline = look::timeline(&app, &request).await;
        assert_eq!(timeline.iter().filter(|line| *line == "DispatchDropped worker MENTION NOT_PUBLISHED").count(), 2, "{timeline:?}");
        assert_eq!(look::timeline(&app, &other).await, ["RequestCreated", "Assigned worker", "DispatchDropped worker ASSIGNED NOT_PUBLISHED"]);
        app.mutate("coworkerPublish", json!({ "id": worker.id }), "").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 1, "publishing revives nothing");
        app.mutate("requestAssign", json!({ "id": other, "assigneeId": worker.id }), "").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 2);
        look::sound(&app).await;
    }

    async fn a_run_keeps_the_version_that_it_began_with(app: TestApp) {
        let (app, desk) = with_desk(&app, "READ").await;
        let worker = Coworker::new("worker").playbook(LOOKS).with("tools", enabled("desk", &["look"])).publish(&app).await;
        let request = requested(&app, "Where is it?", &worker.id).await;
        let (_, mut events) = first_run(&app, &request).await;
        until(&mut events, "tool.requested").await;
        let changed = LOOKS.replace("I had nothing to do.", "The second version.");
        app.mutate("coworkerUpdate", json!({ "id": worker.id, "model": { "provider": "scripted", "playbook": changed } }), "").await;
        app.mutate("coworkerPublish", json!({ "id": worker.id }), "").await;
        desk.answer(ALL);
        app.drain().await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": worker.id }), "").await;
        app.drain().await;
        let query = "{ runs(order: [{ number: ASC }]) { nodes { summary coworkerVersion { number } } } }";
        let runs = app.gql(query, json!({})).await["runs"]["nodes"].take();
        assert_eq!(runs, json!([
            { "summary": "I had nothing to do.", "coworkerVersion": { "number": 1 } },
            { "summary": "The second version.", "coworkerVersion": { "number": 2 } },
        ]));
    }

    async fn coworkers_that_pass_a_request_in_circles_end_with_a_person(app: TestApp) {
        let first = Coworker::new("first").playbook(&look::hands_to("second")).publish(&app).await;
        Coworker::new("second").playbook(&look::hands_to("first")).publish(&app).await;
        let request = requested(&app, "Whose is it?", &first.id).await;
        app.drain().await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        assert_eq!(runs.len(), 12);
        assert!(runs.iter().all(|run| run["outcome"] == "HANDED_OFF"));
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["needsPerson"], &seen["status"], &seen["assignee"]), (&json!(true), &json!("OPEN"), &Value::Null));
        let timeline = look::timeline(&app, &request).await;
        assert!(timeline.contains(&"DispatchDropped first HANDOFF HOP_LIMIT".to_owned()), "{timeline:?}");
        let query = "{ requests(filter: { needsPerson: { eq: true } }) { totalCount } }";
        assert_eq!(app.gql(query, json!({})).await["requests"]["totalCount"], 1);

        // A person's touch gives it another budget.
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": first.id }), "").await;
        assert_eq!(look::request(&app, &request).await["needsPerson"], false);
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 24);
    }

    async fn a_request_that_is_done_is_assigned_to_nobody_before_it_is_opened_again(app: TestApp) {
        let worker = Coworker::new("worker").playbook(DECLINES).publish(&app).await;
        let request = app.request("Where is it?").await["id"].take();
        app.mutate("requestUpdate", json!({ "id": request, "status": "RESOLVED" }), "").await;
        let refused = app.refused("requestAssign", json!({ "id": request, "assigneeId": worker.id })).await;
        assert_eq!(refused[0]["code"], "REQUEST_DONE");
        // A mention is accepted, and its dispatch says why there will be no run.
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@worker, was that you?" }), "").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 0);
        let timeline = look::timeline(&app, &request).await;
        assert_eq!(timeline.last().map(String::as_str), Some("DispatchDropped worker MENTION REQUEST_CLOSED"));
        app.mutate("requestUpdate", json!({ "id": request, "status": "OPEN" }), "").await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": worker.id }), "").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 1);
        app.mutate("requestUpdate", json!({ "id": request, "status": "CLOSED" }), "").await;
        let refused = app.refused("requestUpdate", json!({ "id": request, "status": "OPEN" })).await;
        assert_eq!(refused[0]["code"], "REQUEST_CLOSED");
    }

    async fn two_coworkers_work_on_one_request_each_in_a_run_of_its_own(app: TestApp) {
        let ponders = "
turns:
  - when: { trigger: ASSIGNED }
    text: Never said.
    delay: 10m
  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: I was asked., summary: I answered. } }]
";
        let first = Coworker::new("first").playbook(ponders).publish(&app).await;
        Coworker::new("second").playbook(DECLINES).publish(&app).await;
        let request = requested(&app, "Where is it?", &first.id).await;
        let (run, mut events) = first_run(&app, &request).await;
        until(&mut events, "model.requested").await;
        let query = "subscription ($id: ID!) { requestTimeline(requestId: $id) { __typename } }";
        let mut timeline = app.subscribe(query, json!({ "id": request })).await;
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@second and @first, please." }), "").await;
        // R27: the second's run is over while the first's goes on; the first's own mention waits for that.
        timeline.until(|item| item["requestTimeline"]["__typename"] == "RunEnded").await;
        assert_eq!(outcomes(&look::runs(&app).await), [("first", "ASSIGNED", "none"), ("second", "MENTION", "DECLINED")]);
        let seen = look::request(&app, &request).await;
        assert_eq!(seen["waiting"], json!([{ "trigger": "MENTION", "coworker": { "handle": "first" }, "waitsFor": { "number": 1 } }]));
        app.mutate("runStop", json!({ "id": run }), "").await;
        app.drain().await;
        assert_eq!(outcomes(&look::runs(&app).await), [("first", "ASSIGNED", "STOPPED"), ("second", "MENTION", "DECLINED"), ("first", "MENTION", "REPLIED")]);
        look::sound(&app).await;
    }

    /// Nothing changes, and whom it needs it needs.
    async fn what_nobody_has_is_given_to_nobody_without_a_trace(app: TestApp) {
        let request = app.request("Where is it?").await["id"].take();
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"], &seen["needsPerson"]), (&Value::Null, &json!(true)));
        let timeline = look::timeline(&app, &request).await;
        let input = json!({ "id": request, "assigneeId": null, "reason": "Not mine.", "idempotencyKey": "a" });
        for _ in 0..2 {
            app.mutate("requestAssign", input.clone(), "request { id }").await;
        }
        assert_eq!(look::request(&app, &request).await, seen);
        assert_eq!(look::timeline(&app, &request).await, timeline);
        // The first assignment is the first epoch.
        let worker = Coworker::new("worker").playbook(DECLINES).publish(&app).await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": worker.id }), "").await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": null }), "").await;
        app.drain().await;
        let epochs: Vec<_> = look::list(look::request(&app, &request).await["assignments"]["nodes"].take()).iter().map(|one| one["epoch"].clone()).collect();
        assert_eq!(epochs, [json!(1), json!(2)]);
    }

    async fn a_person_who_is_assigned_starts_nothing(app: TestApp) {
        let me = app.gql("{ viewer { actor { id } } }", json!({})).await["viewer"]["actor"]["id"].take();
        let made = app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": me }), "request { id assignee { kind id } waiting { id } }").await;
        assert_eq!(made["request"]["assignee"], json!({ "kind": "PERSON", "id": me }));
        assert_eq!(made["request"]["waiting"], json!([]));
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 0);
    }

    async fn a_coworker_that_is_mentioned_and_then_assigned_works_in_one_run_after_the_other(app: TestApp) {
        let worker = Coworker::new("worker").playbook("
turns:
  - when: { trigger: MENTION }
    text: Never said.
    delay: 10m
  - calls: [{ tool: set_status, arguments: { status: RESOLVED } }, { tool: finish, arguments: { outcome: RESOLVED, reason: Done., summary: I did it. } }]
").publish(&app).await;
        let request = app.request("Where is it?").await["id"].take();
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@worker?" }), "").await;
        let (run, mut events) = first_run(&app, &request).await;
        until(&mut events, "model.requested").await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": worker.id }), "").await;
        let seen = look::request(&app, &request).await;
        assert_eq!(seen["waiting"], json!([{ "trigger": "ASSIGNED", "coworker": { "handle": "worker" }, "waitsFor": { "number": 1 } }]));
        app.mutate("runStop", json!({ "id": run }), "").await;
        app.drain().await;
        look::sound(&app).await;
        // The mentioned run's failure leaves the status alone; the assigned run may set it.
        assert_eq!(outcomes(&look::runs(&app).await), [("worker", "MENTION", "STOPPED"), ("worker", "ASSIGNED", "RESOLVED")]);
        assert_eq!(look::request(&app, &request).await["status"], "RESOLVED");
    }
}

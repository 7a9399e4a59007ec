//! R32–R36: a call that a person must approve pauses its run, holds no worker, and goes on once it is decided.

use std::time::Duration;

use entity::Role;
use serde_json::{Value, json};
use tests::{Client, Coworker, TestApp, both_dbs};

use crate::look;

/// Wants to reset a device, and says how it went.
pub const RESETS: &str = "
tools:
  - { name: device.look, description: Looks at it., effect: READ, answers: [{ response: fine }] }
  - { name: device.reset, description: Resets it., destructive: true, answers: [{ response: done }] }
turns:
  - thinking: Only a reset helps.
    calls:
      - { tool: device.reset, arguments: { device: LT-2231 } }
      - { tool: device.look, arguments: {} }
  - when: { result_of: device.reset, result_failed: true, result_contains: denied this call }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: I may not., summary: I was not allowed to reset it. } }]
  - when: { result_of: device.reset, result_failed: true, result_contains: nobody decided in time }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Nobody said yes., summary: Nobody answered. } }]
  - when: { result_of: device.reset, result_failed: true }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Something else., summary: It did not work. } }]
  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: It is reset., summary: I reset it. } }]
";

/// What tests read of an approval.
const APPROVAL: &str = "id state tool arguments digest reason requestedAt expiresAt decidedAt usedAt decidedBy { displayName kind } \
                        run { id number status } request { id } coworker { handle } toolCall { response error { code } } \
                        permissions { approvalDecide }";

/// Asks a person each time before this action of this server.
pub fn ask(server: &str, action: &str) -> Value {
    json!([{ "server": server, "actions": [{ "name": action, "approval": "ALWAYS" }] }])
}

/// Publishes a coworker that plays [`RESETS`] and must ask before it resets; gives it a request.
pub async fn wait_for_a_reset(app: &TestApp) -> Value {
    let worker = Coworker::new("worker")
        .playbook(RESETS)
        .with("tools", ask("device", "reset"))
        .publish(app)
        .await;
    assign(app, &worker.id).await
}

/// A request for this coworker, worked on as far as that goes.
pub async fn assign(app: &TestApp, coworker: &str) -> Value {
    let input = json!({ "title": "It hangs", "assigneeId": coworker });
    let made = app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
    app.drain().await;
    made
}

/// All approvals, newest first.
pub async fn approvals(client: &Client) -> Vec<Value> {
    let query = format!("{{ approvals {{ nodes {{ {APPROVAL} }} }} }}");
    look::list(client.gql(&query, json!({})).await["approvals"]["nodes"].take())
}

/// The only approval that waits.
pub async fn pending(client: &Client) -> Value {
    let query = format!("{{ approvals(state: PENDING) {{ nodes {{ {APPROVAL} }} }} }}");
    let mut found = look::list(client.gql(&query, json!({})).await["approvals"]["nodes"].take());
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

pub fn decision(approval: &Value, decision: &str) -> Value {
    json!({ "approvalId": approval["id"], "decision": decision, "reason": "It is in use." })
}

pub async fn decide(client: &Client, approval: &Value, what: &str) -> Value {
    let selection = format!("approval {{ {APPROVAL} }}");
    client
        .mutate("approvalDecide", decision(approval, what), &selection)
        .await["approval"]
        .take()
}

/// The code with which a decision is refused.
pub async fn refused(client: &Client, approval: &Value, what: &str) -> Value {
    client
        .refused("approvalDecide", decision(approval, what))
        .await[0]["code"]
        .take()
}

both_dbs! {
    /// R36: the slots are free while it waits, and it goes on where it was.
    async fn a_run_that_waits_for_an_approval_holds_no_worker(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.worker.slots = 1).await;
        let request = wait_for_a_reset(&app).await;
        let asked = pending(&app).await;
        assert_eq!((&asked["tool"], &asked["arguments"]), (&json!("device.reset"), &json!("{\"device\":\"LT-2231\"}")));
        assert_eq!((&asked["run"]["status"], &asked["coworker"]["handle"]), (&json!("PAUSED_FOR_APPROVAL"), &json!("worker")));
        assert_eq!((&asked["request"]["id"], &asked["permissions"]["approvalDecide"]), (&request, &json!(true)));
        assert_eq!((&asked["requestedAt"], &asked["expiresAt"]), (&json!("2026-05-20T03:30:00.000Z"), &json!("2026-05-21T03:30:00.000Z")));
        let held = "SELECT COUNT(*) AS n FROM run WHERE status = 'PAUSED_FOR_APPROVAL' AND (lease_owner IS NOT NULL OR lease_until IS NOT NULL)";
        assert_eq!(look::number(&app, held).await, 0);
        let query = "{ runs(filter: { status: { eq: PAUSED_FOR_APPROVAL } }) { nodes { number endedAt approvals { nodes { id } } } } }";
        let paused = app.gql(query, json!({})).await["runs"]["nodes"].take();
        assert_eq!(paused, json!([{ "number": 1, "endedAt": null, "approvals": { "nodes": [{ "id": asked["id"] }] } }]));

        // Another run has the only slot meanwhile.
        let other = Coworker::new("other").publish(&app).await;
        assign(&app, &other.id).await;
        let runs = look::runs(&app).await;
        assert_eq!(runs.len(), 2);
        assert!(!runs[1]["endedAt"].is_null(), "{runs:#?}");
        assert_eq!(pending(&app).await["id"], asked["id"]);

        let ada = app.with_new_key(json!({ "name": "Ada", "role": "AGENT" })).await;
        let decided = decide(&ada, &asked, "APPROVE").await;
        assert_eq!((&decided["state"], &decided["decidedBy"]["displayName"], &decided["reason"]), (&json!("APPROVED"), &json!("Ada"), &json!("It is in use.")));
        assert_eq!((&decided["run"]["status"], &decided["permissions"]["approvalDecide"]), (&json!("RUNNING"), &json!(false)));
        app.drain().await;
        look::sound(&app).await;
        let run = look::runs(&app).await.remove(0);
        assert_eq!((&run["outcome"], &run["attempt"], &run["toolCallCount"]), (&json!("REPLIED"), &json!(1), &json!(3)), "{run:#}");
        let log = look::events(&app, &run).await;
        assert_eq!(look::types(&log), [
            "run.started", "turn.started", "model.requested", "model.completed", "approval.requested", "run.paused",
            "approval.approved", "run.resumed", "tool.requested", "tool.completed", "tool.requested", "tool.completed",
            "turn.started", "model.requested", "model.completed", "tool.requested", "tool.completed", "summary.written", "run.completed",
        ]);
        assert_eq!(look::data(&log, "tool.requested")[0]["arguments"], asked["arguments"]);
        assert_eq!(look::data(&log, "approval.approved")[0]["by"]["name"], "Ada");
        let used = approvals(&app).await.remove(0);
        assert_eq!((used["usedAt"].is_null(), &used["toolCall"]["response"]), (false, &json!("done")));

        // As people read it: one step from the question to the answer, before the call's own.
        let query = "query ($id: ID!) { run(id: $id) { steps(first: 40) { nodes { kind title failed endedAt events { type } ... on ApprovalStep { approval { id } } } } } }";
        let steps = look::list(app.gql(query, json!({ "id": run["id"] })).await["run"]["steps"]["nodes"].take());
        let kinds: Vec<_> = steps.iter().map(|step| step["kind"].as_str().expect("a kind")).collect();
        assert_eq!(kinds, ["RUN_STARTED", "THINKING", "APPROVAL", "TOOL_CALL", "TOOL_CALL", "THINKING", "TOOL_CALL", "DONE"]);
        assert_eq!((&steps[2]["title"], &steps[2]["failed"], &steps[2]["approval"]["id"]), (&json!("Ada approved device.reset"), &json!(false), &asked["id"]));
        let types: Vec<_> = steps[2]["events"].as_array().expect("events").iter().map(|event| event["type"].as_str().expect("a type")).collect();
        assert_eq!(types, ["approval.requested", "run.paused", "approval.approved", "run.resumed"]);
        let timeline = look::timeline(&app, &request).await;
        assert!(timeline.contains(&"ApprovalDecided APPROVED Ada".to_owned()), "{timeline:?}");
        app.stop().await;
    }

    async fn a_coworker_whose_call_is_denied_is_told_why_and_goes_on(app: TestApp) {
        wait_for_a_reset(&app).await;
        decide(&app, &pending(&app).await, "DENY").await;
        app.drain().await;
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["outcome"], &run["reason"]), (&json!("DECLINED"), &json!("I may not.")), "{run:#}");
        let log = look::events(&app, &run).await;
        let refused = look::data(&log, "tool.refused");
        assert_eq!((refused.len(), &refused[0]["reason"], &refused[0]["tool"]), (1, &json!("denied"), &json!("device.reset")));
        assert!(refused[0]["message"].as_str().expect("a sentence").contains("It is in use."), "{refused:#?}");
        // What else the turn asked for is done: it only waited behind.
        assert_eq!(look::data(&log, "tool.completed")[0]["response"], "fine");
        let asked = approvals(&app).await.remove(0);
        assert_eq!((&asked["state"], &asked["usedAt"], &asked["toolCall"]["error"]["code"]), (&json!("DENIED"), &Value::Null, &json!("REFUSED")));
    }

    async fn a_call_that_nobody_decides_about_in_time_is_not_made_and_the_run_goes_on(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.worker.reap = Duration::from_millis(50)).await;
        let request = wait_for_a_reset(&app).await;
        let asked = pending(&app).await;
        app.advance(Duration::from_secs(24 * 3_600 - 1)).await;
        app.drain().await;
        assert_eq!(pending(&app).await["id"], asked["id"], "it has a second left");
        let mut timeline = app.subscribe("subscription ($id: ID!) { requestTimeline(requestId: $id) { __typename } }", json!({ "id": request })).await;
        app.advance(Duration::from_secs(1)).await;
        timeline.until(|item| item["requestTimeline"]["__typename"] == "ApprovalDecided").await;
        app.drain().await;
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["outcome"], &run["reason"]), (&json!("DECLINED"), &json!("Nobody said yes.")), "{run:#}");
        let log = look::events(&app, &run).await;
        assert_eq!(look::data(&log, "tool.refused")[0]["reason"], "expired");
        let expired = approvals(&app).await.remove(0);
        assert_eq!((&expired["state"], &expired["decidedBy"], &expired["decidedAt"]), (&json!("EXPIRED"), &Value::Null, &json!("2026-05-21T03:30:00.000Z")));
        let timeline = look::timeline(&app, &request).await;
        assert!(timeline.contains(&"ApprovalDecided EXPIRED Stint".to_owned()), "{timeline:?}");
        assert_eq!(refused(&app, &asked, "APPROVE").await, "APPROVAL_EXPIRED");
        app.stop().await;
    }

    async fn nobody_approves_what_has_expired_even_before_it_was_looked_for(app: TestApp) {
        let app = look::with_settings(&app, |settings| {
            settings.worker.reap = Duration::from_secs(3_600);
            settings.worker.approval_ttl = Duration::from_secs(60);
        }).await;
        wait_for_a_reset(&app).await;
        let asked = pending(&app).await;
        app.advance(Duration::from_secs(60)).await;
        for what in ["APPROVE", "DENY"] {
            assert_eq!(refused(&app, &asked, what).await, "APPROVAL_EXPIRED");
        }
        let asked = pending(&app).await;
        assert_eq!((&asked["run"]["status"], &asked["permissions"]["approvalDecide"]), (&json!("PAUSED_FOR_APPROVAL"), &json!(false)));
        app.stop().await;
    }

    async fn the_time_that_a_run_waits_does_not_count(app: TestApp) {
        let worker = Coworker::new("worker").playbook(RESETS).with("tools", ask("device", "reset")).limits(json!({ "maxDuration": "PT5M" })).publish(&app).await;
        assign(&app, &worker.id).await;
        app.advance(Duration::from_secs(10 * 3_600)).await;
        app.drain().await;
        // Nobody ends it for its time, and nobody takes it over.
        let asked = pending(&app).await;
        decide(&app, &asked, "APPROVE").await;
        app.drain().await;
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["outcome"], &run["attempt"]), (&json!("REPLIED"), &json!(1)), "{run:#}");
        let log = look::events(&app, &run).await;
        let (started, resumed) = (look::data(&log, "run.started")[0], look::data(&log, "run.resumed")[0]);
        assert_eq!(resumed["paused_ms"], 36_000_000);
        assert_eq!(resumed["deadline"].as_i64(), started["deadline"].as_i64().map(|at| at + 36_000_000));
    }

    async fn a_run_that_waits_survives_a_restart(app: TestApp) {
        wait_for_a_reset(&app).await;
        let asked = pending(&app).await;
        app.restart().await;
        app.drain().await;
        assert_eq!(pending(&app).await, asked);
        decide(&app, &asked, "APPROVE").await;
        app.drain().await;
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["outcome"], &run["attempt"]), (&json!("REPLIED"), &json!(1)), "{run:#}");
    }

    /// Decision 4: what waits under an old assignment ends with it, in the same transaction.
    async fn reassigning_ends_the_run_that_waits_and_voids_its_approval(app: TestApp) {
        let request = wait_for_a_reset(&app).await;
        let asked = pending(&app).await;
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": null }), "").await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["status"], &run["outcome"]), (&json!("COMPLETED"), &json!("SUPERSEDED")), "{run:#}");
        let void = approvals(&app).await.remove(0);
        assert_eq!((&void["state"], &void["decidedBy"], &void["usedAt"]), (&json!("VOID"), &Value::Null, &Value::Null));
        for what in ["APPROVE", "DENY"] {
            assert_eq!(refused(&app, &asked, what).await, "APPROVAL_VOID");
        }
        app.drain().await;
        look::sound(&app).await;
        let log = look::events(&app, &look::only_run(&app).await).await;
        assert_eq!(look::types(&log)[5..], ["run.paused", "approval.voided", "summary.written", "run.completed"]);
        let query = "{ run(number: 1) { steps { nodes { kind endedAt title } } } }";
        let steps = look::list(app.gql(query, json!({})).await["run"]["steps"]["nodes"].take());
        assert_eq!((&steps[2]["title"], steps[2]["endedAt"].is_null()), (&json!("Nobody decided about device.reset"), false));
    }

    async fn stopping_a_run_that_waits_ends_it_at_once(app: TestApp) {
        let request = wait_for_a_reset(&app).await;
        let asked = pending(&app).await;
        let ada = app.with_new_key(json!({ "name": "Ada", "role": "AGENT" })).await;
        let input = json!({ "id": asked["run"]["id"], "reason": "Enough." });
        let run = ada.mutate("runStop", input, "run { status failureCode reason }").await["run"].take();
        assert_eq!(run, json!({ "status": "FAILED", "failureCode": "STOPPED", "reason": "Ada stopped the run: Enough." }));
        assert_eq!(approvals(&app).await[0]["state"], "VOID");
        assert_eq!(refused(&app, &asked, "APPROVE").await, "APPROVAL_VOID");
        assert_eq!(look::request(&app, &request).await["status"], "IN_PROGRESS");
        look::sound(&app).await;
    }

    /// Also when a colleague closes it, and the run that waits was only mentioned.
    async fn a_coworker_that_closes_a_request_ends_the_run_that_waits(app: TestApp) {
        Coworker::new("worker").playbook(RESETS).with("tools", ask("device", "reset")).publish(&app).await;
        let closes = "turns:\n  - calls:\n      - { tool: set_status, arguments: { status: CLOSED } }\n      - { tool: finish, arguments: { outcome: REPLIED, reason: Done., summary: Done. } }\n";
        let closer = Coworker::new("closer").playbook(closes).publish(&app).await;
        let request = app.mutate("requestCreate", json!({ "title": "It hangs" }), "request { id }").await["request"]["id"].take();
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@worker look" }), "").await;
        app.drain().await;
        assert_eq!(approvals(&app).await[0]["state"], "PENDING");
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": closer.id }), "").await;
        app.drain().await;
        assert_eq!((&approvals(&app).await[0]["state"], &look::request(&app, &request).await["status"]), (&json!("VOID"), &json!("CLOSED")));
        look::sound(&app).await;
    }

    async fn closing_a_request_ends_the_run_that_waits(app: TestApp) {
        let request = wait_for_a_reset(&app).await;
        app.mutate("requestUpdate", json!({ "id": request, "status": "CLOSED" }), "").await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["failureCode"], &approvals(&app).await[0]["state"]), (&json!("STOPPED"), &json!("VOID")), "{run:#}");
        assert_eq!(look::request(&app, &request).await["status"], "CLOSED");
        look::sound(&app).await;
    }

    async fn who_repeats_their_decision_gets_the_same_answer_and_nobody_changes_it(app: TestApp) {
        wait_for_a_reset(&app).await;
        let asked = pending(&app).await;
        let ada = app.with_new_key(json!({ "name": "Ada", "role": "AGENT" })).await;
        let once = decide(&ada, &asked, "DENY").await;
        app.drain().await;
        let before = look::counts(&app).await;
        let twice = decide(&ada, &asked, "DENY").await;
        for field in ["state", "decidedAt", "reason", "decidedBy"] {
            assert_eq!(once[field], twice[field]);
        }
        assert_eq!(refused(&ada, &asked, "APPROVE").await, "APPROVAL_DECIDED");
        assert_eq!(refused(&app, &asked, "DENY").await, "APPROVAL_DECIDED");
        assert_eq!(look::counts(&app).await, before);
    }

    async fn people_are_asked_only_where_the_coworker_is_set_so(app: TestApp) {
        let playbook = "
tools:
  - { name: disk.wipe, description: Wipes it., destructive: true, answers: [{ response: wiped }] }
  - { name: disk.list, description: Lists it., answers: [{ response: listed }] }
turns:
  - calls: [{ tool: disk.list }, { tool: disk.wipe }]
  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]
";
        for (handle, approval, asks) in [("never", "NEVER", 0), ("destructive", "WHEN_DESTRUCTIVE", 1), ("always", "ALWAYS", 2)] {
            let actions = ["wipe", "list"].map(|name| json!({ "name": name, "approval": approval }));
            let tools = json!([{ "server": "disk", "actions": actions }]);
            let worker = Coworker::new(handle).playbook(playbook).with("tools", tools).publish(&app).await;
            assign(&app, &worker.id).await;
            for tool in ["disk.wipe", "disk.list"].iter().skip(2 - asks).rev() {
                let asked = pending(&app).await;
                // One after the other, in the order of the calls.
                assert_eq!(asked["tool"], if asks == 1 { "disk.wipe" } else { *tool });
                decide(&app, &asked, "APPROVE").await;
                app.drain().await;
            }
            let run = look::runs(&app).await.pop().expect("a run");
            assert_eq!(run["outcome"], "REPLIED", "{handle} {run:#}");
        }
        look::sound(&app).await;
    }

    /// Built-in tools can be asked about too; finish can't, for every run ends with it.
    async fn a_change_of_status_can_wait_for_an_approval(app: TestApp) {
        let playbook = "
turns:
  - calls: [{ tool: set_status, arguments: { status: DONE } }, { tool: set_status, arguments: { status: RESOLVED } }]
  - calls: [{ tool: finish, arguments: { outcome: RESOLVED, reason: r, summary: s } }]
";
        let worker = Coworker::new("worker").playbook(playbook).with("tools", ask("stint", "set_status")).publish(&app).await;
        let request = assign(&app, &worker.id).await;
        // What makes no sense is refused without asking anybody.
        let asked = pending(&app).await;
        assert_eq!((&asked["tool"], &asked["arguments"]), (&json!("set_status"), &json!("{\"status\":\"RESOLVED\"}")));
        assert_eq!(look::request(&app, &request).await["status"], "OPEN");
        decide(&app, &asked, "APPROVE").await;
        app.drain().await;
        look::sound(&app).await;
        assert_eq!(look::request(&app, &request).await["status"], "RESOLVED");
        assert_eq!(look::only_run(&app).await["outcome"], "RESOLVED");
        let errors = app.refused("coworkerUpdate", json!({ "id": worker.id, "tools": ask("stint", "finish") })).await;
        assert_eq!(errors[0]["field"], "tools.actions.approval");
    }

    async fn whoever_watches_is_told_of_a_call_that_waits(app: TestApp) {
        let query = "subscription ($filter: ApprovalFilter) { approvalRequested(filter: $filter) { id tool state run { number } } }";
        let mut inbox = app.subscribe(query, json!({})).await;
        let mut others = app.subscribe(query, json!({ "filter": { "tool": { "eq": "device.look" } } })).await;
        let mut board = app.subscribe("subscription { runChanged(filter: { status: { eq: PAUSED_FOR_APPROVAL } }) { matches run { number status } } }", json!({})).await;
        wait_for_a_reset(&app).await;
        let told = inbox.next().await["approvalRequested"].take();
        assert_eq!((&told["tool"], &told["state"], &told["run"]["number"]), (&json!("device.reset"), &json!("PENDING"), &json!(1)));
        assert_eq!(board.next().await["runChanged"], json!({ "matches": true, "run": { "number": 1, "status": "PAUSED_FOR_APPROVAL" } }));
        // Who comes later is told at once, and nobody twice.
        let mut late = app.subscribe(query, json!({})).await;
        assert_eq!(late.next().await["approvalRequested"], told);
        decide(&app, &told, "DENY").await;
        assert_eq!(board.next().await["runChanged"]["matches"], false);
        app.drain().await;
        for inbox in [&mut inbox, &mut others, &mut late] {
            assert!(inbox.is_silent(Duration::from_millis(300)).await);
        }
        let requester = app.as_role(Role::Requester).await;
        match requester.subscribe(query, json!({})).await.item().await {
            tests::Item::Error(errors) => assert_eq!(errors[0]["extensions"]["code"], "FORBIDDEN"),
            other => panic!("{other:?}"),
        }
    }
}

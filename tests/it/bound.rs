//! G15: an approval permits one execution of exactly the call that was shown.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, TestDb, both_dbs, on_both};

use crate::approval::{
    RESETS, approvals, ask, assign, decide, decision, pending, refused, wait_for_a_reset,
};
use crate::look;
use crate::ruin::Site;

both_dbs! {
    /// An approval that nobody could act upon in its time is worth nothing later.
    async fn a_call_is_not_made_once_its_approval_has_expired(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.worker.slots = 1).await;
        let worker = Coworker::new("worker").playbook(RESETS).with("tools", ask("device", "reset")).limits(json!({ "maxDuration": "P3D" }));
        assign(&app, &worker.publish(&app).await.id).await;
        let asked = pending(&app).await;
        let blocker = block(&app).await;
        decide(&app, &asked, "APPROVE").await;
        app.advance(Duration::from_secs(24 * 3_600)).await;
        app.mutate("runStop", json!({ "id": blocker }), "").await;
        app.drain().await;
        let run = look::runs(&app).await.remove(0);
        let log = look::events(&app, &run).await;
        let refused = look::data(&log, "tool.refused");
        assert_eq!((&refused[0]["tool"], &refused[0]["reason"]), (&json!("device.reset"), &json!("expired")), "{refused:#?}");
        app.stop().await;
    }

    /// Nobody can decide about a call for a request that was closed while the run worked: it is not asked about, and the
    /// run goes on to its end.
    async fn a_call_for_a_request_that_is_closed_waits_for_nobody(app: TestApp) {
        let playbook = RESETS.replace("answers: [{ response: fine }]", "answers: [{ delay: 700ms, response: fine }]").replace(
            "turns:\n", "turns:\n  - calls: [{ tool: device.look, arguments: {} }]\n");
        let worker = Coworker::new("worker").playbook(&playbook).with("tools", ask("device", "reset")).publish(&app).await;
        let input = json!({ "title": "It hangs", "assigneeId": worker.id });
        let request = app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
        let run = look::first_run(&app, &request).await;
        let query = "subscription ($id: ID!) { runEvents(runId: $id) { type } }";
        let mut events = app.subscribe(query, json!({ "id": run })).await;
        events.until(|event| event["runEvents"]["type"] == "tool.requested").await;
        app.mutate("requestUpdate", json!({ "id": request, "status": "CLOSED" }), "").await;
        app.drain().await;
        assert_eq!(approvals(&app).await, Vec::<Value>::new());
        let run = look::only_run(&app).await;
        assert!(run["endedAt"].is_string(), "{run:#}");
        let log = look::events(&app, &run).await;
        assert_eq!(look::data(&log, "tool.refused")[0]["reason"], "not_approved");
        look::sound(&app).await;
    }

    /// G15: of many decisions at once one counts.
    async fn of_fifty_decisions_at_once_one_counts(app: TestApp) {
        let mut clients = Vec::new();
        for i in 0..50 {
            clients.push(app.with_new_key(json!({ "name": format!("Person {i}"), "role": "AGENT" })).await);
        }
        wait_for_a_reset(&app).await;
        let asked = pending(&app).await;
        let query = "mutation ($input: ApprovalDecideInput!) { approvalDecide(input: $input) { approval { state decidedBy { displayName } } userErrors { code } } }";
        let asking = clients.iter().enumerate().map(|(i, client)| {
            client.post(query, json!({ "input": decision(&asked, if i % 2 == 0 { "APPROVE" } else { "DENY" }) }))
        });
        let answers: Vec<Value> = join_all(asking).await.into_iter().map(|mut answer| answer.body["data"]["approvalDecide"].take()).collect();
        let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer["approval"].is_object());
        assert_eq!((won.len(), lost.len()), (1, 49), "{answers:#?}");
        assert!(lost.iter().all(|answer| answer["userErrors"][0]["code"] == "APPROVAL_DECIDED"), "{lost:#?}");
        app.drain().await;
        look::sound(&app).await;
        let decided = approvals(&app).await.remove(0);
        assert_eq!(decided["state"], won[0]["approval"]["state"]);
        assert_eq!(decided["decidedBy"]["displayName"], won[0]["approval"]["decidedBy"]["displayName"]);
        let log = look::events(&app, &look::only_run(&app).await).await;
        let decisions = ["approval.approved", "approval.denied"].map(|kind| look::data(&log, kind).len());
        assert_eq!(decisions[0] + decisions[1], 1);
        let resets = look::data(&log, "tool.requested").iter().filter(|call| call["tool"] == "device.reset").count();
        assert_eq!(resets, decisions[0]);
    }

    /// G15: whoever changes what is shown, or what was approved, changes nothing of what is sent.
    async fn a_call_is_made_as_it_was_shown_or_not_at_all(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.worker.slots = 1).await;
        let worker = Coworker::new("worker").playbook(RESETS).with("tools", ask("device", "reset")).publish(&app).await;
        // What is shown was changed: nobody can approve it.
        assign(&app, &worker.id).await;
        let asked = pending(&app).await;
        look::tamper(&app, "UPDATE approval SET arguments = '{\"device\":\"LT-9999\"}'").await;
        assert_eq!(refused(&app, &asked, "APPROVE").await, "APPROVAL_MISMATCH");
        decide(&app, &asked, "DENY").await;
        app.drain().await;
        // What was approved is changed before the call is made: it is not.
        for (i, change) in [
            "arguments = '{}'", "tool = 'device.look'", "call_id = 'other'", "schema_hash = '00'", "digest = '00'",
            "expires_at = expires_at + 1", "state = 'DENIED'", "used_at = 1",
        ].into_iter().enumerate() {
            assign(&app, &worker.id).await;
            let asked = pending(&app).await;
            let blocker = block(&app).await;
            decide(&app, &asked, "APPROVE").await;
            look::tamper(&app, &format!("UPDATE approval SET {change} WHERE state = 'APPROVED' AND used_at IS NULL")).await;
            app.mutate("runStop", json!({ "id": blocker }), "").await;
            app.drain().await;
            let log = look::events(&app, &asked["run"]).await;
            let refused = look::data(&log, "tool.refused");
            assert_eq!((refused.len(), &refused[0]["reason"]), (1, &json!("not_approved")), "{i} {change}");
            assert!(look::data(&log, "tool.requested").iter().all(|call| call["tool"] != "device.reset"), "{change}");
        }
        app.stop().await;
    }
}

/// Takes the only slot, until it is stopped.
async fn block(app: &TestApp) -> Value {
    let known = app
        .post("{ coworker(handle: \"blocker\") { id } }", json!({}))
        .await
        .body;
    let id = match known["data"]["coworker"]["id"].as_str() {
        Some(id) => id.to_owned(),
        None => {
            Coworker::new("blocker")
                .playbook("turns: [{ repeat: true, text: Never said., delay: 10m }]")
                .publish(app)
                .await
                .id
        }
    };
    let input = json!({ "title": "It takes its time", "assigneeId": id });
    let request =
        app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
    look::first_run(app, &request).await
}

/// Resets a device with a tool that never answers the first time.
const HANGS: &str = "
tools:
  - { name: device.reset, description: Resets it., effect: IDEMPOTENT, answers: [{ when: { call: 1 }, fault: hang }, { response: again }] }
turns:
  - calls: [{ tool: device.reset, arguments: { hard: true } }]
  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]
";

on_both! {
    /// G15: whenever the worker dies after the decision, the call is made once at the most.
    async fn a_death_after_the_approval_makes_no_second_call(backend: Backend) {
        let mut site = Site::start(TestDb::new(backend).await);
        for (handle, playbook) in [("quick", RESETS), ("hanging", HANGS)] {
            let tools = ask("device", "reset");
            Coworker::new(handle).playbook(playbook).with("tools", tools).publish(&site.client).await;
        }
        let ids = site.client.gql("{ quick: coworker(handle: \"quick\") { id } hanging: coworker(handle: \"hanging\") { id } }", json!({})).await;
        let paused = "SELECT COUNT(*) FROM approval WHERE state = 'PENDING'";
        const ROUNDS: i64 = 6;
        for round in 1..=ROUNDS {
            let hangs = round == ROUNDS;
            let who = if hangs { "hanging" } else { "quick" };
            let input = json!({ "title": "It hangs", "assigneeId": ids[who]["id"] });
            site.client.mutate("requestCreate", input, "").await;
            site.until_number(paused, 1).await;
            // Dead while it waits, and again as soon as it is decided.
            site.crash();
            let asked = pending(&site.client).await;
            decide(&site.client, &asked, "APPROVE").await;
            if hangs {
                site.until(round, "tool.requested").await;
            }
            site.crash();
            site.until_ended(round).await;
        }
        for run in site.audit().await {
            let resets = run.data("tool.requested").iter().filter(|call| call["tool"] == "device.reset").count();
            assert!(resets <= 1, "{:?}", run.kinds());
            assert_eq!(run.count("approval.approved"), 1);
            let outcome = run.run.outcome;
            if run.run.number == ROUNDS {
                // Even a call that could be repeated is not: one was approved.
                assert_eq!((run.count("tool.outcome_unknown"), outcome), (1, Some(entity::Outcome::Blocked)), "{:?}", run.kinds());
            } else {
                assert!(matches!(outcome, Some(entity::Outcome::Replied | entity::Outcome::Blocked)), "{:?}", run.kinds());
            }
        }
    }
}

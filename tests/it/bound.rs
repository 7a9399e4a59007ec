//! G15: an approval permits one execution of exactly the call that was shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::tool::Exception;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, TestDb, both_dbs, on_both};

use crate::approval::{RESETS, approvals, ask, assign, decide, decision, pending, refused};
use crate::counter::Counter;
use crate::look;
use crate::ruin::Site;

/// Calls that are asked about, and decisions about each at once.
const APPROVALS: usize = 100;
const DECISIONS: usize = 50;

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

    /// Nobody can decide about a call for a request that is closed, by the run itself here: it is not asked about, and the
    /// run goes on to its end.
    async fn a_call_for_a_request_that_is_closed_waits_for_nobody(app: TestApp) {
        let closes = "calls:\n      - { tool: set_status, arguments: { status: CLOSED } }\n";
        let playbook = RESETS.replacen("calls:\n", closes, 1);
        let worker = Coworker::new("worker").playbook(&playbook).with("tools", ask("device", "reset")).publish(&app).await;
        let request = assign(&app, &worker.id).await;
        assert_eq!(look::request(&app, &request).await["status"], "CLOSED");
        assert_eq!(approvals(&app).await, Vec::<Value>::new());
        let run = look::only_run(&app).await;
        assert!(run["endedAt"].is_string(), "{run:#}");
        let log = look::events(&app, &run).await;
        assert_eq!(look::data(&log, "tool.refused")[0]["reason"], "not_approved");
        look::sound(&app).await;
    }

    /// G15: of many decisions at once one counts, a hundred times over, and what was approved is done once, by what is
    /// counted outside.
    async fn of_fifty_decisions_at_once_one_counts(app: TestApp) {
        let counter = Counter::open().await;
        let app = look::with_settings(&app, |settings| {
            settings.tools.exceptions.push(Exception::parse(&counter.host()).unwrap());
        }).await;
        app.mutate("toolServerCreate", counter.server("counter", &[("act", "EFFECT")]), "").await;
        let playbook = "turns:\n  - calls: [{ tool: counter.act, arguments: {} }]\n\
                        \x20 - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]\n";
        let worker = Coworker::new("worker").playbook(playbook).with("tools", ask("counter", "act")).publish(&app).await;
        let inputs = (0..APPROVALS).map(|i| json!({ "title": format!("Case {i}"), "assigneeId": worker.id }));
        join_all(inputs.map(|input| app.mutate("requestCreate", input, ""))).await;
        app.drain().await;
        let mut clients = Vec::new();
        for i in 0..DECISIONS {
            clients.push(app.with_new_key(json!({ "name": format!("Person {i}"), "role": "AGENT" })).await);
        }
        let waiting = "{ approvals(state: PENDING, first: 100) { nodes { id } } }";
        let waiting = look::list(app.gql(waiting, json!({})).await["approvals"]["nodes"].take());
        assert_eq!(waiting.len(), APPROVALS);
        assert_eq!(counter.come(), 0, "nothing is done before it is approved");

        let query = "mutation ($input: ApprovalDecideInput!) { approvalDecide(input: $input) { approval { state decidedBy { displayName } } userErrors { code } } }";
        let mut won = BTreeMap::new();
        for (n, asked) in waiting.iter().enumerate() {
            let asking = clients.iter().enumerate().map(|(i, client)| {
                client.post(query, json!({ "input": decision(asked, if (i + n) % 2 == 0 { "APPROVE" } else { "DENY" }) }))
            });
            let answers: Vec<Value> = join_all(asking).await.into_iter().map(|mut answer| answer.body["data"]["approvalDecide"].take()).collect();
            let (mut first, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer["approval"].is_object());
            assert_eq!((first.len(), lost.len()), (1, DECISIONS - 1), "{first:#?}");
            assert!(lost.iter().all(|answer| answer["userErrors"][0]["code"] == "APPROVAL_DECIDED"), "{lost:#?}");
            won.insert(asked["id"].as_str().expect("an id").to_owned(), first.remove(0)["approval"].take());
        }
        app.drain().await;
        look::sound(&app).await;

        let query = "{ approvals(first: 100) { nodes { id state decidedBy { displayName } run { id outcome } } } }";
        let decided = look::list(app.gql(query, json!({})).await["approvals"]["nodes"].take());
        assert_eq!(decided.len(), APPROVALS);
        let mut keys = BTreeSet::new();
        for approval in &decided {
            let won = &won[approval["id"].as_str().expect("an id")];
            assert_eq!((&approval["state"], &approval["decidedBy"]), (&won["state"], &won["decidedBy"]));
            let log = look::events(&app, &approval["run"]).await;
            let made: Vec<_> = look::data(&log, "tool.requested").into_iter().filter(|call| call["tool"] == "counter.act").collect();
            let told = ["approval.approved", "approval.denied"].map(|kind| look::data(&log, kind).len());
            let expected = if won["state"] == "APPROVED" { [1, 0] } else { [0, 1] };
            assert_eq!((told, made.len()), (expected, expected[0]), "{log:#?}");
            keys.extend(made.iter().map(|call| call["idempotency_key"].as_str().expect("a key").to_owned()));
            assert_eq!(approval["run"]["outcome"], "REPLIED");
        }
        let calls = counter.calls();
        assert_eq!(calls.keys().cloned().collect::<BTreeSet<_>>(), keys, "what was done is what was approved");
        assert!(calls.values().all(|paths| paths.len() == 1), "something was done twice: {calls:#?}");
        println!("{APPROVALS} approvals with {DECISIONS} decisions at once each: {} approved and done once", keys.len());
        app.stop().await;
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

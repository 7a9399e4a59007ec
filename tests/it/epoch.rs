//! Epochs that are over: what belongs to one never starts, and says why.

use api::config::Role;
use domain::run::claim::Claim;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::approval;
use crate::assign::{first_run, outcomes, requested, until, with_desk};
use crate::counter::ALL;
use crate::held::{LEASE, ME};
use crate::look;
use crate::tools::enabled;

/// What became of a request's dropped dispatches, as its timeline tells it.
async fn dropped(app: &TestApp, request: &Value) -> Vec<Value> {
    let query = "query ($id: ID!) { request(id: $id) { timeline(first: 30) { nodes { ... on DispatchDropped {
        dispatch { coworker { handle } trigger state dropReason assignmentEpoch decidedAt run { number } waitsFor { number } } } } } } }";
    let mut seen = app.gql(query, json!({ "id": request })).await;
    let nodes = look::list(seen["request"]["timeline"]["nodes"].take());
    nodes
        .into_iter()
        .map(|mut node| node["dispatch"].take())
        .filter(Value::is_object)
        .collect()
}

both_dbs! {
    /// Decisions 4 and 8: whoever assigns anew drops what waits for the one before; and should one have been left all the same, the
    /// claim looks at the epoch itself.
    async fn a_dispatch_of_an_epoch_that_is_over_is_dropped_at_the_claim_too(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.role = Role::Api).await;
        let first = Coworker::new("first").publish(&app).await;
        let second = Coworker::new("second").publish(&app).await;
        let input = json!({ "title": "Where is it?", "assigneeId": first.id });
        let request = app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": second.id }), "").await;
        let superseded = json!({
            "coworker": { "handle": "first" }, "trigger": "ASSIGNED", "state": "DROPPED", "dropReason": "SUPERSEDED", "assignmentEpoch": 1,
            "decidedAt": "2026-05-20T03:30:00.000Z", "run": null, "waitsFor": null,
        });
        assert_eq!(dropped(&app, &request).await, std::slice::from_ref(&superseded));

        // As if it had been forgotten.
        look::tamper(&app, "UPDATE dispatch SET state = 'WAITING', drop_reason = NULL, decided_at = NULL WHERE assignment_epoch = 1").await;
        let waiting = look::request(&app, &request).await["waiting"].take();
        assert_eq!(waiting.as_array().map(Vec::len), Some(2), "{waiting:#}");
        let claim = Claim { worker: ME, most: 10, lease_ms: LEASE, only: None };
        let claimed = app.store().await.write(claim).await.unwrap();
        let runs: Vec<_> = claimed.iter().map(|one| one.log.run().assignment_epoch).collect();
        assert_eq!(runs, [Some(2)], "only the assignment in force starts a run");
        drop(claimed);
        assert_eq!(dropped(&app, &request).await, [superseded.clone(), superseded]);
        assert_eq!(look::request(&app, &request).await["waiting"], json!([]));
        assert_eq!(look::only_run(&app).await["coworker"]["handle"], "second");
        app.stop().await;
    }

    /// Decision 4: of two calls in one turn the second is not sent once the request is somebody else's, though nobody rang: what its
    /// intent is written with looks at the epoch itself.
    async fn a_call_after_the_assignment_is_not_sent_though_nobody_rang(app: TestApp) {
        let (app, desk) = with_desk(&app, "EFFECT").await;
        let playbook = "
turns:
  - calls: [{ tool: desk.look }, { tool: desk.look }]
  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Nothing to do., summary: I had nothing to do. } }]
";
        let first = Coworker::new("first").playbook(playbook).with("tools", enabled("desk", &["look"])).publish(&app).await;
        let request = requested(&app, "Where is it?", &first.id).await;
        let (run, mut events) = first_run(&app, &request).await;
        until(&mut events, "tool.requested").await;
        desk.until(1).await;
        // As if the ring had been lost.
        look::tamper(&app, "UPDATE request SET assignment_epoch = assignment_epoch + 1, assignee_kind = NULL, assignee_id = NULL").await;
        desk.answer(ALL);
        events.all().await;
        app.drain().await;
        look::sound(&app).await;
        assert_eq!(desk.come(), 1, "the second call was sent");
        let log = look::events(&app, &json!({ "id": run })).await;
        let types = look::types(&log);
        assert_eq!(types[types.len() - 3..], ["tool.completed", "summary.written", "run.completed"]);
        assert_eq!(look::data(&log, "tool.requested").len(), 1);
        assert_eq!(outcomes(&look::runs(&app).await)[0], ("first", "ASSIGNED", "SUPERSEDED"));
        app.stop().await;
    }

    /// Decision 4: whoever assigns anew ends what waits for a decision; and should a run have been left waiting all the same, nobody
    /// approves its call.
    async fn nobody_approves_a_call_of_an_epoch_that_is_over(app: TestApp) {
        approval::wait_for_a_reset(&app).await;
        let asked = approval::pending(&app).await;
        // As if the assignment had forgotten it.
        look::tamper(&app, "UPDATE request SET assignment_epoch = assignment_epoch + 1").await;
        for what in ["APPROVE", "DENY"] {
            assert_eq!(approval::refused(&app, &asked, what).await, "SUPERSEDED");
        }
        assert_eq!(approval::pending(&app).await["id"], asked["id"]);
        let log = look::events(&app, &asked["run"]).await;
        assert_eq!(look::types(&log).last(), Some(&"run.paused"));
    }
}

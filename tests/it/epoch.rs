//! Epochs that are over: what belongs to one never starts, and says why.

use api::config::Role;
use domain::run::claim::Claim;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::held::{LEASE, ME};
use crate::look;

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
}

//! Whether all of a span was looked at.

use serde_json::json;
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

/// Says something at some length to a tool, which answers at some length.
fn playbook(asks: usize, answers: usize) -> String {
    format!(
        "tools:\n  - {{ name: desk.look, description: Looks., effect: READ, answers: [{{ response: \"{}\" }}] }}\nturns:\n  \
         - calls: [{{ tool: desk.look, arguments: {{ what: \"{}\" }} }}]\n  \
         - calls: [{{ tool: set_status, arguments: {{ status: RESOLVED }} }}]\n  \
         - calls: [{{ tool: finish, arguments: {{ outcome: RESOLVED, reason: Done., summary: Done. }} }}]\n",
        "a".repeat(answers),
        "b".repeat(asks),
    )
}

async fn is_complete(app: &TestApp, id: &str) -> bool {
    let query = "query ($id: ID!) { node(id: $id) { ... on Coworker { diagnostics(range: { start: \"-P1D\", end: \"PT1H\" }) { examinedRuns isComplete } } } }";
    let found = app.gql(query, json!({ "id": id })).await["node"]["diagnostics"].take();
    assert_eq!(found["examinedRuns"], 1);
    found["isComplete"].as_bool().unwrap()
}

both_dbs! {
    /// What was too long or too much to be looked at is not passed over in silence. A long answer of a tool is no loss: it is not nothing.
    async fn a_diagnosis_says_when_it_did_not_look_at_everything(app: TestApp) {
        let mut staff = Vec::new();
        for (handle, asks, answers) in [("short", 10, 10), ("long-answer", 10, 20_000), ("long-call", 20_000, 10)] {
            let id = Coworker::new(handle).playbook(&playbook(asks, answers)).publish(&app).await.id;
            app.mutate("requestCreate", json!({ "title": handle, "assigneeId": id }), "").await;
            app.drain().await;
            staff.push(id);
        }
        assert_eq!([is_complete(&app, &staff[0]).await, is_complete(&app, &staff[1]).await, is_complete(&app, &staff[2]).await], [true, true, false]);

        // More changes of a status than are looked at.
        let many = "INSERT INTO request_event (request_id, seq, workspace_id, kind, at, actor_kind, actor_id, run_id, data) \
            WITH RECURSIVE more(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM more WHERE n < 51000) \
            SELECT one.request_id, n, one.workspace_id, one.kind, one.at, one.actor_kind, one.actor_id, one.run_id, one.data FROM more, \
            (SELECT * FROM request_event WHERE kind = 'STATUS_CHANGED' AND request_id = (SELECT id FROM request WHERE title = 'short') ORDER BY seq LIMIT 1) AS one";
        look::tamper(&app, many).await;
        assert!(!is_complete(&app, &staff[0]).await);
        assert!(is_complete(&app, &staff[1]).await, "it has a request of its own");
    }
}

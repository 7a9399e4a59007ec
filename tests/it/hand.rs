//! Hand-offs: a run's own reassignment is its last act, and only its ending may follow.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::assign::{DECLINES, first_run, outcomes, requested, until};
use crate::look;

both_dbs! {
    async fn a_hand_off_starts_only_after_the_run_that_handed_over_has_ended(app: TestApp) {
        let first = Coworker::new("first").playbook("
turns:
  - calls: [{ tool: reassign, arguments: { to: second, reason: It is theirs. } }, { tool: post_note, arguments: { visibility: PUBLIC, body: Too late. } }]
  - calls: [{ tool: finish, arguments: { outcome: HANDED_OFF, reason: It is theirs., summary: I handed it on. } }]
    delay: 1500ms
").publish(&app).await;
        Coworker::new("second").playbook(DECLINES).publish(&app).await;
        let request = requested(&app, "Where is it?", &first.id).await;
        let (run, mut events) = first_run(&app, &request).await;
        until(&mut events, "request.reassigned").await;
        let seen = look::request(&app, &request).await;
        assert_eq!(seen["assignee"]["displayName"], "second");
        assert_eq!(seen["waiting"], json!([{ "trigger": "HANDOFF", "coworker": { "handle": "second" }, "waitsFor": { "number": 1 } }]));
        app.drain().await;
        look::sound(&app).await;
        assert_eq!(outcomes(&look::runs(&app).await), [("first", "ASSIGNED", "HANDED_OFF"), ("second", "HANDOFF", "DECLINED")]);
        let timeline = look::timeline(&app, &request).await;
        let at = |what: &str| timeline.iter().position(|line| line == what).unwrap_or_else(|| panic!("{what}: {timeline:?}"));
        assert!(at("RunEnded Run-1") < at("RunStarted Run-2"), "{timeline:?}");
        // After the hand-off only the end may follow.
        let log = look::events(&app, &json!({ "id": run })).await;
        assert_eq!(look::data(&log, "tool.refused")[0]["reason"], "only_finish");
        assert_eq!(look::notes(&look::request(&app, &request).await, "PUBLIC").len(), 0);
    }

    async fn a_coworker_that_hands_over_and_never_finishes_is_ended_as_handed_off(app: TestApp) {
        let first = Coworker::new("first").playbook("
turns:
  - calls: [{ tool: reassign, arguments: { to: second, reason: It is theirs. } }]
  - repeat: true
    text: And another thing.
").publish(&app).await;
        Coworker::new("second").playbook(DECLINES).publish(&app).await;
        requested(&app, "Where is it?", &first.id).await;
        app.drain().await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        assert_eq!(outcomes(&runs), [("first", "ASSIGNED", "HANDED_OFF"), ("second", "HANDOFF", "DECLINED")]);
        assert_eq!(runs[0]["summaryAuthor"], "SYSTEM");
    }

    async fn a_hand_off_to_nobody_or_to_itself_is_what_it_says(app: TestApp) {
        let first = Coworker::new("first").playbook("
turns:
  - calls:
      - { tool: reassign, arguments: { to: first, reason: Mine. } }
      - { tool: reassign, arguments: { to: nobody-knows, reason: Theirs. } }
      - { tool: reassign, arguments: { to: null, reason: People should look. } }
      - { tool: finish, arguments: { outcome: HANDED_OFF, reason: People should look., summary: I left it to people. } }
").publish(&app).await;
        let request = requested(&app, "Where is it?", &first.id).await;
        app.drain().await;
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!(run["outcome"], "HANDED_OFF");
        let log = look::events(&app, &run).await;
        let refused: Vec<_> = look::data(&log, "tool.refused").iter().map(|refused| refused["reason"].clone()).collect();
        assert_eq!(refused, ["bad_arguments", "bad_arguments"]);
        // What is given to nobody is left to people, and they can see that.
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"], &seen["status"], &seen["needsPerson"]), (&Value::Null, &json!("OPEN"), &json!(true)));
        let timeline = look::timeline(&app, &request).await;
        assert_eq!(timeline[timeline.len() - 3..], ["Assigned nobody", "LeftToPeople", "RunEnded Run-1"]);
        let query = "query ($id: ID!) { request(id: $id) { timeline { nodes { ... on LeftToPeople { actor { displayName } run { number } reason } } } } }";
        let entries = look::list(app.gql(query, json!({ "id": request })).await["request"]["timeline"]["nodes"].take());
        let left: Vec<_> = entries.iter().filter(|entry| entry["reason"].is_string()).collect();
        assert_eq!(left, [&json!({ "actor": { "displayName": "first" }, "run": { "number": 1 }, "reason": "People should look." })]);
        let query = "{ requests(filter: { needsPerson: { eq: true } }) { nodes { id } } }";
        assert_eq!(app.gql(query, json!({})).await["requests"]["nodes"], json!([{ "id": request }]));
    }

    /// Decision 4: a run that handed its request on is not called away from its ending, however often its lease is renewed
    /// meanwhile, and whoever assigns the request anew.
    async fn a_hand_off_leaves_the_time_to_end(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.worker.renew = Duration::from_millis(20)).await;
        Coworker::new("other").publish(&app).await;
        let hands = "turns:
  - calls: [{ tool: reassign, arguments: { to: other, reason: It is theirs. } }]
  - delay: 400ms
    calls: [{ tool: finish, arguments: { outcome: HANDED_OFF, reason: It is theirs., summary: I handed it on. } }]
";
        let worker = Coworker::new("worker").playbook(hands).publish(&app).await;
        let third = Coworker::new("third").publish(&app).await;
        for to in ["other", "third"] {
            let request = requested(&app, "Where is it?", &worker.id).await;
            let (run, mut events) = first_run(&app, &request).await;
            until(&mut events, "request.reassigned").await;
            if to == "third" {
                app.mutate("requestAssign", json!({ "id": request, "assigneeId": third.id }), "").await;
            }
            app.drain().await;
            assert_eq!(look::request(&app, &request).await["assignee"]["displayName"], to);
            let runs = look::runs(&app).await;
            let run = runs.iter().find(|one| one["id"] == run).expect("the run");
            assert_eq!(run["outcome"], "HANDED_OFF", "{run:#}");
            let log = look::events(&app, run).await;
            assert_eq!(look::data(&log, "model.failed"), Vec::<&Value>::new());
            assert_eq!(look::data(&log, "model.requested").len(), 2);
        }
        app.stop().await;
    }
}

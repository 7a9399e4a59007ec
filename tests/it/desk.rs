//! Coworkers as members of the desk: what they can be, that what they decide can be read, and what happens when what they need is
//! not there.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

/// A playbook that asks the printer, and leaves the request to people if it does not answer as it should.
fn asks_the_printer(answer: &str) -> String {
    format!(
        "
tools: [{{ name: printer.status, description: Asks the printer., effect: READ, answers: [{{ when: {{ call: 1 }}, {answer} }}, {{ response: {{ ready: true }} }}] }}]
turns:
  - when: {{ first_run: true }}
    calls: [{{ tool: printer.status }}]
  - when: {{ first_run: true, result_of: printer.status, result_failed: true }}
    calls:
      - {{ tool: post_note, arguments: {{ visibility: PUBLIC, body: The printer can't be asked. Someone has to look at it. }} }}
      - {{ tool: finish, arguments: {{ outcome: BLOCKED, reason: The printer does not answer., summary: I could not ask the printer. }} }}
  - calls: [{{ tool: finish, arguments: {{ outcome: REPLIED, reason: It prints., summary: It prints. }} }}]
"
    )
}

const KEEPS: &str = "turns: [{ calls: [{ tool: post_note, arguments: { visibility: PUBLIC, body: I am on it. } }, \
    { tool: finish, arguments: { outcome: REPLIED, reason: The user knows., summary: I said so. } }] }]";

both_dbs! {
    /// R01: a published coworker is assignee, author of a note and whom a note mentions, as a person is; workflows and systems are
    /// actors too, behind the one interface.
    async fn a_published_coworker_is_a_teammate_as_people_are(app: TestApp) {
        let helper = Coworker::new("helper").name("The Helper").playbook(KEEPS).publish(&app).await;
        let person = app.gql("{ viewer { actor { id } } }", json!({})).await["viewer"]["actor"]["id"].take();
        let mut requests = Vec::new();
        for kind in ["PERSON", "WORKFLOW", "SYSTEM"] {
            let client = app.with_new_key(json!({ "name": format!("A {kind}"), "role": "AGENT", "kind": kind })).await;
            requests.push(client.mutate("requestCreate", json!({ "title": "It is slow" }), "request { id }").await["request"]["id"].take());
        }
        app.mutate("requestAssign", json!({ "id": requests[0], "assigneeId": helper.id }), "").await;
        app.mutate("requestAssign", json!({ "id": requests[1], "assigneeId": person }), "").await;
        app.mutate("noteCreate", json!({ "requestId": requests[2], "body": "@helper, what do you think?" }), "").await;
        app.drain().await;
        look::sound(&app).await;

        let query = "query ($id: ID!) { request(id: $id) { requester { ...who } assignee { ...who } notes { nodes { author { ...who } } } } }
            fragment who on Actor { __typename id kind displayName }";
        let mut seen = Vec::new();
        for id in &requests {
            seen.push(app.gql(query, json!({ "id": id })).await["request"].take());
        }
        let who = |actor: &Value| [&actor["__typename"], &actor["kind"], &actor["displayName"]].map(|text| text.as_str().unwrap_or("none").to_owned());
        assert_eq!(seen.iter().map(|one| who(&one["requester"])).collect::<Vec<_>>(), [
            ["Person", "PERSON", "A PERSON"], ["Workflow", "WORKFLOW", "A WORKFLOW"], ["System", "SYSTEM", "A SYSTEM"],
        ]);
        let coworker = ["Coworker", "COWORKER", "The Helper"];
        assert_eq!((who(&seen[0]["assignee"]), who(&seen[1]["assignee"])), (coworker.map(str::to_owned), ["Person", "PERSON", "Admin"].map(str::to_owned)));
        assert_eq!(who(&seen[0]["notes"]["nodes"][0]["author"]), coworker);
        let answered: Vec<_> = seen[2]["notes"]["nodes"].as_array().expect("notes").iter().map(|note| who(&note["author"])[2].clone()).collect();
        assert_eq!(answered, ["Admin", "The Helper"]);
        assert_eq!(seen[0]["assignee"]["id"], json!(helper.id));
        let triggers: Vec<_> = look::runs(&app).await.iter().map(|run| run["trigger"].clone()).collect();
        assert_eq!(triggers, ["ASSIGNED", "MENTION"]);
    }

    /// R02, R03: nobody starts it, and whatever it does to its request, by itself or through a tool, stands in its log.
    async fn whatever_a_coworker_decides_has_an_event_in_its_run(app: TestApp) {
        Coworker::new("colleague").playbook(KEEPS).publish(&app).await;
        let worker = Coworker::new("worker").playbook("
tools: [{ name: desk.look, description: Looks., effect: READ, answers: [{ response: { empty: true } }] }]
turns:
  - thinking: I look first.
    calls:
      - { tool: desk.look, arguments: { where: under it } }
      - { tool: post_note, arguments: { visibility: PRIVATE, body: It is empty. } }
      - { tool: set_status, arguments: { status: IN_PROGRESS } }
      - { tool: post_note, arguments: { visibility: PUBLIC, body: We look for it. } }
      - { tool: reassign, arguments: { to: colleague, reason: They had it last. } }
      - { tool: finish, arguments: { outcome: HANDED_OFF, reason: They had it last., summary: I gave it to the colleague. } }
").publish(&app).await;
        let made = app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "request { id }").await;
        app.drain().await;
        look::sound(&app).await;
        let query = "query ($id: ID!) { request(id: $id) { timeline(first: 60) { nodes { __typename ... on TimelineEntry { actor { kind displayName } run { number } } } } } }";
        let entries = look::list(app.gql(query, json!({ "id": made["request"]["id"] })).await["request"]["timeline"]["nodes"].take());
        for run in look::runs(&app).await {
            let log = look::events(&app, &run).await;
            for (entry, event) in [("NotePosted", "note.posted"), ("StatusChanged", "request.status_changed"), ("Assigned", "request.reassigned"), ("RunStarted", "run.started"), ("RunEnded", "run.completed")] {
                let shown = entries.iter().filter(|shown| shown["__typename"] == entry && shown["run"]["number"] == run["number"]).count();
                assert_eq!(shown, look::data(&log, event).len(), "{entry} of {run:#}");
            }
        }
        assert!(entries.iter().all(|entry| (entry["actor"]["kind"] == "COWORKER") != entry["run"].is_null()), "{entries:#?}");
        let log = look::events(&app, &look::runs(&app).await[0]).await;
        assert_eq!((look::data(&log, "note.posted").len(), look::data(&log, "request.status_changed").len(), look::data(&log, "request.reassigned").len()), (2, 1, 1));
        let called: Vec<_> = look::data(&log, "tool.requested").iter().map(|call| call["tool"].as_str().expect("a tool")).collect();
        assert_eq!(called, ["desk.look", "post_note", "set_status", "post_note", "reassign", "finish"]);
    }

    /// R24, R33: a run that can't help says so and why; its status is one of exactly four.
    async fn a_run_that_can_not_help_ends_with_its_reason(app: TestApp) {
        let playbook = "turns: [{ calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Nobody told me which one., summary: I can't tell which one is meant. } }] }]";
        let made = [
            Coworker::new("declines").playbook(playbook).publish(&app).await,
            Coworker::new("silent").playbook("turns: [{ text: Hm. }]").publish(&app).await,
            Coworker::new("broken").playbook("turns: [{ text: Hm., fault: rejected }]").publish(&app).await,
        ];
        for one in &made {
            app.mutate("requestCreate", json!({ "title": "It is slow", "assigneeId": one.id }), "").await;
        }
        app.drain().await;
        look::sound(&app).await;
        for run in look::runs(&app).await {
            let handle = run["coworker"]["handle"].as_str().expect("a handle");
            let (outcome, code) = (&run["outcome"], &run["failureCode"]);
            match handle {
                "declines" => assert_eq!((outcome, &run["reason"], &run["summary"]), (&json!("DECLINED"), &json!("Nobody told me which one."), &json!("I can't tell which one is meant."))),
                "silent" => assert_eq!(run["status"], "COMPLETED"),
                _ => assert_eq!((&run["status"], code), (&json!("FAILED"), &json!("MODEL_ERROR"))),
            }
        }
        let statuses = app.gql("{ __type(name: \"RunStatus\") { enumValues { name } } }", json!({})).await["__type"]["enumValues"].take();
        let statuses: Vec<_> = look::list(statuses).into_iter().map(|mut value| value["name"].take()).collect();
        assert_eq!(statuses, ["RUNNING", "COMPLETED", "FAILED", "PAUSED_FOR_APPROVAL"]);
    }

    /// R72, R73: whatever keeps a tool from answering, the run ends, the request is In Progress and a public note explains; when it
    /// answers again nothing starts, until a person or a coworker picks the request up.
    async fn what_does_not_answer_leaves_the_request_to_people_until_one_picks_it_up(app: TestApp) {
        let answers = ["fault: offline", "fault: timed_out", "fault: failed", "fault: bad_response"];
        let mut all = Vec::new();
        for (i, answer) in answers.iter().enumerate() {
            let worker = Coworker::new(&format!("worker-{i}")).playbook(&asks_the_printer(answer)).publish(&app).await;
            let made = app.mutate("requestCreate", json!({ "title": "It does not print", "assigneeId": worker.id }), "request { id }").await;
            all.push((worker, made["request"]["id"].clone()));
        }
        app.drain().await;
        look::sound(&app).await;
        for run in look::runs(&app).await {
            assert_eq!((&run["status"], &run["outcome"]), (&json!("COMPLETED"), &json!("BLOCKED")), "{run:#}");
        }
        for (_, request) in &all {
            let seen = look::request(&app, request).await;
            assert_eq!((&seen["status"], look::notes(&seen, "PUBLIC").len()), (&json!("IN_PROGRESS"), 1));
        }
        app.advance(Duration::from_secs(7 * 86_400)).await;
        app.restart().await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), all.len(), "it answers again, and nothing resumes by itself");
        for (worker, request) in &all {
            app.mutate("requestAssign", json!({ "id": request, "assigneeId": worker.id }), "").await;
        }
        app.drain().await;
        let runs = look::runs(&app).await;
        assert_eq!(runs.len(), 2 * all.len());
        assert!(runs[all.len()..].iter().all(|run| run["outcome"] == "REPLIED"), "{runs:#?}");
    }
}

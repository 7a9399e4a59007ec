//! Notes: mentions, questions and answers, and who reads what.

use entity::Role;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

/// Answers a mention in public.
const ANSWERS: &str = "
turns:
  - calls:
      - { tool: post_note, arguments: { visibility: PUBLIC, body: It is under the desk. } }
      - { tool: finish, arguments: { outcome: REPLIED, reason: I was asked., summary: I said where it is. } }
";

/// Asks, and goes on when it is answered.
const ASKS: &str = "
turns:
  - when: { trigger: REPLY, note_contains: blue }
    calls:
      - { tool: set_status, arguments: { status: RESOLVED } }
      - { tool: finish, arguments: { outcome: RESOLVED, reason: The blue one., summary: I found the blue one. } }
  - when: { trigger: [ASSIGNED, INTAKE] }
    calls: [{ tool: ask_requester, arguments: { question: Which colour has it? } }]
  - when: { result_of: ask_requester, result_failed: false }
    calls: [{ tool: finish, arguments: { outcome: AWAITING_REPLY, reason: I need the colour., summary: I asked for the colour. } }]
";

async fn mention(app: &TestApp, request: &Value, body: &str) {
    app.mutate(
        "noteCreate",
        json!({ "requestId": request, "body": body, "visibility": "PRIVATE" }),
        "",
    )
    .await;
    app.drain().await;
}

both_dbs! {
    /// R42, R43.
    async fn a_mentioned_coworker_may_answer_and_changes_nothing_else(app: TestApp) {
        // R42–R43: the ticket stays with Triage.
        Coworker::new("triage").triage().playbook("turns: [{ calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Mine to keep., summary: I keep it. } }] }]").publish(&app).await;
        Coworker::new("helper").playbook("
turns:
  - calls:
      - { tool: reassign, arguments: { to: helper, reason: Let me. } }
      - { tool: reassign, arguments: { to: triage, reason: Let them. } }
      - { tool: reassign, arguments: { to: null, reason: Let nobody. } }
      - { tool: set_status, arguments: { status: RESOLVED } }
      - { tool: ask_requester, arguments: { question: Really? } }
      - { tool: post_note, arguments: { visibility: PUBLIC, body: It is under the desk. } }
  - when: { result_of: set_status, result_failed: true, result_contains: only mentioned }
    calls: [{ tool: finish, arguments: { outcome: RESOLVED, reason: Done., summary: Done. } }]
  - when: { result_of: finish, result_failed: true }
    calls: [{ tool: finish, arguments: { outcome: REPLIED, rule: It is answered, reason: I was asked., summary: I said where it is. } }]
").with("goal", json!({ "purpose": "To help.", "endOfRun": [{ "when": "It is answered", "setStatus": "CLOSED" }] })).publish(&app).await;
        let request = app.request("Where is it?").await["id"].take();
        app.drain().await;
        mention(&app, &request, "@helper, do you know?").await;
        look::sound(&app).await;

        let run = look::runs(&app).await.remove(1);
        assert_eq!((&run["trigger"], &run["outcome"]), (&json!("MENTION"), &json!("REPLIED")), "{run:#}");
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["assignee"]["displayName"], &seen["status"]), (&json!("triage"), &json!("OPEN")));
        assert_eq!(look::notes(&seen, "PUBLIC"), ["It is under the desk."]);
        let log = look::events(&app, &run).await;
        let refused: Vec<_> = look::data(&log, "tool.refused").iter().map(|refused| (refused["tool"].clone(), refused["reason"].clone())).collect();
        let reasons: Vec<_> = refused.iter().map(|(tool, reason)| (tool.as_str().expect("a tool"), reason.as_str().expect("a reason"))).collect();
        assert_eq!(reasons[1..], [("reassign", "not_assignee"), ("reassign", "not_assignee"), ("set_status", "not_assignee"), ("ask_requester", "not_assignee"), ("finish", "conflict")]);
        assert_eq!(reasons[0].0, "reassign");
        assert_eq!(look::data(&log, "request.status_changed").len() + look::data(&log, "request.reassigned").len(), 0);
    }

    async fn only_people_mention_and_only_by_handle(app: TestApp) {
        Coworker::new("helper").playbook(ANSWERS).publish(&app).await;
        Coworker::new("draft").playbook(ANSWERS).create(&app).await;
        let chatty = Coworker::new("chatty").playbook("
turns:
  - calls:
      - { tool: post_note, arguments: { visibility: PUBLIC, body: \"@helper, what do you think?\" } }
      - { tool: finish, arguments: { outcome: REPLIED, reason: I asked., summary: I asked a colleague. } }
").publish(&app).await;
        let request = app.request("Where is it?").await["id"].take();
        let workflow = app.with_new_key(json!({ "name": "Nightly", "role": "AGENT", "kind": "WORKFLOW" })).await;
        workflow.mutate("noteCreate", json!({ "requestId": request, "body": "@helper" }), "").await;
        mention(&app, &request, "Write to jo@helper.example, or @helpers, or @nobody-at-all.").await;
        assert_eq!(look::runs(&app).await.len(), 0);
        mention(&app, &request, "@draft: not yet, I know.").await;
        let timeline = look::timeline(&app, &request).await;
        assert_eq!(timeline.last().map(String::as_str), Some("DispatchDropped draft MENTION NOT_PUBLISHED"));
        app.mutate("requestAssign", json!({ "id": request, "assigneeId": chatty.id }), "").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 1, "a coworker's own note starts nobody");
        mention(&app, &request, "(@Helper): you, please; and you too, @helper!").await;
        let runs = look::runs(&app).await;
        assert_eq!((runs.len(), &runs[1]["outcome"]), (2, &json!("REPLIED")));
        look::sound(&app).await;
    }

    /// R07: nobody calls whom they can't see. What a requester writes after an @ is text, and starts and tells nothing.
    async fn who_may_not_see_coworkers_mentions_nobody(app: TestApp) {
        Coworker::new("helper").playbook(ANSWERS).publish(&app).await;
        let out = Coworker::new("out").publish(&app).await;
        app.mutate("coworkerUnpublish", json!({ "id": out.id }), "").await;
        let requester = app.as_role(Role::Requester).await;
        let request = requester.mutate("requestCreate", json!({ "title": "Where is it?" }), "request { id }").await["request"]["id"].take();
        let mentionable = requester.gql("{ mentionables(prefix: \"\") { startsRun } }", json!({})).await;
        assert_eq!(mentionable["mentionables"], json!([]));
        let before = look::timeline(&app, &request).await.len();
        let body = "@helper and @out, where is it? ".to_owned() + &(0..20).map(|n| format!("@c{n} ")).collect::<String>();
        requester.mutate("noteCreate", json!({ "requestId": request, "body": body }), "").await;
        app.drain().await;
        assert_eq!(look::timeline(&app, &request).await[before..], ["NotePosted PUBLIC"]);
        assert_eq!(look::runs(&app).await.len(), 0);
        // The same words by someone who may see them are a mention.
        let agent = app.as_role(Role::Agent).await;
        agent.mutate("noteCreate", json!({ "requestId": request, "body": body }), "").await;
        app.drain().await;
        let dropped = "DispatchDropped out MENTION NOT_PUBLISHED".to_owned();
        assert!(look::timeline(&app, &request).await.contains(&dropped));
        assert_eq!(look::only_run(&app).await["trigger"], "MENTION");
    }

    /// R73.
    async fn a_question_waits_for_the_requesters_answer_and_nothing_else(app: TestApp) {
        Coworker::new("triage").triage().playbook(ASKS).publish(&app).await;
        let requester = app.as_role(Role::Requester).await;
        let request = requester.mutate("requestCreate", json!({ "title": "Where is it?" }), "request { id }").await["request"]["id"].take();
        app.drain().await;
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["status"], look::notes(&seen, "PUBLIC")), (&json!("PENDING"), vec!["Which colour has it?"]));
        assert_eq!(look::only_run(&app).await["outcome"], "AWAITING_REPLY");

        // R73: neither others' notes nor time wake it.
        app.mutate("noteCreate", json!({ "requestId": request, "body": "Is it the blue one?" }), "").await;
        app.mutate("noteCreate", json!({ "requestId": request, "body": "I guess blue.", "visibility": "PRIVATE" }), "").await;
        app.advance(std::time::Duration::from_secs(86_400)).await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 1);
        assert_eq!(look::request(&app, &request).await["status"], "PENDING");

        requester.mutate("noteCreate", json!({ "requestId": request, "body": "The blue one." }), "").await;
        app.drain().await;
        look::sound(&app).await;
        let runs = look::runs(&app).await;
        assert_eq!((runs.len(), &runs[1]["trigger"], &runs[1]["outcome"]), (2, &json!("REPLY"), &json!("RESOLVED")), "{runs:#?}");
        assert_eq!(look::request(&app, &request).await["status"], "RESOLVED");
        // Thanks start nothing, and call nobody.
        requester.mutate("noteCreate", json!({ "requestId": request, "body": "Thank you." }), "").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 2);
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["status"], &seen["needsPerson"]), (&json!("RESOLVED"), &json!(false)));
    }

    /// R08: one note, one run of whom it answers, whatever else it says.
    async fn an_answer_that_mentions_who_asked_makes_one_run_of_it(app: TestApp) {
        Coworker::new("triage").triage().playbook(ASKS).publish(&app).await;
        Coworker::new("helper").playbook(ANSWERS).publish(&app).await;
        let request = app.request("Where is it?").await["id"].take();
        app.drain().await;
        assert_eq!(look::request(&app, &request).await["status"], "PENDING");
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@triage it's blue, and @helper has seen it." }), "").await;
        app.drain().await;
        look::sound(&app).await;
        let mut runs: Vec<_> = look::runs(&app).await.iter().map(|run| format!("{} {}", run["coworker"]["handle"], run["trigger"])).collect();
        runs.sort();
        assert_eq!(runs, ["\"helper\" \"MENTION\"", "\"triage\" \"INTAKE\"", "\"triage\" \"REPLY\""]);
        assert_eq!(look::request(&app, &request).await["status"], "RESOLVED");
        // Once it waits for nothing, to mention it is to call it.
        app.mutate("requestUpdate", json!({ "id": request, "status": "OPEN" }), "").await;
        app.drain().await;
        let before = look::runs(&app).await.len();
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@triage it's blue." }), "").await;
        app.drain().await;
        let runs = look::runs(&app).await;
        assert_eq!((runs.len(), &runs[before]["trigger"]), (before + 1, &json!("MENTION")));
    }

    async fn two_answers_make_one_run_or_one_after_the_other(app: TestApp) {
        Coworker::new("triage").triage().playbook(ASKS).publish(&app).await;
        let requester = app.as_role(Role::Requester).await;
        let request = requester.mutate("requestCreate", json!({ "title": "Where is it?" }), "request { id }").await["request"]["id"].take();
        app.drain().await;
        let answer = |body: &str| json!({ "requestId": request, "body": body });
        futures_util::join!(
            requester.mutate("noteCreate", answer("The blue one."), ""),
            requester.mutate("noteCreate", answer("Blue, I mean."), ""),
        );
        app.drain().await;
        look::sound(&app).await;
        assert_eq!(look::runs(&app).await.len(), 2);
        assert_eq!(look::request(&app, &request).await["status"], "RESOLVED");
    }

    async fn a_note_that_arrives_during_a_run_is_read_by_its_next_turn(app: TestApp) {
        let worker = Coworker::new("worker").playbook("
tools: [{ name: desk.look, description: Looks., effect: READ, answers: [{ delay: 300ms, response: { empty: true } }] }]
turns:
  - when: { note_contains: drawer }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: I read it., summary: Someone mentioned the drawer. } }]
  - repeat: true
    calls: [{ tool: desk.look }]
").limits(json!({ "maxTurns": 8 })).publish(&app).await;
        let made = app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "request { id }").await;
        let request = &made["request"]["id"];
        let mut board = app.subscribe("subscription { runChanged { run { toolCallCount } } }", json!({})).await;
        board.until(|item| item["runChanged"]["run"]["toolCallCount"].as_i64() >= Some(1)).await;
        app.mutate("noteCreate", json!({ "requestId": request, "body": "Look into the drawer." }), "").await;
        app.drain().await;
        look::sound(&app).await;
        let run = look::only_run(&app).await;
        assert_eq!(run["summary"], "Someone mentioned the drawer.", "{run:#}");
        let log = look::events(&app, &run).await;
        let asked = look::data(&log, "model.requested");
        let notes = asked[asked.len() - 1]["prompt"].as_array().expect("parts").iter().filter(|part| part["kind"] == "notes").count();
        assert_eq!(notes, 1);
    }

    async fn private_notes_are_for_those_who_may_read_them(app: TestApp) {
        let requester = app.as_role(Role::Requester).await;
        let request = requester.mutate("requestCreate", json!({ "title": "Where is it?" }), "request { id }").await["request"]["id"].take();
        let private = app.mutate("noteCreate", json!({ "requestId": request, "body": "Psst.", "visibility": "PRIVATE" }), "note { id }").await["note"]["id"].take();
        let refused = requester.refused("noteCreate", json!({ "requestId": request, "body": "Psst.", "visibility": "PRIVATE" })).await;
        assert_eq!(refused[0]["code"], "FORBIDDEN");

        let mut live = requester.subscribe(
            "subscription ($id: ID!) { requestTimeline(requestId: $id) { __typename ... on TimelineEntry { sequence } ... on NotePosted { note { body } } } }",
            json!({ "id": request }),
        ).await;
        assert_eq!(live.next().await["requestTimeline"]["__typename"], "RequestCreated");
        assert_eq!(live.next().await["requestTimeline"]["__typename"], "LeftToPeople");
        app.mutate("noteCreate", json!({ "requestId": request, "body": "Pssst.", "visibility": "PRIVATE" }), "").await;
        app.mutate("noteCreate", json!({ "requestId": request, "body": "Hello." }), "").await;
        assert_eq!(live.next().await["requestTimeline"]["note"]["body"], "Hello.");

        for (client, code) in [(&requester, Some("NOT_FOUND")), (&app.as_role(Role::Analyst).await, None)] {
            let answer = client.post("query ($id: ID!) { node(id: $id) { ... on Note { body } } }", json!({ "id": private })).await;
            assert_eq!(answer.body["errors"][0]["extensions"]["code"].as_str(), code, "{}", answer.body);
        }
        // Somebody else's request is not there at all.
        let other = app.as_role(Role::Requester).await;
        let refused = other.refused("noteCreate", json!({ "requestId": request, "body": "Me too." })).await;
        assert_eq!(refused[0]["code"], "NOT_FOUND");
    }
}

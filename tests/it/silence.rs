//! R72: what does not answer leaves the request in progress with a public note, whatever the coworker makes of it.

use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

const RESOLVES: &str = "{ tool: set_status, arguments: { status: RESOLVED } }, \
    { tool: finish, arguments: { outcome: RESOLVED, reason: It prints., summary: It prints. } }";
const DECLINES: &str =
    "{ tool: finish, arguments: { outcome: DECLINED, reason: I can't., summary: I can't. } }";

/// A coworker that calls the printer, which answers like this, and goes on like that.
async fn worker(app: &TestApp, handle: &str, answer: &str, turns: &str) -> String {
    let playbook = format!(
        "
tools: [{{ name: printer.status, description: Asks the printer., effect: READ, answers: [{{ when: {{ call: 1 }}, {answer} }}, {{ response: {{ ready: true }} }}] }}]
turns:
  - calls: [{{ tool: printer.status }}]
{turns}"
    );
    let worker = Coworker::new(handle).playbook(&playbook);
    worker.publish(app).await.id
}

/// What became of a request that this coworker was given.
async fn given(app: &TestApp, coworker: &str) -> (Value, Value) {
    let input = json!({ "title": "It does not print", "assigneeId": coworker });
    let id = app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
    app.drain().await;
    let mut runs = look::runs(app).await;
    runs.retain(|run| run["request"]["id"] == id);
    (look::request(app, &id).await, runs.remove(0))
}

/// How a run ended.
fn end(run: &Value) -> &str {
    let word = run["outcome"].as_str().or(run["failureCode"].as_str());
    word.expect("an end")
}

both_dbs! {
    /// R72, G13: declined, answered, called resolved, asked about, at its limit, or with a model that is gone as well.
    async fn what_does_not_answer_is_told_whatever_the_coworker_makes_of_it(app: TestApp) {
        let after = |calls: &str| format!("  - calls: [{calls}]\n  - calls: [{DECLINES}]\n");
        let replies = DECLINES.replace("DECLINED", "REPLIED");
        let asks = "{ tool: ask_requester, arguments: { question: Is it on? } }, { tool: finish, arguments: { outcome: AWAITING_REPLY, reason: Is it?, summary: I asked. } }";
        let noted = format!("{{ tool: post_note, arguments: {{ visibility: PUBLIC, body: It is off. }} }}, {DECLINES}");
        for fault in ["offline", "timed_out", "bad_response"] {
            for (what, turns, expected, own) in [
                ("declines", after(DECLINES), "DECLINED", None),
                ("replies", after(&replies), "REPLIED", None),
                ("resolves", after(RESOLVES), "DECLINED", None),
                ("asks", after(asks), "DECLINED", None),
                ("notes", after(&noted), "DECLINED", Some("It is off.")),
                ("fails", "  - text: Hm.\n    fault: rejected\n".into(), "MODEL_ERROR", None),
            ] {
                let id = worker(&app, &format!("{what}-{}", fault.replace('_', "-")), &format!("fault: {fault}"), &turns).await;
                let (request, run) = given(&app, &id).await;
                assert_eq!((end(&run), &request["status"]), (expected, &json!("IN_PROGRESS")), "{what} {fault}: {run:#}");
                let mut told = look::notes(&request, "PUBLIC");
                // A question explains nothing.
                told.retain(|note| *note != "Is it on?");
                let expected = own.unwrap_or("Something that is needed for this request does not answer (printer.status). Someone must pick it up again once that is back.");
                assert_eq!(told, [expected], "{what} {fault}");
                assert_eq!(look::notes(&request, "PRIVATE").len(), usize::from(what == "fails"), "{what} {fault}");
            }
        }
        look::sound(&app).await;
    }

    /// R25, R72: a coworker that goes on calling what is not there fails at its limit, and everyone reads why.
    async fn at_its_limit_it_is_told_too(app: TestApp) {
        let playbook = "
tools: [{ name: printer.status, description: Asks the printer., effect: READ, answers: [{ fault: offline }] }]
turns: [{ repeat: true, calls: [{ tool: printer.status }] }]
";
        let worker = Coworker::new("worker").playbook(playbook).limits(json!({ "maxTurns": 3 })).publish(&app).await;
        let (request, run) = given(&app, &worker.id).await;
        assert_eq!((end(&run), &request["status"]), ("LIMIT_TURNS", &json!("IN_PROGRESS")));
        assert_eq!((look::notes(&request, "PUBLIC").len(), look::notes(&request, "PRIVATE").len()), (1, 1));
        let author = &request["notes"]["nodes"].as_array().expect("notes").iter().find(|note| note["visibility"] == "PUBLIC").expect("a note")["author"];
        assert_eq!(author["displayName"], "Stint");
        look::sound(&app).await;
    }

    /// What answers in the end was not away; who says that it failed is there; and what was settled is refused as long as it is silent.
    async fn what_answers_in_the_end_changes_nothing(app: TestApp) {
        let again = format!("  - calls: [{{ tool: printer.status }}]\n  - calls: [{RESOLVES}]\n");
        let id = worker(&app, "again", "fault: offline", &again).await;
        let (request, run) = given(&app, &id).await;
        assert_eq!((end(&run), &request["status"]), ("RESOLVED", &json!("RESOLVED")));
        assert_eq!(look::notes(&request, "PUBLIC").len(), 0);

        let id = worker(&app, "failed", "fault: failed", &format!("  - calls: [{DECLINES}]\n")).await;
        let (request, run) = given(&app, &id).await;
        assert_eq!((end(&run), &request["status"]), ("DECLINED", &json!("OPEN")));
        assert_eq!(look::notes(&request, "PUBLIC").len(), 0);

        // Told why, it calls again.
        let told = format!("  - calls: [{RESOLVES}]\n  - when: {{ result_of: finish, result_contains: 'do not answer: printer.status', result_failed: true }}\n    calls: [{{ tool: printer.status }}]\n  - calls: [{RESOLVES}]\n");
        let id = worker(&app, "told", "fault: timed_out", &told).await;
        let (request, run) = given(&app, &id).await;
        assert_eq!((end(&run), &request["status"]), ("RESOLVED", &json!("RESOLVED")), "{run:#}");
        let log = look::events(&app, &run).await;
        assert_eq!(look::data(&log, "tool.refused").len(), 1);
        assert_eq!(look::notes(&request, "PUBLIC").len(), 0);
        look::sound(&app).await;
    }

    /// R42, R73: a colleague that picks it up has it; and who was only mentioned says so and moves nothing.
    async fn what_a_colleague_picks_up_is_theirs_and_a_mention_moves_nothing(app: TestApp) {
        Coworker::new("second").publish(&app).await;
        let hands = look::hands_to("second");
        let id = worker(&app, "first", "fault: offline", hands.trim_start_matches("turns:\n")).await;
        let (request, run) = given(&app, &id).await;
        assert_eq!((end(&run), &request["assignee"]["displayName"]), ("HANDED_OFF", &json!("second")));
        assert_eq!(look::notes(&request, "PUBLIC").len(), 0);

        worker(&app, "helper", "fault: offline", &format!("  - calls: [{DECLINES}]\n")).await;
        let request = app.request("Is it on?").await["id"].take();
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@helper?", "visibility": "PRIVATE" }), "").await;
        app.drain().await;
        let seen = look::request(&app, &request).await;
        assert_eq!((&seen["status"], look::notes(&seen, "PUBLIC").len()), (&json!("OPEN"), 1));
        look::sound(&app).await;
    }
}

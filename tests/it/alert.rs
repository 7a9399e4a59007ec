//! Of what outside systems are told: once of each thing, with a signature that another implementation agrees with.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Backend, Coworker, TestApp, TestDb, both_dbs};

use crate::receiver::{ALL, Heard, Receiver, deliveries, endpoint, state};
use crate::{approval, budget, look};

/// Says in one turn that it is done.
pub const DONE: &str = "turns:\n  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: The user knows., summary: I told the user. } }]\n";

/// The kinds of what was heard, sorted.
fn kinds_of(heard: &[Heard]) -> Vec<&str> {
    let mut kinds: Vec<_> = heard.iter().map(Heard::kind).collect();
    kinds.sort_unstable();
    kinds
}

fn of<'a>(heard: &'a [Heard], kind: &str) -> Vec<&'a Value> {
    let of_kind = heard.iter().filter(|heard| heard.kind() == kind);
    of_kind.map(|heard| &heard.body["data"]).collect()
}

/// A request with this for its coworker, until its run has ended.
pub async fn work(app: &TestApp, coworker: &str, labels: Value) -> Value {
    let input = json!({ "title": "Where is it?", "assigneeId": coworker, "labels": labels });
    let made = app
        .mutate("requestCreate", input, "request { id number }")
        .await;
    app.drain().await;
    made["request"].clone()
}

both_dbs! {
    async fn what_happens_is_told_once_and_signed(app: TestApp) {
        let receiver = Receiver::open().await;
        let app = look::with_settings(&app, |settings| receiver.allow(settings)).await;
        let all = endpoint(&app, &receiver.url("/all"), &ALL, json!({})).await;
        assert!(all.secret.starts_with("whsec_"));
        // Nothing is told of what was before; and what asks a person is told when it asks.
        let request = approval::wait_for_a_reset(&app).await;
        let heard = receiver.until("/all", 1).await;
        let asked = of(&heard, "approval.requested")[0];
        let shown = approval::approvals(&app).await.remove(0);
        assert_eq!((&asked["approval"]["id"], &asked["approval"]["tool"], &asked["approval"]["expiresAt"]), (&shown["id"], &shown["tool"], &shown["expiresAt"]));
        assert_eq!((&asked["run"]["id"], &asked["run"]["status"], &asked["run"]["endedAt"]), (&shown["run"]["id"], &json!("PAUSED_FOR_APPROVAL"), &Value::Null));

        // A run that fails has ended, too.
        app.mutate("runStop", json!({ "id": shown["run"]["id"], "reason": "Enough." }), "").await;
        let heard = receiver.until("/all", 3).await;
        assert_eq!(kinds_of(&heard), ["approval.requested", "run.ended", "run.failed"]);
        let run = look::only_run(&app).await;
        for kind in ["run.ended", "run.failed"] {
            let told = &of(&heard, kind)[0]["run"];
            for field in ["id", "number", "identifier", "status", "outcome", "failureCode", "trigger", "startedAt", "endedAt", "reason", "summary", "turnCount", "toolCallCount"] {
                assert_eq!(told[field], run[field], "{kind} {field}");
            }
            assert_eq!((&told["failureCode"], &told["cost"]["currency"]), (&json!("STOPPED"), &json!("USD")));
        }

        app.mutate("requestUpdate", json!({ "id": request, "status": "RESOLVED", "labels": ["vpn"] }), "").await;
        app.mutate("requestUpdate", json!({ "id": request, "status": "RESOLVED" }), "").await;
        let heard = receiver.until("/all", 4).await;
        let resolved = of(&heard, "request.resolved")[0];
        assert_eq!((&resolved["request"]["id"], &resolved["request"]["status"], &resolved["request"]["labels"]), (&request, &json!("RESOLVED"), &json!(["vpn"])));
        assert_eq!((&resolved["request"]["number"], &resolved["coworker"]["handle"]), (&json!(1), &json!("worker")));
        let resolved_at = app.gql("{ request(number: 1) { resolvedAt assignee { id } workspaceId: id } viewer { workspace { id } } }", json!({})).await;
        assert_eq!(resolved["request"]["resolvedAt"], resolved_at["request"]["resolvedAt"]);
        assert_eq!((&resolved["coworker"]["id"], &resolved["workspaceId"]), (&resolved_at["request"]["assignee"]["id"], &resolved_at["viewer"]["workspace"]["id"]));
        // Opened and resolved again, it is told again.
        app.mutate("requestUpdate", json!({ "id": request, "status": "OPEN" }), "").await;
        app.mutate("requestUpdate", json!({ "id": request, "status": "RESOLVED" }), "").await;
        receiver.until("/all", 5).await;

        let done = Coworker::new("done").playbook(DONE).publish(&app).await;
        work(&app, &done.id, json!([])).await;
        let heard = receiver.until("/all", 6).await;
        assert_eq!(kinds_of(&heard), ["approval.requested", "request.resolved", "request.resolved", "run.ended", "run.ended", "run.failed"]);
        let told = &of(&heard, "run.ended")[1]["run"];
        assert_eq!((&told["status"], &told["outcome"], &told["summary"]), (&json!("COMPLETED"), &json!("REPLIED"), &json!("I told the user.")));

        for one in &heard {
            assert!(one.is_signed_with(&all.secret), "{one:#?}");
            assert_eq!(one.seconds, tests::app::START.0 / 1_000);
            assert_eq!(one.body["timestamp"], "2026-05-20T03:30:00.000Z");
            assert!(!one.is_signed_with(&format!("whsec_{}", "A".repeat(32))));
        }
        let log = deliveries(&app, &all).await;
        let sent: BTreeSet<_> = heard.iter().map(|one| (one.id.clone(), one.text.clone())).collect();
        let logged: BTreeSet<_> = log.iter().map(|one| (one["id"].as_str().unwrap().to_owned(), one["raw"].as_str().unwrap().to_owned())).collect();
        assert_eq!((sent.len(), &sent), (6, &logged), "each once, under the id that the log has");
        app.stop().await;
    }

    async fn an_endpoint_is_told_only_of_what_it_chose(app: TestApp) {
        let receiver = Receiver::open().await;
        let app = look::with_settings(&app, |settings| receiver.allow(settings)).await;
        let (one, two) = (Coworker::new("one").playbook(DONE).publish(&app).await, Coworker::new("two").playbook(DONE).publish(&app).await);
        let ended = ["RUN_ENDED"];
        let of_two = endpoint(&app, &receiver.url("/two"), &ended, json!({ "coworkerIds": [two.id, two.id] })).await;
        endpoint(&app, &receiver.url("/vip"), &ended, json!({ "labels": ["vip", "board"] })).await;
        endpoint(&app, &receiver.url("/failed"), &["RUN_FAILED", "BUDGET_EXHAUSTED"], json!({})).await;
        let off = endpoint(&app, &receiver.url("/off"), &ended, json!({})).await;
        app.mutate("alertEndpointUpdate", json!({ "id": off.id, "enabled": false }), "").await;
        assert_eq!(state(&app, &of_two).await["coworkers"], json!([{ "id": two.id }]));
        assert_eq!(state(&app, &off).await["disabledReason"], "BY_HAND");
        let stranger = crate::access::workspace(&app, "Elsewhere").await;
        endpoint(&stranger, &receiver.url("/elsewhere"), &ALL, json!({})).await;

        work(&app, &one.id, json!(["board"])).await;
        work(&app, &two.id, json!([])).await;
        let last = work(&app, &two.id, json!(["desk", "vip"])).await;
        let heard = (receiver.until("/two", 2).await, receiver.until("/vip", 2).await);
        let numbers = |heard: &[Heard]| heard.iter().filter_map(|one| one.body["data"]["request"]["number"].as_i64()).collect::<BTreeSet<_>>();
        // Two messages may overtake each other.
        assert!(numbers(&heard.0) == BTreeSet::from([2, 3]) && numbers(&heard.1) == BTreeSet::from([1, 3]), "{heard:#?}");
        assert_eq!(last["number"], 3);
        assert_eq!(look::number(&app, "SELECT COUNT(*) AS n FROM alert_delivery").await, 4);

        // What it chooses anew holds from the answer on.
        app.mutate("alertEndpointUpdate", json!({ "id": of_two.id, "coworkerIds": [], "kinds": ["REQUEST_RESOLVED"] }), "").await;
        app.mutate("alertEndpointUpdate", json!({ "id": off.id, "enabled": true, "labels": ["off"] }), "").await;
        assert_eq!(state(&app, &off).await["disabledReason"], Value::Null);
        app.mutate("requestUpdate", json!({ "id": last["id"], "status": "RESOLVED" }), "").await;
        work(&app, &one.id, json!(["off"])).await;
        assert_eq!(receiver.until("/two", 3).await[2].kind(), "request.resolved");
        assert_eq!(receiver.until("/off", 1).await[0].kind(), "run.ended");
        assert_eq!(look::number(&app, "SELECT COUNT(*) AS n FROM alert_delivery").await, 6);
        for (field, value, code) in [
            ("url", json!("desk.example.com"), "INVALID"),
            ("url", json!("https://ada:secret@desk.example.com"), "INVALID"),
            ("kinds", json!([]), "REQUIRED"),
            ("name", json!(" "), "REQUIRED"),
            ("budgetPercent", json!(101), "INVALID"),
            ("climbPercent", json!(0), "INVALID"),
            ("labels", json!([""]), "REQUIRED"),
        ] {
            let refused = app.refused("alertEndpointUpdate", json!({ "id": off.id, field: value })).await;
            assert_eq!((refused[0]["field"].as_str(), refused[0]["code"].as_str()), (Some(field), Some(code)));
        }
        app.stop().await;
    }

    /// Told once for each day and limit, whoever asks for money afterwards.
    async fn a_budget_that_is_nearly_used_or_used_up_is_told_once_for_each_day_and_limit(app: TestApp) {
        let receiver = Receiver::open().await;
        let app = look::with_settings(&app, |settings| receiver.allow(settings)).await;
        budget::priced(&app).await;
        let worker = Coworker::new("worker").playbook(budget::ENDLESS).with("budget", json!({ "daily": "10" })).publish(&app).await;
        let once = Coworker::new("once").playbook(budget::ONCE).with("budget", json!({ "monthly": "10" })).publish(&app).await;
        let near = endpoint(&app, &receiver.url("/near"), &["BUDGET_NEARING"], json!({ "budgetPercent": 50 })).await;
        endpoint(&app, &receiver.url("/soon"), &["BUDGET_NEARING"], json!({ "budgetPercent": 4, "coworkerIds": [once.id] })).await;
        endpoint(&app, &receiver.url("/up"), &["BUDGET_EXHAUSTED"], json!({})).await;

        budget::work(&app, &once.id).await;
        let soon = receiver.until("/soon", 1).await;
        let told = &of(&soon, "budget.nearing")[0]["budget"];
        assert_eq!((&told["scope"], &told["period"], &told["percent"]), (&json!("COWORKER"), &json!("MONTH"), &json!(5)));
        assert_eq!((&told["limit"]["amount"], &told["startsAt"], &told["resetsAt"]), (&json!("10"), &json!("2026-05-01T00:00:00.000Z"), &json!("2026-06-01T00:00:00.000Z")));

        budget::work(&app, &worker.id).await;
        assert_eq!(budget::work(&app, &worker.id).await["dropped"], json!(["BUDGET_EXHAUSTED"]));
        let (up, nearly) = (receiver.until("/up", 1).await, receiver.until("/near", 1).await);
        let told = of(&up, "budget.exhausted")[0];
        assert_eq!((&told["coworker"]["handle"], &told["budget"]["limit"]["amount"]), (&json!("worker"), &json!("10")));
        // It may have been looked for while the run went on.
        let told = &of(&nearly, "budget.nearing")[0]["budget"];
        assert!(told["percent"].as_i64().is_some_and(|percent| (50..=100).contains(&percent)), "{told:#}");

        // Another limit is another budget.
        app.mutate("coworkerUpdate", json!({ "id": worker.id, "budget": { "daily": "14" } }), "").await;
        app.mutate("coworkerPublish", json!({ "id": worker.id }), "").await;
        budget::work(&app, &worker.id).await;
        let (up, nearly) = (receiver.until("/up", 2).await, receiver.until("/near", 2).await);
        assert_eq!(of(&up, "budget.exhausted")[1]["budget"]["limit"]["amount"], "14");
        assert_eq!(of(&nearly, "budget.nearing")[1]["budget"]["limit"]["amount"], "14");
        // And so is another day.
        app.advance(Duration::from_secs(24 * 3_600)).await;
        budget::work(&app, &worker.id).await;
        let up = receiver.until("/up", 3).await;
        assert_eq!(of(&up, "budget.exhausted")[2]["budget"]["startsAt"], "2026-05-21T00:00:00.000Z");
        receiver.until("/near", 3).await;
        assert_eq!(deliveries(&app, &near).await.len(), 3);
        assert_eq!((receiver.heard("/soon").len(), receiver.heard("/up").len()), (1, 3));
        app.stop().await;
    }
}

both_dbs! {
    /// R25: of the money of all its coworkers together, too; whoever chose single coworkers is not told.
    async fn a_budget_of_the_workspace_is_told_of_too(app: TestApp) {
        let receiver = Receiver::open().await;
        let app = look::with_settings(&app, |settings| receiver.allow(settings)).await;
        budget::priced(&app).await;
        let one = Coworker::new("one").playbook(budget::ENDLESS).publish(&app).await;
        let two = Coworker::new("two").playbook(budget::ENDLESS).publish(&app).await;
        let kinds = ["BUDGET_NEARING", "BUDGET_EXHAUSTED"];
        let half = json!({ "budgetPercent": 50 });
        let all = endpoint(&app, &receiver.url("/all"), &kinds, half).await;
        let of_one = endpoint(&app, &receiver.url("/one"), &kinds, json!({ "budgetPercent": 50, "coworkerIds": [one.id] })).await;
        app.mutate("workspaceUpdate", json!({ "budget": { "monthly": "10" } }), "").await;

        budget::work(&app, &one.id).await;
        assert_eq!(budget::work(&app, &two.id).await["dropped"], json!(["BUDGET_EXHAUSTED"]), "it is everybody's");
        let heard = receiver.until("/all", 2).await;
        assert_eq!(kinds_of(&heard), ["budget.exhausted", "budget.nearing"]);
        for kind in ["budget.nearing", "budget.exhausted"] {
            let told = of(&heard, kind)[0];
            let budget = &told["budget"];
            assert_eq!((&budget["scope"], &budget["period"], &budget["limit"]["amount"]), (&json!("WORKSPACE"), &json!("MONTH"), &json!("10")), "{told:#}");
            assert_eq!((&told["coworker"], &budget["resetsAt"]), (&Value::Null, &json!("2026-06-01T00:00:00.000Z")));
            assert!(budget["percent"].as_i64().is_some_and(|percent| (50..=100).contains(&percent)), "{told:#}");
        }
        assert_eq!((deliveries(&app, &all).await.len(), deliveries(&app, &of_one).await.len()), (2, 0));
        app.stop().await;
    }
}

/// Two nodes look for costs that climb; each endpoint is told once for a coworker and a week.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn costs_that_climb_are_told_once_for_a_coworker_and_a_week_whoever_looks() {
    let receiver = Receiver::open().await;
    let db = TestDb::new(Backend::Postgres).await;
    let app = TestApp::start_on(db, |settings| receiver.allow(settings)).await;
    let mut other = api::config::Settings {
        database_url: app.db().url().to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        clock: app.clock().clone(),
        vault: Some(domain::secret::Vault::new(&[[7; 32]]).unwrap()),
        ..Default::default()
    };
    receiver.allow(&mut other);
    let other = api::App::start(other).await.unwrap();
    climbs(&app, &receiver).await;
    other.stop().await;
    app.stop().await;
}

both_dbs! {
    async fn costs_that_climb_are_told_of_those_that_do(app: TestApp) {
        let receiver = Receiver::open().await;
        let app = look::with_settings(&app, |settings| receiver.allow(settings)).await;
        climbs(&app, &receiver).await;
        app.stop().await;
    }
}

/// Ten runs in each of two weeks; those of `dear` cost twice as much in the second one.
async fn climbs(app: &TestApp, receiver: &Receiver) {
    const DAY: Duration = Duration::from_secs(24 * 3_600);
    let playbook = |input: u32| {
        format!(
            "turns:\n  - calls: [{{ tool: finish, arguments: {{ outcome: DECLINED, reason: No., summary: No. }} }}]\n    usage: {{ input: {input}, output: 10 }}\n"
        )
    };
    budget::priced(app).await;
    let dear = Coworker::new("dear")
        .playbook(&playbook(100))
        .publish(app)
        .await;
    let same = Coworker::new("same")
        .playbook(&playbook(100))
        .publish(app)
        .await;
    let few = Coworker::new("few")
        .playbook(&playbook(100))
        .publish(app)
        .await;
    let week = async || {
        for _ in 0..10 {
            for coworker in [&dear, &same] {
                let input = json!({ "title": "Again", "assigneeId": coworker.id });
                app.mutate("requestCreate", input, "").await;
            }
        }
        work(app, &few.id, json!([])).await;
    };
    week().await;
    endpoint(app, &receiver.url("/climb"), &["COST_CLIMBING"], json!({})).await;
    endpoint(
        app,
        &receiver.url("/steep"),
        &["COST_CLIMBING"],
        json!({ "climbPercent": 150 }),
    )
    .await;
    app.advance(7 * DAY).await;
    for coworker in [&dear, &few] {
        let model = json!({ "id": coworker.id, "model": { "provider": "scripted", "playbook": playbook(200) } });
        app.mutate("coworkerUpdate", model, "").await;
        app.mutate("coworkerPublish", json!({ "id": coworker.id }), "")
            .await;
    }
    week().await;
    // It is looked for once a day.
    app.advance(DAY).await;
    let heard = receiver.until("/climb", 1).await;
    let told = of(&heard, "cost.climbing")[0];
    assert_eq!(told["coworker"]["handle"], "dear");
    let trend = &told["trend"];
    assert_eq!(
        (&trend["runs"], &trend["runsBefore"], &trend["weekStart"]),
        (&json!(10), &json!(10), &json!("2026-05-25T00:00:00.000Z"))
    );
    assert!(
        (95..=100).contains(&trend["percent"].as_i64().unwrap()),
        "{trend:#}"
    );
    // The next day it is looked for again, as whoever came meanwhile is told.
    let late = endpoint(app, &receiver.url("/late"), &["COST_CLIMBING"], json!({})).await;
    app.advance(DAY).await;
    receiver.until("/late", 1).await;
    assert_eq!(deliveries(app, &late).await.len(), 1);
    assert_eq!(
        (
            receiver.heard("/climb").len(),
            receiver.heard("/steep").len()
        ),
        (1, 0)
    );
    assert_eq!(
        look::number(app, "SELECT COUNT(*) AS n FROM alert_delivery").await,
        2
    );
}

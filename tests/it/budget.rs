//! What runs together may cost (G14): reserved before each call, kept, shown, and begun anew with each day and month.

use std::time::Duration;

use entity::Role;
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::{approval, look};

/// 0.5 USD and a little for each call with this usage; about 2 USD must be there before it.
pub async fn priced(app: &TestApp) {
    let price = json!({ "model": "scripted", "input": "1000", "output": "10" });
    app.mutate("modelPriceSet", price, "").await;
}

/// Answers at once.
pub const ONCE: &str = "
turns:
  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: No., summary: It can't be done. } }]
    usage: { input: 500, output: 10 }
";

/// Never stops, until it is told that this is its last turn.
pub const ENDLESS: &str = "
tools:
  - { name: desk.look, description: Looks at the desk., effect: READ, answers: [{ response: there }] }
turns:
  - when: { closing: true }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: I got nowhere., summary: I looked many times. } }]
    usage: { input: 500, output: 10 }
  - repeat: true
    calls: [{ tool: desk.look }]
    usage: { input: 500, output: 10 }
";

const STANDING: &str = "limit spent reserved remaining exhausted resetsAt";

/// A request for a coworker, and all that came of it: its runs, or why its dispatch was dropped.
pub async fn work(app: &TestApp, coworker: &str) -> Value {
    let input = json!({ "title": "Where is it?", "assigneeId": coworker });
    let made = app.mutate("requestCreate", input, "request { id }").await;
    app.drain().await;
    let query = "query ($id: ID!) { request(id: $id) { runs(first: 2) { nodes { id outcome failureCode reason summaryAuthor } }
        timeline(first: 20) { nodes { ... on DispatchDropped { dispatch { dropReason } } } } } }";
    let seen = app.gql(query, json!({ "id": made["request"]["id"] })).await["request"].take();
    let entries = look::list(seen["timeline"]["nodes"].clone());
    let dropped = entries.iter().map(|entry| &entry["dispatch"]["dropReason"]);
    let dropped: Vec<_> = dropped
        .filter(|reason| !reason.is_null())
        .cloned()
        .collect();
    json!({ "runs": seen["runs"]["nodes"], "dropped": dropped })
}

async fn standing(app: &TestApp, coworker: &str) -> Value {
    let query = format!(
        "query ($id: ID!) {{ node(id: $id) {{ ... on Coworker {{ budget {{ daily {{ {STANDING} }} monthly {{ {STANDING} }} }} }} }} }}"
    );
    app.gql(&query, json!({ "id": coworker })).await["node"]["budget"].take()
}

fn usd(value: &Value) -> f64 {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no amount"));
    text.parse().expect("a number")
}

both_dbs! {
    /// R25, G14: the run ends before the budget is exceeded, explains itself out of the reserve, and what comes after
    /// it is dropped until the budget is raised or a day begins.
    async fn a_budget_ends_a_run_and_drops_what_follows_until_it_is_raised_or_begins_anew(app: TestApp) {
        priced(&app).await;
        let worker = Coworker::new("worker").playbook(ENDLESS).with("budget", json!({ "daily": "10" })).publish(&app).await;
        let first = work(&app, &worker.id).await;
        look::sound(&app).await;
        let run = &first["runs"][0];
        assert_eq!((&run["failureCode"], &run["summaryAuthor"]), (&json!("BUDGET_EXHAUSTED"), &json!("COWORKER")), "{first:#}");
        assert!(run["reason"].as_str().expect("a reason").contains("the coworker's daily budget is used up"), "{run:#}");
        let events = look::events(&app, run).await;
        let reached = look::data(&events, "limit.reached")[0];
        assert_eq!((&reached["budget"], &reached["maximum"]), (&json!("the coworker's daily budget"), &json!(10_000_000_000_i64)));
        let now = standing(&app, &worker.id).await;
        assert_eq!(now["monthly"], Value::Null);
        let daily = &now["daily"];
        assert!((6.0..=10.0).contains(&usd(&daily["spent"])), "{daily:#}");
        assert_eq!((&daily["reserved"], &daily["exhausted"], &daily["limit"]), (&json!("0"), &json!(true), &json!("10")));
        assert_eq!(daily["resetsAt"], "2026-05-21T00:00:00.000Z");
        assert!((usd(&daily["remaining"]) + usd(&daily["spent"]) - 10.0).abs() < 1e-9, "{daily:#}");

        assert_eq!(work(&app, &worker.id).await, json!({ "runs": [], "dropped": ["BUDGET_EXHAUSTED"] }));

        app.mutate("coworkerUpdate", json!({ "id": worker.id, "budget": { "daily": "15", "monthly": "100" } }), "").await;
        assert_eq!(work(&app, &worker.id).await["dropped"], json!(["BUDGET_EXHAUSTED"]), "a draft raises nothing");
        app.mutate("coworkerPublish", json!({ "id": worker.id }), "").await;
        assert_eq!(standing(&app, &worker.id).await["daily"]["exhausted"], false);
        // Who reads a budget knows it for a second.
        let raised = work(&app, &worker.id).await;
        assert_eq!((&raised["runs"][0]["failureCode"], &raised["dropped"]), (&json!("BUDGET_EXHAUSTED"), &json!([])));
        assert_eq!(work(&app, &worker.id).await["dropped"], json!(["BUDGET_EXHAUSTED"]));
        let before = usd(&standing(&app, &worker.id).await["daily"]["spent"]);
        assert!((10.0..=15.0).contains(&before), "{before}");

        // The next day: 2026-05-21. The month goes on.
        app.advance(Duration::from_secs(24 * 3_600)).await;
        assert_eq!(standing(&app, &worker.id).await["daily"]["spent"], "0");
        let next = work(&app, &worker.id).await;
        assert_eq!((next["runs"].as_array().expect("runs").len(), &next["dropped"]), (1, &json!([])), "{next:#}");
        let now = standing(&app, &worker.id).await;
        let (day, month) = (usd(&now["daily"]["spent"]), usd(&now["monthly"]["spent"]));
        assert!((10.0..=15.0).contains(&day) && (month - day - before).abs() < 1e-6, "{now:#}");
        look::sound(&app).await;
    }

    async fn a_monthly_budget_is_free_again_in_the_next_month(app: TestApp) {
        priced(&app).await;
        let worker = Coworker::new("worker").playbook(ENDLESS).with("budget", json!({ "monthly": "8" })).publish(&app).await;
        assert_eq!(work(&app, &worker.id).await["runs"][0]["failureCode"], "BUDGET_EXHAUSTED");
        app.advance(Duration::from_secs(24 * 3_600)).await;
        assert_eq!(work(&app, &worker.id).await["dropped"], json!(["BUDGET_EXHAUSTED"]));
        assert_eq!(standing(&app, &worker.id).await["monthly"]["resetsAt"], "2026-06-01T00:00:00.000Z");
        app.advance(Duration::from_secs(11 * 24 * 3_600)).await;
        assert_eq!(work(&app, &worker.id).await["dropped"], json!([]));
    }

    /// One budget over all coworkers of a workspace.
    async fn a_workspaces_budget_is_shared_by_its_coworkers(app: TestApp) {
        priced(&app).await;
        let set = app.mutate("workspaceUpdate", json!({ "budget": { "daily": "10" } }), "workspace { budget { daily { limit spent } monthly { limit } } }").await;
        assert_eq!(set["workspace"]["budget"], json!({ "daily": { "limit": "10", "spent": "0" }, "monthly": null }));
        let one = Coworker::new("one").playbook(ONCE).publish(&app).await;
        let two = Coworker::new("two").playbook(ENDLESS).publish(&app).await;
        assert_eq!(work(&app, &one.id).await["runs"][0]["outcome"], "DECLINED");
        let ended = work(&app, &two.id).await;
        assert_eq!(ended["runs"][0]["failureCode"], "BUDGET_EXHAUSTED");
        assert!(ended["runs"][0]["reason"].as_str().expect("a reason").contains("the workspace's daily budget"), "{ended:#}");
        for coworker in [&one, &two] {
            assert_eq!(work(&app, &coworker.id).await["dropped"], json!(["BUDGET_EXHAUSTED"]));
        }
        let query = "{ viewer { workspace { budget { daily { spent reserved exhausted } } } } }";
        let daily = app.gql(query, json!({})).await["viewer"]["workspace"]["budget"]["daily"].take();
        assert!((6.0..=10.0).contains(&usd(&daily["spent"])) && daily["exhausted"] == true && daily["reserved"] == "0", "{daily:#}");
        let refused = app.refused("workspaceUpdate", json!({ "budget": { "monthly": "0" } })).await;
        assert_eq!(refused[0]["field"], "budget.monthly");
        app.mutate("workspaceUpdate", json!({ "budget": {} }), "").await;
        assert_eq!(work(&app, &one.id).await["runs"][0]["outcome"], "DECLINED");
        look::sound(&app).await;
    }

    async fn a_workspaces_monthly_budget_is_free_again_in_the_next_month(app: TestApp) {
        priced(&app).await;
        app.mutate("workspaceUpdate", json!({ "budget": { "monthly": "8" } }), "").await;
        let one = Coworker::new("one").playbook(ENDLESS).publish(&app).await;
        let two = Coworker::new("two").playbook(ONCE).publish(&app).await;
        let ended = work(&app, &one.id).await["runs"][0].take();
        assert_eq!(ended["failureCode"], "BUDGET_EXHAUSTED", "{ended:#}");
        assert!(ended["reason"].as_str().expect("a reason").contains("the workspace's monthly budget is used up"), "{ended:#}");
        let standing = async || {
            let query = format!("{{ viewer {{ workspace {{ budget {{ daily {{ limit }} monthly {{ {STANDING} }} }} }} }} }}");
            app.gql(&query, json!({})).await["viewer"]["workspace"]["budget"].take()
        };
        let now = standing().await;
        assert_eq!((&now["daily"], &now["monthly"]["exhausted"], &now["monthly"]["resetsAt"]), (&Value::Null, &json!(true), &json!("2026-06-01T00:00:00.000Z")));
        let spent = usd(&now["monthly"]["spent"]);
        assert!((4.0..=8.0).contains(&spent), "{spent}");
        // A day makes no difference.
        app.advance(Duration::from_secs(24 * 3_600)).await;
        for coworker in [&one, &two] {
            assert_eq!(work(&app, &coworker.id).await["dropped"], json!(["BUDGET_EXHAUSTED"]));
        }
        assert!((usd(&standing().await["monthly"]["spent"]) - spent).abs() < 1e-9);
        app.advance(Duration::from_secs(11 * 24 * 3_600)).await;
        assert_eq!(work(&app, &two.id).await["runs"][0]["outcome"], "DECLINED");
        assert_eq!(standing().await["monthly"]["spent"], "0.5001");
        look::sound(&app).await;
    }

    /// What is spent stays what it is while the calls are folded into rollups, and after that, whatever zone days are kept in:
    /// budgets' days are those of UTC.
    async fn what_is_spent_is_the_same_before_and_after_calls_are_rolled_up(app: TestApp) {
        priced(&app).await;
        let worker = Coworker::new("worker").playbook(ONCE).with("budget", json!({ "daily": "100", "monthly": "100" })).publish(&app).await;
        for calls in 1..=3 {
            assert_eq!(work(&app, &worker.id).await["runs"][0]["outcome"], "DECLINED");
            let store = app.store().await;
            let expected = format!("{}", f64::from(calls * 5_001) / 10_000.0);
            for round in 0..2 {
                let now = standing(&app, &worker.id).await;
                assert_eq!((&now["daily"]["spent"], &now["monthly"]["spent"]), (&json!(expected), &json!(expected)), "{round}");
                domain::metric::rollup::fold_all(&store, || true).await.expect("folded");
                let left = look::number(&app, "SELECT COUNT(*) AS n FROM usage_ledger WHERE NOT rolled_up").await;
                assert_eq!(left, 0);
            }
        }
        for zone in ["Asia/Kathmandu", "UTC"] {
            app.mutate("workspaceUpdate", json!({ "timeZone": zone }), "").await;
            for days in ["before they are made anew", "after that"] {
                let now = standing(&app, &worker.id).await;
                assert_eq!((&now["daily"]["spent"], &now["monthly"]["spent"]), (&json!("1.5003"), &json!("1.5003")), "{zone}: {days}");
                domain::metric::rollup::tidy(&app.store().await, || true).await.expect("made");
            }
        }
    }

    /// No row of a budget is written for each call: a worker takes a slice, and reserves its calls out of it.
    async fn many_calls_share_one_transaction_of_their_budgets(app: TestApp) {
        const RUNS: i64 = 120;
        // About two cents are reserved for a call of half a cent: a slice of ten dollars is enough for hundreds.
        app.mutate("modelPriceSet", json!({ "model": "scripted", "input": "10", "output": "0.1" }), "").await;
        app.mutate("workspaceUpdate", json!({ "budget": { "monthly": "1000" } }), "").await;
        let worker = Coworker::new("worker").playbook(ONCE).with("budget", json!({ "daily": "1000" })).publish(&app).await;
        let made = (0..RUNS).map(|_| app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), ""));
        futures_util::future::join_all(made).await;
        app.drain().await;
        let ended = look::number(&app, "SELECT COUNT(*) AS n FROM run WHERE outcome = 'DECLINED'").await;
        let calls = look::number(&app, "SELECT COUNT(*) AS n FROM usage_ledger").await;
        assert_eq!((ended, calls), (RUNS, RUNS));
        // Each take writes the rows of both budgets, and has a number.
        let takes = look::number(&app, "SELECT MAX(seq) AS n FROM budget_slice").await;
        println!("{takes} takes for {calls} calls under two budgets");
        assert!((1..=RUNS / 10).contains(&takes), "{takes} takes for {calls} calls");
        look::sound(&app).await;
    }

    /// A call of which nobody knows what it used stays charged at what was reserved for it; one that the provider
    /// refused costs nothing.
    async fn a_call_of_unknown_usage_stays_charged_at_its_reservation(app: TestApp) {
        priced(&app).await;
        let cut = ONCE.replace("    usage", "    fault: { class: truncated, times: 1 }\n    usage");
        let worker = Coworker::new("worker").playbook(&cut).with("budget", json!({ "daily": "100" })).publish(&app).await;
        let run = work(&app, &worker.id).await["runs"][0].take();
        assert_eq!(run["outcome"], "DECLINED");
        let events = look::events(&app, &run).await;
        let (asked, failed) = (look::data(&events, "model.requested")[0], look::data(&events, "model.failed")[0]);
        let reserved = asked["reservation"].as_i64().expect("a reservation");
        assert_eq!((failed["reservation"].as_i64(), &failed["usage"]), (Some(reserved), &Value::Null));
        let query = "query ($id: ID!) { run(id: $id) { cost { amount priced unknownCalls estimatedAmount } } }";
        let cost = app.gql(query, json!({ "id": run["id"] })).await["run"]["cost"].take();
        assert_eq!((&cost["amount"], &cost["priced"], &cost["unknownCalls"]), (&json!("0.5001"), &json!(false), &json!(1)));
        let estimated = usd(&cost["estimatedAmount"]);
        assert!((estimated * 1e9 - reserved as f64).abs() < 1.0, "{cost:#}");
        let spent = usd(&standing(&app, &worker.id).await["daily"]["spent"]);
        assert!((spent - estimated - 0.5001).abs() < 1e-9, "{spent}");

        let busy = ONCE.replace("    usage", "    fault: { class: rate_limited, times: 1 }\n    usage");
        let other = Coworker::new("other").playbook(&busy).with("budget", json!({ "daily": "100" })).publish(&app).await;
        assert_eq!(work(&app, &other.id).await["runs"][0]["outcome"], "DECLINED");
        assert_eq!(standing(&app, &other.id).await["daily"]["spent"], "0.5001");
        look::sound(&app).await;
    }

    /// What can't be priced can't be kept within a limit of money: refused at publish, and dropped at claim.
    async fn an_unpriced_model_under_a_limit_of_money_is_refused_and_dropped(app: TestApp) {
        for limited in [("limits", json!({ "maxCost": "1" })), ("budget", json!({ "monthly": "1" }))] {
            let made = Coworker::new(&format!("with-{}", limited.0)).playbook(ONCE).with(limited.0, limited.1).create(&app).await;
            for force in [json!({ "id": made.id }), json!({ "id": made.id, "force": true, "reason": "I want it." })] {
                let refused = app.refused("coworkerPublish", force).await;
                assert!(refused.iter().any(|error| error["code"] == "UNPRICED_MODEL"), "{refused:?}");
                assert!(refused[0]["message"].as_str().expect("a message").contains("modelPriceSet"), "{refused:?}");
            }
        }
        // Published before the workspace had a budget.
        let worker = Coworker::new("worker").playbook(ONCE).publish(&app).await;
        app.mutate("workspaceUpdate", json!({ "budget": { "daily": "10" } }), "").await;
        assert_eq!(work(&app, &worker.id).await, json!({ "runs": [], "dropped": ["UNPRICED_MODEL"] }));
        priced(&app).await;
        assert_eq!(work(&app, &worker.id).await["runs"][0]["outcome"], "DECLINED");
    }

    /// It was started before anybody limited money: its next call is not made, and it says why.
    async fn a_run_under_way_ends_when_money_is_limited_and_its_model_has_no_price(app: TestApp) {
        approval::wait_for_a_reset(&app).await;
        app.mutate("workspaceUpdate", json!({ "budget": { "daily": "10" } }), "").await;
        // Budgets are known for a second; whoever starts reads them.
        app.restart().await;
        approval::decide(&app, &approval::pending(&app).await, "APPROVE").await;
        app.drain().await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["failureCode"], &run["summaryAuthor"]), (&json!("BUDGET_EXHAUSTED"), &json!("SYSTEM")), "{run:#}");
        let events = look::events(&app, &run).await;
        assert_eq!(look::data(&events, "model.requested").len(), 1);
        let reached = look::data(&events, "limit.reached")[0];
        assert_eq!((&reached["unpriced"], &reached["maximum"]), (&json!("scripted"), &json!(10_000_000_000_i64)));
        let ended = look::data(&events, "run.failed")[0]["reason"].as_str().expect("a reason");
        assert_eq!(ended, "the workspace's daily budget can't be kept: the model scripted has no price");
        look::sound(&app).await;
    }

    /// The Triage coworker's budget is used up: the ranking routes what it would have routed.
    async fn without_money_for_triage_the_ranking_routes(app: TestApp) {
        priced(&app).await;
        Coworker::new("triage").triage().playbook(ONCE).with("budget", json!({ "daily": "0.000001" })).publish(&app).await;
        app.request("Who takes it?").await;
        app.drain().await;
        let run = look::only_run(&app).await;
        assert_eq!((&run["failureCode"], &run["summaryAuthor"]), (&json!("BUDGET_EXHAUSTED"), &json!("SYSTEM")));
        let second = app.request("And this?").await;
        app.drain().await;
        assert_eq!(look::runs(&app).await.len(), 1);
        let query = "query ($id: ID!) { request(id: $id) { needsPerson timeline(first: 20) { nodes {
            ... on DispatchDropped { dispatch { dropReason } } ... on LeftToPeople { reason } } } } }";
        let seen = app.gql(query, json!({ "id": second["id"] })).await["request"].take();
        let told = seen["timeline"]["nodes"].to_string();
        assert!(told.contains("BUDGET_EXHAUSTED") && told.contains("The budget for Triage is used up."), "{told}");
        look::sound(&app).await;
    }

    async fn what_a_budget_holds_is_for_those_who_see_cost(app: TestApp) {
        let worker = Coworker::new("worker").playbook(ONCE).publish(&app).await;
        for (role, seen) in [(Role::Agent, true), (Role::Analyst, true), (Role::Requester, false)] {
            let client = app.as_role(role).await;
            let query = "{ viewer { workspace { budget { daily { limit } } } } }";
            if seen {
                let data = client.gql(query, json!({})).await;
                assert_eq!(data["viewer"]["workspace"]["budget"], json!({ "daily": null }));
            } else {
                assert_eq!(client.gql_code(query, json!({})).await, "FORBIDDEN");
            }
        }
        assert_eq!(standing(&app, &worker.id).await, json!({ "daily": null, "monthly": null }));
        let diff = "query ($id: ID!) { node(id: $id) { ... on Coworker { draft { budget { daily monthly } } diff { changes { path after } } } } }";
        app.mutate("coworkerUpdate", json!({ "id": worker.id, "budget": { "daily": "0.5" } }), "").await;
        let seen = app.gql(diff, json!({ "id": worker.id })).await["node"].take();
        assert_eq!(seen["draft"]["budget"], json!({ "daily": "0.5", "monthly": null }));
        assert!(seen["diff"]["changes"].to_string().contains("dailyNano"), "{seen:#}");
    }
}

//! Costs that climb: what drives them is named, and what can't be told is said.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use super::{SYMPTOMS, text, told};
use crate::look;

const DAY: u64 = 24 * 3_600;

const QUERY: &str = "query ($id: ID!, $start: DateTimeOrDuration!) { node(id: $id) { ... on Coworker { diagnostics(range: { start: $start }) { examinedRuns isComplete \
    undecided { symptom reason } diagnoses { symptom confidence affectedRuns place suggestion evidence { message run { number } } } } } } }";

async fn diagnostics(app: &TestApp, id: &str, start: &str) -> Value {
    app.gql(QUERY, json!({ "id": id, "start": start })).await["node"]["diagnostics"].take()
}

/// Why this symptom can't be told.
fn why(diagnostics: &Value, symptom: &str) -> Option<String> {
    let all = look::list(diagnostics["undecided"].clone());
    let one = all.iter().find(|one| one["symptom"] == symptom);
    one.map(|one| text(one, "reason").to_owned())
}

/// What grows week by week, and where the diagnosis must look.
const PARTS: [(&str, &str, &str); 5] = [
    (
        "goal",
        "goal",
        "The goal grew, and every turn reads it: move procedures into skills, or split the coworker.",
    ),
    (
        "soul",
        "soul",
        "Identity and soul grew, and every turn reads them: shorten them, and move procedures into skills.",
    ),
    (
        "skills",
        "skills",
        "Its skills grew, and every turn reads them: take away those that it does not need, or split the coworker.",
    ),
    (
        "tools",
        "tools",
        "The descriptions of its tools grew, and every turn reads them: enable only the actions that it needs, or split the coworker.",
    ),
    (
        "history",
        "goal.flow",
        "It reads longer histories: its runs take more turns, or its requests grew. Give goal.flow fewer steps, or split the coworker.",
    ),
];

/// Looks once, describing that tool and saying something at some length, and ends.
fn playbook(described: &str, said: &str) -> String {
    format!(
        "tools:\n  - {{ name: desk.look, description: \"Looks at the desk.{described}\", effect: READ, answers: [{{ response: there }}] }}\nturns:\n  \
         - text: \"I look.{said}\"\n    calls: [{{ tool: desk.look }}]\n  \
         - calls: [{{ tool: finish, arguments: {{ outcome: DECLINED, reason: No., summary: No. }} }}]\n"
    )
}

/// The change that makes one part of a coworker's prompts longer.
fn grown(part: &str, id: &str, more: &str) -> Value {
    let mut change = json!({ "id": id });
    match part {
        "goal" => change["goal"] = json!({ "purpose": format!("To be tested.{more}") }),
        "soul" => change["soul"] = json!(format!("Friendly.{more}")),
        "skills" => {}
        "tools" => {
            change["model"] = json!({ "provider": "scripted", "playbook": playbook(more, "") })
        }
        "history" => {
            change["model"] = json!({ "provider": "scripted", "playbook": playbook("", more) })
        }
        other => panic!("no part is {other}"),
    }
    change
}

both_dbs! {
    /// R68: whatever grows is what the diagnosis names, with the place and the remedy that belong to it.
    async fn the_part_that_grows_is_the_place_to_look_at(app: TestApp) {
        // Reading costs, writing next to nothing, and the cache saves nothing: only lengths matter.
        let price = json!({ "model": "scripted", "input": "3", "cacheRead": "3", "output": "0.001" });
        app.mutate("modelPriceSet", price, "modelPrice { id }").await;
        let skill = app.mutate("skillCreate", json!({ "handle": "desks", "name": "Desks", "text": "How desks are." }), "skill { id }").await["skill"]["id"].take();
        let mut staff = Vec::new();
        for (part, ..) in PARTS {
            let skills = if part == "skills" { json!(["desks"]) } else { json!([]) };
            let made = Coworker::new(&format!("grows-{part}")).playbook(&playbook("", "")).with("skills", skills).publish(&app).await;
            staff.push(made.id);
        }
        for week in 0..6 {
            let more = " And so on, at some length.".repeat(week * 120);
            for ((part, ..), id) in PARTS.iter().zip(&staff) {
                if week > 0 {
                    if *part == "skills" {
                        app.mutate("skillUpdate", json!({ "id": skill, "text": format!("How desks are.{more}") }), "").await;
                    } else {
                        app.mutate("coworkerUpdate", grown(part, id, &more), "").await;
                    }
                    app.mutate("coworkerPublish", json!({ "id": id, "force": true, "reason": "A test." }), "").await;
                }
                for _ in 0..5 {
                    app.mutate("requestCreate", json!({ "title": "Do it", "assigneeId": id }), "").await;
                }
            }
            app.drain().await;
            app.advance(Duration::from_secs(7 * DAY)).await;
        }
        for ((part, place, suggestion), id) in PARTS.iter().zip(&staff) {
            let found = diagnostics(&app, id, "-P60D").await;
            assert_eq!(found["examinedRuns"], 30);
            let climbs: Vec<_> = told(&found).into_iter().filter(|one| one["symptom"] == "COSTS_CLIMB").collect();
            assert_eq!(climbs.len(), 1, "{part}: {found:#}");
            let climb = &climbs[0];
            assert_eq!((text(climb, "place"), text(climb, "suggestion"), text(climb, "confidence")), (*place, *suggestion, "HIGH"), "{part}");
            // It is measured over all runs; the dearest of the last week are shown.
            assert_eq!(climb["affectedRuns"], 3, "{part}");
            assert_eq!(climb["evidence"].as_array().map(Vec::len), Some(3), "{part}");
            assert_eq!(why(&found, "COSTS_CLIMB"), None, "{part}");
        }
        // A month holds no five whole weeks, on no day.
        let found = diagnostics(&app, &staff[0], "-P30D").await;
        assert!(told(&found).iter().all(|one| one["symptom"] != "COSTS_CLIMB"), "{found:#}");
        let why = why(&found, "COSTS_CLIMB").expect("a reason");
        assert_eq!(why, "The span holds fewer than 5 whole weeks: they begin at 2026-05-25T00:00:00.000Z, so range.start must not be later.");
    }

    /// What a span is too short or too poor for is not passed over: it says what could not be told, and why.
    async fn what_can_not_be_told_is_said(app: TestApp) {
        let id = Coworker::new("new").playbook(&playbook("", "")).publish(&app).await.id;
        let found = diagnostics(&app, &id, "-P60D").await;
        let symptoms: Vec<_> = look::list(found["undecided"].clone()).iter().map(|one| text(one, "symptom").to_owned()).collect();
        assert_eq!(symptoms, SYMPTOMS);
        assert_eq!(why(&found, "COSTS_CLIMB").as_deref(), Some("One of the last 5 whole weeks has 0 runs that ended, and each must have at least 5."));
        for week in 0..6 {
            for _ in 0..(if week == 3 { 4 } else { 5 }) {
                app.mutate("requestCreate", json!({ "title": "Do it", "assigneeId": id }), "").await;
            }
            app.drain().await;
            if week == 0 {
                app.advance(Duration::from_secs(60)).await;
                let found = diagnostics(&app, &id, "-P1D").await;
                assert_eq!(why(&found, "WRONG_ACTION"), None, "{found:#}");
            }
            app.advance(Duration::from_secs(7 * DAY)).await;
        }
        let found = diagnostics(&app, &id, "-P60D").await;
        assert_eq!(found["undecided"], json!([{ "symptom": "COSTS_CLIMB", "reason": "One of the last 5 whole weeks has 4 runs that ended, and each must have at least 5." }]));
        // The week of four lies before these; and what nobody knows the cost of does not climb.
        for _ in 0..4 {
            for _ in 0..5 {
                app.mutate("requestCreate", json!({ "title": "Do it", "assigneeId": id }), "").await;
            }
            app.drain().await;
            app.advance(Duration::from_secs(7 * DAY)).await;
        }
        let found = diagnostics(&app, &id, "-P60D").await;
        let unpriced = "In one of the last 5 whole weeks no model call has a cost; where the model has no price, set one with modelPriceSet.";
        assert_eq!(found["undecided"], json!([{ "symptom": "COSTS_CLIMB", "reason": unpriced }]));
    }
}

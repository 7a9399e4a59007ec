//! The lint before publishing (R61–R67): what is wrong is shown with its place and remedy, refuses the publication, and
//! what was forced is kept.

use api::config::Role;
use domain::model::{Kind, Provider};
use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

const FOUND: &str = "{ severity rule place message remedy }";

/// The findings of the draft, as `[severity, rule, place]`.
async fn lint(app: &TestApp, id: &str) -> Vec<Value> {
    let query = format!("query ($id: ID!) {{ coworker(id: $id) {{ lint {FOUND} }} }}");
    let found = app.gql(&query, json!({ "id": id })).await["coworker"]["lint"].take();
    short(found)
}

fn short(found: Value) -> Vec<Value> {
    look::list(found)
        .iter()
        .map(|finding| json!([finding["severity"], finding["rule"], finding["place"]]))
        .collect()
}

/// A configuration in which nothing is wrong.
fn sound(handle: &str, scope: &str) -> Coworker {
    let ends = json!([
        { "when": "Done", "setStatus": "RESOLVED" },
        { "when": "Asked", "setStatus": "PENDING" },
        { "when": "Unreachable", "setStatus": "IN_PROGRESS" },
    ]);
    let playbook = "tools:\n  - { name: device.telemetry, description: Measures., answers: [{ response: ok }] }\nturns: [{ text: Done. }]\n";
    Coworker::new(handle)
        .with("identity", json!({ "role": handle, "scope": scope }))
        .with(
            "goal",
            json!({ "purpose": "Use device.telemetry.", "endOfRun": ends }),
        )
        .playbook(playbook)
}

both_dbs! {
    /// R65: a tool that the goal names and that is not there is shown before publishing, and refuses it.
    async fn a_goal_that_names_a_tool_that_is_not_enabled_is_not_published(app: TestApp) {
        let goal = json!({ "purpose": "Measure.", "flow": ["Read.", "Measure with device.telemetry.", "Ask netbox.lookup."] });
        let made = sound("network", "Routers").with("goal", goal.clone())
            .with("tools", json!([{ "server": "device", "actions": [{ "name": "telemetry", "enabled": false }] }])).create(&app).await;
        let errors = [
            json!(["ERROR", "TOOL_NOT_ENABLED", "goal.flow[1]"]),
            json!(["ERROR", "TOOL_UNKNOWN", "goal.flow[2]"]),
        ];
        assert_eq!(lint(&app, &made.id).await[..2], errors);
        let before = look::counts(&app).await;
        let refused = app.refused("coworkerPublish", json!({ "id": made.id })).await;
        let told: Vec<_> = refused.iter().map(|error| json!([error["code"], error["field"]])).collect();
        assert_eq!(told, [json!(["TOOL_NOT_ENABLED", "goal.flow[1]"]), json!(["TOOL_UNKNOWN", "goal.flow[2]"])]);
        assert_eq!(refused[0]["message"], "The text names the tool device.telemetry, which is not enabled. Enable device.telemetry, or take it out of the text.");
        assert_eq!(look::counts(&app).await, before);
        let state = app.gql("{ coworker(handle: \"network\") { state version { number } } }", json!({})).await;
        assert_eq!(state["coworker"], json!({ "state": "DRAFT", "version": null }));

        let mend = json!({ "id": made.id, "goal": { "purpose": goal["purpose"], "flow": ["Measure with device.telemetry."] }, "tools": [] });
        app.mutate("coworkerUpdate", mend, "").await;
        let payload = app.mutate("coworkerPublish", json!({ "id": made.id }), &format!("coworker {{ state }} findings {FOUND}")).await;
        assert_eq!(payload["coworker"]["state"], "PUBLISHED");
        // Warnings are shown and do not refuse.
        let ends = vec![json!(["WARNING", "NO_END_OF_RUN_RULE", "goal.endOfRun"]); 3];
        assert_eq!(short(payload["findings"].clone()), ends);
    }

    /// R66, R67: out-of-scope rules route to someone who takes it.
    async fn what_is_out_of_scope_must_go_to_a_coworker_that_there_is(app: TestApp) {
        let mut goal = sound("network", "Routers").input()["goal"].clone();
        goal["outOfScope"] = json!([{ "when": "A cloud", "routeTo": "aws" }]);
        let made = sound("network", "Routers").with("goal", goal).create(&app).await;
        assert_eq!(lint(&app, &made.id).await, [json!(["ERROR", "ROUTE_TO_NOBODY", "goal.outOfScope[0].routeTo"])]);
        assert_eq!(app.refused("coworkerPublish", json!({ "id": made.id })).await[0]["code"], "ROUTE_TO_NOBODY");
        let aws = sound("aws", "Clouds").create(&app).await;
        assert_eq!(lint(&app, &made.id).await, [json!(["WARNING", "ROUTE_TO_UNPUBLISHED", "goal.outOfScope[0].routeTo"])]);
        app.mutate("coworkerPublish", json!({ "id": aws.id }), "").await;
        assert_eq!(lint(&app, &made.id).await, Vec::<Value>::new());
    }

    async fn two_coworkers_of_one_scope_are_not_both_published(app: TestApp) {
        let scope = "Laptops, printers and the wireless network of offices";
        let first = sound("hardware", scope).publish(&app).await;
        let second = sound("devices", "The offices' wireless networks, printers, laptops").create(&app).await;
        assert_eq!(lint(&app, &first.id).await, Vec::<Value>::new());
        assert_eq!(lint(&app, &second.id).await, [json!(["ERROR", "SCOPE_COLLISION", "identity.scope"])]);
        assert_eq!(app.refused("coworkerPublish", json!({ "id": second.id })).await[0]["field"], "identity.scope");
        // Another workspace's coworkers are nobody's neighbours; one that is out of work collides with nobody.
        app.mutate("coworkerUnpublish", json!({ "id": first.id }), "").await;
        app.mutate("coworkerPublish", json!({ "id": second.id }), "").await;
        assert_eq!(app.refused("coworkerPublish", json!({ "id": first.id })).await[0]["code"], "SCOPE_COLLISION");
        let elsewhere = json!({ "identity": { "role": "devices", "scope": "Accounts and passwords" }, "id": second.id });
        app.mutate("coworkerUpdate", elsewhere, "").await;
        app.mutate("coworkerPublish", json!({ "id": second.id }), "").await;
        app.mutate("coworkerPublish", json!({ "id": first.id }), "").await;
    }

    async fn a_skill_that_the_library_has_not_is_an_error(app: TestApp) {
        let made = sound("network", "Routers").with("skills", json!(["vpn"])).create(&app).await;
        assert_eq!(lint(&app, &made.id).await, [json!(["ERROR", "SKILL_UNKNOWN", "skills[0]"])]);
        app.mutate("skillCreate", json!({ "handle": "vpn", "name": "VPN", "text": "Call vpn.restart." }), "").await;
        assert_eq!(lint(&app, &made.id).await, [json!(["WARNING", "TOOL_UNKNOWN", "skills[0]"])]);
        app.mutate("coworkerPublish", json!({ "id": made.id }), "").await;
    }

    /// R62: a run can leave a request in each of these, and without a rule its coworker does not know when.
    async fn each_status_that_a_run_can_leave_has_a_rule(app: TestApp) {
        let rule = |status: &str| json!({ "when": format!("When it is {status}"), "setStatus": status });
        let goal = |statuses: &[&str]| json!({ "purpose": "Networks work.", "endOfRun": statuses.iter().map(|status| rule(status)).collect::<Vec<_>>() });
        let made = sound("network", "Routers").with("goal", goal(&["RESOLVED"])).create(&app).await;
        let found = lint(&app, &made.id).await;
        assert_eq!(found, [json!(["WARNING", "NO_END_OF_RUN_RULE", "goal.endOfRun"]), json!(["WARNING", "NO_END_OF_RUN_RULE", "goal.endOfRun"])]);
        app.mutate("coworkerUpdate", json!({ "id": made.id, "goal": goal(&["RESOLVED", "PENDING", "IN_PROGRESS"]) }), "").await;
        assert_eq!(lint(&app, &made.id).await, Vec::<Value>::new());
    }

    /// A server that executes runs knows which models it can't ask, and says what to set; one that only serves the API can't tell.
    async fn a_model_whose_provider_is_not_configured_is_doubtful(app: TestApp) {
        for (role, expected) in [(Role::All, vec![json!(["WARNING", "PROVIDER_NOT_CONFIGURED", "model"])]), (Role::Api, vec![])] {
            let app = look::with_settings(&app, |settings| {
                settings.role = role;
                settings.worker.providers = vec![Provider::new("local", Kind::OpenAi)];
            }).await;
            let with = |handle: &str, model: &str| sound(handle, handle).with("model", json!({ "provider": model })).with("goal", json!({
                "purpose": "To be tested.", "endOfRun": sound("any", "Any").input()["goal"]["endOfRun"],
            }));
            let there = with("printers", "local:m").create(&app).await;
            assert_eq!(lint(&app, &there.id).await, Vec::<Value>::new());
            let made = with("routers", "openai:gpt-5-mini").create(&app).await;
            assert_eq!(lint(&app, &made.id).await, expected);
            let payload = app.mutate("coworkerPublish", json!({ "id": made.id }), &format!("coworker {{ state }} findings {FOUND}")).await;
            assert_eq!(payload["coworker"]["state"], "PUBLISHED");
            assert_eq!(short(payload["findings"].clone()), expected);
            if role == Role::All {
                let remedy = payload["findings"][0]["remedy"].as_str().unwrap();
                assert!(remedy.starts_with("Set STINT_OPENAI_API_KEY, or STINT_OPENAI_BASE_URL"), "{remedy}");
            }
            app.stop().await;
        }
    }

    async fn what_is_forced_says_by_whom_why_and_in_spite_of_what(app: TestApp) {
        let goal = json!({ "purpose": "Ask netbox.lookup." });
        let made = sound("network", "Routers").with("goal", goal).create(&app).await;
        let forced = |reason: Value| json!({ "id": made.id, "force": true, "reason": reason });
        for (reason, code) in [(Value::Null, "REQUIRED"), (json!(" "), "REQUIRED"), (json!("x".repeat(1_001)), "TOO_LONG")] {
            let errors = app.refused("coworkerPublish", forced(reason)).await;
            assert_eq!((&errors[0]["field"], &errors[0]["code"]), (&json!("reason"), &json!(code)));
        }
        let ada = app.with_new_key(json!({ "name": "Ada", "role": "ADMIN" })).await;
        ada.mutate("coworkerPublish", forced(json!("netbox comes on Monday")), "").await;
        let query = format!("query ($id: ID!) {{ coworker(id: $id) {{ versions {{ nodes {{ number forcedReason restoredFrom publishedBy {{ displayName }} findings {FOUND} }} }} }} }}");
        let versions = async || look::list(app.gql(&query, json!({ "id": made.id })).await["coworker"]["versions"]["nodes"].take());
        let first = versions().await[0].clone();
        assert_eq!((&first["forcedReason"], &first["publishedBy"]["displayName"]), (&json!("netbox comes on Monday"), &json!("Ada")));
        assert_eq!(short(first["findings"].clone())[0], json!(["ERROR", "TOOL_UNKNOWN", "goal.purpose"]));

        // To come back it must be forced again, and that is kept too, as a version of its own.
        app.mutate("coworkerUnpublish", json!({ "id": made.id }), "").await;
        assert_eq!(app.refused("coworkerPublish", json!({ "id": made.id })).await[0]["code"], "TOOL_UNKNOWN");
        assert_eq!(app.refused("coworkerRollback", json!({ "id": made.id, "version": 1 })).await[0]["code"], "TOOL_UNKNOWN");
        app.mutate("coworkerPublish", forced(json!("it is late")), "").await;
        let reasons: Vec<Value> = versions().await.iter().map(|version| version["forcedReason"].clone()).collect();
        assert_eq!(reasons, [json!("it is late"), json!("netbox comes on Monday")]);
        app.mutate("coworkerUpdate", json!({ "id": made.id, "goal": { "purpose": "Use device.telemetry." } }), "").await;
        // Force without an error to override is no forced publication.
        app.mutate("coworkerPublish", forced(json!("to be sure")), "").await;
        assert_eq!(versions().await[0]["forcedReason"], Value::Null);
        let back = json!({ "id": made.id, "version": 1, "force": true, "reason": "the new one is worse" });
        app.mutate("coworkerRollback", back, "").await;
        let newest = versions().await[0].clone();
        assert_eq!((&newest["number"], &newest["restoredFrom"], &newest["forcedReason"]), (&json!(4), &json!(1), &json!("the new one is worse")));
        let agent = app.as_role(entity::Role::Agent).await;
        assert_eq!(agent.refused("coworkerPublish", forced(json!("I can"))).await[0]["code"], "FORBIDDEN");
        assert_eq!(agent.refused("coworkerRollback", json!({ "id": made.id, "version": 1 })).await[0]["code"], "FORBIDDEN");
    }
}

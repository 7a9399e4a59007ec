//! Making coworkers: versions, skills, tools. Drafts become versions that never change; what runs read is pinned.

use serde_json::{Value, json};
use tests::{Coworker, TestApp, both_dbs};

use crate::look;

/// A run that finishes at once.
const BRIEF: &str = "turns:\n  - calls:\n      - { tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }\n";

const VERSIONS: &str = "query ($id: ID!) { coworker(id: $id) { state version { number } draft { soul } \
    versions { nodes { id number restoredFrom forcedReason config { soul } publishedBy { displayName } \
                       skills { number name text skill { handle } } } totalCount } } }";

async fn versions(app: &TestApp, id: &str) -> Value {
    app.gql(VERSIONS, json!({ "id": id })).await["coworker"].take()
}

async fn soul(app: &TestApp, id: &str, soul: &str) {
    app.mutate("coworkerUpdate", json!({ "id": id, "soul": soul }), "")
        .await;
}

async fn publish(app: &TestApp, id: &str) -> Value {
    let payload = app
        .mutate(
            "coworkerPublish",
            json!({ "id": id }),
            "coworker { version { number } }",
        )
        .await;
    payload["coworker"]["version"]["number"].clone()
}

async fn roll_back(app: &TestApp, id: &str, version: i64) -> Value {
    let input = json!({ "id": id, "version": version });
    let payload = app
        .mutate(
            "coworkerRollback",
            input,
            "coworker { version { number restoredFrom } }",
        )
        .await;
    payload["coworker"]["version"].clone()
}

/// What the newest run's first prompt was made of: kinds and digests, in order.
async fn prompt(app: &TestApp) -> Vec<(String, String)> {
    let newest = look::runs(app)
        .await
        .into_iter()
        .max_by_key(|run| run["number"].as_i64());
    let events = look::events(app, &newest.expect("a run")).await;
    let asked = look::data(&events, "model.requested")[0]["prompt"].clone();
    look::list(asked)
        .iter()
        .map(|part| {
            let text = |key: &str| part[key].as_str().expect("a text").to_owned();
            (text("kind"), text("digest"))
        })
        .collect()
}

both_dbs! {
    async fn rolling_back_is_a_new_version_and_the_history_stays_true(app: TestApp) {
        let made = Coworker::new("worker").with("soul", "one").playbook(BRIEF).publish(&app).await;
        soul(&app, &made.id, "two").await;
        assert_eq!(publish(&app, &made.id).await, 2);
        app.mutate("requestCreate", json!({ "title": "a", "assigneeId": made.id }), "").await;
        app.drain().await;

        assert_eq!(roll_back(&app, &made.id, 1).await, json!({ "number": 3, "restoredFrom": 1 }));
        app.mutate("requestCreate", json!({ "title": "b", "assigneeId": made.id }), "").await;
        app.drain().await;
        let seen = versions(&app, &made.id).await;
        let listed: Vec<Value> = look::list(seen["versions"]["nodes"].clone()).iter()
            .map(|version| json!([version["number"], version["restoredFrom"], version["config"]["soul"]])).collect();
        assert_eq!(listed, [json!([3, 1, "one"]), json!([2, null, "two"]), json!([1, null, "one"])]);
        assert_eq!(seen["versions"]["totalCount"], 3);
        // The draft had no changes of its own: it follows, and publishing it changes nothing.
        assert_eq!(seen["draft"]["soul"], "one");
        assert_eq!(publish(&app, &made.id).await, 3);
        // Each run names the version that it used.
        let runs = app.gql("{ runs(order: [{ number: ASC }]) { nodes { coworkerVersion { number } } } }", json!({})).await;
        assert_eq!(runs["runs"]["nodes"], json!([{ "coworkerVersion": { "number": 2 } }, { "coworkerVersion": { "number": 3 } }]));
    }

    async fn a_draft_with_changes_of_its_own_survives_a_rollback(app: TestApp) {
        let made = Coworker::new("worker").with("soul", "one").publish(&app).await;
        soul(&app, &made.id, "two").await;
        publish(&app, &made.id).await;
        soul(&app, &made.id, "three").await;
        roll_back(&app, &made.id, 1).await;
        assert_eq!(versions(&app, &made.id).await["draft"]["soul"], "three");

        // What is in force needs no rollback, and what never was can't come back.
        for (version, code) in [(3, "CONFLICT"), (9, "NOT_FOUND"), (0, "NOT_FOUND")] {
            let errors = app.refused("coworkerRollback", json!({ "id": made.id, "version": version })).await;
            assert_eq!(errors[0]["code"], code, "{version}");
        }
        assert_eq!(versions(&app, &made.id).await["versions"]["totalCount"], 3);
    }

    /// R71: out of work until it is published again; a rollback publishes too.
    async fn who_is_unpublished_comes_back_by_republishing_or_by_a_rollback(app: TestApp) {
        let made = Coworker::new("worker").with("soul", "one").publish(&app).await;
        let state = async || versions(&app, &made.id).await["state"].clone();
        app.mutate("coworkerUnpublish", json!({ "id": made.id }), "").await;
        assert_eq!(state().await, "UNPUBLISHED");
        // The same draft makes no second version.
        assert_eq!((publish(&app, &made.id).await, state().await), (json!(1), json!("PUBLISHED")));
        app.mutate("coworkerUnpublish", json!({ "id": made.id }), "").await;
        assert_eq!(roll_back(&app, &made.id, 1).await, json!({ "number": 2, "restoredFrom": 1 }));
        assert_eq!(state().await, "PUBLISHED");
    }

    async fn the_database_itself_refuses_to_change_a_version(app: TestApp) {
        app.mutate("skillCreate", json!({ "handle": "vpn", "name": "VPN", "text": "Turn it off." }), "").await;
        Coworker::new("worker").with("skills", json!(["vpn"])).publish(&app).await;
        let db = tests::db::connect(app.db().url()).await.unwrap();
        for table in ["coworker_version", "coworker_version_skill", "skill_version"] {
            let column = if table == "coworker_version_skill" { "position" } else { "version" };
            for sql in [format!("UPDATE {table} SET {column} = 7"), format!("DELETE FROM {table}")] {
                let refused = sea_orm::ConnectionTrait::execute_unprepared(&db, &sql).await;
                assert!(refused.expect_err(&sql).to_string().contains("append-only"), "{sql}");
            }
        }
        db.close().await.unwrap();
    }

    async fn a_diff_says_what_changed_between_versions_and_in_the_draft(app: TestApp) {
        const DIFF: &str = "query ($id: ID!, $from: Int, $to: Int) { coworker(id: $id) { diff(from: $from, to: $to) { \
            from { number } to { number } changes { path before after } text isCut } } }";
        let diff = async |id: &str, from: Value, to: Value| {
            app.gql(DIFF, json!({ "id": id, "from": from, "to": to })).await["coworker"]["diff"].take()
        };
        let goal = json!({ "purpose": "To be tested.", "flow": ["Look.", "Leap."] });
        let made = Coworker::new("worker").with("goal", goal).create(&app).await;
        let new = diff(&made.id, Value::Null, Value::Null).await;
        assert_eq!((&new["from"], &new["to"]), (&Value::Null, &Value::Null));
        assert!(new["text"].as_str().unwrap().starts_with("--- nothing\n+++ draft\n"), "{new}");

        publish(&app, &made.id).await;
        let same = diff(&made.id, Value::Null, Value::Null).await;
        assert_eq!(same, json!({ "from": { "number": 1 }, "to": null, "changes": [], "text": "", "isCut": false }));

        app.mutate("skillCreate", json!({ "handle": "vpn", "name": "VPN", "text": "Turn it off." }), "").await;
        let goal = json!({ "purpose": "To be tested.", "flow": ["Look.", "Think.", "Leap."] });
        app.mutate("coworkerUpdate", json!({ "id": made.id, "goal": goal, "skills": ["vpn"] }), "").await;
        let changes = json!([
            { "path": "goal.flow[1]", "before": null, "after": "Think." },
            { "path": "skills", "before": null, "after": "{\"vpn\":1}" },
        ]);
        assert_eq!(diff(&made.id, Value::Null, Value::Null).await["changes"], changes);
        publish(&app, &made.id).await;
        let published = diff(&made.id, json!(1), json!(2)).await;
        assert_eq!((&published["changes"], &published["from"], &published["to"]), (&changes, &json!({ "number": 1 }), &json!({ "number": 2 })));
        let text = published["text"].as_str().unwrap();
        assert!(text.starts_with("--- version 1\n+++ version 2\n") && text.contains("\n+  - Think.\n"), "{text}");
        let back = diff(&made.id, json!(2), json!(1)).await;
        assert_eq!(back["changes"][0], json!({ "path": "goal.flow[1]", "before": "Think.", "after": null }));
        assert_eq!(app.gql_code(DIFF, json!({ "id": made.id, "from": 9 })).await, "NOT_FOUND");
    }

    async fn a_run_reads_exactly_the_skills_that_its_version_pins(app: TestApp) {
        let skill = |handle: &str, text: &str| json!({ "handle": handle, "name": format!("About {handle}"), "text": text });
        let vpn = app.mutate("skillCreate", skill("vpn", "Turn the VPN off."), "skill { id version { number text } }").await["skill"].take();
        assert_eq!(vpn["version"], json!({ "number": 1, "text": "Turn the VPN off." }));
        app.mutate("skillCreate", skill("wifi", "Go nearer."), "").await;
        let made = Coworker::new("worker").with("skills", json!(["wifi", "vpn"])).playbook(BRIEF).publish(&app).await;
        let run = async || {
            app.mutate("requestCreate", json!({ "title": "It is slow", "assigneeId": made.id }), "").await;
            app.drain().await;
            prompt(&app).await
        };
        let first = run().await;
        let kinds: Vec<&str> = first.iter().map(|(kind, _)| kind.as_str()).collect();
        // Each skill is a part of its own, before everything that differs from run to run.
        assert_eq!(kinds, ["prefix", "tools", "skill", "skill", "request"]);
        let read = async |text: &str| look::number(&app, &format!("SELECT COUNT(*) AS n FROM prompt_part WHERE body = '{text}'")).await;
        assert_eq!((read("# Skill: About vpn\nTurn the VPN off.\n").await, read("# Skill: About wifi\nGo nearer.\n").await), (1, 1));

        // A newer version of the skill is read once the coworker is published again, and not before.
        let update = json!({ "id": vpn["id"], "text": "Turn the VPN off and on." });
        let updated = app.mutate("skillUpdate", update.clone(), "skill { version { number } usedBy { handle } }").await;
        assert_eq!(updated["skill"], json!({ "version": { "number": 2 }, "usedBy": [{ "handle": "worker" }] }));
        assert_eq!(run().await[..4], first[..4]);
        assert_eq!(publish(&app, &made.id).await, 2);
        let second = run().await;
        assert_eq!((&second[..3], second[3] == first[3]), (&first[..3], false));
        assert_eq!(read("# Skill: About vpn\nTurn the VPN off and on.\n").await, 1);
        let pins: Vec<Value> = look::list(versions(&app, &made.id).await["versions"]["nodes"].take()).iter()
            .map(|version| json!([version["number"], version["skills"][0]["number"], version["skills"][1]["number"], version["skills"][1]["text"]])).collect();
        assert_eq!(pins, [json!([2, 1, 2, "Turn the VPN off and on."]), json!([1, 1, 1, "Turn the VPN off."])]);

        // A rollback pins what was pinned then; publishing the draft again pins the newest.
        roll_back(&app, &made.id, 1).await;
        assert_eq!(run().await[..4], first[..4]);
        assert_eq!(publish(&app, &made.id).await, 4);
        assert_eq!(run().await[..4], second[..4]);
        look::sound(&app).await;

        // To say the same again makes no version.
        assert_eq!(app.mutate("skillUpdate", update, "skill { version { number } }").await["skill"]["version"]["number"], 2);
        let listed = app.gql("{ skills { totalCount nodes { handle versions { nodes { number createdBy { kind } } } } } }", json!({})).await;
        let versions = json!([{ "number": 2, "createdBy": { "kind": "PERSON" } }, { "number": 1, "createdBy": { "kind": "PERSON" } }]);
        assert_eq!(listed["skills"]["nodes"][0], json!({ "handle": "vpn", "versions": { "nodes": versions } }));
        assert_eq!(listed["skills"]["totalCount"], 2);
    }

    async fn a_skill_that_is_not_there_is_called_by_its_own_name(app: TestApp) {
        for handle in ["vpn", "dns"] {
            let skill = json!({ "handle": handle, "name": handle, "text": format!("How to mend the {handle}.") });
            app.mutate("skillCreate", skill, "").await;
        }
        let made = Coworker::new("worker").with("skills", json!(["vpn", "mising", "dns"])).create(&app).await;
        let refused = app.refused("coworkerPublish", json!({ "id": made.id })).await;
        assert_eq!((&refused[0]["field"], &refused[0]["code"]), (&json!("skills[1]"), &json!("SKILL_UNKNOWN")), "{refused:#?}");
        assert!(refused[0]["message"].as_str().is_some_and(|text| text.contains("mising")), "{refused:#?}");
        let force = json!({ "id": made.id, "force": true, "reason": "It comes tomorrow." });
        app.mutate("coworkerPublish", force, "").await;
        let query = "query ($id: ID!) { coworker(id: $id) { version { skills { skill { handle } } } diff(from: 1) { text } } }";
        let seen = app.gql(query, json!({ "id": made.id })).await["coworker"].take();
        assert_eq!(seen["version"]["skills"], json!([{ "skill": { "handle": "vpn" } }, { "skill": { "handle": "dns" } }]));
        assert_eq!(seen["diff"]["text"], "", "what is in force is the draft");
    }

    async fn what_is_wrong_with_a_skill_is_said_in_a_sentence(app: TestApp) {
        let good = json!({ "handle": "vpn", "name": "VPN", "text": "Turn it off." });
        let id = app.mutate("skillCreate", good.clone(), "skill { id }").await["skill"]["id"].take();
        let with = |field: &str, value: Value| {
            let mut input = good.clone();
            input["handle"] = json!("other");
            input[field] = value;
            input
        };
        let longest = "x".repeat(64 * 1024 + 1);
        for (mutation, input, field, code) in [
            ("skillCreate", good.clone(), json!("handle"), "CONFLICT"),
            ("skillCreate", with("handle", json!("No Spaces")), json!("handle"), "INVALID"),
            ("skillCreate", with("name", json!(" ")), json!("name"), "REQUIRED"),
            ("skillCreate", with("text", json!(" \n")), json!("text"), "REQUIRED"),
            ("skillCreate", with("text", json!(longest)), json!("text"), "TOO_LONG"),
            ("skillCreate", with("text", json!("a\0b")), json!("text"), "INVALID"),
            ("skillUpdate", json!({ "id": id, "text": "" }), json!("text"), "REQUIRED"),
            ("skillUpdate", json!({ "id": "skl_00000000000000000000000000000007", "text": "a" }), Value::Null, "NOT_FOUND"),
            ("skillUpdate", json!({ "id": "nonsense" }), json!("id"), "BAD_USER_INPUT"),
        ] {
            let errors = app.refused(mutation, input.clone()).await;
            assert_eq!((&errors[0]["field"], errors[0]["code"].as_str()), (&field, Some(code)), "{mutation} {:.80}", input.to_string());
        }
        let agent = app.as_role(entity::Role::Agent).await;
        assert_eq!(agent.refused("skillUpdate", json!({ "id": id, "text": "a" })).await[0]["code"], "FORBIDDEN");
        agent.gql("query ($id: ID!) { skill(id: $id) { name } node(id: $id) { __typename } }", json!({ "id": id })).await;
        let requester = app.as_role(entity::Role::Requester).await;
        assert_eq!(requester.gql("{ skills { totalCount } }", json!({})).await["skills"]["totalCount"], 0);
        assert_eq!(requester.gql_code("query ($id: ID!) { skill(id: $id) { name } }", json!({ "id": id })).await, "NOT_FOUND");
    }

    /// R61, R62, R63, R66, R67: what it must not do, its steps, its ends and where all else goes are what its model reads;
    /// the rule by which a run ended stands on it.
    async fn what_a_goal_says_is_what_the_model_reads_and_a_run_names_the_rule_that_it_met(app: TestApp) {
        Coworker::new("aws").publish(&app).await;
        let goal = json!({
            "purpose": "Slow networks are fast again.",
            "flow": ["Measure.", "Mend."],
            "nonGoals": ["Do not touch AWS."],
            "outOfScope": [{ "when": "A fault in the cloud", "routeTo": "aws" }],
            "endOfRun": [{ "when": "Measured as fast", "setStatus": "RESOLVED" }, { "when": "Not ours" }],
        });
        let finish = |rule: &str| format!("finish, arguments: {{ outcome: RESOLVED, rule: {rule}, reason: r, summary: s }}");
        let playbook = format!("turns:\n  - calls: [{{ tool: {} }}]\n  - when: {{ result_of: finish, result_failed: true }}\n    calls: [{{ tool: {} }}]\n",
            finish("Somehow better"), finish("Measured as fast"));
        let identity = json!({ "role": "Network Engineer", "scope": "Offices' networks", "outOfScope": "Clouds" });
        let made = Coworker::new("network").with("identity", identity).with("goal", goal).playbook(&playbook).publish(&app).await;
        app.mutate("requestCreate", json!({ "title": "It is slow", "assigneeId": made.id }), "").await;
        app.drain().await;
        let run = look::only_run(&app).await;
        let met = app.gql("{ run(number: 1) { endOfRunRule request { status } } }", json!({})).await;
        assert_eq!(met["run"], json!({ "endOfRunRule": "Measured as fast", "request": { "status": "RESOLVED" } }));
        let refused = look::data(&look::events(&app, &run).await, "tool.refused")[0].clone();
        let told = refused["message"].as_str().unwrap();
        assert!(told.contains("it has: \"Measured as fast\", \"Not ours\""), "{told}");
        for part in [
            "# Role\nNetwork Engineer\n\n# Scope\nOffices'' networks\n\n# Out of scope\nClouds\n",
            "# Flow\n1. Measure.\n2. Mend.\n\n# Never\n- Do not touch AWS.\n",
            "# Route elsewhere\n- A fault in the cloud: reassign to aws\n",
            "# How a run ends\n- Measured as fast (status RESOLVED)\n- Not ours\n",
        ] {
            let sql = format!("SELECT COUNT(*) AS n FROM prompt_part WHERE body LIKE '%{part}%'");
            assert_eq!(look::number(&app, &sql).await, 1, "{part}");
        }
    }

    /// R64: a tool's actions are enabled one by one; a disabled one is refused, and that is logged.
    async fn a_call_of_a_disabled_action_is_refused_told_to_the_model_and_logged(app: TestApp) {
        let playbook = "tools:\n  - { name: device.reset, description: Resets., answers: [{ response: gone }] }\n  \
                          - { name: device.ping, description: Pings., answers: [{ response: pong }] }\n\
                        turns:\n  - calls:\n      - { tool: device.reset }\n      - { tool: set_status, arguments: { status: CLOSED } }\n      \
                          - { tool: device.ping }\n      - { tool: device.explode }\n  \
                          - when: { result_of: device.reset, result_contains: is not enabled for you, result_failed: true }\n    calls:\n      \
                          - { tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }\n";
        let tools = json!([
            { "server": "device", "actions": [{ "name": "reset", "enabled": false }] },
            { "server": "stint", "actions": [{ "name": "set_status", "enabled": false }] },
        ]);
        let made = Coworker::new("worker").playbook(playbook).with("tools", tools).publish(&app).await;
        app.mutate("requestCreate", json!({ "title": "It is slow", "assigneeId": made.id }), "").await;
        app.drain().await;
        let run = look::only_run(&app).await;
        assert_eq!(run["outcome"], "REPLIED");
        let events = look::events(&app, &run).await;
        let refused: Vec<_> = look::data(&events, "tool.refused").iter().map(|data| (data["tool"].as_str().unwrap(), data["reason"].as_str().unwrap())).collect();
        assert_eq!(refused, [("device.reset", "not_enabled"), ("set_status", "not_enabled"), ("device.explode", "unknown")]);
        assert_eq!(look::data(&events, "tool.completed")[0]["response"], "pong");
        let offered = json!(["post_note", "reassign", "ask_requester", "finish", "device.ping"]);
        assert_eq!(look::data(&events, "model.requested")[0]["tools"], offered);

        let query = "query ($id: ID!) { coworker(id: $id) { tools { server actions { name enabled approval } } } }";
        let tools = app.gql(query, json!({ "id": made.id })).await["coworker"]["tools"].take();
        let device = json!([
            { "name": "reset", "enabled": false, "approval": "NEVER" },
            { "name": "ping", "enabled": true, "approval": "NEVER" },
        ]);
        assert_eq!((&tools[1]["server"], &tools[1]["actions"]), (&json!("device"), &device));
        for (tools, field) in [
            (json!([{ "server": "stint", "actions": [{ "name": "finish", "enabled": false }] }]), "tools.actions.enabled"),
            (json!([{ "server": "stint", "actions": [{ "name": "finish", "approval": "ALWAYS" }] }]), "tools.actions.approval"),
            (json!([{ "server": "a b" }]), "tools.server"),
        ] {
            let errors = app.refused("coworkerUpdate", json!({ "id": made.id, "tools": tools })).await;
            assert_eq!(errors[0]["field"], field);
        }
    }
}

//! What an MCP server says of its tools decides who is asked: its hints seed what may destroy.

use serde_json::json;
use tempfile::TempDir;
use tests::{TestApp, both_dbs};

use crate::approval::{decide, pending};
use crate::look;
use crate::tools::{caller, rogue, server};

both_dbs! {
    /// A person is asked where the server's `destructiveHint` says so, and nobody where it says that nothing is destroyed.
    async fn a_hint_of_destruction_asks_a_person_before_the_call(app: TestApp) {
        for (mode, destroys) in [("destroys", true), ("answer", false)] {
            let folder = TempDir::new().unwrap();
            let app = look::with_settings(&app, |settings| rogue(settings, mode, folder.path())).await;
            let made = server(&app, json!({ "name": "rogue", "kind": "MCP_STDIO", "command": "rogue" })).await;
            let actions = look::list(made["actions"].clone());
            let act = actions.iter().find(|action| action["name"] == "act").unwrap();
            assert_eq!(act["destructive"], destroys, "{made:#}");

            let careful = |name: &str| json!({ "name": name, "approval": "WHEN_DESTRUCTIVE" });
            let tools = json!([{ "server": "rogue", "actions": [careful("act"), careful("look")] }]);
            let worker = caller(&[("rogue.look", "{}"), ("rogue.act", "{ text: hi }")], tools).publish(&app).await;
            app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "").await;
            app.drain().await;
            let calls = || std::fs::read_to_string(folder.path().join("calls")).unwrap_or_default().lines().count();
            if destroys {
                let run = look::only_run(&app).await;
                assert_eq!((&run["status"], calls()), (&json!("PAUSED_FOR_APPROVAL"), 1), "only what reads was called");
                let asked = pending(&app).await;
                assert_eq!((&asked["tool"], &asked["arguments"]), (&json!("rogue.act"), &json!("{\"text\":\"hi\"}")));
                decide(&app, &asked, "APPROVE").await;
                app.drain().await;
            }
            let run = look::only_run(&app).await;
            assert_eq!((&run["outcome"], calls()), (&json!("REPLIED"), 2), "{run:#}");
            let events = look::events(&app, &run).await;
            assert_eq!(look::data(&events, "approval.requested").len(), usize::from(destroys));
            look::sound(&app).await;
            app.stop().await;
        }
    }
}

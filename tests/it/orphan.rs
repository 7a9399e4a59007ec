//! A program that speaks MCP ends with Stint, also when Stint is killed.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tests::binary::Stint;
use tests::{Backend, TestDb, process};

use crate::mcp::processes;

/// How long a program may outlive Stint.
const LIMIT: Duration = Duration::from_secs(5);

/// The program is deaf to SIGTERM and to the end of its input, and has a child that is too.
#[tokio::test(flavor = "multi_thread")]
async fn no_program_outlives_the_server_that_started_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp/rogue.mjs");
    let config = folder.path().join("stint.toml");
    let command = json!(["node", script, "stubborn", folder.path()]);
    let none = json!(["/nowhere/program", folder.path()]);
    let tables = format!("[mcp.rogue]\ncommand = {command}\n[mcp.none]\ncommand = {none}\n");
    std::fs::write(&config, tables).unwrap();
    let db = TestDb::new(Backend::Sqlite).await;
    let config = config.to_string_lossy().into_owned();
    let gone = || {
        let left = processes(folder.path());
        let left = left.iter().filter(|line| !line.contains("--config"));
        (left.count() == 0).then_some(())
    };
    let (mut key, mut id) = (None, json!(null));
    for killed in [true, false, true] {
        let mut server = Stint::serve(db.url(), &["--config", &config]);
        let address = server.address();
        let key = key.get_or_insert_with(|| server.first_key());
        let client = tests::Client::new(address, Some(key));
        let selection = "toolServer { id health { state error } }";
        let seen = if id.is_null() {
            let input = json!({ "name": "rogue", "kind": "MCP_STDIO", "command": "rogue" });
            let made = client.mutate("toolServerCreate", input, selection).await;
            id = made["toolServer"]["id"].clone();
            // What can't be started says why, though another process tried it.
            let input = json!({ "name": "none", "kind": "MCP_STDIO", "command": "none" });
            let none = client.mutate("toolServerCreate", input, selection).await;
            let error = none["toolServer"]["health"]["error"].as_str().unwrap();
            assert!(
                error.contains("could not be started: No such file"),
                "{error}"
            );
            made
        } else {
            let input = json!({ "id": id });
            client.mutate("toolServerRefresh", input, selection).await
        };
        assert_eq!(seen["toolServer"]["health"]["state"], "OK", "{seen:#}");
        // The keeper, the program, and its child.
        assert!(
            processes(folder.path()).len() >= 3,
            "{:?}",
            processes(folder.path())
        );
        if killed {
            server.kill();
        } else {
            server.terminate();
            server.wait();
        }
        let ended = process::wait_until(LIMIT, gone);
        assert!(ended.is_some(), "left: {:?}", processes(folder.path()));
    }
}

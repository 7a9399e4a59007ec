//! MCP servers as they are: those of the npm and Python registries, and one that misbehaves in every way (G13).

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::tool::Program;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{TestApp, both_dbs};

use crate::look;
use crate::tools::{LEASES, caller, rogue, server, work};

/// The processes that have this folder's name in their arguments.
pub fn processes(folder: &Path) -> Vec<String> {
    let name = folder.to_string_lossy().into_owned();
    let entries = std::fs::read_dir("/proc").expect("processes").flatten();
    let lines = entries.filter_map(|entry| {
        entry.file_name().to_str()?.parse::<u32>().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(&name)).collect()
}

/// The reference server over streamable HTTP, a process that ends with the test.
pub struct Everything {
    child: std::process::Child,
    port: u16,
}

/// Starts it on a port of its own.
pub fn everything() -> Everything {
    let program = installed(
        "mcp/node_modules/@modelcontextprotocol/server-everything/dist/index.js",
        "npm ci in tests/mcp",
    );
    let port = tests::process::free_port();
    let child = std::process::Command::new("node")
        .arg(program)
        .arg("streamableHttp")
        .env("PORT", port.to_string())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("node runs");
    let there = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
    let made = Everything { child, port };
    tests::process::wait_until(Duration::from_secs(30), there).expect("it listens");
    made
}

impl Everything {
    /// Where it listens.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it, and waits until it is gone.
    fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Everything {
    fn drop(&mut self) {
        self.kill();
    }
}

fn installed(path: &str, how: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    assert!(
        path.exists(),
        "{} is missing: run tests/run once, or {how}",
        path.display()
    );
    path
}

fn program(command: &[&str]) -> Program {
    Program {
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        ..Program::default()
    }
}

both_dbs! {
    /// G13: each call ends by its time-out with a class, each run as R72, and no process stays.
    async fn a_program_that_misbehaves_ends_the_call_and_leaves_no_process(app: TestApp) {
        for (mode, class) in [
            ("exit", "offline"), ("hang", "timed_out"), ("stubborn", "timed_out"), ("drip", "timed_out"),
            ("nonsense", "timed_out"), ("wrong", "bad_response"), ("oversize", "bad_response"),
        ] {
            let folder = TempDir::new().expect("a folder");
            let app = look::with_settings(&app, |settings| {
                rogue(settings, mode, folder.path());
                // What must be read whole before it is known to be wrong takes its time on a busy machine.
                let slow = class == "bad_response";
                settings.worker.tool_timeout = Duration::from_millis(if slow { 30_000 } else { 1_500 });
            }).await;
            server(&app, json!({ "name": "rogue", "kind": "MCP_STDIO", "command": "rogue" })).await;
            let tools = json!([{ "server": "rogue", "actions": [{ "name": "act" }] }]);
            let worker = caller(&[("rogue.act", "{ text: hi }")], tools).publish(&app).await;
            let calls = (0..50).map(|_| app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), "request { id }"));
            futures_util::future::join_all(calls).await;
            app.drain().await;
            let query = "query ($id: ID!) { coworker(id: $id) { runs(first: 50) { nodes { outcome request { status notes(first: 3) { nodes { visibility } } } } } } }";
            let runs = look::list(app.gql(query, json!({ "id": worker.id })).await["coworker"]["runs"]["nodes"].take());
            assert_eq!(runs.len(), 50, "{mode}");
            let r72 = json!({ "outcome": "BLOCKED", "request": { "status": "IN_PROGRESS", "notes": { "nodes": [{ "visibility": "PUBLIC" }] } } });
            assert!(runs.iter().all(|run| *run == r72), "{mode}: {runs:#?}");
            let failed = |class: &str| format!("SELECT COUNT(*) AS n FROM run_event WHERE body LIKE '%\"type\":\"tool.failed\"%' AND body LIKE '%\"class\":\"{class}\"%'");
            let typed = look::number(&app, &failed(class)).await;
            let offline = look::number(&app, &failed("offline")).await;
            assert_eq!(look::number(&app, LEASES).await, 0, "{mode}: leases leaked");
            // Calls that shared a connection which broke off under them say so.
            assert!(typed > 0 && (typed == 50 || typed + offline == 50), "{mode}: {typed} {class}, {offline} offline");
            app.stop().await;
            assert_eq!(processes(folder.path()), Vec::<String>::new(), "{mode}: leaked");
        }
    }

    /// The reference server over streamable HTTP, while it is there and when it is not.
    async fn an_mcp_server_over_http_is_called_and_its_end_is_seen(app: TestApp) {
        let mut everything = everything();
        let app = look::with_settings(&app, |settings| {
            settings.tools.exceptions.push(domain::tool::Exception::parse(&everything.host()).unwrap());
            settings.worker.tool_timeout = Duration::from_secs(10);
        }).await;
        app.mutate("secretSet", json!({ "name": "MCP", "value": "a value that is sent" }), "").await;
        let headers = json!([{ "name": "X-Api-Key", "value": "{{secret:MCP}}" }]);
        let input = json!({ "name": "everything", "kind": "MCP_HTTP", "url": format!("http://{}/mcp", everything.host()), "headers": headers });
        let made = server(&app, input).await;
        assert_eq!(made["health"]["state"], "OK", "{made:#}");
        let tools = || json!([{ "server": "everything", "actions": [{ "name": "echo" }] }]);
        let (run, events) = work(&app, caller(&[("everything.echo", "{ message: hello }"), ("everything.echo", "{ message: 7 }")], tools())).await;
        let done = look::data(&events, "tool.completed")[0];
        assert!(done["response"].as_str().unwrap().contains("Echo: hello"), "{events:#?}");
        assert_eq!(look::data(&events, "tool.refused")[0]["reason"], "bad_arguments");
        assert!(run["outcome"].is_string());

        everything.kill();
        let again = caller(&[("everything.echo", "{ message: hello }")], tools()).with("handle", "second");
        let (run, events) = work(&app, again).await;
        assert_eq!(run["outcome"], "BLOCKED");
        let failed = look::data(&events, "tool.failed")[0];
        assert!(matches!(failed["class"].as_str(), Some("offline" | "timed_out")), "{failed:#}");
        app.stop().await;
    }

    /// The README's one command: a real MCP server, a scripted coworker, no key.
    async fn the_example_of_the_readme_answers_out_of_its_files(app: TestApp) {
        let script = installed("example/run", "take it from the repository");
        let run = move || {
            std::process::Command::new(script)
                .env("STINT", tests::binary::path())
                .env_remove("STINT_DATABASE_URL")
                .output()
        };
        let ended = tokio::task::spawn_blocking(run).await.expect("not cancelled").expect("it runs");
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
        for told in ["files.list_directory", "files.read_text_file", "Monday to Friday, 8:00 to 18:00", "\"outcome\":\"RESOLVED\"", "\"status\":\"RESOLVED\""] {
            assert!(said.contains(told), "{told}: {said}");
        }
        app.stop().await;
    }

    async fn a_program_that_does_not_start_is_seen_in_the_health_of_its_server(app: TestApp) {
        let folder = TempDir::new().expect("a folder");
        let app = look::with_settings(&app, |settings| {
            rogue(settings, "refuse", folder.path());
            settings.tools.programs.insert("none".into(), program(&["/nowhere/program"]));
        }).await;
        let made = server(&app, json!({ "name": "rogue", "kind": "MCP_STDIO", "command": "rogue" })).await;
        assert_eq!(made["health"]["state"], "FAILING", "{made:#}");
        let error = made["health"]["error"].as_str().unwrap();
        assert!(error.contains("no licence for ‹secret:ROGUE_TOKEN›"), "{error}");
        let made = server(&app, json!({ "name": "none", "kind": "MCP_STDIO", "command": "none" })).await;
        let error = made["health"]["error"].as_str().unwrap();
        assert!(error.contains("/nowhere/program, could not be started"), "{error}");
        app.stop().await;
    }

    /// The reference servers of the registries, unchanged.
    async fn the_servers_of_the_registries_do_their_work(app: TestApp) {
        let everything = installed("mcp/node_modules/@modelcontextprotocol/server-everything/dist/index.js", "npm ci in tests/mcp");
        let filesystem = installed("mcp/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js", "npm ci in tests/mcp");
        let time = installed("../target/mcp/bin/mcp-server-time", "pip install -r tests/mcp/requirements.txt into target/mcp");
        let folder = TempDir::new().expect("a folder");
        let shared = folder.path().canonicalize().unwrap();
        std::fs::write(shared.join("notes.txt"), "The VPN is slow since Monday.").unwrap();
        let app = look::with_settings(&app, |settings| {
            for (name, command) in [
                ("everything", program(&["node", &everything.to_string_lossy(), "stdio"])),
                ("files", program(&["node", &filesystem.to_string_lossy(), &shared.to_string_lossy()])),
                ("time", program(&[&time.to_string_lossy(), "--local-timezone", "UTC"])),
            ] {
                settings.tools.programs.insert(name.into(), command);
            }
        }).await;
        for name in ["everything", "files", "time"] {
            let mut made = server(&app, json!({ "name": name, "kind": "MCP_STDIO", "command": name })).await;
            for _ in 0..20 {
                // On a busy machine they may take longer to start than a mutation waits.
                if made["health"]["state"] != "UNKNOWN" {
                    break;
                }
                let input = json!({ "id": made["id"] });
                made = app.mutate("toolServerRefresh", input, "toolServer { id health { state error } actions { name } }").await["toolServer"].take();
            }
            assert_eq!(made["health"]["state"], "OK", "{made:#}");
            assert!(made["actions"].as_array().unwrap().len() >= 2, "{made:#}");
        }
        let file = shared.join("notes.txt");
        let written = shared.join("answer.txt");
        let calls = [
            ("everything.echo", "{ message: hello }".to_owned()),
            ("files.read_text_file", format!("{{ path: \"{}\" }}", file.display())),
            ("files.write_file", format!("{{ path: \"{}\", content: Restart the gateway. }}", written.display())),
            ("files.read_text_file", "{ path: /etc/passwd }".to_owned()),
            ("time.convert_time", "{ source_timezone: UTC, time: \"12:00\", target_timezone: Asia/Tokyo }".to_owned()),
        ];
        let calls: Vec<(&str, &str)> = calls.iter().map(|(tool, arguments)| (*tool, arguments.as_str())).collect();
        let tools: Value = json!([
            { "server": "everything", "actions": [{ "name": "echo" }] },
            { "server": "files", "actions": [{ "name": "read_text_file" }, { "name": "write_file" }] },
            { "server": "time", "actions": [{ "name": "convert_time" }] },
        ]);
        let (_, events) = work(&app, caller(&calls, tools)).await;
        let done: Vec<&str> = look::data(&events, "tool.completed").iter().map(|done| done["response"].as_str().unwrap()).collect();
        assert!(done[0].contains("Echo: hello"), "{events:#?}");
        assert!(done[1].contains("The VPN is slow since Monday."), "{done:#?}");
        assert!(done[3].contains("21:00") && done[3].contains("+9.0h"), "{done:#?}");
        assert_eq!(std::fs::read_to_string(&written).unwrap(), "Restart the gateway.");
        let failed = look::data(&events, "tool.failed");
        assert!(failed[0]["class"] == "failed" && failed[0]["message"].as_str().unwrap().contains("Access denied"), "{failed:#?}");
        app.stop().await;
        assert_eq!(processes(&shared), Vec::<String>::new());
    }
}

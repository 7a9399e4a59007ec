//! MCP over streamable HTTP as it should not be (G13), and its answers as they come (R47).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use domain::tool::Exception;
use serde_json::{Value, json};
use tests::{TestApp, both_dbs};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::look;
use crate::outside::request;
use crate::tools::{LEASES, caller, enabled, server, work};

/// A result as the SDK would not write it.
const EXACT: &str =
    r#"{ "content" : [ {"type":"text","text":"done \u00e9 1.0"} ] , "isError":false }"#;

/// A server that opens its connections as it should, and answers calls as its path says. Ends with the test.
async fn listen() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    address
}

async fn answer(mut stream: TcpStream) -> Option<()> {
    let (head, body) = request(&mut stream).await?;
    let mode = head.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let http = |status: &str, kind: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let asked: Value = serde_json::from_str(&body).unwrap_or_default();
    let id = &asked["id"];
    let result = |result: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}");
    let whole = |text: &str| http("200 OK", "application/json", &result(text));
    let events = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let text = match asked["method"].as_str() {
        _ if !head.starts_with("POST") => http("405 Method Not Allowed", "text/plain", ""),
        Some("initialize") => {
            let version = &asked["params"]["protocolVersion"];
            let made = json!({ "protocolVersion": version, "capabilities": { "tools": {} }, "serverInfo": { "name": "stub", "version": "1" } });
            whole(&made.to_string())
        }
        Some("tools/list") => {
            let tool = json!({ "name": "act", "description": "Acts.", "inputSchema": { "type": "object" } });
            whole(&json!({ "tools": [tool] }).to_string())
        }
        Some("tools/call") => match mode.as_str() {
            "hang" => return std::future::pending().await,
            "drop" => return None,
            "drip" => {
                stream.write_all(events.as_bytes()).await.ok()?;
                loop {
                    stream.write_all(b": it comes\n\n").await.ok()?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            "cut" => format!("{events}data: {}", &result(EXACT)[..40]),
            "broken" => http("503 Service Unavailable", "text/plain", "later"),
            "missing" => http("404 Not Found", "text/plain", "no such server"),
            "page" => http("200 OK", "text/html", "<html>"),
            "nonsense" => http("200 OK", "application/json", "this is no JSON"),
            "wrong" => whole("[\"no\",\"result\"]"),
            "oversize" => whole(
                &json!({ "content": [{ "type": "text", "text": "x".repeat(3_000_000) }] })
                    .to_string(),
            ),
            "flood" => format!(
                "{events}data: {}\n\n",
                result(
                    &json!({ "content": [{ "type": "text", "text": "x".repeat(3_000_000) }] })
                        .to_string()
                )
            ),
            "large" => format!(
                "{events}data: {}\n\n",
                result(
                    &json!({ "content": [{ "type": "text", "text": "x".repeat(1_100_000) }] })
                        .to_string()
                )
            ),
            "fails" => format!(
                "{events}data: {}\n\n",
                result(
                    r#"{ "content":[{"type":"text","text":"No such ticket."}],  "isError":true }"#
                )
            ),
            "plain" => whole(EXACT),
            _ => format!("{events}event: message\ndata: {}\n\n", result(EXACT)),
        },
        Some(method) if method.starts_with("notifications/") => {
            "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
        }
        Some(_) | None => {
            let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "Method not found" } });
            http("200 OK", "application/json", &error.to_string())
        }
    };
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// An application that may call the stub.
async fn with_stub(app: &TestApp, time: Duration) -> (TestApp, SocketAddr) {
    let address = listen().await;
    let app = look::with_settings(app, |settings| {
        let host = Exception::parse(&address.to_string()).expect("an exception");
        settings.tools.exceptions.push(host);
        settings.worker.tool_timeout = time;
    })
    .await;
    (app, address)
}

fn at(address: SocketAddr, mode: &str) -> Value {
    json!({ "name": mode, "kind": "MCP_HTTP", "url": format!("http://{address}/{mode}") })
}

both_dbs! {
    /// G13, R72: whatever comes instead of an answer, each call ends by its time-out or its limit with a class, and each run
    /// In Progress with a public note.
    async fn an_mcp_server_over_http_that_misbehaves_ends_the_call_and_the_run(app: TestApp) {
        let (app, address) = with_stub(&app, Duration::from_secs(3)).await;
        let mut before: BTreeMap<&str, i64> = BTreeMap::new();
        for (mode, classes) in [
            ("hang", &["timed_out"][..]), ("drip", &["timed_out"]), ("drop", &["offline"]), ("cut", &["offline", "timed_out"]),
            ("broken", &["offline"]), ("missing", &["offline", "failed"]), ("page", &["offline", "bad_response"]), ("nonsense", &["offline", "bad_response"]),
            ("wrong", &["bad_response"]), ("oversize", &["offline", "bad_response"]), ("flood", &["offline", "bad_response", "timed_out"]),
        ] {
            let made = server(&app, at(address, mode)).await;
            assert_eq!(made["health"]["state"], "OK", "{mode}: {made:#}");
            let worker = caller(&[(&format!("{mode}.act"), "{ text: hi }")], enabled(mode, &["act"])).with("handle", format!("on-{mode}")).publish(&app).await;
            let calls = (0..50).map(|_| app.mutate("requestCreate", json!({ "title": "Where is it?", "assigneeId": worker.id }), ""));
            futures_util::future::join_all(calls).await;
            app.drain().await;
            let query = "query ($id: ID!) { coworker(id: $id) { runs(first: 50) { nodes { outcome request { status notes(first: 3) { nodes { visibility } } } } } } }";
            let runs = look::list(app.gql(query, json!({ "id": worker.id })).await["coworker"]["runs"]["nodes"].take());
            assert_eq!(runs.len(), 50, "{mode}");
            let r72 = json!({ "outcome": "BLOCKED", "request": { "status": "IN_PROGRESS", "notes": { "nodes": [{ "visibility": "PUBLIC" }] } } });
            assert!(runs.iter().all(|run| *run == r72), "{mode}: {runs:#?}");
            let mut seen = BTreeMap::new();
            for class in ["offline", "timed_out", "failed", "bad_response"] {
                let failed = format!("SELECT COUNT(*) AS n FROM run_event WHERE body LIKE '%\"type\":\"tool.failed\"%' AND body LIKE '%\"class\":\"{class}\"%'");
                let failed = look::number(&app, &failed).await;
                seen.insert(class, failed - before.insert(class, failed).unwrap_or(0));
            }
            assert_eq!(seen.values().sum::<i64>(), 50, "{mode}: {seen:?}");
            assert!(classes.iter().any(|class| seen[class] > 0), "{mode}: {seen:?}");
            // Calls that shared a connection which broke off under them say so, or wait in vain.
            assert!(seen.iter().all(|(class, n)| *n == 0 || classes.contains(class) || matches!(*class, "offline" | "timed_out")), "{mode}: {seen:?}");
            assert_eq!(look::number(&app, LEASES).await, 0, "{mode}: leases leaked");
        }
        app.stop().await;
    }

    /// R47.
    async fn what_an_mcp_server_over_http_answers_is_kept_as_it_came(app: TestApp) {
        let (app, address) = with_stub(&app, Duration::from_secs(30)).await;
        for mode in ["answer", "fails", "plain", "large"] {
            server(&app, at(address, mode)).await;
        }
        let calls = [("answer.act", "{ text: hi }"), ("fails.act", "{}"), ("large.act", "{}"), ("plain.act", "{}")];
        let tools = ["answer", "fails", "plain", "large"].map(|name| json!({ "server": name, "actions": [{ "name": "act" }] }));
        let (_, events) = work(&app, caller(&calls, json!(tools))).await;
        let done = look::data(&events, "tool.completed");
        assert_eq!(done[0]["response"], EXACT, "{events:#?}");
        let failed = look::data(&events, "tool.failed")[0];
        assert_eq!(failed["response"], r#"{ "content":[{"type":"text","text":"No such ticket."}],  "isError":true }"#);
        assert_eq!(failed["message"], "fails.act failed: No such ticket.");
        let large = look::data(&events, "tool.failed")[1];
        assert_eq!((&large["class"], &large["response"]), (&json!("bad_response"), &Value::Null));
        assert!(large["message"].as_str().unwrap().contains("large.act answered more than 1048576 bytes"), "{large:#}");
        // One document is read within the SDK: the same values, in its own words.
        let plain: Value = serde_json::from_str(done[1]["response"].as_str().unwrap()).unwrap();
        assert_eq!(plain["content"][0]["text"], "done é 1.0");
        app.stop().await;
    }
}

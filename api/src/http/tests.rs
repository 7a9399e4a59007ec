use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::testing::{JSON, KEY, server, until};

const NEWER: (&str, &str) = ("accept", "application/graphql-response+json");

#[tokio::test]
async fn a_query_is_answered_with_data_and_a_request_id() {
    let server = server().await;
    let answer = server.query("{ hello(name: \"you\") }").await;
    assert_eq!(
        (answer.status, &*answer.body),
        (200, r#"{"data":{"hello":"hello you"}}"#)
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/graphql-response+json; charset=utf-8")
    );
    assert_eq!(answer.header("x-request-id"), Some("request-1"));
    let body = json!({ "query": "query A { hello } query B($n: String!) { b: hello(name: $n) }",
        "operationName": "B", "variables": { "n": "x" }, "extensions": { "any": 1 } });
    let answer = server
        .send("POST", "/graphql", &[KEY, JSON], &body.to_string())
        .await;
    assert_eq!(answer.body, r#"{"data":{"b":"hello x"}}"#);
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
}

#[tokio::test]
async fn the_caller_is_known_before_anything_is_read() {
    let server = server().await;
    let unread = "x".repeat(400 << 10);
    for (headers, text) in [
        (
            vec![NEWER],
            "Send an API key: `Authorization: Bearer stint_…`. `stint key create` makes one.",
        ),
        (
            vec![("authorization", "Basic good")],
            "Send an API key: `Authorization: Bearer stint_…`. `stint key create` makes one.",
        ),
        (
            vec![("authorization", "Bearer bad")],
            "The API key is unknown, revoked or expired. `stint key create` makes a new one.",
        ),
    ] {
        for body in ["nonsense", ""] {
            let answer = server.send("POST", "/graphql", &headers, body).await;
            assert_eq!((answer.status, &*answer.code()), (401, "UNAUTHENTICATED"));
            assert_eq!(answer.json()["errors"][0]["message"], text);
            assert!(
                answer
                    .header("www-authenticate")
                    .is_some_and(|value| value.starts_with("Bearer "))
            );
            assert_eq!(
                answer.json()["errors"][0]["extensions"]["requestId"].as_str(),
                answer.header("x-request-id")
            );
            assert!(answer.json().get("data").is_none());
        }
    }
    assert_eq!(
        server
            .send("POST", "/graphql", &[JSON], &unread)
            .await
            .status,
        401
    );
    let down = server
        .send(
            "POST",
            "/graphql",
            &[("authorization", "Bearer slow"), JSON],
            "{}",
        )
        .await;
    assert_eq!((down.status, &*down.code()), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn request_errors_have_no_data_and_a_status_by_media_type() {
    let server = server().await;
    let invalid =
        json!({ "query": "query($n: String!) { hello(name: $n) }", "variables": { "n": null } });
    for (body, code) in [
        (json!({ "query": "{" }), "GRAPHQL_PARSE_FAILED"),
        (
            json!({ "query": "{ nothing }" }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({ "query": "query A { hello }", "operationName": "B" }),
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (
            json!({ "query": format!("{{ {} }}", "hello ".repeat(11)) }),
            "QUERY_TOO_COMPLEX",
        ),
        (
            json!({ "query": "subscription { count(to: 1) }" }),
            "BAD_USER_INPUT",
        ),
        (invalid, "GRAPHQL_VALIDATION_FAILED"),
    ] {
        let newer = server
            .send("POST", "/graphql", &[KEY, JSON, NEWER], &body.to_string())
            .await;
        let older = server
            .send("POST", "/graphql", &[KEY, JSON], &body.to_string())
            .await;
        assert_eq!((newer.status, older.status), (400, 200), "{body}");
        for answer in [newer, older] {
            assert_eq!(answer.code(), code, "{}", answer.body);
            assert!(answer.json().get("data").is_none());
            assert!(answer.json()["errors"][0]["extensions"]["requestId"].is_string());
        }
    }
}

#[tokio::test]
async fn resolver_errors_keep_data_and_only_coded_ones_their_text() {
    let server = server().await;
    let answer = server.query("{ refused }").await;
    assert_eq!((answer.status, &*answer.code()), (200, "FORBIDDEN"));
    assert_eq!(answer.json()["data"], json!(null));
    let answer = server.query("{ hello nullable }").await;
    assert_eq!((answer.status, &*answer.code()), (200, "INTERNAL"));
    assert_eq!(
        answer.json()["data"],
        json!({ "hello": "hello ", "nullable": null })
    );
    assert!(!answer.body.contains("secret"));
    let answer = server.query("{ panics }").await;
    assert_eq!((answer.status, &*answer.code()), (500, "INTERNAL"));
    assert!(!answer.body.contains("divide"));
}

#[tokio::test]
async fn what_is_no_graphql_request_is_refused_with_a_sentence() {
    let server = server().await;
    let text = json!({ "query": "{ hello }" }).to_string();
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);
    let cases: [Case<'_>; 11] = [
        (
            &[KEY, JSON],
            "[{\"query\":\"{ hello }\"}]",
            400,
            "Batches are not supported",
        ),
        (
            &[KEY, JSON],
            "{\"query",
            400,
            "The body is no GraphQL request: EOF",
        ),
        (&[KEY, JSON], "", 400, "The body is no GraphQL request"),
        (
            &[KEY, JSON],
            "{\"qeury\":\"{ hello }\"}",
            400,
            "missing field `query`",
        ),
        (&[KEY, JSON], "{\"query\":1}", 400, "expected a string"),
        (
            &[KEY, JSON],
            "{\"query\":\"{ hello }\",\"variables\":[1]}",
            400,
            "expected a map",
        ),
        (
            &[KEY, JSON],
            "{\"query\":\"{ hello }\",\"extensions\":1}",
            400,
            "expected a map",
        ),
        (
            &[KEY, JSON],
            "{\"query\":\"{ hello }\",\"operationName\":{}}",
            400,
            "expected a string",
        ),
        (&[KEY], &text, 415, "Content-Type: application/json"),
        (
            &[KEY, ("content-type", "application/graphql")],
            "{ hello }",
            415,
            "Content-Type: application/json",
        ),
        (
            &[KEY, JSON, ("accept", "text/html")],
            &text,
            406,
            "accept one of them",
        ),
    ];
    for (headers, body, status, sentence) in cases {
        let answer = server.send("POST", "/graphql", headers, body).await;
        assert_eq!(answer.status, status, "{body}");
        let message = answer.json()["errors"][0]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(message.contains(sentence), "{message}");
        assert!(!answer.code().is_empty());
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_announced_or_not() {
    let server = server().await;
    let fits =
        json!({ "query": "{ hello }", "extensions": { "x": "y".repeat(255 << 10) } }).to_string();
    assert_eq!(
        server
            .send("POST", "/graphql", &[KEY, JSON], &fits)
            .await
            .status,
        200
    );
    let large =
        json!({ "query": "{ hello }", "extensions": { "x": "y".repeat(256 << 10) } }).to_string();
    let answer = server.send("POST", "/graphql", &[KEY, JSON], &large).await;
    assert_eq!((answer.status, &*answer.code()), (413, "PAYLOAD_TOO_LARGE"));
    let chunk = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer good\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.address)
        .await
        .expect("a connection");
    let _ = stream.write_all(format!("{head}{chunk}").as_bytes()).await;
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 413");
}

#[tokio::test]
async fn nothing_runs_over_get() {
    let server = server().await;
    for (method, path) in [
        ("GET", "/graphql?query=%7Bhello%7D"),
        ("PUT", "/graphql"),
        ("DELETE", "/graphql"),
    ] {
        let answer = server.send(method, path, &[KEY, NEWER], "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("POST")),
            "{method}"
        );
        assert_eq!(answer.code(), "METHOD_NOT_ALLOWED");
    }
}

#[tokio::test]
async fn a_mutation_goes_on_when_its_client_leaves_and_a_query_does_not() {
    use tokio::io::AsyncWriteExt;
    let server = server().await;
    for (n, document) in ["mutation { bump(afterMs: 100) }", "{ sleeps(ms: 60000) }"]
        .into_iter()
        .enumerate()
    {
        let body = json!({ "query": document }).to_string();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer good\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(server.address)
            .await
            .expect("a connection");
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .expect("written");
        until(|| server.trace.begun.load(Ordering::SeqCst) == n as u32 + 1).await;
    }
    server.tasks.close();
    tokio::time::timeout(Duration::from_secs(5), server.tasks.wait())
        .await
        .expect("no task is left");
    assert_eq!(server.trace.bumped.load(Ordering::SeqCst), 1);
    assert_eq!(server.trace.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn operators_see_whether_it_lives_and_why_it_is_not_ready() {
    let server = server().await;
    let alive = server.send("GET", "/healthz", &[], "").await;
    assert_eq!((alive.status, &*alive.body), (200, "ok\n"));
    let ready = server.send("GET", "/readyz", &[], "").await;
    assert_eq!(
        (ready.status, &*ready.body),
        (503, "The worker has not started.\n")
    );
    let nothing = server.send("GET", "/nothing", &[], "").await;
    assert_eq!((nothing.status, &*nothing.code()), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn only_allowed_origins_get_cors_headers() {
    let server = server().await;
    let preflight = |origin: &'static str| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization"),
        ]
    };
    let allowed = server
        .send(
            "OPTIONS",
            "/graphql",
            &preflight("https://desk.example.com"),
            "",
        )
        .await;
    assert_eq!(allowed.status, 200);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("https://desk.example.com")
    );
    let other = server
        .send(
            "OPTIONS",
            "/graphql",
            &preflight("https://evil.example.com"),
            "",
        )
        .await;
    assert_eq!(other.header("access-control-allow-origin"), None);
}

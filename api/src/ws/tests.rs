use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::testing::{Heard, KEY, PROTOCOL, server, server_with, until};
use crate::ws::Patience;

const INIT: &str = r#"{"type":"connection_init","payload":{"authorization":"Bearer good"}}"#;

#[tokio::test]
async fn a_subscription_yields_its_items_in_order_and_completes() {
    let server = server().await;
    let mut socket = server.ready_socket().await;
    assert!(
        socket
            .head
            .to_lowercase()
            .contains("sec-websocket-protocol: graphql-transport-ws"),
        "{}",
        socket.head
    );
    socket
        .subscribe("a \"quoted\" id", "subscription { count(to: 300) }")
        .await;
    for n in 1..=300 {
        let expected = json!({ "id": "a \"quoted\" id", "type": "next", "payload": { "data": { "count": n } } });
        assert_eq!(socket.json().await, expected);
    }
    assert_eq!(
        socket.json().await,
        json!({ "id": "a \"quoted\" id", "type": "complete" })
    );
    // The id is free again.
    socket
        .subscribe("a \"quoted\" id", "subscription { count(to: 1) }")
        .await;
    assert_eq!(socket.json().await["type"], "next");
}

#[tokio::test]
async fn queries_and_mutations_work_over_the_socket() {
    let server = server().await;
    let mut socket = server.ready_socket().await;
    for (document, data) in [
        ("{ hello }", json!({ "hello": "hello " })),
        ("mutation { bump }", json!({ "bump": 1 })),
    ] {
        socket.subscribe("1", document).await;
        assert_eq!(
            socket.json().await,
            json!({ "id": "1", "type": "next", "payload": { "data": data } })
        );
        assert_eq!(
            socket.json().await,
            json!({ "id": "1", "type": "complete" })
        );
    }
    socket.subscribe("1", "{ hello nullable }").await;
    let next = socket.json().await;
    assert_eq!(next["payload"]["data"]["hello"], "hello ");
    assert_eq!(
        next["payload"]["errors"][0]["extensions"]["code"],
        "INTERNAL"
    );
    assert_eq!(socket.json().await["type"], "complete");
}

#[tokio::test]
async fn what_can_not_start_is_an_error_without_complete() {
    let server = server().await;
    let mut socket = server.ready_socket().await;
    for (document, code) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "subscription { a: count(to: 1) b: count(to: 1) }",
            "QUERY_TOO_COMPLEX",
        ),
        ("subscription { absent }", "NOT_FOUND"),
    ] {
        socket.subscribe("1", document).await;
        let error = socket.json().await;
        assert_eq!(
            (&error["id"], &error["type"]),
            (&json!("1"), &json!("error")),
            "{document}"
        );
        assert_eq!(error["payload"][0]["extensions"]["code"], code);
        assert!(error["payload"][0]["extensions"]["requestId"].is_string());
    }
    // Nothing else comes: a ping's answer is next.
    socket.say(r#"{"type":"ping","payload":{"n":1}}"#).await;
    assert_eq!(
        socket.json().await,
        json!({ "type": "pong", "payload": { "n": 1 } })
    );
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_completes() {
    let server = server().await;
    let mut socket = server.ready_socket().await;
    socket.subscribe("1", "subscription { breaks }").await;
    assert_eq!(socket.json().await["payload"]["data"]["breaks"], 1);
    let gap = socket.json().await;
    assert_eq!(
        (
            &gap["type"],
            &gap["payload"]["errors"][0]["extensions"]["code"]
        ),
        (&json!("next"), &json!("GAP"))
    );
    assert_eq!(socket.json().await["type"], "complete");
}

#[tokio::test]
async fn complete_and_disconnection_drop_the_stream() {
    let server = server().await;
    let mut socket = server.ready_socket().await;
    socket.subscribe("1", "subscription { never }").await;
    socket.subscribe("2", "subscription { never }").await;
    socket.say(r#"{"type":"complete","id":"1"}"#).await;
    socket.say(r#"{"type":"complete","id":"unknown"}"#).await;
    socket.say(r#"{"type":"ping"}"#).await;
    assert_eq!(socket.json().await["type"], "pong");
    assert_eq!(server.trace.dropped.load(Ordering::SeqCst), 1);
    drop(socket);
    server.tasks.close();
    tokio::time::timeout(Duration::from_secs(5), server.tasks.wait())
        .await
        .expect("the socket's task ends");
    assert_eq!(server.trace.dropped.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn each_violation_has_its_close_code() {
    let server = server().await;
    let cases: [(&[&str], u16, &str); 11] = [
        (&["nonsense"], 4400, "Invalid message: expected ident"),
        (
            &[r#"{"type":"connection_terminate"}"#],
            4400,
            "Invalid message: unknown type",
        ),
        (
            &[
                INIT,
                r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#,
            ],
            4400,
            "Invalid message: payload: ",
        ),
        (
            &[r#"{"type":"subscribe","id":"1","payload":{"query":"{hello}"}}"#],
            4401,
            "Unauthorized: send connection_init",
        ),
        (
            &[r#"{"type":"connection_init"}"#],
            4401,
            "Unauthorized: send {\"authorization\"",
        ),
        (
            &[r#"{"type":"connection_init","payload":{"authorization":"Bearer bad"}}"#],
            4401,
            "Unauthorized: the API key is",
        ),
        (
            &[r#"{"type":"connection_init","payload":{"authorization":"Bearer slow"}}"#],
            1013,
            "The API key can't be checked",
        ),
        (&[INIT, INIT], 4429, "Too many initialisation requests"),
        (
            &[
                INIT,
                r#"{"type":"subscribe","id":"1","payload":{"query":"subscription { never }"}}"#,
                r#"{"type":"subscribe","id":"1","payload":{"query":"{ hello }"}}"#,
            ],
            4409,
            "Subscriber for 1 already exists",
        ),
        (&[INIT, &"x".repeat(200)], 4400, "Invalid message: "),
        (
            &[INIT, &"x".repeat(70_000)],
            1009,
            "A message may have 64 KiB",
        ),
    ];
    for (messages, code, reason) in cases {
        let mut socket = server.socket(&[PROTOCOL]).await;
        for message in messages {
            socket.say(message).await;
        }
        let (was, said) = socket.closed().await;
        assert_eq!(was, code, "{said}");
        assert!(said.starts_with(reason), "{said}");
        socket.frame(0x88, &code.to_be_bytes()).await;
        assert_eq!(socket.hear().await, Heard::Nothing);
    }
    let mut binary = server.ready_socket().await;
    binary.frame(0x82, b"x").await;
    assert_eq!(binary.closed().await.0, 4400);
    let mut unmasked = server.ready_socket().await;
    tokio::io::AsyncWriteExt::write_all(&mut unmasked.stream, &[0x81, 1, b'x'])
        .await
        .expect("written");
    assert_eq!(unmasked.closed().await.0, 1002);
}

#[tokio::test]
async fn the_handshake_decides_about_protocol_credential_and_origin() {
    let server = server().await;
    let mut without = server
        .socket(&[("sec-websocket-protocol", "graphql-ws")])
        .await;
    assert!(without.head.starts_with("HTTP/1.1 101"));
    assert_eq!(
        without.closed().await,
        (
            4406,
            "Subprotocol not acceptable: use graphql-transport-ws".to_owned()
        )
    );

    let mut header = server.socket(&[PROTOCOL, KEY]).await;
    header
        .say(r#"{"type":"connection_init","payload":{}}"#)
        .await;
    assert_eq!(header.json().await["type"], "connection_ack");

    let own = format!("http://{}", server.address);
    for (origin, status) in [
        ("https://desk.example.com", "101"),
        (&*own, "101"),
        ("https://evil.example.com", "403"),
        ("null", "403"),
    ] {
        let socket = server.socket(&[PROTOCOL, ("origin", origin)]).await;
        assert_eq!(socket.head.split(' ').nth(1), Some(status), "{origin}");
    }
}

#[tokio::test]
async fn there_are_limits_to_operations_and_messages() {
    let server = server().await;
    let mut socket = server.ready_socket().await;
    for n in 0..=super::OPERATION_LIMIT {
        socket
            .subscribe(&n.to_string(), "subscription { never }")
            .await;
    }
    let error = socket.json().await;
    assert_eq!(
        (&error["id"], &error["payload"][0]["extensions"]["code"]),
        (&json!("20"), &json!("TOO_MANY_OPERATIONS"))
    );
    for _ in 0..super::MESSAGES_PER_MINUTE {
        socket.say(r#"{"type":"pong"}"#).await;
    }
    assert_eq!(
        socket.closed().await,
        (1008, "More than 100 messages in a minute".to_owned())
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_only_its_own_streams() {
    let server = server().await;
    let mut stalled = server.ready_socket().await;
    stalled
        .subscribe("1", "subscription { forever(size: 65536) }")
        .await;
    // The stream is asked for items until the buffers on the way are full, and not once more.
    let mut polled = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = server.trace.polled.load(Ordering::SeqCst);
        if now == polled {
            break;
        }
        polled = now;
    }
    let mut other = server.ready_socket().await;
    other.subscribe("1", "subscription { count(to: 1) }").await;
    assert_eq!(other.json().await["type"], "next");
    // It reads on: the stream goes on.
    for _ in 0..polled + 20 {
        assert_eq!(stalled.json().await["type"], "next");
    }
}

#[tokio::test]
async fn operations_take_turns() {
    let server = server().await;
    let mut socket = server.ready_socket().await;
    socket.subscribe("chatty", "subscription { forever }").await;
    assert_eq!(socket.json().await["id"], "chatty");
    socket
        .subscribe("other", "subscription { count(to: 2) }")
        .await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let message = socket.json().await;
        if message["id"] == "other" {
            heard.push(message["type"].as_str().expect("a type").to_owned());
        }
    }
    assert_eq!(heard, ["next", "next", "complete"]);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let server = server_with(Patience {
        init: Duration::from_millis(50),
        ..Patience::default()
    })
    .await;
    let mut silent = server.socket(&[PROTOCOL]).await;
    assert_eq!(
        silent.closed().await,
        (4408, "Connection initialisation timeout".to_owned())
    );
}

#[tokio::test]
async fn a_socket_is_pinged_and_dropped_when_nothing_answers() {
    let server = server_with(Patience {
        ping: Duration::from_millis(50),
        ..Patience::default()
    })
    .await;
    let mut socket = server.ready_socket().await;
    for _ in 0..3 {
        assert_eq!(socket.hear().await, Heard::Ping);
        socket.frame(0x8a, b"").await;
    }
    assert_eq!(socket.hear().await, Heard::Ping);
    assert_eq!(socket.hear().await, Heard::Nothing);
}

#[tokio::test]
async fn a_revoked_key_closes_its_sockets() {
    let server = server_with(Patience {
        ping: Duration::from_millis(50),
        ..Patience::default()
    })
    .await;
    let mut socket = server.ready_socket().await;
    socket.subscribe("1", "subscription { never }").await;
    server.revoked.cancel();
    assert_eq!(
        socket.closed().await,
        (
            4403,
            "Forbidden: the API key was revoked or has expired".to_owned()
        )
    );
    assert_eq!(server.trace.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped() {
    let server = server_with(Patience {
        send: Duration::from_millis(100),
        ..Patience::default()
    })
    .await;
    let mut socket = server.ready_socket().await;
    socket
        .subscribe("1", "subscription { forever(size: 65536) }")
        .await;
    until(|| server.trace.dropped.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn shutdown_lets_a_mutation_answer_and_closes_without_complete() {
    let server = server().await;
    let mut socket = server.ready_socket().await;
    socket.subscribe("watch", "subscription { never }").await;
    socket
        .subscribe("work", "mutation { bump(afterMs: 150) }")
        .await;
    until(|| server.trace.begun.load(Ordering::SeqCst) == 1).await;
    server.closing.cancel();
    assert_eq!(socket.json().await["payload"]["data"]["bump"], 1);
    assert_eq!(
        socket.json().await,
        json!({ "id": "work", "type": "complete" })
    );
    assert_eq!(
        socket.hear().await,
        Heard::Close(1001, "The server stops; connect again".to_owned())
    );
    socket.frame(0x88, &1001_u16.to_be_bytes()).await;
    server.tasks.close();
    tokio::time::timeout(Duration::from_secs(1), server.tasks.wait())
        .await
        .expect("the socket's task ends");
}

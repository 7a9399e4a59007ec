//! The reply to COMMIT is lost: what stands counts once, and what nobody knows is called unknown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::config::Role;
use domain::error::Error;
use domain::run::log::Flushed;
use domain::store::Store;
use serde_json::{Value, json};
use tests::proxy::{Fate, Proxy};
use tests::store::{command, execute, ids, inserting, open, scratch};
use tests::{Backend, Client, Coworker, TestApp, TestDb};

use crate::append::blocked;
use crate::held::{claim, idle, number, sound, stage};
use crate::look;

/// A store behind a proxy, on a database with the table `scratch`.
async fn proxied() -> (TestDb, Proxy, Store) {
    let (db, direct) = scratch(Backend::Postgres).await;
    drop(direct);
    let proxy = Proxy::start(db.url()).await;
    let store = open(&proxy.url(db.url())).await;
    (db, proxy, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_a_key_is_unknown_when_its_reply_is_lost() {
    let (db, proxy, store) = proxied().await;
    for (id, fate, stands) in [(1, Fate::ReplyLost, true), (2, Fate::NeverSent, false)] {
        proxy.strike(&[fate]);
        let error = store.write(inserting(id)).await.unwrap_err();
        assert!(matches!(error, Error::CommitUnknown), "{fate:?}: {error:?}");
        assert_eq!(ids(&db).await.contains(&id), stands, "{fate:?}");
    }
    assert_eq!(proxy.struck(), 2);
    store.write(inserting(3)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_with_a_key_gives_its_result_once_when_its_reply_is_lost() {
    let (db, proxy, store) = proxied().await;
    let tries = Arc::new(AtomicUsize::new(0));
    for (id, fate) in (1..).zip([Fate::ReplyLost, Fate::NeverSent]) {
        proxy.strike(&[fate]);
        let count = tries.clone();
        let once = command(move |tx| {
            count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                let sql = "INSERT INTO scratch (id, body) VALUES (?, 'x') ON CONFLICT DO NOTHING";
                execute(tx, sql, [id.into()]).await?;
                Ok(id)
            })
        });
        assert_eq!(store.write(once.repeatable()).await.unwrap(), id);
    }
    assert_eq!(
        (ids(&db).await, tries.load(Ordering::SeqCst)),
        (vec![1, 2], 4)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_unknown_is_never_called_unavailable() {
    let (db, proxy, store) = proxied().await;
    // It was committed, and then the database is gone for longer than the store tries: nobody may read
    // "nothing was changed" out of the answer.
    proxy.turn_away(1_000);
    proxy.strike(&[Fate::ReplyLost]);
    let repeatable = command(|tx| {
        Box::pin(async move {
            let sql = "INSERT INTO scratch (id, body) VALUES (1, 'x') ON CONFLICT DO NOTHING";
            execute(tx, sql, []).await
        })
    });
    let error = store.write(repeatable.repeatable()).await.unwrap_err();
    assert!(matches!(error, Error::CommitUnknown), "{error:?}");
    assert!(proxy.to_turn_away() < 1_000);
    assert_eq!(ids(&db).await, [1]);
    proxy.turn_away(0);
    store.write(inserting(2)).await.unwrap();
    assert_eq!(ids(&db).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_stands_once_whatever_became_of_its_reply() {
    let app = idle(Backend::Postgres).await;
    let proxy = Proxy::start(app.db().url()).await;
    let store = open(&proxy.url(app.db().url())).await;
    let mut log = claim(&app, &store, 1).await.remove(0);
    let run = log.run().id;
    let watch = tests::db::connect(app.db().url()).await.unwrap();
    for (turn, fate) in (1..).zip([
        Fate::ReplyLost,
        Fate::NeverSent,
        Fate::Late,
        Fate::ReplyLost,
        Fate::Late,
    ]) {
        proxy.strike(&[fate]);
        stage(&mut log, turn);
        let flush = async { log.flush(&store, true).await };
        let late = async {
            if fate == Fate::Late {
                // The store tries again while its first try still holds the run's row.
                blocked(&watch, 1).await;
                proxy.release();
            }
        };
        let (flushed, ()) = tokio::join!(flush, late);
        assert_eq!(flushed.unwrap(), Flushed::Committed, "{fate:?}");
        assert_eq!(
            number(&store, "SELECT COUNT(*) FROM run_event").await,
            i64::from(turn) + 1,
            "{fate:?}"
        );
    }
    assert_eq!(proxy.struck(), 5);
    sound(&store, run).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_nobody_can_resolve_is_unknown() {
    let app = idle(Backend::Postgres).await;
    let proxy = Proxy::start(app.db().url()).await;
    let store = open(&proxy.url(app.db().url())).await;
    let mut log = claim(&app, &store, 1).await.remove(0);
    proxy.turn_away(1_000);
    proxy.strike(&[Fate::ReplyLost]);
    stage(&mut log, 1);
    let error = log.flush(&store, true).await.unwrap_err();
    assert!(matches!(error, Error::CommitUnknown), "{error:?}");
    proxy.turn_away(0);
    assert_eq!(
        number(&app.store().await, "SELECT COUNT(*) FROM run_event").await,
        2
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_key_is_made_once_when_the_reply_is_lost() {
    let (db, proxy, app) = proxied_app(Role::Api).await;
    let watch = tests::db::connect(db.url()).await.unwrap();
    for (key, fate) in [
        ("a", Fate::ReplyLost),
        ("b", Fate::NeverSent),
        ("c", Fate::Late),
    ] {
        proxy.strike(&[fate]);
        let input = json!({ "title": "The VPN is slow", "idempotencyKey": key });
        let late = async {
            if fate == Fate::Late {
                blocked(&watch, 1).await;
                proxy.release();
            }
        };
        let (first, ()) = tokio::join!(
            app.mutate("requestCreate", input.clone(), "request { id }"),
            late
        );
        assert_eq!(
            app.mutate("requestCreate", input, "request { id }").await,
            first
        );
    }

    proxy.strike(&[Fate::ReplyLost]);
    let query = "mutation { requestCreate(input: { title: \"Another\" }) { request { id } userErrors { code } } }";
    assert_eq!(app.gql_code(query, json!({})).await, "COMMIT_UNKNOWN");
    assert_eq!(proxy.struck(), 4);
    let count =
        app.gql("{ requests { totalCount } }", json!({})).await["requests"]["totalCount"].take();
    assert_eq!(count, 4);
    app.stop().await;
    drop(db);
}

/// Every fourth COMMIT or so of a workday is lost, and at times the database is gone for a while: what the runs did
/// is in their logs once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_whose_replies_are_lost_do_everything_once() {
    let (db, proxy, app) = proxied_app(Role::All).await;
    Coworker::new("triage")
        .triage()
        .playbook(BUSY)
        .publish(&app)
        .await;
    const FATES: [Fate; 7] = [
        Fate::ReplyLost,
        Fate::NeverSent,
        Fate::ReplyLost,
        Fate::ReplyLost,
        Fate::NeverSent,
        Fate::ReplyLost,
        Fate::ReplyLost,
    ];
    for (i, fate) in FATES.iter().cycle().take(21).enumerate() {
        // Its own reply may be lost too: the key makes it one request all the same.
        submit(&app, i).await;
        // Armed while runs are under way: it meets whichever commit comes next.
        if i % 3 == 2 {
            // Long enough that the store gives up, so that the runs themselves must find out what stands.
            proxy.turn_away(60);
        }
        proxy.strike(&[*fate]);
        proxy.until_struck(i + 1).await;
    }
    // The outage is over; connections that died unused are found out by whoever takes them next.
    proxy.turn_away(0);
    let store = app.store().await;
    for _ in 0..40 {
        drop(store.ping().await);
    }
    drop(store);
    app.drain().await;
    look::sound(&app).await;
    for run in look::runs(&app).await {
        assert_eq!(run["outcome"], "REPLIED", "{run:#}");
        let events = look::events(&app, &run).await;
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for event in &events {
            let what = match event["type"].as_str().unwrap() {
                "model.completed" => format!("turn {}", event["turn_number"]),
                "tool.completed" | "tool.failed" => event["data"]["call_id"].to_string(),
                "note.posted" => event["data"]["body"].to_string(),
                _ => continue,
            };
            *seen.entry(what).or_default() += 1;
        }
        assert!(
            seen.values().all(|times| *times == 1),
            "Run-{}: {seen:?}",
            run["number"]
        );
    }
    for request in requests(&app).await {
        let shown = look::request(&app, &request).await;
        assert_eq!(
            look::notes(&shown, "PUBLIC"),
            ["I look at it."],
            "{request}"
        );
    }
    app.stop().await;
    drop(db);
}

/// Two answers of the model, a tool outside, and a note.
const BUSY: &str = "
tools:
  - name: device.reset
    description: Resets it.
    effect: IDEMPOTENT
    answers: [{ response: done, delay: 20ms }]
turns:
  - calls:
      - { tool: post_note, arguments: { visibility: PUBLIC, body: I look at it. } }
      - { tool: device.reset, arguments: {} }
    delay: 20ms
  - calls:
      - { tool: device.reset, arguments: {} }
      - { tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }
    delay: 20ms
";

async fn proxied_app(role: Role) -> (TestDb, Proxy, TestApp) {
    let db = TestDb::new(Backend::Postgres).await;
    let other = TestDb::new(Backend::Postgres).await;
    let proxy = Proxy::start(db.url()).await;
    let url = proxy.url(db.url());
    let app = TestApp::start_on(other, |settings| {
        settings.database_url = url;
        settings.role = role;
        settings.worker.poll = Duration::from_millis(50);
    });
    (db, proxy, app.await)
}

/// Makes a request as a client does that knows no better: again and again, under one key.
async fn submit(client: &Client, i: usize) {
    let query =
        "mutation ($i: RequestCreateInput!) { requestCreate(input: $i) { request { id } } }";
    let variables =
        json!({ "i": { "title": "The VPN is slow", "idempotencyKey": format!("k{i}") } });
    for _ in 0..100 {
        let answer = client.post(query, variables.clone()).await;
        match answer.body["errors"][0]["extensions"]["code"].as_str() {
            None => return,
            Some("UNAVAILABLE" | "COMMIT_UNKNOWN" | "TIMEOUT") => {}
            Some(other) => panic!("{other}: {}", answer.body),
        }
    }
    panic!("no request could be made");
}

async fn requests(client: &Client) -> Vec<Value> {
    let query = "query ($after: String) { requests(first: 50, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } }";
    let all = look::pages(client, query, json!({}), "/requests").await;
    all.into_iter()
        .map(|mut request| request["id"].take())
        .collect()
}

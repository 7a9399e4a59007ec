//! The reply to COMMIT is lost: what stands counts once, and what nobody knows is called unknown.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::config::Role;
use domain::error::Error;
use domain::run::log::Flushed;
use domain::store::Store;
use serde_json::json;
use tests::proxy::{Fate, Proxy};
use tests::store::{command, execute, ids, inserting, open, scratch};
use tests::{Backend, TestApp, TestDb};

use crate::append::blocked;
use crate::held::{claim, idle, number, sound, stage};

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

async fn proxied_app(role: Role) -> (TestDb, Proxy, TestApp) {
    let db = TestDb::new(Backend::Postgres).await;
    let other = TestDb::new(Backend::Postgres).await;
    let proxy = Proxy::start(db.url()).await;
    let url = proxy.url(db.url());
    let app = TestApp::start_on(other, |settings| {
        settings.database_url = url;
        settings.role = role;
    });
    (db, proxy, app.await)
}

//! Who holds rows and waits for others: never two for each other.

use std::time::Duration;

use entity::{CoworkerId, coworker};
use sea_orm::{ConnectionTrait as _, EntityTrait};
use serde_json::json;
use tests::{Backend, TestApp, TestDb};

use crate::look;
use crate::unpublish::{applied, file, requests};

/// Coworkers are locked in one order, requests and the workspace behind them, whoever changes many at once: two folders that
/// name the same twenty the other way round, each of them taken out of work, and notes that mention them, assignments to them
/// and answers to them meanwhile never wait for each other in a circle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_applies_unpublishes_mentions_assigns_and_answers_at_once_never_deadlock() {
    const COWORKERS: usize = 20;
    let db = TestDb::new(Backend::Postgres).await;
    let url = db.url().to_owned();
    hasty_about_deadlocks(&url).await;
    let app = TestApp::start_on(db, |settings| {
        settings.clock = domain::clock::Clock::system()
    })
    .await;
    let folder = |turn: usize, backwards: bool| {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..COWORKERS {
            let name = if backwards { COWORKERS - i } else { i };
            let scope = format!("Subject{i} only, in words of turn{turn}{backwards}");
            let text = file(&format!("worker-{i:02}"), &scope, "");
            std::fs::write(dir.path().join(format!("{name:02}.yaml")), text).unwrap();
        }
        dir
    };
    // Connections of their own, as commands in other processes have.
    let (one, other) = (
        tests::store::open(&url).await,
        tests::store::open(&url).await,
    );
    let made = requests(&app, 3, |i| json!({ "title": format!("Whose is {i}?") })).await;
    let [mentions, assigns, answers] = [&made[0], &made[1], &made[2]];
    for turn in 0..6 {
        let (forwards, backwards) = (folder(turn, false), folder(turn, true));
        let ids: Vec<CoworkerId> = coworker::Entity::find()
            .all(one.read())
            .await
            .unwrap()
            .iter()
            .map(|row| row.id)
            .collect();
        let unpublish = async {
            for id in ids.iter().rev() {
                let input = json!({ "id": format!("cow_{}", id.0.simple()) });
                app.mutate("coworkerUnpublish", input, "").await;
            }
        };
        // They lock coworkers too, and requests behind them.
        let mention = async {
            for i in 0..COWORKERS {
                let body = format!("@worker-{:02} and @worker-{i:02}, look.", COWORKERS - 1 - i);
                let input = json!({ "requestId": mentions, "body": body });
                app.mutate("noteCreate", input, "").await;
            }
        };
        let assign = async {
            for id in ids.iter().rev() {
                let to = format!("cow_{}", id.0.simple());
                let input = json!({ "id": assigns, "assigneeId": to });
                app.mutate("requestAssign", input, "").await;
            }
        };
        let answer = async {
            for id in &ids {
                let to = format!("cow_{}", id.0.simple());
                let input = json!({ "id": answers, "assigneeId": to });
                app.mutate("requestAssign", input, "").await;
                let input = json!({ "id": answers, "status": "PENDING" });
                app.mutate("requestUpdate", input, "").await;
                let input = json!({ "requestId": answers, "body": "@worker-00, it is blue." });
                app.mutate("noteCreate", input, "").await;
            }
        };
        let (a, b, (), (), (), ()) = tokio::join!(
            applied(&one, forwards.path()),
            applied(&other, backwards.path()),
            unpublish,
            mention,
            assign,
            answer
        );
        a.unwrap();
        b.unwrap();
    }
    drop((one, other));
    for (trigger, least) in [("MENTION", 20), ("ASSIGNED", 20), ("REPLY", 20)] {
        let sql = format!("SELECT COUNT(*) FROM dispatch WHERE trigger = '{trigger}'");
        assert!(look::number(&app, &sql).await >= least, "{trigger}");
    }
    let versions = look::number(&app, "SELECT COUNT(*) FROM coworker_version").await;
    assert!(versions >= 6 * COWORKERS as i64, "{versions}");
    app.stop().await;
    // The store would try again: only the database's own count says that there was none.
    assert_eq!(deadlocks(&url).await, 0);
}

/// Has the database look for deadlocks sooner than it does by itself, so that none is over before it looks.
async fn hasty_about_deadlocks(url: &str) {
    let conn = tests::db::connect(url).await.unwrap();
    let hasty = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = ''50ms''', current_database()); END $$";
    conn.execute_unprepared(hasty).await.unwrap();
    conn.close().await.unwrap();
    // It holds for connections that are made from now on.
    let conn = tests::db::connect(url).await.unwrap();
    let set = "SELECT setting::bigint FROM pg_settings WHERE name = 'deadlock_timeout'";
    assert_eq!(look::answer(&conn, set).await, 50);
    conn.close().await.unwrap();
}

/// How many deadlocks a database has seen. Connections report what they saw when they are closed, so this waits until
/// there is no other.
async fn deadlocks(url: &str) -> i64 {
    let conn = tests::db::connect(url).await.unwrap();
    let others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let alone = async {
        while look::answer(&conn, others).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let alone = tokio::time::timeout(Duration::from_secs(30), alone).await;
    alone.expect("the others close their connections");
    let seen = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let seen = look::answer(&conn, seen).await;
    conn.close().await.unwrap();
    seen
}

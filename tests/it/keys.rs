//! G17: the same call under the same key has one effect, however many send it at once.

use std::collections::BTreeSet;
use std::time::Duration;

use api::config::Role;
use domain::idempotency::BATCH;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{TestApp, both_dbs};

use crate::look;

/// How many keys there are.
const KEYS: usize = 500;
/// How often each is used at once.
const CALLS: usize = 20;
/// Keys that are in flight together.
const AT_ONCE: usize = 10;

/// Waits until the worker has swept, which it does by itself: so many keys are left.
async fn until_left(app: &TestApp, expected: i64) {
    let looking = async {
        loop {
            let keys = look::number(app, "SELECT COUNT(*) AS n FROM idempotency_key").await;
            if keys == expected {
                return;
            }
            assert!(keys > expected, "{keys}: too much is gone");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(30), looking).await;
    done.unwrap_or_else(|_| panic!("{expected} are never left"));
}

both_dbs! {
    /// G17: a key is remembered for a day; an hour later nothing is left of it, however many there are.
    async fn keys_past_their_time_are_swept_and_the_others_answer_the_same(app: TestApp) {
        const HOUR: Duration = Duration::from_secs(3_600);
        let app = look::with_settings(&app, |settings| settings.worker.sweep = Duration::from_millis(20)).await;
        let call = async |key: &str| {
            let input = json!({ "title": "Where is it?", "idempotencyKey": key });
            app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take()
        };
        let old = call("old").await;
        // More than two sweeps hold.
        let copies = 2 * BATCH + 50;
        look::tamper(&app, &format!("INSERT INTO idempotency_key (workspace_id, key, input_hash, made_id, created_at)
            WITH RECURSIVE copy(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copy WHERE n < {copies})
            SELECT workspace_id, key || CAST(n AS TEXT), input_hash, made_id, created_at FROM idempotency_key, copy")).await;
        let all = i64::try_from(copies).expect("a few") + 1;
        app.advance(HOUR).await;
        let young = call("young").await;
        app.advance(24 * HOUR).await;
        assert_eq!(call("young").await, young, "to the millisecond");
        until_left(&app, all + 1).await;
        app.advance(Duration::from_millis(1)).await;
        until_left(&app, 1).await;
        assert_ne!(call("old").await, old, "forgotten, it makes another one");
        assert_eq!(look::number(&app, "SELECT COUNT(*) FROM request").await, 3);
        app.stop().await;
    }

    /// G17: 500 keys, each sent 20 times in parallel: 500 effects, and everyone who sent one is told of the same one.
    async fn five_hundred_keys_sent_twenty_times_each_have_five_hundred_effects(app: TestApp) {
        let app = look::with_settings(&app, |settings| settings.role = Role::Api).await;
        let about = app.request("What is noted here?").await["id"].take();
        let mut made = BTreeSet::new();
        for keys in (0..KEYS).collect::<Vec<_>>().chunks(AT_ONCE) {
            // One call of each key after the other, so that keys meet each other too.
            let calls = (0..CALLS).flat_map(|_| keys.iter().copied());
            let told = join_all(calls.map(async |key| {
                let (mutation, made, mut input) = if key % 2 == 0 {
                    ("requestCreate", "request", json!({ "title": format!("Request {key}") }))
                } else {
                    ("noteCreate", "note", json!({ "requestId": about, "body": format!("Note {key}") }))
                };
                input["idempotencyKey"] = json!(format!("key-{key}"));
                let mut payload = app.mutate(mutation, input, &format!("{made} {{ id }}")).await;
                (key, payload[made]["id"].take())
            })).await;
            for key in keys {
                let ids: BTreeSet<String> = told.iter().filter(|(of, _)| of == key).map(|(_, id)| id.as_str().expect("an id").to_owned()).collect();
                assert_eq!(ids.len(), 1, "key-{key}");
                made.extend(ids);
            }
        }
        assert_eq!(made.len(), KEYS, "each key has an effect of its own");
        for (what, sql, n) in [
            ("requests", "SELECT COUNT(*) FROM request", KEYS / 2 + 1),
            ("notes", "SELECT COUNT(*) FROM note", KEYS / 2),
            ("entries", "SELECT COUNT(*) FROM request_event WHERE kind IN ('REQUEST_CREATED', 'NOTE_POSTED')", KEYS + 1),
            ("the last number", "SELECT MAX(number) FROM request", KEYS / 2 + 1),
            ("the place of the last note", "SELECT MAX(last_seq) FROM request WHERE number = 1", KEYS / 2 + 2),
            ("keys", "SELECT COUNT(*) FROM idempotency_key", KEYS),
        ] {
            assert_eq!(look::number(&app, sql).await, n as i64, "{what}");
        }
        // Long afterwards it is still the same.
        let again = json!({ "title": "Request 0", "idempotencyKey": "key-0" });
        let again: Value = app.mutate("requestCreate", again, "request { id }").await["request"]["id"].take();
        assert!(made.contains(again.as_str().expect("an id")));
        app.stop().await;
    }
}

//! G17: the same call under the same key has one effect, however many send it at once.

use std::collections::BTreeSet;

use api::config::Role;
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

both_dbs! {
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

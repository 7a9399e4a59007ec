//! The log of a run: however it is written it means the same, and whoever tampers with it is found.

mod verify;

use std::sync::Arc;

use domain::clock::Clock;
use domain::run::event::Event;
use domain::run::log::{Flushed, Log, Logged};
use domain::run::rebuild;
use domain::store::Append;
use entity::{EventId, Millis, run_step};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use sea_orm::ConnectionTrait;
use serde_json::value::RawValue;
use tests::db::connect;
use tests::store::{command, execute};
use tests::{Backend, Coworker, TestApp, TestDb, both_dbs, on_both};
use uuid::Uuid;

use crate::held::{claim, idle, number, sound};
use crate::look;

/// An event of any type, in no sensible order: folds take what comes.
fn any_event() -> impl Strategy<Value = (&'static str, String)> {
    let usage = (0..9_i64, 0..9_i64, 0..9_i64, 0..9_i64).prop_map(|(a, b, c, d)| {
        format!(
            r#"{{"input":{a},"cache_read":{b},"cache_write_short":{c},"cache_write_long":{d},"output":{a},"reasoning":{b}}}"#
        )
    });
    let calls = prop_oneof![
        Just(String::new()),
        (0..4).prop_map(|i| format!(r#"{{"id":"c{i}","tool":"device.reset","arguments":"{{}}"}}"#)),
    ];
    let text =
        "[a-z \u{e9}\"\\\\]{0,12}".prop_map(|text| serde_json::to_string(&text).expect("JSON"));
    let cost = prop_oneof![
        Just("null".to_owned()),
        (0..99_i64).prop_map(|cost| cost.to_string())
    ];
    prop_oneof![
        (1..5).prop_map(|turn| ("turn.started", format!(r#"{{"turn":{turn}}}"#))),
        (2..5).prop_map(|n| ("attempt.started", format!(r#"{{"attempt":{n},"reason":"lease_expired"}}"#))),
        (1..4, any::<bool>()).prop_map(|(n, closing)| ("model.requested", format!(
            r#"{{"model":"scripted","attempt":{n},"prompt":[{{"kind":"prefix","digest":"00"}},{{"kind":"notes","digest":"0{n}"}}],"tools":["finish"],"max_output_tokens":9,"closing":{closing}}}"#
        ))),
        (text.clone(), calls, usage.clone(), cost.clone()).prop_map(|(text, calls, usage, cost)| ("model.completed", format!(
            r#"{{"model":"scripted","text":{text},"thinking":"","calls":[{calls}],"finish_reason":"stop","usage":{usage},"price":null,"cost_nano":{cost},"latency_ms":1,"first_token_ms":null}}"#
        ))),
        (prop_oneof![Just("null".to_owned()), usage], cost, any::<bool>()).prop_map(|(usage, cost, retryable)| ("model.failed", format!(
            r#"{{"model":"scripted","attempt":1,"class":"overloaded","message":"m","retryable":{retryable},"usage":{usage},"price":null,"cost_nano":{cost}}}"#
        ))),
        (0..4, prop_oneof![Just("READ"), Just("IDEMPOTENT"), Just("EFFECT")]).prop_map(|(i, effect)| ("tool.requested", format!(
            r#"{{"call_id":"c{i}","tool":"device.reset","arguments":"{{}}","idempotency_key":"k{i}","effect":"{effect}"}}"#
        ))),
        (0..4, text.clone()).prop_map(|(i, text)| ("tool.completed", format!(r#"{{"call_id":"c{i}","response":{text},"latency_ms":2}}"#))),
        (0..4).prop_map(|i| ("tool.failed", format!(r#"{{"call_id":"c{i}","class":"offline","message":"m","latency_ms":2}}"#))),
        (0..4).prop_map(|i| ("tool.refused", format!(
            r#"{{"call_id":"c{i}","tool":"x","arguments":"","reason":"unknown","message":"m"}}"#
        ))),
        (0..4).prop_map(|i| ("tool.outcome_unknown", format!(r#"{{"call_id":"c{i}","message":"m"}}"#))),
        (any::<u128>(), 0..4).prop_map(|(id, i)| ("approval.requested", format!(
            r#"{{"approval":"{}","call_id":"c{i}","tool":"device.reset","arguments":"{{}}","schema_hash":"00","digest":"00","expires_at":{i}}}"#,
            Uuid::from_u128(id)
        ))),
        (any::<u128>(), 0..4, text.clone(), prop_oneof![Just("approval.approved"), Just("approval.denied")]).prop_map(|(id, i, text, kind)| (kind, format!(
            r#"{{"approval":"{}","call_id":"c{i}","by":{{"kind":"PERSON","id":"00000000-0000-0000-0000-000000000001","name":{text}}},"reason":{text}}}"#,
            Uuid::from_u128(id)
        ))),
        (any::<u128>(), 0..4, prop_oneof![Just("approval.expired"), Just("approval.voided")]).prop_map(|(id, i, kind)| (kind, format!(
            r#"{{"approval":"{}","call_id":"c{i}"}}"#, Uuid::from_u128(id)
        ))),
        text.clone().prop_map(|text| ("stop.requested", format!(
            r#"{{"by":{{"kind":"PERSON","id":"00000000-0000-0000-0000-000000000001","name":{text}}},"reason":null}}"#
        ))),
        text.clone().prop_map(|text| ("summary.written", format!(r#"{{"text":{text},"author":"COWORKER"}}"#))),
        (1..9).prop_map(|n| ("limit.reached", format!(r#"{{"limit":"LIMIT_TURNS","value":{n},"maximum":{n}}}"#))),
        text.prop_map(|text| ("run.dreamt", format!(r#"{{"of": [ {text}, 1.0 ]}}"#))),
    ]
}

/// Events, each with how long after the one before (time may go back a little), and where the writer pauses.
fn any_log() -> impl Strategy<Value = Vec<((&'static str, String), i64, bool)>> {
    prop::collection::vec((any_event(), -5..50_i64, any::<bool>()), 1..40)
}

fn parse((kind, data): &(&'static str, String)) -> Event {
    let raw = RawValue::from_string(data.clone()).expect("JSON");
    Event::parse(kind, &raw).unwrap_or_else(|error| panic!("{kind} {data}: {error}"))
}

/// Stages the events in a log and takes them: at once, or wherever the writer pauses.
fn write(
    log: &mut Log,
    events: &[((&'static str, String), i64, bool)],
    pauses: bool,
) -> Vec<(Append, Vec<Arc<Logged>>)> {
    let mut appends = Vec::new();
    let mut at = log.last_at();
    for (i, (event, after, pause)) in (1..).zip(events) {
        at = at.plus(*after);
        log.stage_as(EventId(Uuid::from_u128(i)), at, parse(event))
            .expect("staged");
        if pauses && *pause {
            appends.extend(log.take(true));
        }
    }
    appends.extend(log.take(true));
    appends
}

/// The steps that all appends together leave in the table.
fn steps(appends: &[(Append, Vec<Arc<Logged>>)]) -> Vec<run_step::Model> {
    let mut steps: Vec<run_step::Model> = Vec::new();
    for step in appends.iter().flat_map(|(append, _)| &append.steps) {
        match steps.iter_mut().find(|known| known.idx == step.idx) {
            // What the table's upsert updates.
            Some(known) => {
                known.title.clone_from(&step.title);
                (known.failed, known.ended_at, known.last_seq) =
                    (step.failed, step.ended_at, step.last_seq);
            }
            None => steps.push(step.clone()),
        }
    }
    steps
}

#[tokio::test]
async fn a_log_means_the_same_however_it_is_written() {
    let app = idle(Backend::Sqlite).await;
    let store = app.store().await;
    let run = claim(&app, &store, 1).await.remove(0).run().clone();
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        cases: 200,
        ..Config::default()
    });
    let all = runner.run(&any_log(), |events| {
        let (mut once, mut often) = (
            Log::empty(run.clone(), Some(1)),
            Log::empty(run.clone(), Some(1)),
        );
        let (one, many) = (
            write(&mut once, &events, false),
            write(&mut often, &events, true),
        );
        prop_assert_eq!(once.projection(), often.projection());
        prop_assert_eq!(&one[0].0.head, &many[many.len() - 1].0.head);
        prop_assert_eq!(steps(&one), steps(&many));
        prop_assert_eq!(&steps(&one), once.steps().rows());
        let rows: Vec<_> = one[0].0.events.clone();
        let parts: Vec<_> = many
            .iter()
            .flat_map(|(append, _)| append.events.clone())
            .collect();
        prop_assert_eq!(&rows, &parts);
        let ledger: Vec<_> = many
            .iter()
            .flat_map(|(append, _)| append.ledger.clone())
            .collect();
        prop_assert_eq!(&one[0].0.ledger, &ledger);
        prop_assert_eq!(&one[0].0.approvals, &once.approvals().rows());
        prop_assert_eq!(once.approvals(), often.approvals());
        prop_assert!(
            rows.windows(2).all(|pair| pair[0].at <= pair[1].at),
            "time goes back"
        );
        prop_assert_eq!(
            one[0].0.progress,
            many.iter().any(|(append, _)| append.progress)
        );
        // And read again.
        let read = Log::of(run.clone(), None, &rows).expect("it can be read");
        prop_assert_eq!(read.projection(), once.projection());
        prop_assert_eq!(read.steps().rows(), once.steps().rows());
        prop_assert_eq!(read.state().next(), once.state().next());
        Ok(())
    });
    all.unwrap();
}

on_both! {
    async fn whatever_is_written_can_be_rebuilt(backend: Backend) {
        let app = idle(backend).await;
        let store = app.store().await;
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
        for mut log in claim(&app, &store, 8).await {
            // The claim's own append left the log where the next one goes on.
            let events = any_log().new_tree(&mut runner).unwrap().current();
            let mut at = log.last_at();
            for (event, after, pause) in &events {
                at = at.plus(*after);
                log.stage(at, parse(event)).unwrap();
                if *pause {
                    assert_eq!(log.flush(&store, false).await.unwrap(), Flushed::Committed);
                }
            }
            assert_eq!(log.flush(&store, false).await.unwrap(), Flushed::Committed);
            sound(&store, log.run().id).await;
        }
    }

    /// R50–R51: append-only.
    async fn the_database_itself_refuses_to_change_what_happened(backend: Backend) {
        let app = idle(backend).await;
        let store = app.store().await;
        claim(&app, &store, 1).await;
        let conn = connect(app.db().url()).await.unwrap();
        for table in ["run_event", "request_event"] {
            let before = number(&store, &format!("SELECT COUNT(*) FROM {table}")).await;
            assert!(before > 0);
            let mut statements = vec![
                format!("UPDATE {table} SET at = at + 1"),
                format!("UPDATE {table} SET kind = 'x' WHERE seq = 1"),
                format!("DELETE FROM {table} WHERE seq = 1"),
                format!("DELETE FROM {table}"),
            ];
            if backend == Backend::Postgres {
                statements.push(format!("TRUNCATE {table}"));
            }
            if backend == Backend::Postgres && table == "run_event" {
                // Also behind the parent's back.
                let sql = "SELECT tableoid::regclass::text FROM run_event LIMIT 1";
                let row = conn.query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, sql)).await;
                let partition: String = row.unwrap().unwrap().try_get_by_index(0).unwrap();
                statements.push(format!("UPDATE {partition} SET at = at + 1"));
                statements.push(format!("DELETE FROM {partition}"));
                statements.push(format!("TRUNCATE {partition}"));
            } else if backend == Backend::Sqlite {
                // Deletes without saying so; whether triggers see it is a setting of the connection that writes.
                let replace = format!("REPLACE INTO {table} SELECT * FROM {table}");
                let replace = command(move |tx| {
                    let replace = replace.clone();
                    Box::pin(async move { execute(tx, &replace, []).await })
                });
                let error = store.write(replace).await.unwrap_err();
                assert!(format!("{error:?}").contains("append-only"), "{error:?}");
            }
            for statement in statements {
                let refused = conn.execute_unprepared(&statement).await;
                let error = refused.expect_err(&statement).to_string();
                assert!(error.contains("append-only"), "{statement}: {error}");
            }
            assert_eq!(number(&store, &format!("SELECT COUNT(*) FROM {table}")).await, before);
        }
    }
}

both_dbs! {
    async fn what_differs_from_its_log_is_found(app: TestApp) {
        log_of_a_run(&app).await;
        let store = app.store().await;
        let run = look::run_id(&look::only_run(&app).await["id"]);
        let conn = connect(app.db().url()).await.unwrap();
        let unguarded = if app.db().backend() == Backend::Sqlite {
            ["DROP TRIGGER run_event_no_update", "DROP TRIGGER run_event_no_delete"]
        } else {
            ["DROP TRIGGER run_event_append_only ON run_event", "SELECT 1"]
        };
        for statement in unguarded {
            conn.execute_unprepared(statement).await.unwrap();
        }
        for (change, back) in [
            ("UPDATE run SET input_tokens = input_tokens + 1", "UPDATE run SET input_tokens = input_tokens - 1"),
            ("UPDATE run SET summary = summary || 'x'", "UPDATE run SET summary = substr(summary, 1, length(summary) - 1)"),
            ("UPDATE run SET status = 'FAILED'", "UPDATE run SET status = 'COMPLETED'"),
            ("UPDATE run SET last_seq = last_seq + 1", "UPDATE run SET last_seq = last_seq - 1"),
            ("UPDATE run_step SET failed = NOT failed WHERE idx = 2", "UPDATE run_step SET failed = NOT failed WHERE idx = 2"),
            ("UPDATE usage_ledger SET output_tokens = output_tokens + 1", "UPDATE usage_ledger SET output_tokens = output_tokens - 1"),
            ("UPDATE run_event SET body = replace(body, 'slow', 'fast') WHERE seq = 1", "UPDATE run_event SET body = replace(body, 'fast', 'slow') WHERE seq = 1"),
            ("UPDATE run_event SET seq = seq + 100 WHERE seq > 2", "UPDATE run_event SET seq = seq - 100 WHERE seq > 100"),
        ] {
            sound(&store, run).await;
            conn.execute_unprepared(change).await.unwrap_or_else(|error| panic!("{change}: {error}"));
            let found = rebuild::differences(store.read(), run).await;
            assert!(!matches!(found.as_deref(), Ok([])), "{change} was not found");
            conn.execute_unprepared(back).await.unwrap_or_else(|error| panic!("{back}: {error}"));
        }
        sound(&store, run).await;
        conn.execute_unprepared("DELETE FROM run_event WHERE seq = 3").await.unwrap();
        assert!(!matches!(rebuild::differences(store.read(), run).await.as_deref(), Ok([])));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_the_events_of_a_month_lie_in_its_partition() {
    let app = TestApp::start_on(TestDb::new(Backend::Postgres).await, |settings| {
        settings.clock = Clock::system()
    })
    .await;
    log_of_a_run(&app).await;
    let store = app.store().await;
    let elsewhere = "SELECT COUNT(*) FROM run_event e JOIN run r ON r.id = e.run_id WHERE e.tableoid::regclass::text <> \
                     'run_event_' || to_char(to_timestamp(r.started_at / 1000.0) AT TIME ZONE 'UTC', 'YYYY_MM')";
    assert_eq!(number(&store, elsewhere).await, 0);
    assert!(number(&store, "SELECT COUNT(*) FROM run_event").await > 5);
    drop(store);
    // What was made once is there already at the next start.
    app.restart().await;
    app.stop().await;
}

/// Lets a run with a tool, notes and words happen, and gives its log.
async fn log_of_a_run(app: &TestApp) -> Vec<String> {
    let playbook = "tools:\n  - { name: device.read, description: R., effect: READ, answers: [{ response: \"ok \\u00e9\" }] }\n\
                    turns:\n  - thinking: Hm.\n    text: I look.\n    calls:\n      - { tool: device.read, arguments: {} }\n      \
                    - { tool: post_note, arguments: { visibility: PRIVATE, body: Looked. } }\n\
                    \x20 - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]\n";
    Coworker::new("triage")
        .triage()
        .playbook(playbook)
        .publish(app)
        .await;
    app.request("The VPN is slow").await;
    app.drain().await;
    let store = app.store().await;
    let run = look::run_id(&look::only_run(app).await["id"]);
    let rows = Log::rows(store.read(), run).await.unwrap();
    assert!(rows.iter().all(|row| row.at >= Millis(0)));
    rows.into_iter().map(|row| row.body).collect()
}

//! Live: every item after the cursor, once, in order; then the end, or one typed error; never silence (G8).

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::client::Item;
use tests::{Client, Coworker, TestApp, both_dbs};

use crate::look;

const EVENTS: &str = "subscription ($id: ID!, $after: Int!) { runEvents(runId: $id, after: $after) { sequence type raw hash } }";
const STEPS: &str = "subscription ($id: ID!, $after: Int!) { runSteps(runId: $id, after: $after) {
    cursor step { __typename id index kind title startedAt endedAt failed } } }";
const TIMELINE: &str =
    "subscription ($id: ID!, $after: Int!) { requestTimeline(requestId: $id, after: $after) {
    __typename ... on TimelineEntry { sequence at actor { displayName } run { number } } } }";
const BOARD: &str = "subscription ($filter: RunFilter) { runChanged(filter: $filter) { matches run { number status lastSequence } } }";

/// Works a while: notes, tools that answer, fail and are not there, a status; `delay` before each turn.
fn busy(delay: &str) -> String {
    let turn = format!(
        "  - calls:
      - {{ tool: desk.look, arguments: {{ at: left }} }}
      - {{ tool: desk.look, arguments: {{ at: right }} }}
      - {{ tool: desk.break }}
      - {{ tool: post_note, arguments: {{ visibility: PRIVATE, body: Nothing here. }} }}
    text: I look around.
    delay: {delay}
"
    );
    format!(
        "tools:
  - name: desk.look
    description: Looks at the desk.
    effect: READ
    answers: [{{ when: {{ arguments_contain: left }}, response: {{ empty: true }} }}, {{ fault: failed }}]
turns:
{}  - calls:
      - {{ tool: set_status, arguments: {{ status: RESOLVED }} }}
      - {{ tool: finish, arguments: {{ outcome: RESOLVED, reason: All seen., summary: I looked everywhere. }} }}
    delay: {delay}
",
        turn.repeat(6)
    )
}

/// Publishes a coworker that plays this, and assigns a request to it: its run and the request.
async fn begin(app: &TestApp, playbook: &str, limits: Value) -> (Value, Value) {
    let worker = Coworker::new("worker")
        .playbook(playbook)
        .limits(limits)
        .publish(app)
        .await;
    let input = json!({ "title": "Where is it?", "assigneeId": worker.id });
    let made = app.mutate("requestCreate", input, "request { id }").await;
    let request = made["request"]["id"].clone();
    (look::first_run(app, &request).await, request)
}

async fn follow(app: &Client, query: &str, id: &Value, after: i64) -> Vec<Value> {
    app.subscribe(query, json!({ "id": id, "after": after }))
        .await
        .all()
        .await
}

/// The cursor of an item of any of the streams.
fn cursor(item: &Value) -> i64 {
    let places = [
        "/runEvents/sequence",
        "/runSteps/cursor",
        "/requestTimeline/sequence",
    ];
    places
        .iter()
        .find_map(|place| item.pointer(place))
        .and_then(Value::as_i64)
        .expect("a cursor")
}

fn later(items: &[Value], after: i64) -> Vec<Value> {
    items
        .iter()
        .filter(|item| cursor(item) > after)
        .cloned()
        .collect()
}

/// Follows a stream to its end with sockets that break after `most` items each.
async fn with_breaks(app: &Client, query: &str, id: &Value, most: usize) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), 0);
    loop {
        let mut socket = app
            .subscribe(query, json!({ "id": id, "after": after }))
            .await;
        for _ in 0..most {
            match socket.item().await {
                Item::Next(item) => {
                    after = cursor(&item);
                    items.push(item);
                }
                Item::Complete => return items,
                other => panic!("{other:?} after {after}"),
            }
        }
        // Dropped without a word, as a network does it.
        drop(socket);
    }
}

both_dbs! {
    async fn an_ended_run_is_replayed_from_every_cursor_without_hole_or_repeat(app: TestApp) {
        let (run, _) = begin(&app, &busy("0ms"), json!({})).await;
        app.drain().await;
        let log = look::events(&app, &json!({ "id": run })).await;
        let last = i64::try_from(log.len()).expect("small");
        for query in [EVENTS, STEPS] {
            let whole = follow(&app, query, &run, 0).await;
            for after in 0..=last {
                assert_eq!(follow(&app, query, &run, after).await, later(&whole, after), "after {after}");
            }
            for beyond in [last + 1, last + 1000, -1] {
                let mut refused = app.subscribe(query, json!({ "id": run, "after": beyond })).await;
                match refused.item().await {
                    Item::Error(errors) => assert_eq!(errors[0]["extensions"]["code"], "INVALID_CURSOR", "{errors:?}"),
                    other => panic!("after {beyond} of {last}: {other:?}"),
                }
            }
        }
        let events = follow(&app, EVENTS, &run, 0).await;
        let sequences: Vec<i64> = events.iter().map(cursor).collect();
        assert_eq!(sequences, (1..=last).collect::<Vec<_>>());
        let raw: Vec<Value> = events.iter().map(|item| serde_json::from_str(item["runEvents"]["raw"].as_str().expect("raw")).expect("JSON")).collect();
        assert_eq!(raw, log);
        look::sound(&app).await;
    }

    async fn watchers_of_a_running_run_see_the_same_wherever_they_begin(app: TestApp) {
        let (run, _) = begin(&app, &busy("30ms"), json!({})).await;
        let mut clock = app.subscribe(EVENTS, json!({ "id": run, "after": 0 })).await;
        let mut watchers = Vec::new();
        let mut whole = Vec::new();
        loop {
            match clock.item().await {
                Item::Next(item) => {
                    let seen = cursor(&item);
                    whole.push(item);
                    for (query, after) in [(EVENTS, seen), (EVENTS, seen / 2), (STEPS, seen), (STEPS, 0)] {
                        if seen % 5 == 1 {
                            let (app, run) = (app.clone(), run.clone());
                            watchers.push(tokio::spawn(async move { (query, after, follow(&app, query, &run, after).await) }));
                        }
                    }
                }
                Item::Complete => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(whole, follow(&app, EVENTS, &run, 0).await);
        let steps = follow(&app, STEPS, &run, 0).await;
        assert!(watchers.len() > 20, "{} watchers", watchers.len());
        for watcher in join_all(watchers).await {
            let (query, after, items) = watcher.expect("it watched");
            let expected = if query == EVENTS { &whole } else { &steps };
            assert_eq!(items, later(expected, after), "after {after}");
        }
    }

    async fn a_watcher_whose_sockets_break_misses_nothing(app: TestApp) {
        let (run, _) = begin(&app, &busy("20ms"), json!({})).await;
        let live = join_all([(EVENTS, 1), (EVENTS, 3), (STEPS, 1), (STEPS, 4)].map(|(query, most)| {
            let (app, run) = (&app, &run);
            async move { (query, with_breaks(app, query, run, most).await) }
        }));
        for (query, items) in live.await {
            assert_eq!(items, follow(&app, query, &run, 0).await);
        }
    }

    async fn a_log_that_outgrows_memory_is_followed_from_every_place(app: TestApp) {
        let endless = "turns: [{ repeat: true, text: I look again., usage: { input: 1, output: 1 } }]";
        let (run, _) = begin(&app, endless, json!({ "maxTurns": 200 })).await;
        // One that is slow, beside those that come later.
        let mut slow = app.subscribe(EVENTS, json!({ "id": run, "after": 0 })).await;
        slow.next().await;
        app.drain().await;
        let whole = follow(&app, EVENTS, &run, 0).await;
        assert!(whole.len() > 600, "{} events", whole.len());
        assert_eq!(slow.all().await, whole[1..]);
        let steps = follow(&app, STEPS, &run, 0).await;
        for after in [1, 199, 200, 201, 255, 256, 257, 400, 511, 512, 599] {
            assert_eq!(follow(&app, EVENTS, &run, after).await, later(&whole, after), "after {after}");
            assert_eq!(follow(&app, STEPS, &run, after).await, later(&steps, after), "after {after}");
        }
    }

    async fn the_last_step_that_was_streamed_is_the_step_that_is_read(app: TestApp) {
        let (run, _) = begin(&app, &busy("0ms"), json!({})).await;
        let streamed = follow(&app, STEPS, &run, 0).await;
        let query = "query ($id: ID!) { run(id: $id) { steps(first: 60) { nodes { __typename id index kind title startedAt endedAt failed } } } }";
        let read = look::list(app.gql(query, json!({ "id": run })).await["run"]["steps"]["nodes"].take());
        for step in &read {
            let last = streamed.iter().rev().find(|item| item["runSteps"]["step"]["index"] == step["index"]).expect("it was streamed");
            assert_eq!(&last["runSteps"]["step"], step);
        }
        assert_eq!(streamed.last().expect("a last one")["runSteps"]["step"]["kind"], "DONE");
    }

    async fn a_stop_reaches_the_watchers_while_a_tool_is_still_at_work(app: TestApp) {
        let slow = "
tools: [{ name: desk.look, description: Looks., effect: EFFECT, answers: [{ delay: 3s, response: { empty: true } }] }]
turns: [{ text: I look., calls: [{ tool: desk.look }] }]
";
        let (run, _) = begin(&app, slow, json!({})).await;
        let mut events = app.subscribe(EVENTS, json!({ "id": run, "after": 0 })).await;
        let mut begun = events.until(|item| item["runEvents"]["type"] == "tool.requested").await;
        app.mutate("runStop", json!({ "id": run, "reason": "Enough." }), "").await;
        let stop = tokio::time::timeout(Duration::from_secs(2), events.next()).await.expect("it comes before the tool has answered");
        assert_eq!(stop["runEvents"]["type"], "stop.requested");
        begun.push(stop);
        begun.extend(events.all().await);
        assert_eq!(begun, follow(&app, EVENTS, &run, 0).await);
        // The effect in flight was let finish, and its result is in the log.
        let types: Vec<_> = begun.iter().map(|item| item["runEvents"]["type"].as_str().expect("a type")).collect();
        assert_eq!(types[types.len() - 3..], ["tool.completed", "summary.written", "run.failed"]);
        look::sound(&app).await;
    }

    async fn a_timeline_is_followed_from_every_cursor(app: TestApp) {
        let (_, request) = begin(&app, &busy("10ms"), json!({})).await;
        let mut live = app.subscribe(TIMELINE, json!({ "id": request, "after": 0 })).await;
        let whole = live.until(|item| item["requestTimeline"]["__typename"] == "RunEnded").await;
        let sequences: Vec<i64> = whole.iter().map(cursor).collect();
        assert_eq!(sequences, (1..=i64::try_from(whole.len()).expect("small")).collect::<Vec<_>>());
        for (after, _) in whole.iter().enumerate() {
            let mut replay = app.subscribe(TIMELINE, json!({ "id": request, "after": after })).await;
            let items = replay.until(|item| item["requestTimeline"]["__typename"] == "RunEnded").await;
            assert_eq!(items, whole[after..], "after {after}");
        }
        let mut at_the_end = app.subscribe(TIMELINE, json!({ "id": request, "after": whole.len() })).await;
        let mut beyond = app.subscribe(TIMELINE, json!({ "id": request, "after": whole.len() + 1 })).await;
        match beyond.item().await {
            Item::Error(errors) => assert_eq!(errors[0]["extensions"]["code"], "INVALID_CURSOR"),
            other => panic!("{other:?}"),
        }
        app.mutate("noteCreate", json!({ "requestId": request, "body": "Thank you." }), "").await;
        for watcher in [&mut live, &mut at_the_end] {
            let item = watcher.next().await["requestTimeline"].take();
            assert_eq!((&item["__typename"], &item["sequence"]), (&json!("NotePosted"), &json!(whole.len() + 1)));
        }
    }

    async fn a_board_shows_what_is_under_way_and_what_changes(app: TestApp) {
        let (run, request) = begin(&app, "turns: [{ text: Never said., delay: 10m }]", json!({})).await;
        let running = json!({ "filter": { "status": { "eq": "RUNNING" } } });
        let mut board = app.subscribe(BOARD, running).await;
        let first = board.next().await["runChanged"].take();
        assert_eq!((&first["matches"], &first["run"]["number"]), (&json!(true), &json!(1)));
        app.mutate("runStop", json!({ "id": run }), "").await;
        let items = board.until(|item| item["runChanged"]["matches"] == false).await;
        let seen: Vec<i64> = items.iter().map(|item| item["runChanged"]["run"]["lastSequence"].as_i64().expect("a sequence")).collect();
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(items[items.len() - 1]["runChanged"]["run"]["status"], "FAILED");

        // A board opened now has nothing under way, and still sees the next run.
        let mut later = app.subscribe(BOARD, json!({})).await;
        let mut others = app.subscribe(BOARD, json!({ "filter": { "number": { "eq": 1 } } })).await;
        app.mutate("noteCreate", json!({ "requestId": request, "body": "@worker?" }), "").await;
        let item = later.next().await["runChanged"].take();
        assert_eq!((&item["run"]["number"], &item["matches"]), (&json!(2), &json!(true)));
        let second = look::runs(&app).await.remove(1);
        app.mutate("runStop", json!({ "id": second["id"] }), "").await;
        later.until(|item| item["runChanged"]["run"]["status"] == "FAILED").await;
        assert!(others.is_silent(Duration::from_millis(100)).await);
    }

    async fn what_does_not_exist_can_not_be_followed(app: TestApp) {
        let absent = format!("{:032x}", 7);
        for (query, id) in [(EVENTS, format!("run_{absent}")), (STEPS, format!("run_{absent}")), (TIMELINE, format!("req_{absent}"))] {
            match app.subscribe(query, json!({ "id": id, "after": 0 })).await.item().await {
                Item::Error(errors) => assert_eq!(errors[0]["extensions"]["code"], "NOT_FOUND", "{errors:?}"),
                other => panic!("{other:?}"),
            }
            let other_type = id.replace("run_", "x_").replace("req_", "run_");
            match app.subscribe(query, json!({ "id": other_type, "after": 0 })).await.item().await {
                Item::Error(errors) => assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT", "{errors:?}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

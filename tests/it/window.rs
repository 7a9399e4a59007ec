//! G3: the real server is killed between the intent of a call and its result, 300 times for each class of effect.
//!
//! What was called is known from outside: a service of its own counts its calls by idempotency key. Many runs are in
//! the window at each kill, each at a moment of its own: the intent was just committed, the call is on its way, it was
//! made and waits, it was answered and the result is not committed. A trial is a run whose call was open in the
//! database once the killed server was gone; whatever was not open by then is none, and is not counted.

use std::collections::{BTreeMap, BTreeSet};

use entity::Outcome;
use futures_util::future::join_all;
use serde_json::json;
use tests::{Backend, Coworker, TestDb, on_both};

use crate::chance::Chance;
use crate::counter::{ALL, Counter};
use crate::ruin::{Found, STEADY, Site};

/// Deaths in the window of each class.
const TRIALS: usize = 300;
/// Runs of each class that are started before each death.
const AT_ONCE: usize = 30;
/// The most deaths that it may take.
const DEATHS: usize = 30;

pub const CLASSES: [(&str, &str); 3] = [("read", "READ"), ("put", "IDEMPOTENT"), ("act", "EFFECT")];

/// The numbers of the runs with a call that has no result yet.
const OPEN: &str = "SELECT r.number AS n FROM run r JOIN run_event e ON e.run_id = r.id WHERE e.kind = 'tool.requested' AND NOT EXISTS \
                    (SELECT 1 FROM run_event l WHERE l.run_id = e.run_id AND l.seq > e.seq \
                     AND l.kind IN ('tool.completed', 'tool.failed', 'tool.outcome_unknown'))";

/// What a killed server had sent last may still be on its way into PostgreSQL: 1 once none of its connections is left.
const GONE: &str = "SELECT CAST(CAST(COUNT(*) = 0 AS int) AS bigint) AS n FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";

on_both! {
    /// G3: what may be repeated is repeated under its key until it is done; what may not is called once at the most,
    /// and everyone is told that nobody knows.
    async fn whoever_dies_between_intent_and_result_repeats_no_effect_and_says_what_is_unknown(backend: Backend) {
        let mut chance = Chance::new();
        println!("STINT_TEST_SEED={}", chance.0);
        let counter = Counter::open().await;
        let allow: &'static str = counter.host().leak();
        let mut site = Site::start_at(TestDb::new(backend).await, &STEADY, &["--slots", "100", "--allow-private-host", allow]);
        site.client.mutate("toolServerCreate", counter.server("counter", &CLASSES), "").await;
        let mut workers = Vec::new();
        for (action, _) in CLASSES {
            let playbook = format!(
                "turns:\n  - calls: [{{ tool: counter.{action}, arguments: {{}} }}]\n\
                 \x20 - calls: [{{ tool: finish, arguments: {{ outcome: REPLIED, reason: r, summary: s }} }}]\n"
            );
            let tools = json!([{ "server": "counter", "actions": [{ "name": action }] }]);
            workers.push(Coworker::new(action).playbook(&playbook).with("tools", tools).publish(&site.client).await.id);
        }

        let (mut died, mut deaths) = (BTreeMap::<&str, BTreeSet<i64>>::new(), 0);
        let mut runs = 0;
        while CLASSES.iter().any(|(action, _)| died.get(action).map_or(0, BTreeSet::len) < TRIALS) {
            assert!(deaths < DEATHS, "too few were in the window: {died:?}");
            deaths += 1;
            let before = counter.come();
            counter.answer(0);
            let inputs = inputs(&workers, &format!("death {deaths}"), AT_ONCE);
            let all = inputs.len();
            // They are made while the server dies, perhaps; who got no answer asks again.
            let asking = inputs.clone().into_iter().map(|input| {
                let query = "mutation ($input: RequestCreateInput!) { requestCreate(input: $input) { userErrors { code } } }";
                site.client.request("/graphql").json(&json!({ "query": query, "variables": { "input": input } })).send()
            });
            let asking = tokio::spawn(join_all(asking));
            counter.until(before + all - chance.below(all as i64 / 3) as usize).await;
            // Some are answered just now.
            counter.answer(chance.below(30) as u64);
            site.server.kill();
            drop(asking.await);
            if backend == Backend::Postgres {
                site.until_number(GONE, 1).await;
            }
            let open = site.numbers(OPEN).await;
            for (action, _) in CLASSES {
                let of = format!("{OPEN} AND r.coworker_id = (SELECT id FROM coworker WHERE handle = '{action}')");
                died.entry(action).or_default().extend(site.numbers(&of).await);
            }
            assert!(!open.is_empty());
            counter.answer(ALL);
            site.restart();
            join_all(inputs.into_iter().map(|input| site.client.mutate("requestCreate", input, ""))).await;
            runs += all as i64;
            site.until_ended(runs).await;
        }

        // Once nothing dies any more, everything is done once.
        let inputs = inputs(&workers, "after the last death", 10);
        let after = inputs.len();
        join_all(inputs.into_iter().map(|input| site.client.mutate("requestCreate", input, ""))).await;
        site.until_ended(runs + after as i64).await;
        let told = "SELECT COUNT(DISTINCT r.id) AS n FROM run r JOIN request q ON q.id = r.request_id JOIN note n ON n.request_id = q.id \
                    WHERE r.outcome = 'BLOCKED' AND q.status = 'IN_PROGRESS' AND n.visibility = 'PUBLIC'";
        let told = site.number(told).await;
        let found = site.audit().await;
        assert_eq!(found.len() as i64, runs + after as i64);

        let calls = counter.calls();
        let mut keys = BTreeSet::new();
        let mut unknown = 0;
        for run in &found {
            let (action, key) = intent(run);
            let times = calls.get(&key).map_or(0, Vec::len);
            assert!(calls.get(&key).is_none_or(|paths| paths.iter().all(|path| *path == format!("/{action}"))));
            assert!(keys.insert(key), "two runs have one key");
            let in_window = died[action.as_str()].contains(&run.run.number);
            let flagged = run.count("tool.outcome_unknown");
            if action == "act" {
                assert!(times <= 1, "an effect was repeated: {:?}", run.kinds());
                assert_eq!(flagged, usize::from(in_window), "{:?}", run.kinds());
            } else {
                assert!(times >= 1 && flagged == 0, "{:?}", run.kinds());
            }
            unknown += flagged;
            if flagged == 1 {
                assert_eq!(run.run.outcome, Some(Outcome::Blocked), "{:?}", run.kinds());
            } else {
                assert_eq!(run.run.outcome, Some(Outcome::Replied), "{:?}", run.kinds());
                // The other one is `finish`.
                assert_eq!((run.count("tool.completed"), times >= 1), (2, true), "{:?}", run.kinds());
            }
            if run.run.number > runs {
                assert_eq!((times, run.run.attempt), (1, 1), "{:?}", run.kinds());
            }
        }
        // Of an effect whose intent was committed, but never sent, nobody outside knows.
        assert!(calls.keys().all(|key| keys.contains(key)), "something was called that no log knows of");
        // R72.
        assert_eq!((told as usize, unknown), (died["act"].len(), died["act"].len()));
        let trials: Vec<String> = died.iter().map(|(action, died)| format!("{action} {}", died.len())).collect();
        println!("{deaths} deaths; in the window: {}; done after the last: {after}", trials.join(", "));
    }
}

/// So many requests for each of these coworkers.
fn inputs(workers: &[String], what: &str, each: usize) -> Vec<serde_json::Value> {
    let pairs = (0..each).flat_map(|i| workers.iter().map(move |worker| (i, worker)));
    let input = |(i, worker): (usize, &String)| json!({ "title": what, "assigneeId": worker, "idempotencyKey": format!("{what} {i} {worker}") });
    pairs.map(input).collect()
}

/// The action that a run called, and under which key. There is one intent, however often it was carried out.
pub fn intent(run: &Found) -> (String, String) {
    let asked = run.data("tool.requested");
    let outside: Vec<_> = asked
        .iter()
        .filter_map(|call| {
            let action = call["tool"].as_str()?.strip_prefix("counter.")?;
            Some((
                action.to_owned(),
                call["idempotency_key"].as_str()?.to_owned(),
            ))
        })
        .collect();
    assert_eq!(outside.len(), 1, "{:?}", run.kinds());
    outside.into_iter().next().expect("one")
}

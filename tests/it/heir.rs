//! G3 among nodes that live on: of three workers one is killed between the intent of its calls and their results, and
//! the other two take its runs over.

use std::collections::{BTreeMap, BTreeSet};

use entity::Outcome;
use futures_util::future::join_all;
use serde_json::json;
use tests::binary::Stint;
use tests::{Backend, Coworker, TestDb};

use crate::counter::{ALL, Counter};
use crate::ruin::Site;
use crate::window::{CLASSES, intent};

/// Leases that no look at a slow machine outlasts; a dead node's runs are taken over when one has run out.
const LONG: [&str; 6] = ["--lease", "5s", "--renew", "1s", "--reap", "200ms"];
/// Deaths; each takes about a third of the runs that are in the window.
const DEATHS: usize = 4;
/// Runs of each class for each of them: together nearly as many as the three have slots, so that each has some.
const EACH: usize = 30;

/// The numbers of the runs whose call has no result yet.
const OPEN: &str = "SELECT r.number AS n FROM run r JOIN run_event e ON e.run_id = r.id WHERE r.status = 'RUNNING' AND e.kind = 'tool.requested' \
                    AND NOT EXISTS (SELECT 1 FROM run_event l WHERE l.run_id = e.run_id AND l.seq > e.seq \
                    AND l.kind IN ('tool.completed', 'tool.failed', 'tool.outcome_unknown'))";

/// G3: nodes that live take over what a dead one left in the window. What may be repeated is done under its key by one
/// of them; what may not is never repeated, and everybody is told that nobody knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn living_nodes_take_over_a_dead_ones_calls_and_repeat_no_effect() {
    let counter = Counter::open().await;
    let allow: &'static str = counter.host().leak();
    let db = TestDb::new(Backend::Postgres).await;
    let api = ["--role", "api", "--allow-private-host", allow];
    let site = Site::start_at(db, &LONG, &api);
    let tools = counter.server("counter", &CLASSES);
    site.client.mutate("toolServerCreate", tools, "").await;
    let mut coworkers = Vec::new();
    for (action, _) in CLASSES {
        let playbook = format!(
            "turns:\n  - calls: [{{ tool: counter.{action}, arguments: {{}} }}]\n\
             \x20 - calls: [{{ tool: finish, arguments: {{ outcome: REPLIED, reason: r, summary: s }} }}]\n"
        );
        let tools = json!([{ "server": "counter", "actions": [{ "name": action }] }]);
        let made = Coworker::new(action)
            .playbook(&playbook)
            .with("tools", tools)
            .publish(&site.client)
            .await;
        coworkers.push(made.id);
    }
    let worker = || {
        let more = ["--role", "worker", "--slots", "32"];
        let allow = ["--allow-private-host", allow];
        Stint::serve(site.db.url(), &[&LONG[..], &more, &allow].concat())
    };
    let mut nodes: Vec<Stint> = (0..3).map(|_| worker()).collect();
    let per_death = CLASSES.len() * EACH;
    for death in 0..DEATHS {
        counter.answer(0);
        let before = counter.come();
        let requests = (0..EACH).flat_map(|i| coworkers.iter().map(move |id| (i, id)));
        join_all(requests.map(|(i, id)| {
            let key = format!("{death} {i} {id}");
            let input = json!({ "title": "Count.", "assigneeId": id, "idempotencyKey": key });
            site.client.mutate("requestCreate", input, "")
        }))
        .await;
        // All calls are made, and none is answered.
        counter.until(before + per_death).await;
        let mut dead = nodes.remove(0);
        dead.kill();
        // Leases are much longer than this takes: nobody has taken a run over before the others may answer.
        assert_eq!(
            site.numbers(OPEN).await.len(),
            per_death,
            "none was answered"
        );
        assert_eq!(
            counter.come(),
            before + per_death,
            "nothing was repeated yet"
        );
        counter.answer(ALL);
        site.until_ended(((death + 1) * per_death) as i64).await;
        nodes.push(worker());
    }
    let found = site.audit().await;
    assert_eq!(found.len(), DEATHS * per_death);
    let calls = counter.calls();
    let mut heirs = BTreeMap::<&str, usize>::new();
    for run in &found {
        let (action, key) = intent(run);
        let times = calls.get(&key).map_or(0, Vec::len);
        let flagged = run.count("tool.outcome_unknown");
        let inherited = run.run.attempt > 1;
        let class = CLASSES
            .iter()
            .find(|(name, _)| *name == action)
            .expect("a class");
        *heirs.entry(class.1).or_default() += usize::from(inherited);
        if action == "act" {
            assert_eq!(times, 1, "an effect was repeated: {:?}", run.kinds());
            assert_eq!(flagged, usize::from(inherited), "{:?}", run.kinds());
        } else {
            assert_eq!(
                (times, flagged),
                (run.run.attempt as usize, 0),
                "{:?}",
                run.kinds()
            );
        }
        let ended = if flagged == 1 {
            Outcome::Blocked
        } else {
            Outcome::Replied
        };
        assert_eq!(run.run.outcome, Some(ended), "{:?}", run.kinds());
    }
    println!("{DEATHS} deaths among three nodes; taken over by living ones: {heirs:?}");
    assert!(
        CLASSES.iter().all(|(_, class)| heirs[class] >= DEATHS),
        "{heirs:?}"
    );
    // Besides them nothing was called.
    let keys: BTreeSet<String> = found.iter().map(|run| intent(run).1).collect();
    assert!(calls.keys().all(|key| keys.contains(key)));
    for node in &mut nodes {
        node.terminate();
        assert!(node.wait().success(), "{}", node.stderr());
    }
}

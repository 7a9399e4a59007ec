//! G14: spend is reserved before each call of a model, and a budget is never exceeded, whoever dies in the middle.

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::json;
use tests::binary::Stint;
use tests::{Backend, Client, Coworker, TestDb, on_both};

use crate::ruin::{STEADY, Site};

/// What the runs may cost together, USD: about a hundred of them.
const BUDGET: i64 = 110;
/// What they may cost once it has been raised.
const RAISED: i64 = 210;
const USD: i64 = 1_000_000_000;
const RUNS: usize = 1_000;
/// How many come at a time before all the others, and see all workers die.
const WAVE: usize = 6;
/// How many come once the budget has been raised.
const LATER: usize = 150;

/// 1 USD and a little, where up to 1.35 are reserved; a call takes long enough to be cut off.
const CALL: &str = "
turns:
  - calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: r, summary: s } }]
    usage: { input: 800, output: 10 }
    delay: 800ms
";

/// All that is recorded, and all that is reserved: one statement, which sees one state of the database.
const USED: &str = "SELECT (SELECT CAST(COALESCE(SUM(COALESCE(cost_nano, reserved_nano)), 0) AS BIGINT) FROM usage_ledger) \
                    + (SELECT CAST(COALESCE(SUM(reserved_nano), 0) AS BIGINT) FROM run) AS used";
const RESERVED: &str = "SELECT CAST(COALESCE(SUM(reserved_nano), 0) AS BIGINT) FROM run";
const OPEN: &str = "SELECT COUNT(*) FROM run WHERE reserved_nano > 0";
const COMPLETED: &str = "SELECT COUNT(*) FROM run WHERE status = 'COMPLETED'";
/// What came of the dispatches: dropped, or a run that has ended.
const SETTLED: &str = "SELECT (SELECT COUNT(*) FROM dispatch WHERE state = 'DROPPED') \
                       + (SELECT COUNT(*) FROM run WHERE status IN ('COMPLETED', 'FAILED')) AS settled";

/// The budget in force.
const LIMIT: &str = "SELECT daily_budget_nano FROM coworker WHERE daily_budget_nano IS NOT NULL";

/// Makes the database itself look at every commit that changes what is recorded or reserved: how many there were, the most
/// that was used after one, and how much that was above the budget of that moment.
async fn audit_every_commit(url: &str) {
    let conn = tests::db::connect(url).await.unwrap();
    let noted = if conn.get_database_backend() == DbBackend::Postgres {
        // At the commit, one commit after the other: each sees all that was committed before it, and itself.
        format!(
            "CREATE FUNCTION audit_spend() RETURNS trigger AS $$ BEGIN \
             PERFORM pg_advisory_xact_lock(4711); \
             UPDATE spend_audit SET commits = commits + 1, most = GREATEST(most, now.used), beyond = GREATEST(beyond, now.used - now.budget) \
             FROM (SELECT ({USED}) AS used, ({LIMIT}) AS budget) now; \
             RETURN NULL; END $$ LANGUAGE plpgsql; \
             CREATE CONSTRAINT TRIGGER audit_reserved AFTER UPDATE ON run DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
             WHEN (OLD.reserved_nano IS DISTINCT FROM NEW.reserved_nano) EXECUTE FUNCTION audit_spend(); \
             CREATE CONSTRAINT TRIGGER audit_recorded AFTER INSERT ON usage_ledger DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
             EXECUTE FUNCTION audit_spend();"
        )
    } else {
        // There is one writer. Of an append's rows, those of runs are written first, then events, then the ledger: in between,
        // what is used is never more than at the end, which the last look sees.
        let note = format!(
            "UPDATE spend_audit SET commits = commits + 1, most = MAX(most, ({USED})), beyond = MAX(beyond, ({USED}) - ({LIMIT}))"
        );
        format!(
            "CREATE TRIGGER audit_reserved AFTER INSERT ON run_event WHEN NEW.kind = 'model.requested' BEGIN {note}; END; \
             CREATE TRIGGER audit_recorded AFTER INSERT ON usage_ledger BEGIN {note}; END;"
        )
    };
    let table = "CREATE TABLE spend_audit (commits BIGINT NOT NULL, most BIGINT NOT NULL, beyond BIGINT NOT NULL); \
                 INSERT INTO spend_audit VALUES (0, 0, -9000000000000000000);";
    for sql in [table, noted.as_str()] {
        conn.execute_unprepared(sql).await.unwrap();
    }
    conn.close().await.unwrap();
}

/// How often the database looked, the most that was used, and the most that it was above the budget.
async fn audited(site: &Site) -> (i64, i64, i64) {
    let number = async |column: &str| {
        site.number(&format!("SELECT {column} FROM spend_audit"))
            .await
    };
    (
        number("commits").await,
        number("most").await,
        number("beyond").await,
    )
}

/// Requests for a coworker, `from` to `to`.
async fn submit(client: &Client, worker: &str, from: usize, to: usize) {
    let ids: Vec<usize> = (from..to).collect();
    for some in ids.chunks(50) {
        join_all(some.iter().map(|i| {
            let input = json!({ "title": "Where is it?", "assigneeId": worker, "idempotencyKey": format!("k{i}") });
            client.mutate("requestCreate", input, "")
        }))
        .await;
    }
}

on_both! {
    async fn a_thousand_runs_never_exceed_a_budget_for_a_hundred_though_workers_are_killed(backend: Backend) {
        // On PostgreSQL three workers; an embedded database has one process.
        let clustered = backend == Backend::Postgres;
        let db = TestDb::new(backend).await;
        let more: &[&str] = if clustered { &["--role", "api"] } else { &["--slots", "1000"] };
        let mut site = Site::start_at(db, &STEADY, more);
        site.client.mutate("modelPriceSet", json!({ "model": "scripted", "input": "1250", "output": "10" }), "").await;
        let budget = |usd: i64| json!({ "daily": usd.to_string() });
        let worker = Coworker::new("worker").playbook(CALL).with("budget", budget(BUDGET)).publish(&site.client).await;
        audit_every_commit(site.db.url()).await;
        let workers = |site: &Site, slots: &[&str]| -> Vec<Stint> {
            let one = |slots: &&str| Stint::serve(site.db.url(), &[&STEADY[..], &["--role", "worker", "--slots", slots]].concat());
            if clustered { slots.iter().map(one).collect() } else { Vec::new() }
        };

        // All die while calls are under way: those stay charged at what was reserved for them.
        let (mut sent, mut killed) = (0, 0);
        for _ in 0..2 {
            let mut doomed = workers(&site, &["40", "40", "40"]);
            submit(&site.client, &worker.id, sent, sent + WAVE).await;
            sent += WAVE;
            site.until_number(OPEN, 2).await;
            if clustered {
                doomed.iter_mut().for_each(Stint::kill);
            } else {
                site.crash();
            }
            killed += doomed.len().max(1);
        }
        let mut before = site.number(COMPLETED).await;
        // All the others at once; of four workers one dies among them.
        let mut cluster = workers(&site, &["400", "400", "400", "40"]);
        let victim = cluster.pop();
        let dying = async {
            let Some(mut one) = victim else { return };
            site.until_number(COMPLETED, before + 10).await;
            site.until_number(OPEN, 1).await;
            one.kill();
            killed += 1;
            before = site.number(COMPLETED).await;
        };
        tokio::join!(submit(&site.client, &worker.id, sent, RUNS), dying);
        site.until_number(SETTLED, i64::try_from(RUNS).unwrap()).await;
        let (used, first) = (site.number(USED).await, site.number(COMPLETED).await);
        assert_eq!(site.number(RESERVED).await, 0, "something stays reserved");

        // Nothing of it is lost either: once it is raised, what was added buys as many runs as it pays for.
        site.client.mutate("coworkerUpdate", json!({ "id": worker.id, "budget": budget(RAISED) }), "").await;
        site.client.mutate("coworkerPublish", json!({ "id": worker.id }), "").await;
        submit(&site.client, &worker.id, RUNS, RUNS + LATER).await;
        site.until_number(SETTLED, i64::try_from(RUNS + LATER).unwrap()).await;
        let last = site.number(COMPLETED).await - first;
        let (commits, most, beyond) = audited(&site).await;

        let runs = site.audit().await;
        let exhausted = runs.iter().filter(|run| run.run.failure_code == Some(entity::FailureCode::BudgetExhausted)).count();
        let cut = runs.iter().map(|run| i64::from(run.run.unknown_calls)).sum::<i64>();
        println!("{commits} looks at commits, {used} of {BUDGET} USD, then {most} of {RAISED}; {killed} workers killed, {cut} calls cut off; {first} runs completed \
                  ({} after the last death), {last} with what was added; {exhausted} exhausted, {} dispatches dropped",
                 first - before, RUNS + LATER - runs.len());
        assert!(beyond <= 0, "{beyond} nano-USD more than the budget were recorded or reserved after a commit");
        assert!(most >= site.number(USED).await && most > BUDGET * USD, "{most}: what is used is seen");
        // Each call was looked at when it was reserved and when it was recorded, at the least.
        let calls: usize = runs.iter().map(|run| run.count("model.completed")).sum();
        assert!(commits >= 2 * i64::try_from(calls).unwrap(), "{commits} looks for {calls} calls");
        assert!(cut > 0 && (1..=100).contains(&first), "{cut} {first}");
        // 100 USD pay for a hundred runs, less a tenth for closing turns; a call that waits in vain for what others hold ends its run.
        assert!((50..=100).contains(&last), "{last}");
        assert_eq!(i64::try_from(exhausted).unwrap() + first + last, i64::try_from(runs.len()).unwrap());
        for run in &runs {
            for call in run.data("model.completed") {
                assert!(call["cost_nano"].as_i64() <= run.data("model.requested").iter().map(|asked| asked["reservation"].as_i64()).max().unwrap());
            }
        }
        assert_eq!(site.number(RESERVED).await, 0, "something stays reserved");
        let dropped = "SELECT COUNT(*) FROM dispatch WHERE drop_reason = 'BUDGET_EXHAUSTED'";
        assert_eq!(site.number(dropped).await, i64::try_from(RUNS + LATER - runs.len()).unwrap());

        // Workers that go away in order leave no slice behind; those of the killed run out.
        for one in &mut cluster {
            one.terminate();
            assert!(one.wait().success(), "{}", one.stderr());
        }
        site.server.terminate();
        assert!(site.server.wait().success(), "{}", site.server.stderr());
        let left = site.number("SELECT COUNT(*) FROM budget_slice").await;
        assert!(left <= if clustered { i64::try_from(killed).unwrap() } else { 0 }, "{left} slices are left");
    }
}

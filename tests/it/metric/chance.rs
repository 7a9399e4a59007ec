//! Figures under chance: whatever happens in a workspace, and whenever it is folded, all ways to the same sums agree.

use std::cell::Cell;
use std::time::Duration;

use domain::metric::audit::{audit, mend};
use domain::metric::rollup;
use entity::WorkspaceId;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use tests::{Backend, Client, Coworker, TestApp};

use super::figures::{Happened, Sum, agree, of_runs, truth};
use crate::access::workspace;
use crate::chance::setting;
use crate::look;

/// Zones whose days, weeks and clocks differ in every way.
const ZONES: [&str; 7] = [
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
];

const HOUR: i64 = 3_600_000;

/// One turn: tokens, and what becomes of it.
#[derive(Clone, Debug)]
struct Turn {
    input: u32,
    cache_read: u32,
    output: u32,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// It calls a tool, and the run goes on.
    Looks,
    /// It calls a tool that there is not.
    Errs,
    /// The provider refuses: the run fails.
    Fails,
    /// No answer comes in time: the run fails, and nobody knows what the call used.
    Waits,
}

#[derive(Clone, Debug)]
enum Act {
    /// One of the coworkers gets a request.
    Work(usize),
    /// Time passes, milliseconds.
    Pause(i64),
    /// The price of the model is another from now on; without one for reading from caches some calls are unpriced.
    Price(u32, bool),
    /// What has ended goes into rollups.
    Fold,
    /// Rollups are merged, and days made in the reporting zone.
    Tidy,
    /// The reporting zone is another.
    Zone(&'static str),
}

/// What is asked for in the end: a zone, an interval, and the share of the whole time at which the span begins and ends.
type Question = (&'static str, &'static str, u32, u32);

#[derive(Clone, Debug)]
struct Plan {
    staff: Vec<Vec<Turn>>,
    /// Whether runs have a budget, so that calls have reservations, and every kind of tokens a price.
    budget: bool,
    acts: Vec<Act>,
    questions: Vec<Question>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let what = prop_oneof![6 => Just(What::Looks), 2 => Just(What::Errs), 1 => Just(What::Fails), 1 => Just(What::Waits)];
    let tokens = || prop_oneof![Just(0), 1..3_000_u32];
    let turn =
        (tokens(), tokens(), tokens(), what).prop_map(|(input, cache_read, output, what)| Turn {
            input,
            cache_read,
            output,
            what,
        });
    let pause = prop_oneof![0..2_000_i64, 0..3 * HOUR, 0..40 * HOUR, 0..30 * 24 * HOUR];
    let act = prop_oneof![
        8 => (0..3_usize).prop_map(Act::Work),
        5 => pause.prop_map(Act::Pause),
        1 => (1..5_000_u32, any::<bool>()).prop_map(|(price, cache)| Act::Price(price, cache)),
        2 => Just(Act::Fold),
        1 => Just(Act::Tidy),
        1 => select(&ZONES[..]).prop_map(Act::Zone),
    ];
    let interval = select(&["DAY", "WEEK", "MONTH"][..]);
    let question = (select(&ZONES[..]), interval, 0..=1_000_u32, 0..=1_000_u32);
    (
        vec(vec(turn, 0..4), 3),
        any::<bool>(),
        vec(act, 8..40),
        vec(question, 3),
    )
        .prop_map(|(staff, budget, acts, questions)| Plan {
            staff,
            budget,
            acts,
            questions,
        })
}

/// A playbook of these turns, and a last one that ends the run.
fn playbook(turns: &[Turn]) -> String {
    let mut text = String::from(
        "tools:\n  - { name: desk.look, description: Looks., effect: READ, answers: [{ response: there }] }\nturns:\n",
    );
    for turn in turns {
        let usage = format!(
            "{{ input: {}, cache_read: {}, output: {} }}",
            turn.input, turn.cache_read, turn.output
        );
        let what = match turn.what {
            What::Looks => "calls: [{ tool: desk.look }]",
            What::Errs => "calls: [{ tool: desk.fly }, { tool: desk.look }]",
            What::Fails => "fault: rejected",
            What::Waits => "fault: timed_out",
        };
        text.push_str(&format!("  - {what}\n    usage: {usage}\n"));
    }
    text.push_str(
        "  - calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: No., summary: \"It can't be done.\" } }]\n    \
         usage: { input: 11, cache_read: 5, output: 3 }\n",
    );
    text
}

/// Carries a plan out in a workspace of its own, and compares; gives what happened in it.
async fn carry_out(app: &TestApp, name: &str, plan: &Plan) -> Vec<Happened> {
    let admin = workspace(app, name).await;
    let mut staff = Vec::new();
    for (n, turns) in plan.staff.iter().enumerate() {
        let coworker = Coworker::new(&format!("worker-{n}")).playbook(&playbook(turns));
        staff.push(coworker.publish(&admin).await.id);
    }
    if plan.budget {
        price(app, &admin, 1_000, true).await;
        let input = json!({ "budget": { "monthly": "100000" } });
        admin.mutate("workspaceUpdate", input, "").await;
    }
    let begin = app.clock().now().0;
    for act in &plan.acts {
        perform(app, &admin, plan, &staff, act).await;
    }
    app.advance(Duration::from_secs(1)).await;
    let (truth, end) = (truth(&admin).await, app.clock().now().0);
    // As it is, folded, and with everything made anew.
    compare(&admin, plan, &truth, (begin, end)).await;
    fold(app).await;
    compare(&admin, plan, &truth, (begin, end)).await;
    tidy(app).await;
    compare(&admin, plan, &truth, (begin, end)).await;
    let (store, workspace) = (app.store().await, id_of(&admin).await);
    let audit = async || audit(&store, workspace, 3, |_| ()).await.expect("compared");
    assert_eq!(audit().await.named, Vec::<String>::new());
    let own = format!("SELECT id FROM workspace WHERE name = '{name}'");
    let forget = format!("DELETE FROM usage_rollup WHERE workspace_id = ({own})");
    look::tamper(app, &forget).await;
    let mended = mend(&store, workspace, 0, |_| ()).await.expect("made anew");
    assert_eq!(mended.different, mended.rows);
    assert_eq!(mended.rows > 0, !truth.is_empty());
    compare(&admin, plan, &truth, (begin, end)).await;
    assert_eq!(audit().await.named, Vec::<String>::new());
    truth
}

async fn id_of(admin: &Client) -> WorkspaceId {
    let found = admin
        .gql("{ viewer { workspace { id } } }", json!({}))
        .await;
    let id = found["viewer"]["workspace"]["id"].as_str();
    let (_, digits) = id.and_then(|id| id.split_once('_')).expect("an id");
    WorkspaceId(digits.parse().expect("digits"))
}

async fn fold(app: &TestApp) {
    rollup::fold_all(&app.store().await, || true)
        .await
        .expect("folded");
}

async fn tidy(app: &TestApp) {
    rollup::tidy(&app.store().await, || true)
        .await
        .expect("tidied");
}

/// Sets what a million input tokens cost, in thousandths of a dollar; the next price may begin at the next moment.
async fn price(app: &TestApp, admin: &Client, input: u32, cache: bool) {
    let price = format!("{}.{:03}", input / 1_000, input % 1_000);
    let cache: Value = if cache { json!("0.001") } else { Value::Null };
    let card = json!({ "model": "scripted", "input": price, "cacheRead": cache, "output": "7.5" });
    admin.mutate("modelPriceSet", card, "").await;
    app.advance(Duration::from_millis(1)).await;
}

async fn perform(app: &TestApp, admin: &Client, plan: &Plan, staff: &[String], act: &Act) {
    match act {
        Act::Work(who) => {
            let input = json!({ "title": "Do it", "assigneeId": staff[*who] });
            admin.mutate("requestCreate", input, "").await;
            app.drain().await;
        }
        Act::Pause(ms) => {
            let ms = u64::try_from(*ms).expect("forward");
            app.advance(Duration::from_millis(ms)).await;
        }
        Act::Price(input, cache) => price(app, admin, *input, *cache || plan.budget).await,
        Act::Fold => fold(app).await,
        Act::Tidy => tidy(app).await,
        Act::Zone(zone) => {
            let input = json!({ "timeZone": zone });
            admin.mutate("workspaceUpdate", input, "").await;
        }
    }
}

/// Totals = the sum of a series = the sum over run rows = the sum over raw events.
async fn compare(admin: &Client, plan: &Plan, truth: &[Happened], (begin, end): (i64, i64)) {
    let mut rows = of_runs(admin).await;
    let whole = Sum::of(truth);
    rows.0[4] = whole.0[4];
    assert_eq!(rows, whole, "the run rows");
    agree(admin, truth, "UTC", "WEEK", (begin, end)).await;
    for (zone, interval, from, to) in &plan.questions {
        let at = |share: &u32| begin + (end - begin) * i64::from(*share) / 1_000;
        let (from, to) = (at(from.min(to)), at(from.max(to)));
        if from < to {
            agree(admin, truth, zone, interval, (from, to)).await;
        }
    }
}

fn all_ways_agree(backend: Backend) {
    let seed = setting("STINT_TEST_SEED", 20_260_521);
    let config = Config {
        cases: u32::try_from(setting("STINT_TEST_CASES", 16)).expect("fewer"),
        max_shrink_time: 60_000,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let app = runtime.block_on(async { TestApp::start(backend).await });
    let (case, all) = (Cell::new(0), Cell::new(Sum::default()));
    let tried = TestRunner::new_with_rng(config, rng).run(&plan(), |plan| {
        case.set(case.get() + 1);
        let name = format!("Case {}", case.get());
        let truth = runtime.block_on(carry_out(&app, &name, &plan));
        let mut sum = all.get();
        sum.add(Sum::of(&truth).0);
        all.set(sum);
        Ok(())
    });
    runtime.block_on(app.stop());
    tried.unwrap_or_else(|failed| panic!("STINT_TEST_SEED={seed}: {failed}"));
    for (place, sum) in all.get().0.iter().enumerate() {
        assert!(*sum > 5, "{sum} of figure {place} in all cases show little");
    }
}

mod all_ways_to_the_same_sums_agree {
    use super::*;

    #[test]
    fn sqlite() {
        all_ways_agree(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        all_ways_agree(Backend::Postgres);
    }
}

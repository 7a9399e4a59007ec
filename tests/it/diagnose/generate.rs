//! A made-up desk at work for six weeks, with faults whose names are known: what the diagnoses are judged by.
//!
//! Every coworker plays the same playbook, in which a code word of a request's title chooses what it does. So the fault is in
//! what happens, not in what a detector could look up: the words of the requests, the calls and what people do afterwards.
//!
//! Sound coworkers are no saints. Each of them has, as often as a sick one has its fault, what looks like some of the faults
//! and is none; and each fault befalls everybody now and then, by chance, about once in six weeks. What tells the sick is
//! that theirs comes again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Coworker, TestApp};

mod job;

pub use job::faulty;
use job::{Act, Job, PLAYBOOK, SOUND, alike};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// The faults that show in single runs.
const FAULTS: [&str; 7] = [
    "OUTSIDE_GOAL",
    "STOPS_MIDWAY",
    "WRONG_ACTION",
    "MISSING_DATA",
    "UNKNOWN_TOOL",
    "REASSIGNS_WRONGLY",
    "FAILS_TO_REASSIGN",
];

/// How a desk is made.
pub struct Desk {
    /// The same seed makes the same desk.
    pub seed: u64,
    /// Sound requests of each coworker in a week.
    pub sound: usize,
    /// How often a fault shows in the six weeks.
    pub faults: Range<usize>,
    /// Whether there is what looks like a fault, and faults that befall everybody.
    pub noise: bool,
}

/// Jobs by when they come, in seconds, and their place; each with the coworker's place.
type Plan = BTreeMap<(u64, usize), (usize, &'static str, Option<(u64, Act)>)>;

/// A sequence that looks like chance, the same for the same seed.
pub struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(end).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// A coworker, and the faults that it was given.
pub struct Subject {
    pub id: String,
    pub handle: String,
    pub faults: BTreeSet<&'static str>,
}

/// Makes coworkers with these faults each, and lets them work for six weeks.
pub async fn desk(app: &TestApp, desk: &Desk, cast: &[&[&'static str]]) -> Vec<Subject> {
    let price = json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" });
    app.mutate("modelPriceSet", price, "modelPrice { id }")
        .await;
    let mut dice = Dice(desk.seed);
    let hardware = hardware(cast.len()).publish(app).await.id;
    let mut subjects = Vec::new();
    let mut plan = Plan::new();
    for (nth, faults) in cast.iter().enumerate() {
        let climbs = faults.contains(&"COSTS_CLIMB");
        let handle = format!("network-{nth}");
        let made = coworker(&handle, &mut dice, climbs).create(app).await;
        // Their scopes are the same: nobody routes here.
        let publish = json!({ "id": made.id, "force": true, "reason": "A generated desk." });
        app.mutate("coworkerPublish", publish, "coworker { id }")
            .await;
        for (day, (title, act)) in days(desk, &mut dice, faults) {
            // Four times a day, so that the clock has few steps.
            let at = day * DAY + u64::try_from(dice.below(4)).unwrap() * 6 * HOUR;
            let place = plan.len();
            plan.insert((at, place), (nth, title, act));
        }
        subjects.push(Subject {
            id: made.id,
            handle,
            faults: faults.iter().copied().collect(),
        });
    }
    play(app, &subjects, &hardware, plan).await;
    subjects
}

/// What a coworker gets in six weeks, five of which are whole weeks of the calendar; each with its day.
fn days(desk: &Desk, dice: &mut Dice, faults: &[&'static str]) -> Vec<(u64, Job)> {
    let mut days = Vec::new();
    for week in 0..6 {
        for n in 0..desk.sound {
            let job = SOUND[(n + dice.below(2)) % SOUND.len()];
            days.push((week * 7 + u64::try_from(dice.below(7)).unwrap(), job));
        }
    }
    let mut often = |dice: &mut Dice, jobs: &[Job], times: usize| {
        for _ in 0..times {
            let job = dice.pick(jobs);
            days.push((u64::try_from(dice.below(40)).unwrap(), job));
        }
    };
    for fault in faults.iter().filter(|fault| FAULTS.contains(fault)) {
        let times = desk.faults.start + dice.below(desk.faults.len());
        often(dice, faulty(fault), times);
    }
    if desk.noise {
        // A sick coworker's own fault has nothing beside it that looks like it: nobody could say what a find is worth.
        let others: Vec<_> = FAULTS
            .into_iter()
            .filter(|fault| !faults.contains(fault))
            .collect();
        for fault in &others {
            let times = (0..12).filter(|_| dice.below(12) == 0).count();
            often(dice, faulty(fault), times);
        }
        for _ in 0..3 {
            let times = desk.faults.start + dice.below(desk.faults.len());
            let fault = dice.pick(&others);
            often(dice, alike(fault), times);
        }
    }
    days
}

/// Whoever gets what is handed off: it refuses some, and hands some back when it has done its part.
fn hardware(cast: usize) -> Coworker {
    let mut playbook = String::from(
        "turns:\n  - when: { title_contains: \"{refuse}\" }\n    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Not hardware., summary: Declined. } }]\n",
    );
    for nth in 0..cast {
        playbook += &format!(
            "  - when: {{ title_contains: \"{{back {nth}}}\" }}\n    calls: [{{ tool: reassign, arguments: {{ to: network-{nth}, reason: The keyboard works. }} }}]\n  \
             - when: {{ title_contains: \"{{back {nth}}}\" }}\n    calls: [{{ tool: finish, arguments: {{ outcome: HANDED_OFF, reason: The keyboard works., summary: Handed back. }} }}]\n"
        );
    }
    playbook += "  - calls: [{ tool: set_status, arguments: { status: RESOLVED } }]\n  - calls: [{ tool: finish, arguments: { outcome: RESOLVED, reason: Done., summary: Done. } }]\n";
    let identity =
        json!({ "role": "Hardware specialist", "scope": "Broken laptops, screens, keyboards" });
    Coworker::new("hardware")
        .with("identity", identity)
        .playbook(&playbook)
}

/// What a model call of a coworker uses, week by week: more and more, or in one of the ways that are no rise.
fn tokens(dice: &mut Dice, climbs: bool) -> [usize; 7] {
    let base = 4_000 + dice.below(4_000);
    let way = dice.below(4);
    let mut grown = base;
    let mut weeks = [0; 7];
    for (week, tokens) in weeks.iter_mut().enumerate() {
        let level = match way {
            _ if climbs => grown,
            // About the same; one dear week; dearer once and for all; up, and down again.
            0 => base,
            1 if week == 4 => 3 * base,
            2 if week >= 3 => base * 3 / 2,
            3 if (2..4).contains(&week) => base * 2,
            _ => base,
        };
        *tokens = level + dice.below(base / 8);
        grown += grown * (20 + dice.below(20)) / 100;
    }
    weeks
}

/// A network engineer.
fn coworker(handle: &str, dice: &mut Dice, climbs: bool) -> Coworker {
    let mut costs = String::new();
    for (week, tokens) in tokens(dice, climbs).into_iter().enumerate() {
        costs += &format!(
            "  - when: {{ title_contains: \"(week {week})\" }}\n    calls: [{{ tool: finish, arguments: {{ outcome: RESOLVED, rule: The fault is repaired., reason: Repaired., summary: Repaired. }} }}]\n    usage: {{ input: {tokens}, output: 200 }}\n"
        );
    }
    Coworker::new(handle)
        .with("identity", json!({
            "role": "Network engineer", "scope": "Wi-Fi, routers, switches, slow networks and connections",
            "outOfScope": "Payroll and expenses",
        }))
        .with("goal", json!({
            "purpose": "Make the network work again.",
            "nonGoals": ["Never reset passwords."],
            "outOfScope": [{ "when": "Broken laptops, new screens and keyboards", "routeTo": "hardware" }],
            "endOfRun": [
                { "when": "The fault is repaired.", "setStatus": "RESOLVED" },
                { "when": "The requester must answer.", "setStatus": "PENDING" },
                { "when": "Something is away.", "setStatus": "IN_PROGRESS" },
            ],
        }))
        .with("tools", json!([{ "server": "device", "actions": [{ "name": "logs", "enabled": false }] }]))
        .limits(json!({ "maxToolCalls": 8 }))
        .playbook(&PLAYBOOK.replace("COSTS\n", &costs).replace("HARDWARE", "hardware"))
}

/// Makes the requests and lets people act, in the order of time.
async fn play(app: &TestApp, subjects: &[Subject], hardware: &str, plan: Plan) {
    let mut acts: BTreeMap<(u64, usize), (Value, usize, Act)> = BTreeMap::new();
    let mut now = 0;
    let mut due = plan.into_iter().peekable();
    loop {
        let next = due
            .peek()
            .map(|(at, _)| at.0)
            .into_iter()
            .chain(acts.keys().next().map(|at| at.0))
            .min();
        let Some(next) = next else { break };
        app.advance(Duration::from_secs(next - now)).await;
        now = next;
        while let Some(((_, place), (nth, title, act))) = due.next_if(|(at, _)| at.0 == now) {
            let subject = &subjects[nth];
            let title = title.replace("{back}", &format!("{{back {nth}}}"));
            let title = format!("{title} (week {})", now / (7 * DAY));
            let input = json!({ "title": title, "assigneeId": subject.id });
            let request =
                app.mutate("requestCreate", input, "request { id }").await["request"]["id"].take();
            if let Some((hours, act)) = act {
                acts.insert((now + hours * HOUR, place), (request, nth, act));
            }
        }
        app.drain().await;
        while let Some(first) = acts.first_entry().filter(|first| first.key().0 == now) {
            let (request, nth, act) = first.remove();
            let subject = &subjects[nth];
            let status = match act {
                Act::Reopen | Act::ToHardware | Act::Back => Some("IN_PROGRESS"),
                Act::Close => Some("CLOSED"),
                Act::Mention => None,
            };
            if let Some(status) = status {
                let change = json!({ "id": request, "status": status });
                app.mutate("requestUpdate", change, "request { id }").await;
            }
            match act {
                Act::Reopen | Act::Close => {}
                Act::ToHardware => {
                    app.mutate(
                        "requestAssign",
                        json!({ "id": request, "assigneeId": hardware }),
                        "request { id }",
                    )
                    .await;
                }
                Act::Back => {
                    app.mutate(
                        "requestAssign",
                        json!({ "id": request, "assigneeId": subject.id }),
                        "request { id }",
                    )
                    .await;
                }
                Act::Mention => {
                    let body = format!("@{} and now?", subject.handle);
                    app.mutate(
                        "noteCreate",
                        json!({ "requestId": request, "body": body, "visibility": "PRIVATE" }),
                        "note { id }",
                    )
                    .await;
                }
            }
        }
        app.drain().await;
    }
}

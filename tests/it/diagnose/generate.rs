//! A made-up year at a service desk, with faults whose names are known: what the diagnoses are judged by.
//!
//! Every coworker plays the same playbook, in which a code word of a request's title chooses what it does. So the fault is in
//! what happens, not in what a detector could look up: the words of the requests, the calls and what people do afterwards.
//! Every coworker, sound or not, has requests of each sound kind, and mishaps that look like a fault and are none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Coworker, TestApp};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// What each code word lets the model do.
const PLAYBOOK: &str = r#"
tools:
  - name: device.telemetry
    description: Reads the telemetry of a device.
    effect: READ
    parameters: { type: object, properties: { device: { type: string } }, required: [device] }
    answers:
      - when: { arguments_contain: EMPTY }
        response: { items: [], total: 0 }
      - when: { arguments_contain: NONE }
        response: "No results for this device."
      - when: { arguments_contain: AWAY }
        fault: offline
      - response: { latency_ms: 9 }
  - name: device.logs
    description: Reads the logs of a device.
    effect: READ
    answers: [{ response: { lines: [ok] } }]
  - name: directory.reset_password
    description: Sets a new password.
    effect: EFFECT
    answers: [{ response: done }]
turns:
  - when: { title_contains: "[ask]" }
    calls: [{ tool: ask_requester, arguments: { question: Since when? } }]
  - when: { title_contains: "[ask]" }
    calls: [{ tool: finish, arguments: { outcome: AWAITING_REPLY, rule: The requester must answer., reason: Not clear., summary: Asked. } }]
  - when: { title_contains: "[hand]" }
    calls: [{ tool: reassign, arguments: { to: HARDWARE, reason: A laptop. } }]
  - when: { title_contains: "[hand]" }
    calls: [{ tool: finish, arguments: { outcome: HANDED_OFF, reason: A laptop., summary: Handed off. } }]
  - when: { title_contains: "[decline]" }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Not for me., summary: Declined. } }]
  - when: { title_contains: "[empty1]" }
    calls: [{ tool: device.telemetry, arguments: { device: EMPTY } }]
  - when: { title_contains: "[empty2]" }
    calls: [{ tool: device.telemetry, arguments: { device: EMPTY } }]
  - when: { title_contains: "[empty2]" }
    calls: [{ tool: device.telemetry, arguments: { device: NONE } }]
  - when: { title_contains: "[away]" }
    calls: [{ tool: device.telemetry, arguments: { device: AWAY } }]
  - when: { title_contains: "[logs]" }
    calls: [{ tool: device.logs, arguments: {} }]
  - when: { title_contains: "[bad1]" }
    calls: [{ tool: device.telemetry, arguments: { name: LT } }]
  - when: { title_contains: "[bad2]" }
    calls: [{ tool: device.telemetry, arguments: { name: LT } }]
  - when: { title_contains: "[bad2]" }
    calls: [{ tool: device.telemetry, arguments: { name: LT } }]
  - when: { title_contains: "[ghost]" }
    calls: [{ tool: router.repair_all, arguments: {} }]
  - when: { title_contains: "[password]" }
    calls: [{ tool: directory.reset_password, arguments: { user: kim } }]
  - when: { title_contains: "[loop]", closing: false }
    repeat: true
    calls: [{ tool: device.telemetry, arguments: { device: LT } }]
  - when: { title_contains: "[middle]" }
    calls: [{ tool: post_note, arguments: { body: I look into it. } }]
  - when: { title_contains: "[middle]" }
    calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Looked., summary: Looked into it. } }]
COSTS
  - calls: [{ tool: finish, arguments: { outcome: RESOLVED, rule: The fault is repaired., reason: Repaired., summary: Repaired. } }]
    usage: { input: 4000, output: 200 }
"#;

/// What a person does about a request, so many hours after it was made.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Opens it again.
    Reopen,
    /// Gives it to the hardware coworker.
    ToHardware,
    /// Gives it back to the coworker.
    Back,
    /// Mentions the coworker in a note.
    Mention,
}

/// A request: its title, and what a person does about it later.
type Job = (&'static str, Option<(u64, Act)>);

/// Jobs by when they come, in seconds, and their place; each with the coworker's place.
type Plan = BTreeMap<(u64, usize), (usize, &'static str, Option<(u64, Act)>)>;

/// What every coworker gets.
const SOUND: [Job; 8] = [
    ("The Wi-Fi in room 4 is slow", None),
    ("Switch port 12 is down", None),
    ("The router drops connections", None),
    ("[ask] Something with the network", None),
    ("[hand] My laptop has a broken screen", None),
    ("[decline] Please translate this letter", None),
    ("[empty1] No connection at desk 9", None),
    ("[bad1] Slow network on the second floor", None),
];

/// What happens now and then, and is no fault: once per coworker at the most.
const MISHAPS: [Job; 8] = [
    (
        "Slow Wi-Fi, opened again much later",
        Some((42, Act::Reopen)),
    ),
    (
        "A router that was moved to the other team days later",
        Some((60, Act::ToHardware)),
    ),
    ("[loop] A connection that comes and goes", None),
    ("[logs] What does the router log say?", None),
    ("[away] The switch in the cellar", None),
    ("[ghost] Routers of the whole house", None),
    ("[middle] Where is the Wi-Fi key kept?", None),
    (
        "A connection that was not repaired after all",
        Some((12, Act::Reopen)),
    ),
];

/// What each fault looks like.
fn faulty(fault: &str) -> &'static [Job] {
    match fault {
        "OUTSIDE_GOAL" => &[
            ("The keyboard of my laptop is broken", None),
            ("New screen for a broken laptop", None),
            ("Payroll and expenses of May", None),
            ("[password] Slow login on the network", None),
        ],
        "STOPS_MIDWAY" => &[
            ("[loop] The network is slow again", None),
            ("[middle] The connection drops every hour", None),
            (
                "[middle] Wi-Fi is slow in the hall",
                Some((6, Act::Mention)),
            ),
        ],
        "WRONG_ACTION" => &[
            ("Switch 3 is still down", Some((6, Act::Reopen))),
            ("No Wi-Fi in the attic", Some((18, Act::Reopen))),
            ("[bad2] Router 7 answers slowly", None),
        ],
        "MISSING_DATA" => &[
            ("[logs] What did router 2 do at night?", None),
            ("[empty2] Slow connection of a device without a name", None),
            ("[away] Switch 8 is slow", None),
        ],
        "UNKNOWN_TOOL" => &[
            ("[ghost] Router 5 is down", None),
            ("[ghost] All switches of the hall are down", None),
        ],
        "REASSIGNS_WRONGLY" => &[
            ("[hand] The Wi-Fi drops", Some((6, Act::Back))),
            ("[hand] {refuse} Router 1 is slow", None),
            ("[hand] Slow network at the gate", Some((24, Act::Back))),
        ],
        "FAILS_TO_REASSIGN" => &[
            ("[ask] The dock makes noises", Some((6, Act::ToHardware))),
            ("[decline] Broken laptop and a new keyboard", None),
            ("[decline] The printer smells", Some((18, Act::ToHardware))),
        ],
        other => panic!("no such fault: {other}"),
    }
}

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
pub async fn desk(app: &TestApp, seed: u64, cast: &[&[&'static str]]) -> Vec<Subject> {
    let price = json!({ "model": "scripted", "input": "3", "cacheRead": "0.3", "output": "15" });
    app.mutate("modelPriceSet", price, "modelPrice { id }")
        .await;
    let mut dice = Dice(seed);
    let hardware = Coworker::new("hardware")
        .with("identity", json!({ "role": "Hardware specialist", "scope": "Broken laptops, screens, keyboards" }))
        .playbook("turns:\n  - when: { title_contains: \"{refuse}\" }\n    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Not hardware., summary: Declined. } }]\n  - calls: [{ tool: set_status, arguments: { status: RESOLVED } }]\n  - calls: [{ tool: finish, arguments: { outcome: RESOLVED, reason: Done., summary: Done. } }]\n")
        .publish(app)
        .await
        .id;
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
        let mut put = |dice: &mut Dice, day: u64, (title, act): Job| {
            // Four times a day, so that the clock has few steps.
            let at = day * DAY + u64::try_from(dice.below(4)).unwrap() * 6 * HOUR;
            let place = plan.len();
            plan.insert((at, place), (nth, title, act));
        };
        // Six weeks: five of them are whole weeks of the calendar.
        for week in 0..6 {
            for n in 0..9 {
                let job = SOUND[(n + dice.below(2)) % SOUND.len()];
                let day = week * 7 + u64::try_from(dice.below(7)).unwrap();
                put(&mut dice, day, job);
            }
        }
        for mishap in MISHAPS {
            if dice.below(4) == 0 {
                let day = u64::try_from(dice.below(40)).unwrap();
                put(&mut dice, day, mishap);
            }
        }
        for fault in faults.iter().filter(|fault| **fault != "COSTS_CLIMB") {
            for _ in 0..4 + dice.below(6) {
                let job = dice.pick(faulty(fault));
                let day = u64::try_from(dice.below(40)).unwrap();
                put(&mut dice, day, job);
            }
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

/// A network engineer whose runs cost about the same week by week, or more and more.
fn coworker(handle: &str, dice: &mut Dice, climbs: bool) -> Coworker {
    let mut costs = String::new();
    let mut tokens = 4_000 + dice.below(4_000);
    for week in 0..7 {
        let usage = tokens + dice.below(tokens / 8);
        costs += &format!(
            "  - when: {{ title_contains: \"(week {week})\" }}\n    calls: [{{ tool: finish, arguments: {{ outcome: RESOLVED, rule: The fault is repaired., reason: Repaired., summary: Repaired. }} }}]\n    usage: {{ input: {usage}, output: 200 }}\n"
        );
        if climbs {
            tokens += tokens * (20 + dice.below(20)) / 100;
        }
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
            if !matches!(act, Act::Mention) {
                app.mutate(
                    "requestUpdate",
                    json!({ "id": request, "status": "IN_PROGRESS" }),
                    "request { id }",
                )
                .await;
            }
            match act {
                Act::Reopen => {}
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

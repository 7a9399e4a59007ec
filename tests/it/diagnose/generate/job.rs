//! What happens at the made-up desk: what is asked, what the model does about it, and what people do afterwards.

/// What each code word lets the model do.
pub const PLAYBOOK: &str = r#"
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
      - when: { arguments_contain: ZERO }
        response: { load: 0 }
      - when: { arguments_contain: FAILED }
        fault: failed
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
  - when: { title_contains: "[hand]", first_run: true }
    calls: [{ tool: reassign, arguments: { to: HARDWARE, reason: A laptop. } }]
  - when: { title_contains: "[hand]", first_run: true }
    calls: [{ tool: finish, arguments: { outcome: HANDED_OFF, reason: A laptop., summary: Handed off. } }]
  - when: { title_contains: "[decline]" }
    calls: [{ tool: finish, arguments: { outcome: DECLINED, reason: Not for me., summary: Declined. } }]
  - when: { title_contains: "[empty1]" }
    calls: [{ tool: device.telemetry, arguments: { device: EMPTY } }]
  - when: { title_contains: "[empty2]" }
    calls: [{ tool: device.telemetry, arguments: { device: EMPTY } }]
  - when: { title_contains: "[empty2]" }
    calls: [{ tool: device.telemetry, arguments: { device: NONE } }]
  - when: { title_contains: "[zero]" }
    calls: [{ tool: device.telemetry, arguments: { device: ZERO } }]
  - when: { title_contains: "[zero]" }
    calls: [{ tool: device.telemetry, arguments: { device: ZERO } }]
  - when: { title_contains: "[failed]" }
    calls: [{ tool: device.telemetry, arguments: { device: FAILED } }]
  - when: { title_contains: "[away]" }
    calls: [{ tool: device.telemetry, arguments: { device: AWAY } }]
  - when: { title_contains: "[away]" }
    calls:
      - { tool: post_note, arguments: { visibility: PUBLIC, body: It does not answer. Someone has to look. } }
      - { tool: finish, arguments: { outcome: BLOCKED, rule: Something is away., reason: It is away., summary: I could not reach it. } }
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
  - when: { title_contains: "[talk]" }
    calls: [{ tool: post_note, arguments: { body: I have no router.repair_all. } }]
  - when: { title_contains: "[password]" }
    calls: [{ tool: directory.reset_password, arguments: { user: kim } }]
  - when: { title_contains: "[loop]", closing: false }
    repeat: true
    calls: [{ tool: device.telemetry, arguments: { device: LT } }]
  - when: { title_contains: "[middle]" }
    calls: [{ tool: post_note, arguments: { body: I look into it. } }]
  - when: { title_contains: "[middle]" }
    calls: [{ tool: finish, arguments: { outcome: REPLIED, reason: Looked., summary: Looked into it. } }]
  - when: { title_contains: "[parts]" }
    calls: [{ tool: finish, arguments: { outcome: REPLIED, rule: Something is away., reason: Ordered., summary: Parts are ordered. } }]
COSTS
  - calls: [{ tool: finish, arguments: { outcome: RESOLVED, rule: The fault is repaired., reason: Repaired., summary: Repaired. } }]
    usage: { input: 4000, output: 200 }
"#;

/// What a person does about a request, so many hours after it was made.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Opens it again.
    Reopen,
    /// Closes it.
    Close,
    /// Gives it to the hardware coworker.
    ToHardware,
    /// Gives it back to the coworker.
    Back,
    /// Mentions the coworker in a note.
    Mention,
}

/// A request: its title, and what a person does about it later. The hardware coworker refuses `{refuse}`, and repairs
/// `{back}` and hands it back.
pub type Job = (&'static str, Option<(u64, Act)>);

/// What every coworker gets.
pub const SOUND: [Job; 6] = [
    ("The Wi-Fi in room 4 is slow", None),
    ("Switch port 12 is down", None),
    ("The router drops connections", None),
    ("[ask] Something with the network", None),
    ("[hand] My laptop has a broken screen", None),
    ("[decline] Please translate this letter", None),
];

/// What each fault looks like.
pub fn faulty(fault: &str) -> &'static [Job] {
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

/// What looks like each fault and is none, however often it happens.
pub fn alike(fault: &str) -> &'static [Job] {
    match fault {
        "OUTSIDE_GOAL" => &[
            ("My new laptop has a slow connection", None),
            ("The keyboard of the router's console is slow", None),
            ("How do I set a password on the router?", None),
            ("The expenses page is slow", None),
        ],
        "STOPS_MIDWAY" => &[
            ("[parts] The switch in the yard is dead", None),
            ("[ask] The line is slow at times", Some((6, Act::Mention))),
            ("The Wi-Fi of the lobby is slow", Some((6, Act::Mention))),
        ],
        "WRONG_ACTION" => &[
            (
                "Slow Wi-Fi, opened again much later",
                Some((42, Act::Reopen)),
            ),
            ("[bad1] Slow network on the second floor", None),
            ("[ask] Slow since when?", Some((6, Act::Reopen))),
            ("The switch of the lobby is slow", Some((6, Act::Close))),
        ],
        "MISSING_DATA" => &[
            ("[empty1] No connection at desk 9", None),
            ("[zero] How much load has router 3?", None),
            ("[failed] Router 4 says nothing", None),
        ],
        "UNKNOWN_TOOL" => &[
            ("[talk] Can you repair all routers at once?", None),
            ("[bad1] Slow network at the gate", None),
        ],
        "REASSIGNS_WRONGLY" => &[
            ("[hand] {back} The broken keyboard of a router", None),
            ("[hand] New keyboard, please", Some((30, Act::Back))),
            ("[hand] The screen of my laptop is dark", None),
        ],
        "FAILS_TO_REASSIGN" => &[
            (
                "A router that was moved to the other team days later",
                Some((60, Act::ToHardware)),
            ),
            ("[decline] Water my plants, please", None),
            (
                "[hand] Broken laptop of a guest",
                Some((6, Act::ToHardware)),
            ),
        ],
        other => panic!("no such fault: {other}"),
    }
}

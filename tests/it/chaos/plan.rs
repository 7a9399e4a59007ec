//! Cases, at random: who works in a workspace, what their models say, and what people do meanwhile.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::act::{Act, act};

/// Those that do the work, besides Triage.
pub const STAFF: [&str; 4] = ["zero", "one", "two", "three"];

/// What a model may ask for, sensible or not.
const CALLS: [&str; 27] = [
    "{ tool: finish, arguments: { outcome: RESOLVED, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: DECLINED, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: HANDED_OFF, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: AWAITING_REPLY, reason: Done., summary: Done. } }",
    "{ tool: finish, arguments: { outcome: SUPERSEDED, reason: Done., summary: Done. } }",
    "{ tool: finish }",
    "{ tool: reassign, arguments: { to: zero, reason: Theirs. } }",
    "{ tool: reassign, arguments: { to: one, reason: Theirs. } }",
    "{ tool: reassign, arguments: { to: two, reason: Theirs. } }",
    "{ tool: reassign, arguments: { to: three, reason: Theirs. } }",
    "{ tool: reassign, arguments: { to: null, reason: Nobody's. } }",
    "{ tool: ask_requester, arguments: { question: Which one? } }",
    "{ tool: ask_requester, arguments: { question: Which colour? } }",
    "{ tool: ask_requester, arguments: { question: Since when? } }",
    "{ tool: ask_requester, arguments: { question: Where? } }",
    "{ tool: post_note, arguments: { visibility: PUBLIC, body: Hello. } }",
    "{ tool: post_note, arguments: { visibility: PRIVATE, body: \"@zero @one, look.\" } }",
    "{ tool: post_note, arguments: { visibility: PRIVATE } }",
    "{ tool: set_status, arguments: { status: RESOLVED } }",
    "{ tool: set_status, arguments: { status: OPEN } }",
    "{ tool: set_status, arguments: { status: GONE } }",
    "{ tool: desk.look }",
    "{ tool: desk.look, arguments: \"}{\" }",
    "{ tool: desk.break }",
    "{ tool: desk.reset }",
    "{ tool: \"a\\0b\" }",
    "{ tool: http.get, arguments: { url: \"http://169.254.169.254/\" } }",
];

/// What happens instead of an answer now and then.
const FAULTS: [&str; 4] = [
    "{ class: overloaded, times: 1 }",
    "rejected",
    "{ class: unreachable, times: 1, message: \"a\\0b\" }",
    "abort",
];

/// A playbook of one to four turns.
fn playbook() -> impl Strategy<Value = String> {
    let fault = prop_oneof![9 => Just(None), 1 => select(&FAULTS[..]).prop_map(Some)];
    let turn = (vec(select(&CALLS[..]), 1..=4), 0..30_u32, fault, 0..6_u32);
    vec(turn, 1..=4).prop_map(|turns| {
        let mut text = String::from(
            "tools:
  - { name: desk.look, description: Looks., effect: READ, answers: [{ response: { empty: true } }] }
  - { name: desk.break, description: Breaks., effect: EFFECT, answers: [{ fault: offline }] }
  - { name: desk.reset, description: Resets it. A person must say yes., effect: EFFECT, answers: [{ response: done }] }
turns:
",
        );
        for (calls, delay, fault, repeat) in turns {
            let calls = calls.join(", ");
            text.push_str(&format!(
                "  - {{ text: Hm., calls: [{calls}], delay: {delay}ms"
            ));
            if let Some(fault) = fault {
                text.push_str(&format!(", fault: {fault}"));
            }
            if repeat == 5 {
                text.push_str(", repeat: true");
            }
            text.push_str(" }\n");
        }
        text
    })
}

/// One case.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What each of [`STAFF`] plays.
    pub staff: Vec<String>,
    /// What Triage plays, if there is one.
    pub triage: Option<String>,
    /// Who of [`STAFF`] has hardly any money, if anybody.
    pub poor: Option<usize>,
    /// How many runs a request may have without a person.
    pub hops: i32,
    /// Who gets the requests that are there from the start; a coworker that does not exist is nobody.
    pub requests: Vec<usize>,
    /// What each person does, one after the other; people do it at the same time.
    pub people: Vec<Vec<Act>>,
}

/// Any case.
pub fn plan() -> impl Strategy<Value = Plan> {
    let parts = (
        vec(playbook(), STAFF.len()),
        proptest::option::weighted(0.7, playbook()),
        proptest::option::weighted(0.5, 0..STAFF.len()),
        1..5_i32,
        vec(0..=STAFF.len(), 1..=4),
        vec(vec(act(), 0..=10), 1..=4),
    );
    parts.prop_map(|(staff, triage, poor, hops, requests, people)| Plan {
        staff,
        triage,
        poor,
        hops,
        requests,
        people,
    })
}

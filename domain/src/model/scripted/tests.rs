use std::time::Duration;

use entity::{ActorKind, Millis, NoteVisibility, Outcome, RequestStatus, Trigger};
use futures_util::FutureExt;

use super::*;
use crate::model::{
    Brief, Deltas, FinishReason, NoteBrief, OutcomeBrief, Part, PartKind, ToolCall, Usage,
};
use crate::tool::{Effect, Invocation, ToolError, ToolErrorClass};

/// A run: the playbook, the request, and what happened so far.
struct Play {
    scripted: Scripted,
    config: ModelConfig,
    prompt: Prompt,
    attempt: i32,
    room: i64,
}

impl Play {
    fn new(playbook: &str) -> Self {
        Self {
            scripted: Scripted::default(),
            config: ModelConfig {
                playbook: Some(playbook.into()),
                ..ModelConfig::new(PROVIDER.into(), None)
            },
            prompt: Prompt::default(),
            attempt: 1,
            room: 4_000,
        }
    }

    fn about(playbook: &str, brief: Brief) -> Self {
        let mut play = Self::new(playbook);
        play.prompt.brief = brief;
        play
    }

    async fn try_next(&self) -> Result<ModelReply, ModelError> {
        self.scripted
            .complete(ModelCall {
                config: &self.config,
                prompt: &self.prompt,
                tools: &[],
                max_output_tokens: self.room,
                attempt: self.attempt,
                deltas: Deltas::nobody(),
            })
            .await
    }

    /// The next answer, which must come at once; it becomes part of the prompt.
    fn next(&mut self) -> ModelReply {
        let reply = self
            .try_next()
            .now_or_never()
            .expect("at once")
            .expect("an answer");
        self.prompt.messages.push(Message::Assistant {
            text: reply.text.clone(),
            thinking: reply.thinking.clone(),
            calls: reply.calls.clone(),
            verbatim: None,
        });
        reply
    }

    fn result(&mut self, tool: &str, content: &str, failed: bool) {
        self.prompt.messages.push(Message::Tool {
            call_id: "c".into(),
            tool: tool.into(),
            content: content.into(),
            failed,
        });
    }

    fn closing(&mut self) {
        self.prompt
            .messages
            .push(Message::Closing("No turn is left.".into()));
    }

    async fn call(&self, nth: usize, arguments: &str) -> Result<String, ToolError> {
        let tools = self.scripted.tools(&self.config).expect("a playbook");
        let brief = &self.prompt.brief;
        tools[0]
            .call(Invocation {
                arguments,
                idempotency_key: "k",
                nth,
                brief,
            })
            .await
            .map(|answer| answer.text)
    }
}

fn note(author: &str, body: &str) -> NoteBrief {
    NoteBrief {
        author: author.into(),
        author_kind: ActorKind::Person,
        visibility: NoteVisibility::Private,
        body: body.into(),
        at: Millis(0),
    }
}

/// The summary of a reply that declines.
fn declined(reply: &ModelReply) -> String {
    assert_eq!(reply.calls.len(), 1);
    assert_eq!(reply.calls[0].tool, "finish");
    let arguments: serde_json::Value =
        serde_json::from_str(&reply.calls[0].arguments).expect("JSON");
    assert_eq!(arguments["outcome"], "DECLINED");
    assert_ne!(arguments["reason"], "");
    arguments["summary"].as_str().expect("a summary").to_owned()
}

#[test]
fn turns_are_played_in_order_and_once() {
    let mut play = Play::new("turns: [{ text: one }, { text: two }, { text: three }]");
    assert_eq!(
        [play.next().text, play.next().text, play.next().text],
        ["one", "two", "three"]
    );
    assert_eq!(
        declined(&play.next()),
        "I stop here because the playbook of the scripted model has no turn for what came next, and no real model is configured."
    );
}

#[test]
fn another_node_goes_on_where_the_run_was() {
    let playbook = "turns:\n  - { when: { result_of: b.b }, text: late }\n  - { text: first }\n  - { when: { result_of: a.a }, text: second }\n";
    let mut play = Play::new(playbook);
    assert_eq!(play.next().text, "first");
    play.result("a.a", "", false);
    assert_eq!(play.next().text, "second");
    play.scripted = Scripted::default();
    play.result("b.b", "", false);
    assert_eq!(play.next().text, "late");
}

#[test]
fn a_repeated_turn_never_ends_not_even_in_closing() {
    let mut play = Play::new("turns: [{ text: again, repeat: true }]");
    for _ in 0..100 {
        assert_eq!(play.next().text, "again");
    }
    play.closing();
    assert_eq!(play.next().text, "again");
}

#[test]
fn the_closing_turn_is_one_that_is_made_for_it() {
    let book = "turns: [{ text: again, repeat: true }, { when: { closing: true }, text: closed }]";
    let mut play = Play::new(book);
    assert_eq!(play.next().text, "again");
    play.closing();
    assert_eq!(play.next().text, "closed");

    let mut play = Play::new("turns: [{ text: one }, { text: two }]");
    play.next();
    play.closing();
    assert!(declined(&play.next()).contains("near one of its limits"));

    let mut play = Play::new("turns: [{ when: { closing: false }, text: again, repeat: true }]");
    play.next();
    play.closing();
    declined(&play.next());
}

#[test]
fn without_a_fitting_playbook_the_run_declines_and_says_why() {
    let sentence = "I can't handle this request because no playbook of the scripted model fits it, and no real model is configured.";
    let mut play = Play::new("turns: [{ when: { title_contains: printer }, text: a }]");
    assert_eq!(declined(&play.next()), sentence);
    play.config.playbook = None;
    play.prompt.messages.clear();
    assert_eq!(declined(&play.next()), sentence);
    assert!(play.scripted.tools(&play.config).expect("none").is_empty());
}

#[test]
fn conditions_are_about_the_request() {
    let brief = Brief {
        coworker: "hardware-specialist".into(),
        trigger: Trigger::Handoff,
        number: 7,
        title: "The NETWORK is slow".into(),
        description: "Since Monday, in Zürich".into(),
        status: RequestStatus::InProgress,
        notes: vec![note("Triage (@triage)", "Looks like the gateway to me.")],
        earlier: vec![
            OutcomeBrief {
                number: 1,
                coworker: "triage".into(),
                outcome: Some(Outcome::HandedOff),
                summary: String::new(),
            },
            OutcomeBrief {
                number: 2,
                coworker: "printers".into(),
                outcome: None,
                summary: String::new(),
            },
        ],
        ..Brief::default()
    };
    for (when, fits) in [
        ("", true),
        ("trigger: HANDOFF", true),
        ("trigger: [INTAKE, HANDOFF]", true),
        ("trigger: INTAKE", false),
        ("title_contains: network", true),
        ("title_contains: networks", false),
        ("description_contains: ZÜRICH", true),
        ("status: IN_PROGRESS", true),
        ("status: [OPEN, PENDING]", false),
        ("priority: NORMAL, source: EMPLOYEE", true),
        ("priority: URGENT", false),
        ("first_run: true", true),
        ("first_run: false", false),
        ("note_by: triage", true),
        ("note_by: triage, note_contains: Gateway", true),
        ("note_by: aws, note_contains: gateway", false),
        ("earlier_outcome: { coworker: triage }", true),
        (
            "earlier_outcome: { coworker: triage, outcome: HANDED_OFF }",
            true,
        ),
        (
            "earlier_outcome: { coworker: triage, outcome: RESOLVED }",
            false,
        ),
        ("earlier_outcome: { coworker: aws-engineer }", false),
        ("earlier_outcome: { coworker: printers }", true),
        (
            "earlier_outcome: { coworker: printers, outcome: RESOLVED }",
            false,
        ),
        ("any: [{ trigger: INTAKE }, { title_contains: slow }]", true),
        (
            "any: [{ trigger: INTAKE }, { title_contains: fast }]",
            false,
        ),
        ("not: { trigger: INTAKE }", true),
        ("not: { trigger: HANDOFF }", false),
        ("trigger: HANDOFF, title_contains: fast", false),
    ] {
        let book = format!("turns: [{{ when: {{ {when} }}, text: fits }}]");
        let mut play = Play::about(&book, brief.clone());
        assert_eq!(play.next().text == "fits", fits, "when: {{ {when} }}");
    }
}

#[test]
fn conditions_are_about_one_result_since_the_last_turn() {
    for (when, fits) in [
        ("result_of: a.a", true),
        ("result_of: b.b, result_failed: true", true),
        ("result_of: a.a, result_failed: true", false),
        ("result_contains: SLOW", true),
        ("result_of: b.b, result_contains: slow", false),
        ("result_of: old.one", false),
        ("result_failed: false", true),
        ("not: { result_failed: true }", false),
    ] {
        let mut play = Play::new(&format!(
            "turns: [{{ text: first }}, {{ when: {{ {when} }}, text: fits }}]"
        ));
        play.result("old.one", "before", false);
        play.next();
        play.result("a.a", "it is slow", false);
        play.result("b.b", "offline", true);
        assert_eq!(play.next().text == "fits", fits, "when: {{ {when} }}");
    }
}

#[test]
fn a_note_that_arrives_during_the_run_counts() {
    let mut play = Play::new(
        "turns: [{ when: { note_contains: stop }, text: stopped, repeat: true }, { text: on, repeat: true }]",
    );
    assert_eq!(play.next().text, "on");
    play.prompt
        .messages
        .push(Message::Notes(vec![note("Gautham", "Please stop.")]));
    assert_eq!(play.next().text, "stopped");
}

#[test]
fn a_fault_ends_after_its_tries() {
    let mut play = Play::new(
        "turns: [{ text: ok, fault: { class: rate_limited, times: 2, retry_after: 2s } }]",
    );
    for attempt in 1..=2 {
        play.attempt = attempt;
        let error = play
            .try_next()
            .now_or_never()
            .expect("at once")
            .expect_err("a fault");
        assert_eq!(error.class, ModelErrorClass::RateLimited);
        assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
        assert_eq!(
            error.message,
            "The playbook lets this call fail: rate_limited."
        );
    }
    play.attempt = 3;
    assert_eq!(play.next().text, "ok");
}

#[test]
fn a_hanging_call_never_answers_and_may_be_dropped() {
    let play = Play::new("turns: [{ fault: hang }]");
    assert!(play.try_next().now_or_never().is_none());
}

#[test]
fn a_playbook_may_not_abort_a_process_that_does_not_allow_it() {
    let play = Play::new("turns: [{ fault: abort }]");
    let error = play
        .try_next()
        .now_or_never()
        .expect("at once")
        .expect_err("a fault");
    assert_eq!(error.class, ModelErrorClass::Rejected);
}

#[tokio::test]
async fn a_delay_is_waited_for() {
    let play = Play::new("turns: [{ text: late, delay: 10m }]");
    assert!(play.try_next().now_or_never().is_none());
    let play = Play::new("turns: [{ text: soon, delay: 1ms }]");
    assert!(play.try_next().now_or_never().is_none());
    let reply = play.try_next().await.expect("an answer");
    assert_eq!(
        (reply.text.as_str(), reply.first_token_ms),
        ("soon", Some(1))
    );
}

#[test]
fn a_malformed_playbook_is_rejected_with_its_place() {
    let play = Play::new("turns:\n  - tex: a\n");
    let error = play
        .try_next()
        .now_or_never()
        .expect("at once")
        .expect_err("refused");
    assert_eq!(error.class, ModelErrorClass::Rejected);
    assert!(error.message.starts_with("playbook line 2, column 5: "));
    assert_eq!(
        play.scripted.tools(&play.config).err().map(|e| e.line),
        Some(Some(2))
    );
}

#[test]
fn a_reply_carries_calls_texts_and_reason() {
    let book = "
turns:
  - thinking: |
      About {request.number}.
    text: Looking at {request.title}
    calls:
      - tool: post_note
        arguments: { visibility: PUBLIC, body: 'On \"{request.title}\"' }
      - tool: finish
  - text: broken off
    finish_reason: length
  - text: said
";
    let brief = Brief {
        number: 12,
        title: "A \"slow\" net".into(),
        ..Brief::default()
    };
    let mut play = Play::about(book, brief);
    let reply = play.next();
    assert_eq!(reply.thinking, "About 12.");
    assert_eq!(reply.text, "Looking at A \"slow\" net");
    assert_eq!(reply.finish, FinishReason::ToolCalls);
    let call = |tool: &str, arguments: &str| ToolCall {
        id: String::new(),
        tool: tool.into(),
        arguments: arguments.into(),
    };
    assert_eq!(
        reply.calls,
        [
            call(
                "post_note",
                r#"{"visibility":"PUBLIC","body":"On \"A \"slow\" net\""}"#
            ),
            call("finish", "{}")
        ]
    );
    assert_eq!(play.next().finish, FinishReason::Length);
    assert_eq!(play.next().finish, FinishReason::Stop);
}

#[test]
fn an_answer_is_shown_word_by_word_to_whoever_watches() {
    let channels = std::sync::Arc::new(crate::bus::delta::Channels::default());
    let run = entity::RunId(uuid::Uuid::nil());
    let book = format!(
        "turns: [{{ thinking: 'One two  three', text: '{}', calls: [{{ tool: finish, arguments: {{ a: 1 }} }}] }}]",
        "word ".repeat(5_000)
    );
    let play = Play::new(&book);
    let ask = || {
        let call = ModelCall {
            config: &play.config,
            prompt: &play.prompt,
            tools: &[],
            max_output_tokens: 100_000,
            attempt: 1,
            deltas: Deltas::of(&channels, run, 3, 1),
        };
        play.scripted
            .complete(call)
            .now_or_never()
            .expect("at once")
            .expect("an answer")
    };
    ask();
    let mut watch = channels.watch(run);
    let reply = ask();
    let mut shown = Vec::new();
    while let Ok(delta) = watch.heard.try_recv() {
        shown.push(delta);
    }
    let text = |kind| {
        let pieces = shown.iter().filter(|delta| delta.kind == kind);
        pieces.map(|delta| &*delta.text).collect::<String>()
    };
    use crate::bus::delta::DeltaKind;
    assert_eq!(text(DeltaKind::Thinking), reply.thinking);
    assert_eq!(text(DeltaKind::Text), reply.text);
    assert_eq!(text(DeltaKind::ToolCall), r#"{"a":1}"#);
    assert_eq!(
        shown
            .iter()
            .filter(|delta| delta.kind == DeltaKind::Thinking)
            .count(),
        4
    );
    drop(watch);
    assert!(!channels.is_watched(run));
}

#[test]
fn usage_is_as_written_or_estimated_from_the_texts() {
    let book = "turns: [{ text: twelve bytes, thinking: four }, { text: x }, { text: y, usage: { input: 10, cache_read: 90, output: 5, reasoning: 2 } }]";
    let mut play = Play::new(book);
    play.prompt.parts = vec![Part {
        kind: PartKind::Prefix,
        text: "p".repeat(400).into(),
    }];
    let first = play.next().usage.expect("known");
    assert_eq!(
        (first.input, first.cache_read, first.output, first.reasoning),
        (100, 0, 4, 1)
    );
    play.result("a.bc", &"r".repeat(396), false);
    let second = play.next().usage.expect("known");
    assert_eq!((second.input, second.cache_read), (104, 100));
    let third = play.next().usage.expect("known");
    assert_eq!(
        third,
        Usage {
            input: 10,
            cache_read: 90,
            output: 5,
            reasoning: 2,
            ..Usage::default()
        }
    );
}

#[test]
fn no_more_is_written_than_allowed() {
    let mut play =
        Play::new("turns: [{ thinking: aaaaaaaa, text: bbbbbbbbé, calls: [{ tool: finish }] }]");
    play.room = 3;
    let reply = play.next();
    assert_eq!(
        (reply.thinking.as_str(), reply.text.as_str()),
        ("aaaaaaaa", "bbbb")
    );
    assert_eq!(
        (reply.finish, reply.usage.expect("known").output),
        (FinishReason::Length, 3)
    );
    assert!(reply.calls.is_empty());
}

const TOOL: &str = "
turns: [{ text: a }]
tools:
  - name: device.telemetry
    description: Reads.
    effect: READ
    answers:
      - { when: { arguments_contain: lt-1 }, response: { ms: 9 } }
      - { when: { arguments_contain: lt-2 }, fault: offline }
      - { when: { arguments_contain: lt-3 }, response: plain, fault: { class: bad_response, times: 1, message: Garbage. } }
      - { when: { arguments_contain: lt-4 }, fault: hang }
      - { when: { arguments_contain: lt-5 }, fault: abort }
      - { when: { trigger: HANDOFF, call: 2 }, response: second }
";

#[test]
fn a_tool_gives_the_first_answer_that_fits() {
    let play = Play::about(
        TOOL,
        Brief {
            trigger: Trigger::Handoff,
            ..Brief::default()
        },
    );
    let call = |nth, arguments: &str| {
        play.call(nth, arguments)
            .now_or_never()
            .map(|answer| answer.map_err(|error| (error.class, error.message)))
    };
    let failed = |class, message: &str| Some(Err((class, message.to_owned())));
    assert_eq!(call(1, "LT-1"), Some(Ok(r#"{"ms":9}"#.into())));
    assert_eq!(
        call(1, "LT-2"),
        failed(ToolErrorClass::Offline, "device.telemetry is offline.")
    );
    assert_eq!(
        call(1, "LT-3"),
        failed(ToolErrorClass::BadResponse, "Garbage.")
    );
    assert_eq!(call(2, "LT-3"), Some(Ok("plain".into())));
    assert_eq!(call(1, "LT-4"), None);
    assert_eq!(
        call(1, "LT-5"),
        failed(
            ToolErrorClass::Failed,
            "device.telemetry reported a failure."
        )
    );
    assert_eq!(call(2, "{}"), Some(Ok("second".into())));
    assert_eq!(
        call(1, "{}"),
        failed(
            ToolErrorClass::Failed,
            "The playbook has no answer of device.telemetry for this call."
        )
    );
    let spec = play.scripted.tools(&play.config).expect("tools")[0]
        .spec()
        .clone();
    assert_eq!(
        (spec.name.as_str(), spec.effect),
        ("device.telemetry", Effect::Read)
    );
    assert_eq!(spec.parameters, serde_json::json!({ "type": "object" }));
}

#[test]
fn the_shelf_is_bounded_and_keeps_what_is_used() {
    let shelf = Shelf::default();
    let text = |n: usize| format!("turns: [{{ text: t{n} }}]");
    let kept = shelf.get(&text(0)).expect("a playbook");
    for n in 1..=shelf::PLACES + 10 {
        shelf.get(&text(n)).expect("a playbook");
        assert!(Arc::ptr_eq(
            &kept,
            &shelf.get(&text(0)).expect("a playbook")
        ));
    }
    assert_eq!(shelf.len(), shelf::PLACES);
}

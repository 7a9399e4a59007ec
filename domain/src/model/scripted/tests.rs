mod answers;

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

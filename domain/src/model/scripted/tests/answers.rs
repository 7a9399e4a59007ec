//! What answers are made of, and what they use.

use super::*;

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

use super::*;

/// The message for a playbook that is refused.
fn refusal(text: &str) -> String {
    Playbook::parse(text).expect_err("refused").to_string()
}

#[test]
fn the_example_of_the_documentation_parses() {
    let source = include_str!("../playbook.rs");
    let yaml: String = source
        .lines()
        .skip_while(|line| *line != "//! ```yaml")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| {
            line.trim_start_matches("//!")
                .strip_prefix(' ')
                .unwrap_or("")
                .to_owned()
                + "\n"
        })
        .collect();
    let book = Playbook::parse(&yaml).expect("the example is a playbook");
    assert_eq!(book.turns.len(), 3);
    let tool = book.tools().next().expect("it has a tool");
    assert_eq!(
        (tool.name.as_str(), tool.effect),
        ("device.telemetry", crate::tool::Effect::Read)
    );
}

#[test]
fn every_key_is_understood() {
    let text = "
tools:
  - name: crm.look-up
    description: Looks up.
    effect: IDEMPOTENT
    parameters: { type: object }
    answers:
      - when: { call: 1, arguments_contain: x, trigger: [MENTION, REPLY], any: [{ note_by: gautham }], not: { status: CLOSED } }
        delay: 1m
        response: [1, 2.5, true, null, \"\\\"\", { z: 1, a: 2 }]
        fault: { class: hang, times: 2, message: Patience }
turns:
  - when:
      trigger: MENTION
      status: [OPEN, PENDING]
      priority: HIGH
      source: SYSTEM
      title_contains: Slow
      description_contains: net
      first_run: true
      earlier_outcome: { coworker: aws-engineer, outcome: [HANDED_OFF, BLOCKED] }
      note_by: aws
      note_contains: gateway
      result_of: crm.look-up
      result_contains: ok
      result_failed: false
      closing: false
      any: [{ trigger: MENTION }, { not: { title_contains: x } }]
      not: { source: EMPLOYEE }
    thinking: a
    text: b
    calls: [{ tool: t }]
    usage: { input: 1, cache_read: 2, cache_write_short: 3, cache_write_long: 4, output: 5, reasoning: 5 }
    finish_reason: length
    delay: 300ms
    fault: { class: rate_limited, times: 1, message: m, retry_after: 2s }
    repeat: true
";
    Playbook::parse(text).expect("a playbook");
    for word in [
        "unreachable",
        "rate_limited",
        "overloaded",
        "truncated",
        "timed_out",
        "rejected",
        "not_configured",
        "hang",
        "abort",
    ] {
        Playbook::parse(&format!("turns: [{{ fault: {word} }}]")).expect(word);
    }
}

#[test]
fn an_error_names_the_place_and_the_remedy() {
    for (text, message) in [
        (
            "turns:\n  - text: a\n    thinkin: b\n",
            "playbook line 3, column 5: unknown key `thinkin`, expected one of `when`, `thinking`, `text`, `calls`, `usage`, `finish_reason`, `delay`, `fault`, `repeat`",
        ),
        (
            "turns:\n  - when: { trigger: HANDOF }\n    text: a\n",
            "playbook line 2, column 22: unknown word `HANDOF`, expected one of `INTAKE`, `ROUTED`, `ASSIGNED`, `HANDOFF`, `MENTION`, `REPLY`",
        ),
        (
            "turns:\n  - when: { trigger: [MENTION, X] }\n    text: a\n",
            "playbook line 2, column 32: unknown word `X`, expected one of `INTAKE`, `ROUTED`, `ASSIGNED`, `HANDOFF`, `MENTION`, `REPLY`",
        ),
        (
            "turns:\n  - text: a\n    delay: 3 sec\n",
            "playbook line 3, column 12: \"3 sec\" is not a duration; write a whole number and a unit, such as 300ms, 2s or 1m",
        ),
        (
            "turns:\n  - text: a\n    delay: 11m\n",
            "playbook line 3, column 12: 11m is too long; at most 10m are allowed",
        ),
        (
            "turns:\n  - text: a\n    fault: { times: 1 }\n",
            "playbook line 3, column 14: `class` is missing; add it",
        ),
        (
            "turns:\n  - repeat: true\n",
            "playbook line 2, column 5: this turn does nothing; give it `text`, `thinking`, `calls` or a `fault`",
        ),
        (
            "turns:\n  - text: a\n    repeat: maybe\n",
            "playbook line 3, column 13: expected true or false",
        ),
        (
            "turns:\n  - text: a\n    usage: { input: many }\n",
            "playbook line 3, column 21: expected a whole number",
        ),
        (
            "turns:\n  - text: a\n    usage: { output: 1, reasoning: 2 }\n",
            "playbook line 3, column 12: `reasoning` (2) is a part of `output` (1) and can't be more",
        ),
        (
            "turns:\n  - text: a\n    text: b\n",
            "playbook line 3, column 5: the key \"text\" stands twice; keep one",
        ),
        (
            "turns:\n  - text: '{request.titel}'\n",
            "playbook line 2, column 11: unknown placeholder; known are {request.number} and {request.title}",
        ),
        (
            "turns:\n  - text: a\n    when: { call: 1 }\n",
            "playbook line 3, column 11: `call` and `arguments_contain` are about a call of a tool; they stand only in `answers`",
        ),
        (
            "turns:\n  - text: a\n    when: { not: { closing: true } }\n",
            "playbook line 3, column 11: `closing` stands only at the top of `when`, not within `any` or `not`",
        ),
        (
            "turns:\n  - text: a\n   delay: 1s\n",
            "playbook line 3, column 4: while parsing a block collection, did not find expected '-' indicator",
        ),
        (
            "turns: []\n",
            "playbook line 1, column 8: there is no turn; add one, such as `- text: Hello`",
        ),
        (
            "turns: 5\n",
            "playbook line 1, column 8: expected a list; begin each item with `- `",
        ),
        (
            "tools: []\n",
            "playbook line 1, column 1: `turns` is missing; add it",
        ),
        (
            "hello",
            "playbook line 1, column 1: expected a mapping; write `key: value`",
        ),
        (
            "",
            "playbook line 1, column 1: it is empty; it needs `turns`, a list with at least one turn",
        ),
        (
            "turns: [{ text: a }]\n---\nturns: []\n",
            "playbook line 3, column 1: a playbook is one document; remove the line `---`",
        ),
    ] {
        assert_eq!(refusal(text), message, "for {text:?}");
    }
    let fault = refusal("turns:\n  - text: a\n    fault: offlin\n");
    assert!(
        fault.starts_with(
            "playbook line 3, column 12: unknown word `offlin`, expected one of `unreachable`"
        ),
        "{fault}"
    );
    assert!(fault.ends_with("`hang`, `abort`"), "{fault}");
}

#[test]
fn a_tool_is_checked() {
    let tool =
        |tool: &str| format!("turns: [{{ text: a }}]\ntools:\n  - {{ description: d, {tool} }}\n");
    for (fields, message) in [
        (
            "name: finish, answers: [{ response: 1 }]",
            "no name for a tool",
        ),
        (
            "name: a.B, answers: [{ response: 1 }]",
            "no name for a tool",
        ),
        ("name: a.b, answers: []", "a tool has 1 to 50 answers"),
        ("name: a.b", "`answers` is missing"),
        (
            "name: a.b, answers: [{ delay: 1s }]",
            "this answer says nothing",
        ),
        (
            "name: a.b, answers: [{ fault: offline, response: 1 }]",
            "the `response` is never given",
        ),
        (
            "name: a.b, answers: [{ fault: { class: offline, times: 1 } }]",
            "needs a `response` for the calls after it",
        ),
        (
            "name: a.b, answers: [{ fault: { class: offline, retry_after: 1s } }]",
            "only for a fault of the model",
        ),
        (
            "name: a.b, answers: [{ when: { result_of: x }, response: 1 }]",
            "a tool does not see the run",
        ),
        (
            "name: a.b, parameters: [], answers: [{ response: 1 }]",
            "`parameters` is a JSON Schema",
        ),
        (
            "name: a.b, effect: WRITE, answers: [{ response: 1 }]",
            "expected one of `READ`, `IDEMPOTENT`, `EFFECT`",
        ),
    ] {
        let refused = refusal(&tool(fields));
        assert!(
            refused.contains(message) && refused.starts_with("playbook line 3, column "),
            "{fields}: {refused}"
        );
    }
    let twice = "turns: [{ text: a }]\ntools:\n  - { name: a.b, description: d, answers: [{ response: 1 }] }\n  - { name: a.b, description: d, answers: [{ response: 1 }] }\n";
    assert_eq!(
        refusal(twice),
        "playbook line 4, column 13: a second tool has the name \"a.b\"; give it another"
    );
}

#[test]
fn sizes_are_bounded() {
    assert!(
        refusal(&format!("turns: [{{ text: {} }}]", "a".repeat(MAX_BYTES)))
            .contains("at most 262144 are allowed")
    );
    let turns = |n: usize| format!("turns:\n{}", "  - text: a\n".repeat(n));
    assert!(Playbook::parse(&turns(MAX_TURNS)).is_ok());
    assert_eq!(
        refusal(&turns(MAX_TURNS + 1)),
        "playbook line 202, column 5: this is turn 201, and at most 200 are allowed; `repeat: true` plays one again"
    );
    let calls = format!(
        "turns: [{{ calls: [{}] }}]",
        "{ tool: t },".repeat(MAX_CALLS + 1)
    );
    assert!(refusal(&calls).contains("at most 20 are allowed"));
    let aliases = format!(
        "turns: [{{ text: &a x, calls: [{{ tool: t, arguments: [{}] }}] }}]",
        "*a,".repeat(20)
    );
    assert!(
        refusal(&aliases).contains("too many values, anchors or levels"),
        "{}",
        refusal(&aliases)
    );
    let long = "x".repeat(100_000);
    let nested = format!(
        "turns: [{{ text: &a {long}, calls: [{{ tool: t, arguments: &b [*a, *a, *a] }}, {{ tool: t, arguments: [*b, *b, *b] }}] }}]"
    );
    assert!(
        refusal(&nested).contains("its anchors expand it to"),
        "{}",
        refusal(&nested)
    );
    let deep = format!(
        "turns: [{{ calls: [{{ tool: t, arguments: {}{} }}] }}]",
        "[".repeat(500),
        "]".repeat(500)
    );
    assert!(!refusal(&deep).is_empty());
}

#[test]
fn a_value_becomes_json_in_its_order_and_a_text_stays() {
    let brief = crate::model::Brief {
        number: 12,
        title: "Say \"hi\" to {request.number}".into(),
        ..Default::default()
    };
    for (yaml, text) in [
        (
            "{ z: 1, a: [true, null, 2.5, -3], 5: \"x\\ny\" }",
            r#"{"z":1,"a":[true,null,2.5,-3],"5":"x\ny"}"#,
        ),
        (
            "{ note: 'No. {request.number}: {request.title}' }",
            r#"{"note":"No. 12: Say \"hi\" to {request.number}"}"#,
        ),
        ("'{\"broken\": '", r#"{"broken": "#),
        (
            "'Request {request.number}, {request.title}'",
            "Request 12, Say \"hi\" to {request.number}",
        ),
        ("007", "007"),
        ("true", "true"),
    ] {
        let book = Playbook::parse(&format!(
            "turns: [{{ calls: [{{ tool: t, arguments: {yaml} }}] }}]"
        ))
        .expect(yaml);
        assert_eq!(book.turns[0].calls[0].arguments.fill(&brief), text);
    }
}

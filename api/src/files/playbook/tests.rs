use super::*;
use crate::files::form::Object;
use crate::files::read::{Problems, parse};

/// A coworker's file with this `playbook`, two spaces deep.
fn file(playbook: &str) -> String {
    format!(
        "kind: coworker\nname: Network\nhandle: network\nidentity:\n  role: Engineer\ngoal:\n  purpose: Networks work.\n\
         model:\n  provider: scripted\n  playbook:{playbook}limits:\n  maxTurns: 5\n"
    )
}

fn read(text: &str) -> Result<Coworker, String> {
    match parse(vec![("a.yaml".to_owned(), text.as_bytes().to_vec())]) {
        Ok(sources) => match &sources[0].object {
            Object::Coworker(coworker) => Ok((**coworker).clone()),
            other @ (Object::Skill(_) | Object::ToolServer(_) | Object::Prices(_)) => {
                panic!("{other:?}")
            }
        },
        Err(Problems(problems)) => Err(problems[0].to_string()),
    }
}

fn kept(playbook: &str) -> String {
    let coworker = read(&file(playbook)).expect("a coworker");
    coworker.model.playbook.expect("a playbook")
}

/// With a comment, an anchor, keys out of order, texts that look like something else, and blocks.
const LINES: &str = "\
# What it says.
tools:
  - name: desk.look
    description: Looks.
    answers:
      - response: { z: 1, a: \"007\", ok: 'true', n: 2.50 }   # in this order
turns:
  - thinking: &why |
      Why?

      # No comment, but a text.
    text: *why
  # The end.
  - calls:
      - tool: finish
        arguments:
          outcome: REPLIED
          reason: '{request.title}'
          summary: >-
            Folded
            text.
";

/// The lines, two steps deeper.
fn deeper(lines: &str) -> String {
    let deeper = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("    {line}\n"),
    };
    lines.lines().map(deeper).collect()
}

#[test]
fn a_mapping_is_kept_as_it_stands_in_the_file() {
    let mapping = format!("\n{}", deeper(LINES));
    assert_eq!(kept(&mapping), LINES);
    // A block of text with the same lines is the same playbook, so that it may be rewritten as a mapping.
    assert_eq!(kept(&format!(" |{mapping}")), LINES);
    assert_eq!(
        kept(&format!("   # comes later{mapping}\n# Limits.\n")),
        LINES
    );
}

#[test]
fn a_mapping_that_is_not_in_lines_of_its_own_is_kept_in_other_words() {
    let one_line = " { turns: [{ text: 'yes', repeat: false, calls: [{ tool: t, arguments: { z: 1, a: '007', list: [null, 1.5] } }] }] }\n";
    let text = kept(one_line);
    assert_eq!(
        text,
        "turns:\n- text: \"yes\"\n  repeat: false\n  calls:\n  - tool: t\n    arguments:\n      z: 1\n      a: \"007\"\n      list:\n      - null\n      - 1.5\n"
    );
    assert_eq!(kept(&format!("\n{}", deeper(&text))), text);
    // An anchor of another place.
    let elsewhere =
        file("\n    turns: [{ text: *greeting }]\n").replacen("Network\n", "&greeting Hello\n", 1);
    let coworker = read(&elsewhere).expect("a coworker");
    assert_eq!(
        coworker.model.playbook.as_deref(),
        Some("turns:\n- text: Hello\n")
    );
}

#[test]
fn what_is_wrong_is_told_at_its_place_in_the_file() {
    let block = "    turns:\n      - text: Hi\n        txt: Hi\n";
    let still = "    turns:\n      - text: Hi\n      - repeat: true\n";
    let when = "    # First.\n    turns:\n      - text: Hi\n        when: { call: 1 }\n";
    for (playbook, expected) in [
        (format!("\n{block}"), "a.yaml:13:9: unknown key `txt`"),
        (format!(" |\n{block}"), "a.yaml:13:9: unknown key `txt`"),
        (
            format!("  |-   # says\n\n{block}"),
            "a.yaml:14:9: unknown key `txt`",
        ),
        (format!(" |2\n{block}"), "a.yaml:13:9: unknown key `txt`"),
        (format!("\n{still}"), "a.yaml:13:9: this turn does nothing"),
        (
            format!(" |\n{still}"),
            "a.yaml:13:9: this turn does nothing",
        ),
        (
            format!("\n{when}"),
            "a.yaml:14:15: `call` and `arguments_contain`",
        ),
        (
            format!(" |\n{when}"),
            "a.yaml:14:15: `call` and `arguments_contain`",
        ),
        (
            " { turns: [{ txt: Hi }] }\n".to_owned(),
            "a.yaml:10:25: unknown key `txt`",
        ),
        // The lines of other texts are not those of the file.
        (
            " 'turns: [{ txt: Hi }]'\n".to_owned(),
            "a.yaml:10:3: playbook line 1, column 11: unknown key `txt`",
        ),
        (
            " [1]\n".to_owned(),
            "a.yaml:10:3: expected a mapping with `turns`, or a text that holds one",
        ),
        (
            "\n    tools: []\n".to_owned(),
            "a.yaml:11:5: `turns` is missing; add it",
        ),
        (
            "\n    turns:\n      - { text: Hi, delay: 3 sec }\n".to_owned(),
            "a.yaml:12:28: \"3 sec\" is not a duration",
        ),
    ] {
        let refused = read(&file(&playbook)).expect_err(&playbook);
        assert!(refused.starts_with(expected), "{playbook}: {refused}");
    }
}

#[test]
fn what_is_written_as_a_mapping_reads_as_the_same_coworker() {
    let mut coworker = read(&file(&format!("\n{}", deeper(LINES)))).expect("a coworker");
    // Looks like the playbook's place, and is not.
    coworker.soul = "model:\n  provider: scripted\n  playbook: |\n    turns: []\n".to_owned();
    let text = print(&coworker).expect("a file");
    assert!(
        text.contains(&format!("  playbook:\n{}", deeper(LINES))),
        "{text}"
    );
    assert_eq!(read(&text), Ok(coworker.clone()));
    for block in [
        "turns: [{ text: Done. }]",
        "  turns: [{ text: Done. }]\n",
        "\"turns\": [{ text: Done. }]\n\n",
    ] {
        coworker.model.playbook = Some(block.to_owned());
        let text = print(&coworker).expect("a file");
        assert!(!text.contains("playbook:\n"), "{text}");
        assert_eq!(read(&text), Ok(coworker.clone()), "{text}");
    }
    coworker.model.playbook = None;
    let text = print(&coworker).expect("a file");
    assert_eq!(read(&text), Ok(coworker));
}

use super::*;

const SOUND: &str = "kind: coworker\nname: Network\nhandle: network\nidentity:\n  role: Network Engineer\n\
                     goal:\n  purpose: Networks work.\nmodel:\n  provider: scripted\n";

fn told(texts: &[(&str, &str)]) -> Vec<String> {
    let texts = texts
        .iter()
        .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
    match parse(texts.collect()) {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_short_file_is_enough() {
    assert_eq!(told(&[("a.yaml", SOUND)]), [""; 0]);
    let texts = vec![("a.yaml".to_owned(), SOUND.as_bytes().to_vec())];
    let sources = parse(texts).expect("a coworker");
    let Object::Coworker(coworker) = &sources[0].object else {
        panic!("{sources:?}")
    };
    assert!(coworker.published && !coworker.is_triage);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let changed = |from: &str, to: &str| SOUND.replace(from, to);
    for (text, expected) in [
        (
            changed("role:", "rolle:"),
            "a.yaml:5:3: unknown key `rolle`",
        ),
        (changed("kind: coworker\n", ""), "`kind` is missing; add it"),
        (
            changed("kind: coworker", "kind: robot"),
            "a.yaml:1:7: there is no kind \"robot\"; write one of coworker, skill, tool-server, prices",
        ),
        (
            changed("goal:\n  purpose: Networks work.\n", ""),
            "`goal` is missing; add it",
        ),
        (
            changed("name: Network\n", "name: Network\nisTriage: maybe\n"),
            "a.yaml:3:11: expected true or false",
        ),
        (
            changed("Networks work.", "''"),
            "a.yaml:7:3: goal.purpose is empty",
        ),
        (
            changed("provider: scripted", "provider: Oracle"),
            "a.yaml:9:3: \"Oracle\" can't be a provider's name",
        ),
        (
            format!("{SOUND}limits:\n  maxDurationMs: 0\n"),
            "a.yaml:11:3: limits.maxDuration is 0",
        ),
        (
            format!("{SOUND}  playbook: |\n    turns: [{{ txt: Hi }}]\n"),
            "a.yaml:11:15: unknown key `txt`",
        ),
        (format!("{SOUND}---\n{SOUND}"), "it holds several documents"),
        ("kind: [".to_owned(), "a.yaml:"),
        (String::new(), "a.yaml:1:1: it is empty"),
    ] {
        let told = told(&[("a.yaml", &text)]);
        assert_eq!(told.len(), 1, "{text}: {told:?}");
        assert!(told[0].contains(expected), "{text}: {told:?}");
    }
    let latin = vec![(
        "a.yaml".to_owned(),
        b"kind: skill\nname: caf\xe9\n".to_vec(),
    )];
    let Problems(problems) = parse(latin).expect_err("no UTF-8");
    assert_eq!(
        problems[0].to_string(),
        "a.yaml:2:1: it is no UTF-8 text; save it as UTF-8"
    );
}

#[test]
fn everything_is_told_at_once_and_twins_are_refused() {
    let skill = "kind: skill\nname: VPN\nhandle: vpn\ntext: Ask first.\n";
    let price = "  - { model: m, effectiveFrom: 2026-01-01T00:00:00Z, input: 3, output: 15 }\n";
    let prices = format!("kind: prices\nprices:\n{price}{price}");
    let told = told(&[
        ("a.yaml", SOUND),
        ("b.yaml", SOUND),
        ("c.yaml", skill),
        ("d.yaml", skill),
        ("e.yaml", &prices),
        ("f.yaml", "kind: skill\n"),
    ]);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].starts_with("f.yaml:"), "{told:?}");
    assert_eq!(
        told[1..],
        [
            "b.yaml:3:1: the coworker network stands in a.yaml already; keep one",
            "d.yaml:3:1: the skill vpn stands in c.yaml already; keep one",
            "e.yaml:4:17: a price of m from that moment on stands in e.yaml already; keep one",
        ]
    );
}

#[test]
fn a_small_file_that_grows_is_refused() {
    let mut bomb = "kind: coworker\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let last = format!("*a{}, ", level - 1).repeat(9);
        bomb += &format!("a{level}: &a{level} [{last}]\n");
    }
    let told = told(&[("bomb.yaml", &bomb)]);
    assert!(told[0].starts_with("bomb.yaml:"), "{told:?}");
}

#[test]
fn what_is_wrong_with_a_tool_server_is_told_where_it_stands() {
    let sound = "kind: tool-server\nname: desk\nreach:\n  headers:\n    - { name: X-Team, value: it }\n  tools:\n    - name: look\n      description: Looks.\n      \
                 url: https://desk.example.com/\n    - { name: get, description: Gets., url: 'https://desk.example.com/' }\n  type: HTTP\n";
    assert_eq!(told(&[("a.yaml", sound)]), [""; 0]);
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        (
            "  type: HTTP\n",
            "",
            "a.yaml:6:3: `type` is missing; add it",
        ),
        ("HTTP", "SMTP", "a.yaml:11:9: unknown word `SMTP`"),
        // The type tells which keys there are.
        ("HTTP", "MCP_HTTP", "a.yaml:6:3: unknown key `tools`"),
        ("  tools:", "  tulls:", "a.yaml:6:3: unknown key `tulls`"),
        ("Looks.", "[Looks.]", "a.yaml:8:20: expected a text"),
        (
            "      description: Looks.\n",
            "",
            "a.yaml:8:7: `description` is missing; add it",
        ),
        (
            "description: Gets.",
            "effect: NO",
            "a.yaml:10:28: unknown word `NO`",
        ),
        (
            "X-Team",
            "Host",
            "a.yaml:5:9: the header Host is set by Stint itself",
        ),
        (
            "get, description: Gets.,",
            "get, description: Gets., headers: [{ name: A, value: b }, { name: Host, value: x }],",
            "a.yaml:10:75: the header Host",
        ),
        (
            "Looks.",
            "''",
            "a.yaml:8:7: say in a few words what look does",
        ),
        (
            "name: get",
            "name: a.b",
            "a.yaml:10:9: \"a.b\" is no name of a tool",
        ),
        (
            "name: get",
            "name: look",
            "a.yaml:10:9: the tool look stands twice",
        ),
    ] {
        let told = told(&[("a.yaml", &sound.replacen(from, to, 1))]);
        if told.len() != 1 || !told[0].contains(expected) {
            wrong.push(format!("{to}: {told:?} for {expected:?}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

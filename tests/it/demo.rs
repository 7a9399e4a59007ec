//! `stint demo` as a new user runs it: the real binary, its output in a pipe.

use serde_json::{Value, json};
use tests::Client;
use tests::binary::{self, Stint};

/// The rows of the table, from the run's name on.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines()
        .filter(|line| line.starts_with("Run-") && line.contains('$'))
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect()
}

/// R17–R23: the story's four runs, in their order, readable in a pipe.
#[test]
fn the_demo_tells_its_story_in_plain_text_and_ends() {
    let told = binary::run(&["demo"]);
    assert!(told.status.success(), "{}", told.stderr);
    assert!(!told.stdout.contains('\x1b'), "colours in a pipe");
    let rows = rows(&told.stdout);
    let who: Vec<_> = rows.iter().map(|row| row[..3].to_vec()).collect();
    assert_eq!(
        who,
        [
            ["Run-1", "Triage", "Handed Off"],
            ["Run-2", "Hardware Specialist", "Handed Off"],
            ["Run-3", "AWS Engineer", "Handed Off"],
            ["Run-4", "Hardware Specialist", "Resolved"],
        ]
    );
    // Steps, tool calls, tokens in, out and cached, cost, duration.
    assert!(rows.iter().all(|row| row.len() == 10), "{rows:?}");
    for part in [
        "reassigned",
        "Access Manager",
        "REQ-1 is Resolved",
        "scripted model",
    ] {
        assert!(
            told.stdout.to_lowercase().contains(&part.to_lowercase()),
            "no {part:?} in {}",
            told.stdout
        );
    }
}

#[tokio::test]
async fn the_demos_queries_can_be_pasted() {
    let demo = Stint::start(&["demo", "--serve", "--listen", "127.0.0.1:0"]);
    demo.line("__typename");
    let told = demo.stdout();
    let commands: Vec<&str> = told
        .lines()
        .filter_map(|line| Some(&line[line.find("curl ")?..]))
        .collect();
    assert_eq!(commands.len(), 3, "{told}");
    for command in commands {
        let between = |before: &str, after: &str| {
            let (_, rest) = command.split_once(before).expect("what stands before");
            rest.split_once(after)
                .expect("what stands after")
                .0
                .to_owned()
        };
        let address = between("http://", "/").parse().expect("an address");
        let body: Value = serde_json::from_str(&between("-d '", "'")).expect("a body");
        let client = Client::new(address, Some(&between("Bearer ", "'")));
        let query = body["query"].as_str().expect("a query");
        let answer = client.post(query, json!({})).await;
        assert!(
            answer.body["errors"].is_null(),
            "{command}: {}",
            answer.body
        );
        assert!(
            answer.body["data"]
                .as_object()
                .is_some_and(|data| data.values().all(|value| !value.is_null())),
            "{}",
            answer.body
        );
    }
}

//! The demo's coworkers, played through: the four runs of the slow-network story.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use entity::{ActorKind, Millis, NoteVisibility, Outcome, RequestStatus, Trigger};
use serde_json::Value;

use super::*;
use crate::model::{Brief, Deltas, NoteBrief, OutcomeBrief, ToolCall};

/// A demo coworker's file.
struct Coworker {
    file: Value,
    config: ModelConfig,
}

/// Of the same file what reads a playbook.
#[derive(serde::Deserialize)]
struct Modelled {
    model: ModelConfig,
}

fn coworkers() -> BTreeMap<String, Coworker> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src/demo/coworkers");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the demo's coworkers") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a text");
        let file: Value =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let Modelled { model: config } =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let playbook = config.playbook.as_deref().expect("a playbook");
        Playbook::parse(playbook).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let handle = file["handle"].as_str().expect("a handle").to_owned();
        assert_eq!(
            path.file_stem().and_then(|stem| stem.to_str()),
            Some(handle.as_str())
        );
        all.insert(handle, Coworker { file, config });
    }
    all
}

/// What one run did.
struct Played {
    coworker: String,
    calls: Vec<ToolCall>,
    /// The arguments of its `finish`.
    end: Value,
    turns: usize,
    took: Duration,
}

impl Played {
    fn tools(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.tool.as_str()).collect()
    }

    fn argument(&self, tool: &str, name: &str) -> String {
        let call = self.calls.iter().find(|call| call.tool == tool);
        let call = call.unwrap_or_else(|| panic!("{} does not call {tool}", self.coworker));
        let arguments: Value = serde_json::from_str(&call.arguments).expect("JSON");
        arguments[name].as_str().expect("a text").to_owned()
    }
}

/// Plays one run as the executor would, but without waiting.
fn play(coworker: &Coworker, brief: Brief) -> Played {
    let book = Playbook::parse(coworker.config.playbook.as_deref().unwrap_or_default())
        .expect("parsed before");
    let mut played = Played {
        coworker: brief.coworker.clone(),
        calls: Vec::new(),
        end: Value::Null,
        turns: 0,
        took: Duration::ZERO,
    };
    let mut prompt = Prompt {
        brief,
        ..Prompt::default()
    };
    while played.end.is_null() {
        let choice = Choice::of(&book, &prompt);
        let turn = choice.turn.unwrap_or_else(|| {
            panic!(
                "{}: no turn fits after {:?}",
                played.coworker,
                played.tools()
            )
        });
        played.took += turn.delay().unwrap_or_default();
        played.turns += 1;
        let call = ModelCall {
            config: &coworker.config,
            prompt: &prompt,
            tools: &[],
            max_output_tokens: 4_000,
            attempt: 1,
            deltas: Deltas::nobody(),
        };
        let reply = reply::of_turn(turn, &call);
        prompt.messages.push(Message::Assistant {
            text: reply.text,
            thinking: reply.thinking,
            calls: reply.calls.clone(),
            verbatim: None,
        });
        for call in reply.calls {
            let (content, failed) = answer(&book, &call, &prompt.brief, &mut played);
            if call.tool == "finish" {
                played.end = serde_json::from_str(&call.arguments).expect("JSON");
            }
            prompt.messages.push(Message::Tool {
                call_id: String::new(),
                tool: call.tool.clone(),
                content,
                failed,
            });
            played.calls.push(call);
        }
    }
    played
}

fn answer(book: &Playbook, call: &ToolCall, brief: &Brief, played: &mut Played) -> (String, bool) {
    let Some(tool) = book.tools.iter().find(|tool| tool.spec.name == call.tool) else {
        assert!(
            [
                "post_note",
                "set_status",
                "reassign",
                "ask_requester",
                "list_candidates",
                "finish"
            ]
            .contains(&call.tool.as_str()),
            "{} calls the unknown tool {}",
            played.coworker,
            call.tool
        );
        return ("{}".into(), false);
    };
    let moment = Moment {
        brief,
        messages: &[],
        call: Some((&call.arguments, 1)),
    };
    let given = tool.answer(moment).expect("an answer");
    played.took += given.delay().unwrap_or_default();
    match (&given.response, &given.fault) {
        (Some(response), None) => (response.fill(brief), false),
        (None, _) | (_, Some(_)) => ("it failed".into(), true),
    }
}

fn brief(coworker: &str, trigger: Trigger, title: &str) -> Brief {
    Brief {
        coworker: coworker.into(),
        trigger,
        number: 1,
        title: title.into(),
        ..Brief::default()
    }
}

/// Follows a request from Triage on, until a run does not hand it over.
fn follow(title: &str) -> Vec<Played> {
    let coworkers = coworkers();
    let mut request = brief("triage", Trigger::Intake, title);
    let mut runs: Vec<Played> = Vec::new();
    loop {
        let played = play(&coworkers[&request.coworker], request.clone());
        request.earlier.push(OutcomeBrief {
            number: i64::try_from(runs.len()).expect("few") + 1,
            coworker: request.coworker.clone(),
            outcome: Some(match played.end["outcome"].as_str() {
                Some("HANDED_OFF") => Outcome::HandedOff,
                Some("RESOLVED") => Outcome::Resolved,
                _ => Outcome::Declined,
            }),
            summary: played.end["summary"].as_str().expect("a summary").into(),
        });
        let notes = played.calls.iter().filter(|call| call.tool == "post_note");
        request.notes.extend(notes.map(|call| {
            let arguments: Value = serde_json::from_str(&call.arguments).expect("JSON");
            NoteBrief {
                author: played.coworker.clone(),
                author_kind: ActorKind::Coworker,
                visibility: NoteVisibility::Private,
                body: arguments["body"].as_str().expect("a text").into(),
                at: Millis(0),
            }
        }));
        request.trigger = Trigger::Handoff;
        request.status = RequestStatus::InProgress;
        let handed_over = played.end["outcome"] == "HANDED_OFF";
        if handed_over {
            request.coworker = played.argument("reassign", "to");
        }
        runs.push(played);
        if !handed_over {
            return runs;
        }
    }
}

#[test]
fn the_slow_network_takes_four_runs_and_twenty_odd_seconds() {
    let runs = follow("The network is very slow since this morning");
    let who: Vec<_> = runs
        .iter()
        .map(|run| {
            (
                run.coworker.as_str(),
                run.end["outcome"].as_str().expect("a word"),
            )
        })
        .collect();
    assert_eq!(
        who,
        [
            ("triage", "HANDED_OFF"),
            ("hardware-specialist", "HANDED_OFF"),
            ("aws-engineer", "HANDED_OFF"),
            ("hardware-specialist", "RESOLVED"),
        ]
    );
    assert_eq!(
        runs[0].tools(),
        [
            "directory.find_device",
            "list_candidates",
            "post_note",
            "reassign",
            "finish"
        ]
    );
    assert_eq!(
        runs[1].tools(),
        [
            "set_status",
            "device.telemetry",
            "network.trace_path",
            "post_note",
            "reassign",
            "finish"
        ]
    );
    assert_eq!(
        runs[2].tools(),
        [
            "aws.describe_gateway",
            "aws.recent_changes",
            "aws.replace_route",
            "aws.gateway_metrics",
            "post_note",
            "reassign",
            "finish"
        ]
    );
    assert_eq!(
        runs[3].tools(),
        [
            "device.telemetry",
            "network.trace_path",
            "post_note",
            "set_status",
            "finish"
        ]
    );
    let notes: Vec<_> = runs
        .iter()
        .map(|run| run.argument("post_note", "visibility"))
        .collect();
    assert_eq!(notes, ["PRIVATE", "PRIVATE", "PRIVATE", "PUBLIC"]);
    let took: Duration = runs.iter().map(|run| run.took).sum();
    assert!((20..25).contains(&took.as_secs()), "it takes {took:?}");
}

#[test]
fn other_requests_of_the_demo_end_well() {
    let outcomes = |title| -> Vec<String> {
        follow(title)
            .iter()
            .map(|run| {
                format!(
                    "{} {}",
                    run.coworker,
                    run.end["outcome"].as_str().expect("a word")
                )
            })
            .collect()
    };
    assert_eq!(
        outcomes("The printer does not print"),
        ["triage HANDED_OFF", "hardware-specialist BLOCKED"]
    );
    assert_eq!(
        outcomes("I need access to the CRM"),
        ["triage HANDED_OFF", "access-manager AWAITING_REPLY"]
    );
    let coworkers = coworkers();
    let reply = play(
        &coworkers["access-manager"],
        brief("access-manager", Trigger::Reply, "I need access to the CRM"),
    );
    assert_eq!(reply.end["outcome"], "RESOLVED");
}

#[test]
fn a_mentioned_coworker_of_the_demo_only_replies() {
    for (handle, coworker) in coworkers() {
        let played = play(
            &coworker,
            brief(&handle, Trigger::Mention, "The network is slow"),
        );
        assert_eq!(played.tools(), ["post_note", "finish"], "{handle}");
        assert_eq!(played.end["outcome"], "REPLIED", "{handle}");
    }
}

#[test]
fn the_demo_names_rules_and_colleagues_that_exist() {
    let coworkers = coworkers();
    assert_eq!(coworkers.len(), 4);
    for (handle, coworker) in &coworkers {
        let goal = &coworker.file["goal"];
        let rules: Vec<_> = goal["endOfRun"]
            .as_array()
            .expect("rules")
            .iter()
            .map(|rule| &rule["when"])
            .collect();
        for bucket in goal["outOfScope"].as_array().expect("buckets") {
            assert!(
                coworkers.contains_key(bucket["routeTo"].as_str().expect("a handle")),
                "{handle}: {bucket}"
            );
        }
        let book = Playbook::parse(coworker.config.playbook.as_deref().unwrap_or_default())
            .expect("parsed before");
        for call in book
            .turns
            .iter()
            .flat_map(|turn| &turn.calls)
            .filter(|call| call.tool == "finish")
        {
            let end: Value =
                serde_json::from_str(&call.arguments.fill(&Brief::default())).expect("JSON");
            assert!(
                rules.contains(&&end["rule"]),
                "{handle} has no rule {}",
                end["rule"]
            );
            assert!(
                end["reason"].is_string() && end["summary"].is_string(),
                "{handle}: {end}"
            );
        }
        for turn in &book.turns {
            for call in &turn.calls {
                let sent = call.arguments.fill(&Brief::default());
                assert!(
                    !sent.contains('@'),
                    "{handle}: a mention in {sent} would start another run"
                );
            }
        }
    }
}

//! The Grafana dashboard asks for what processes tell.

use std::collections::BTreeSet;

use domain::telemetry::figure;
use serde_json::Value;

/// What the panels of the dashboard ask for: an expression and its legend each.
fn asked() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../api/grafana/stint.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    targets
        .map(|target| (text(&target["expr"]), text(&target["legendFormat"])))
        .collect()
}

/// The words between each of these pairs, one after the other.
fn between<'a>(text: &'a str, begins: &str, ends: &str) -> Vec<&'a str> {
    let parts = text.split(begins).skip(1);
    parts
        .filter_map(|part| part.split_once(ends))
        .flat_map(|(words, _)| words.split(','))
        .map(str::trim)
        .collect()
}

/// Whatever an expression of the dashboard sums up or picks by is a label of its figure, as a process tells it; and a legend
/// names only what is summed up by.
pub fn asks_for_labels_that_there_are(text: &str) {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let mut seen = BTreeSet::new();
    for (expression, legend) in asked() {
        let name = expression
            .split(word)
            .find(|name| name.starts_with("stint_"))
            .unwrap();
        let Some(line) = text
            .lines()
            .find(|line| line.starts_with(name) && line[name.len()..].starts_with(['{', ' ']))
        else {
            // No model of this process has said when its first token came.
            assert_eq!(name, format!("{}_bucket", figure::FIRST_TOKEN));
            continue;
        };
        let labels: Vec<_> = between(line, "{", "}")
            .iter()
            .filter_map(|pair| pair.split('=').next())
            .collect();
        let by = between(&expression, "by (", ")");
        let picks = between(&expression, "{", "}");
        let picks = picks
            .iter()
            .filter_map(|pair| pair.split(['=', '!']).next());
        for label in by.iter().copied().chain(picks) {
            assert!(
                labels.contains(&label),
                "{expression}: {name} has {labels:?}"
            );
            seen.insert(label.to_owned());
        }
        for label in between(&legend, "{{", "}}") {
            // Each process has its own, where nothing is summed up.
            let own = by.is_empty() && label == "instance";
            assert!(own || by.contains(&label), "{legend} of {expression}");
        }
    }
    let all = ["kind", "le", "model", "result", "state", "tool"];
    assert!(seen.iter().eq(&all), "{seen:?}");
}

/// The dashboard asks only for figures that there are, and for each of them.
#[test]
fn the_dashboard_shows_the_figures_that_there_are() {
    let asked: String = asked()
        .into_iter()
        .map(|(expression, _)| expression + "\n")
        .collect();
    let known = [
        figure::RUNS_ENDED,
        figure::RUNS_ACTIVE,
        figure::WAITING,
        figure::QUEUE_AGE,
        figure::LEASES_LOST,
        figure::TAKEOVERS,
        figure::MODEL_SECONDS,
        figure::FIRST_TOKEN,
        figure::TOOL_SECONDS,
        figure::TOKENS,
        figure::COST,
        figure::WATCHERS,
        figure::BATCH,
        figure::OPERATION,
    ];
    for name in known {
        assert!(asked.contains(name), "no panel shows {name}");
    }
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    for name in asked.split(word).filter(|name| name.starts_with("stint_")) {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        assert!(
            known.contains(&base) || known.contains(&name),
            "{name} is not among the figures"
        );
    }
}

//! What it can't reach, can't find, or takes for a tool.

use entity::Millis;
use serde_json::Value;

use super::most;
use crate::coworker::lint::Rule;
use crate::diagnose::history::{History, Worked};
use crate::diagnose::{Evidence, Found};
use crate::run::event::{Event, Refusal};
use crate::text::cut;
use crate::tool::ToolErrorClass;

/// How many calls of a run must find nothing.
const EMPTY: usize = 2;
/// The longest answer that can mean that nothing was found, characters.
const SHORT: usize = 200;
/// What says in words that nothing was found.
const NOTHING: [&str; 9] = [
    "not found",
    "no results",
    "no result",
    "no match",
    "nothing found",
    "no such",
    "does not exist",
    "0 results",
    "no entries",
];

/// Why data was missing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Missing {
    NotEnabled(String),
    Offline(String),
    Empty(String),
}

/// It can't find data that it should see.
pub(in crate::diagnose) fn missing_data(history: &History) -> Found {
    let mut found = Found::default();
    let mut causes = Vec::new();
    for run in &history.runs {
        let mut empty: Vec<(&str, i64, Millis)> = Vec::new();
        for (seq, at, event) in &run.events {
            if let Some((cause, message)) = out_of_reach(run, event) {
                found.add(run, Some(*seq), *at, message);
                causes.push(cause);
            }
            if let Some(tool) = found_nothing(run, event) {
                empty.push((tool, *seq, *at));
            }
        }
        if let Some((tool, seq, at)) = empty.last().filter(|_| empty.len() >= EMPTY) {
            found.add(
                run,
                Some(*seq),
                *at,
                format!(
                    "It looked {} times and found nothing, the last time with {tool}.",
                    empty.len()
                ),
            );
            causes.push(Missing::Empty((*tool).to_owned()));
        }
    }
    match most(causes.into_iter()) {
        Some((Missing::NotEnabled(tool), _)) => found.advise(
            format!("tools: {tool}"),
            format!("Enable {tool} for it, if it should see that; else say in goal.nonGoals that it must not look there."),
        ),
        Some((Missing::Offline(tool), _)) => found.advise(
            format!("tools: {tool}"),
            format!("Look at the health of the server of {tool} (toolServers), and say in goal.endOfRun what to do while it is away."),
        ),
        Some((Missing::Empty(tool), _)) => found.advise(
            format!("tools: {tool}"),
            format!("Look whether {tool} sees the right data (its server's address, account and rights), and say in goal.flow or in a skill with which words to search."),
        ),
        None => found,
    }
}

/// What it was not let to, or what did not answer.
fn out_of_reach(run: &Worked, event: &Event) -> Option<(Missing, String)> {
    if let Event::ToolRefused(refusal) = event
        && refusal.reason == Refusal::NotEnabled
    {
        let tool = &refusal.tool;
        let message = format!("It asked for {tool}, which is not enabled for it.");
        return Some((Missing::NotEnabled(tool.clone()), message));
    }
    let Event::ToolFailed(failure) = event else {
        return None;
    };
    match failure.class {
        ToolErrorClass::Offline | ToolErrorClass::TimedOut | ToolErrorClass::BadResponse => {
            let tool = tool_of(run, &failure.call_id).unwrap_or("a tool");
            let why = cut(&failure.message, SHORT);
            let message = format!("It could not reach {tool}: {why}");
            Some((Missing::Offline(tool.to_owned()), message))
        }
        ToolErrorClass::Failed => None,
    }
}

/// The tool that answered, and found nothing.
fn found_nothing<'a>(run: &'a Worked, event: &Event) -> Option<&'a str> {
    if let Event::ToolCompleted(answer) = event {
        return tool_of(run, &answer.call_id).filter(|_| is_empty(&answer.response));
    }
    let Event::ToolFailed(failure) = event else {
        return None;
    };
    let nothing = failure.class == ToolErrorClass::Failed && says_nothing_found(&failure.message);
    nothing.then(|| tool_of(run, &failure.call_id).unwrap_or("a tool"))
}

fn tool_of<'a>(run: &'a Worked, call_id: &str) -> Option<&'a str> {
    run.call(call_id).map(|(tool, _)| tool)
}

/// An answer that holds nothing.
fn is_empty(response: &str) -> bool {
    match serde_json::from_str::<Value>(response.trim()) {
        Ok(value) => holds_nothing(&value),
        Err(_) => response.trim().is_empty() || says_nothing_found(response),
    }
}

fn holds_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty() || says_nothing_found(text),
        Value::Array(items) => items.iter().all(holds_nothing),
        // Of an object that counts what it holds, the count says that it is nothing.
        Value::Object(fields) => fields.iter().all(|(name, value)| match value {
            Value::Number(number) => is_count(name) && number.as_u64() == Some(0),
            Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => holds_nothing(value),
        }),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_count(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["count", "total", "hits", "size", "matches"]
        .iter()
        .any(|word| name.contains(word))
}

fn says_nothing_found(text: &str) -> bool {
    if text.chars().count() > SHORT {
        return false;
    }
    let text = text.to_lowercase();
    NOTHING.iter().any(|phrase| text.contains(phrase))
}

/// It mentions a tool that does not exist.
pub(in crate::diagnose) fn unknown_tool(history: &History) -> Found {
    let mut found = Found::default();
    let mut tools = Vec::new();
    for run in &history.runs {
        if let Some((seq, at, name)) = unknown(run) {
            found.add(
                run,
                Some(seq),
                at,
                format!("It called {}, which does not exist.", cut(name, 80)),
            );
            tools.push(name.to_owned());
        }
    }
    let told = history
        .findings
        .iter()
        .filter(|finding| match finding.rule {
            Rule::ToolUnknown | Rule::ToolNotEnabled => true,
            Rule::ActionUnknown
            | Rule::ToolShadowed
            | Rule::RouteToNobody
            | Rule::RouteToUnpublished
            | Rule::NoEndOfRunRule
            | Rule::EndOfRunAmbiguous
            | Rule::NoScope
            | Rule::ScopeCollision
            | Rule::SkillUnknown
            | Rule::ProviderNotConfigured
            | Rule::ParameterRefused
            | Rule::UnpricedModel => false,
        });
    let mut place = None;
    for finding in told {
        // A configuration that names what is not there is wrong whatever its runs did.
        found.is_certain = true;
        place.get_or_insert_with(|| finding.place.clone());
        found.evidence.push(Evidence {
            run: None,
            seq: None,
            step: None,
            at: history.coworker.updated_at,
            message: format!("{}: {}", finding.place, finding.message),
        });
    }
    let tool = most(tools.into_iter()).map(|(tool, _)| cut(&tool, 80));
    let suggestion = match tool {
        Some(tool) => format!(
            "Nothing is called {tool}: correct its name in the goal and in the skills, or connect the server that has it and enable it."
        ),
        None => {
            "Correct the name in the text, or connect the server that has the tool and enable it."
                .into()
        }
    };
    found.advise(place.unwrap_or_else(|| "goal.flow".into()), suggestion)
}

fn unknown(run: &Worked) -> Option<(i64, Millis, &str)> {
    run.events.iter().find_map(|(seq, at, event)| {
        let Event::ToolRefused(refusal) = event else {
            return None;
        };
        (refusal.reason == Refusal::Unknown).then_some((*seq, *at, refusal.tool.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::is_empty;

    #[test]
    fn answers_that_hold_nothing_are_told_from_those_that_do() {
        for nothing in [
            "",
            "[]",
            "{}",
            "null",
            "  ",
            "\"\"",
            r#"{"items":[],"total":0}"#,
            r#"{"result":{"matches":[]}}"#,
            "No results.",
            "The host was not found",
            r#"{"message":"no such device"}"#,
        ] {
            assert!(is_empty(nothing), "{nothing}");
        }
        for something in [
            "[1]",
            "0",
            "false",
            "true",
            r#"{"load":0}"#,
            r#"{"items":["a"],"total":1}"#,
            r#"{"ok":true}"#,
            "12 devices",
            "\"up\"",
        ] {
            assert!(!is_empty(something), "{something}");
        }
    }
}

//! What changed between two configurations: place by place for programs, and as lines for people.

use std::time::Duration;

use serde_json::Value;
use similar::{Algorithm, DiffOp, TextDiff, capture_diff_slices};

use super::config::Config;
use crate::error::{Error, Result};
use crate::yaml;

/// The most changes that are listed.
const MOST: usize = 200;
/// The most characters of a value that are shown.
const LONGEST: usize = 2_000;
/// The most bytes of the lines.
const LONGEST_LINES: usize = 64 * 1024;
/// How long the best alignment of the lines is looked for; what is found until then is right too, but longer.
const PATIENCE: Duration = Duration::from_millis(100);

/// What changed between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// The changes, by path.
    pub changes: Vec<Change>,
    /// The same as a unified diff of YAML; empty if nothing changed.
    pub text: String,
    /// Whether something of it was left out because it is long.
    pub is_cut: bool,
}

/// One place that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where: `goal.flow[2]`, counted as it stands after the change, or before it if it is gone.
    pub path: String,
    /// The value before, as text; none: there was none.
    pub before: Option<String>,
    /// The value after, as text; none: it is gone.
    pub after: Option<String>,
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// What it is called: `version 2`, `draft`.
    pub name: &'a str,
    /// The configuration.
    pub config: &'a Config,
    /// The skills that it has, with the number of the version that counts.
    pub skills: &'a [(String, i32)],
}

impl Side<'_> {
    /// The configuration, with each skill as `handle: version`.
    fn value(&self) -> Result<Value> {
        let mut value = serde_json::to_value(self.config).map_err(Error::internal)?;
        if !self.skills.is_empty() {
            let skills = self.skills.iter();
            let skills = skills.map(|(handle, version)| (handle.clone(), Value::from(*version)));
            value["skills"] = Value::Object(skills.collect());
        }
        Ok(value)
    }
}

/// Compares two configurations; where there is none before, everything is new.
///
/// # Errors
/// [`Error::Internal`], which does not happen for these types.
pub fn diff(before: Option<Side<'_>>, after: Side<'_>) -> Result<Diff> {
    let nothing = Value::Object(serde_json::Map::new());
    let (old, new) = (
        before.map_or(Ok(nothing), |side| side.value())?,
        after.value()?,
    );
    if old == new {
        return Ok(Diff::default());
    }
    let mut diff = Diff::default();
    diff.walk("", Some(&old), Some(&new));
    let (old, new) = (
        before.map_or(Ok(String::new()), |_| yaml::print(&old))?,
        yaml::print(&new)?,
    );
    let lines = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(&old, &new);
    let name = before.map_or("nothing", |side| side.name);
    let mut text = lines.unified_diff().header(name, after.name).to_string();
    if text.len() > LONGEST_LINES {
        let cut = text[..text.floor_char_boundary(LONGEST_LINES)].rfind('\n');
        text.truncate(cut.map_or(0, |end| end + 1));
        diff.is_cut = true;
    }
    diff.text = text;
    Ok(diff)
}

impl Diff {
    fn walk(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (Some(before), Some(after)) if before == after => {}
            (Some(Value::Object(before)), Some(Value::Object(after))) => {
                for (key, old) in before {
                    self.walk(&keyed(path, key), Some(old), after.get(key));
                }
                for (key, new) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                    self.walk(&keyed(path, key), None, Some(new));
                }
            }
            (Some(Value::Array(before)), Some(Value::Array(after))) => {
                self.align(path, before, after);
            }
            (before, after) => self.push(path, before, after),
        }
    }

    /// Items that were put in or taken out leave the others as they are.
    fn align(&mut self, path: &str, before: &[Value], after: &[Value]) {
        let texts = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>();
        let (old, new) = (texts(before), texts(after));
        for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
            let (old, new) = match op {
                DiffOp::Equal { .. } => continue,
                DiffOp::Delete { .. } | DiffOp::Insert { .. } | DiffOp::Replace { .. } => {
                    (op.old_range(), op.new_range())
                }
            };
            for i in 0..old.len().max(new.len()) {
                let (gone, come) = (old.clone().nth(i), new.clone().nth(i));
                let path = format!("{path}[{}]", come.or(gone).unwrap_or(0));
                let (gone, come) = (gone.map(|at| &before[at]), come.map(|at| &after[at]));
                self.walk(&path, gone, come);
            }
        }
    }

    fn push(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        if self.changes.len() == MOST {
            self.is_cut = true;
            return;
        }
        let (before, after) = (before.map(|v| self.shown(v)), after.map(|v| self.shown(v)));
        self.changes.push(Change {
            path: path.to_owned(),
            before,
            after,
        });
    }

    /// A value as text: a string as it is, all else as JSON.
    fn shown(&mut self, value: &Value) -> String {
        let mut text = match value {
            Value::String(text) => text.clone(),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => value.to_string(),
        };
        if let Some((end, _)) = text.char_indices().nth(LONGEST) {
            text.truncate(end);
            text.push('…');
            self.is_cut = true;
        }
        text
    }
}

fn keyed(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coworker::lint::sample;

    fn between(change: impl FnOnce(&mut Config)) -> Diff {
        let before = sample();
        let mut after = before.clone();
        change(&mut after);
        let side = |name, config| Side {
            name,
            config,
            skills: &[],
        };
        diff(Some(side("version 1", &before)), side("draft", &after)).expect("a diff")
    }

    fn told(diff: &Diff) -> Vec<(&str, Option<&str>, Option<&str>)> {
        diff.changes
            .iter()
            .map(|change| {
                (
                    change.path.as_str(),
                    change.before.as_deref(),
                    change.after.as_deref(),
                )
            })
            .collect()
    }

    #[test]
    fn what_did_not_change_is_no_difference() {
        assert_eq!(between(|_| {}), Diff::default());
    }

    #[test]
    fn a_step_that_is_put_in_leaves_the_others_as_they_are() {
        let diff = between(|config| {
            config.goal.flow.insert(0, "Read the request.".into());
            config.goal.end_of_run.remove(0);
            config.limits.max_turns = 7;
        });
        let expected = [
            (
                "goal.endOfRun[0]",
                Some(r#"{"setStatus":"RESOLVED","when":"Solved"}"#),
                None,
            ),
            ("goal.flow[0]", None, Some("Read the request.")),
            ("limits.maxTurns", Some("40"), Some("7")),
        ];
        let mut told = told(&diff);
        told.sort_unstable();
        assert_eq!(told, expected);
        assert!(!diff.is_cut);
    }

    #[test]
    fn the_lines_are_those_of_a_unified_diff() {
        let diff = between(|config| {
            config.soul = "Calm.\nBrief.".into();
            config.model.playbook = config
                .model
                .playbook
                .as_ref()
                .map(|p| p.replace("Done.", "Ended."));
        });
        assert!(
            diff.text.starts_with("--- version 1\n+++ draft\n"),
            "{}",
            diff.text
        );
        for line in [
            "+soul: |-\n",
            "+  Calm.\n",
            "-    turns: [{ text: Done. }]\n",
            "+    turns: [{ text: Ended. }]\n",
        ] {
            assert!(diff.text.contains(line), "{line}: {}", diff.text);
        }
    }

    #[test]
    fn a_skill_in_another_version_is_a_change() {
        let config = sample();
        let side = |name, skills| Side {
            name,
            config: &config,
            skills,
        };
        let (one, two) = ([("vpn".to_owned(), 1)], [("vpn".to_owned(), 2)]);
        let diff = diff(Some(side("version 1", &one)), side("version 2", &two)).expect("a diff");
        assert_eq!(told(&diff), [("skills.vpn", Some("1"), Some("2"))]);
    }

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        let diff = between(|config| config.soul = "long ".repeat(20_000));
        assert!(diff.is_cut);
        assert_eq!(
            diff.changes[0]
                .after
                .as_ref()
                .map(|text| text.chars().count()),
            Some(LONGEST + 1)
        );
        assert!(diff.text.len() <= LONGEST_LINES);
        let many = between(|config| config.goal.flow = (0..100).map(|i| i.to_string()).collect());
        assert_eq!(many.changes.len(), 100);
    }
}

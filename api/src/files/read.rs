//! Reading files: every one is read before anything is done, and all that is wrong is told at once.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use domain::yaml::sentence;
use entity::Millis;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::Spanned;

use super::form::{Coworker, KINDS, Object, Skill};
use super::price::Prices;
use super::{place, playbook, reach};

/// The most files of a folder.
pub const MOST_FILES: usize = 2_000;
/// The longest file, bytes.
const LONGEST: u64 = 4 * 1024 * 1024;
/// The most bytes of all files together.
const LONGEST_ALL: usize = 64 * 1024 * 1024;
/// How deep folders lie in each other.
const DEEPEST: usize = 8;
/// The most problems that are told.
const MOST_PROBLEMS: usize = 20;

/// A file and what it says.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, as people find it: `stint/coworkers/triage.yaml`.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What it says.
    pub object: Object,
}

impl Source {
    /// Something that is wrong at a path of the object.
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        let (line, column) = place::find(&self.text, path);
        Problem {
            file: self.name.clone(),
            line,
            column,
            message: message.into(),
        }
    }
}

/// What is wrong with a file, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// One sentence with the remedy.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
        } = self;
        write!(f, "{file}:{line}:{column}: {message}")
    }
}

/// All that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return only.fmt(f);
        }
        write!(
            f,
            "{} problems in the files; nothing was changed",
            self.0.len()
        )?;
        for problem in self.0.iter().take(MOST_PROBLEMS) {
            write!(f, "\n{problem}")?;
        }
        if self.0.len() > MOST_PROBLEMS {
            write!(f, "\n… and {} more", self.0.len() - MOST_PROBLEMS)?;
        }
        Ok(())
    }
}

/// How files are read: anchors may be used, but not to blow up a small text.
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        budget: serde_saphyr::budget! { max_nodes: 500_000, max_events: 1_000_000, max_aliases: 64, max_anchors: 64 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
    }
}

/// Reads a file, or all `.yaml` and `.yml` files of a folder and of the folders in it; hidden ones are left out.
///
/// # Errors
/// [`Problems`], or one sentence about what can't be read.
pub fn read(from: &Path) -> anyhow::Result<Vec<Source>> {
    let mut paths = Vec::new();
    let unreadable = |path: &Path, error: std::io::Error| {
        anyhow::anyhow!(
            "{} can't be read ({error}); name a folder with -f",
            path.display()
        )
    };
    let meta = std::fs::metadata(from).map_err(|error| unreadable(from, error))?;
    if meta.is_dir() {
        collect(from, 0, &mut paths)?;
    } else {
        paths.push(from.to_owned());
    }
    if paths.is_empty() {
        anyhow::bail!(
            "{} holds no .yaml file; stint export writes some",
            from.display()
        );
    }
    paths.sort();
    let (mut texts, mut total) = (Vec::with_capacity(paths.len()), 0);
    for path in paths {
        let size = std::fs::metadata(&path)
            .map_err(|error| unreadable(&path, error))?
            .len();
        let name = path.display().to_string();
        if size > LONGEST {
            anyhow::bail!("{name} has {size} bytes; {LONGEST} are allowed: is it the right file?");
        }
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        total += bytes.len();
        if total > LONGEST_ALL {
            anyhow::bail!(
                "the files have more than {LONGEST_ALL} bytes together; apply them in parts"
            );
        }
        texts.push((name, bytes));
    }
    Ok(parse(texts)?)
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let unreadable = |error| anyhow::anyhow!("{} can't be read ({error})", folder.display());
    if depth > DEEPEST {
        anyhow::bail!(
            "{} lies more than {DEEPEST} folders deep; put the files higher",
            folder.display()
        );
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // A link to a file is read, as a cluster mounts them; one to a folder could lead in circles.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            collect(&path, depth + 1, paths)?;
        } else if path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
            && path.is_file()
        {
            if paths.len() == MOST_FILES {
                anyhow::bail!("there are more than {MOST_FILES} files; apply them in parts");
            }
            paths.push(path);
        }
    }
    Ok(())
}

/// Reads texts, each with its name.
///
/// # Errors
/// All that is wrong with them.
pub fn parse(texts: Vec<(String, Vec<u8>)>) -> Result<Vec<Source>, Problems> {
    let (mut sources, mut problems) = (Vec::with_capacity(texts.len()), Vec::new());
    for (name, bytes) in texts {
        match one(&name, bytes) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(problem),
        }
    }
    problems.extend(twice(&sources));
    if problems.is_empty() {
        Ok(sources)
    } else {
        Err(Problems(problems))
    }
}

/// The only key that tells how to read the others.
#[derive(Deserialize)]
struct Head {
    kind: Spanned<String>,
}

fn one(name: &str, bytes: Vec<u8>) -> Result<Source, Problem> {
    let problem = |line, column, message| Problem {
        file: name.to_owned(),
        line,
        column,
        message,
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = sound.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        problem(line, 1, "it is no UTF-8 text; save it as UTF-8".to_owned())
    })?;
    let wrong = |error: serde_saphyr::Error| {
        let at = error.location();
        problem(
            at.map_or(1, |at| at.line()),
            at.map_or(1, |at| at.column()),
            sentence(&error),
        )
    };
    let head: Head = as_yaml(&text).map_err(wrong)?;
    let object = match head.kind.value.as_str() {
        "coworker" => {
            as_yaml::<Coworker>(&text).map(|coworker| Object::Coworker(Box::new(coworker)))
        }
        "skill" => as_yaml::<Skill>(&text).map(Object::Skill),
        "tool-server" => reach::server(&text).map(Object::ToolServer),
        "prices" => as_yaml::<Prices>(&text).map(Object::Prices),
        other => {
            let at = head.kind.referenced;
            let message = format!(
                "there is no kind {other:?}; write one of {}",
                KINDS.join(", ")
            );
            return Err(problem(at.line(), at.column(), message));
        }
    };
    let mut object = object.map_err(wrong)?;
    if let Object::Coworker(coworker) = &mut object {
        playbook::settle(&text, coworker)
            .map_err(|fault| problem(fault.line, fault.column, fault.message))?;
    }
    let source = Source {
        name: name.to_owned(),
        text,
        object,
    };
    // The database would refuse it too, but without the place.
    if let Object::Coworker(coworker) = &source.object
        && let Err(error) = coworker.config().check()
    {
        return Err(source.problem(field(&error), error.to_string()));
    }
    if let Object::ToolServer(server) = &source.object
        && let Err(error) = server.reach.check()
    {
        let path = reach::path(&server.reach, field(&error));
        return Err(source.problem(&path, error.to_string()));
    }
    Ok(source)
}

pub(super) fn as_yaml<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, options())
}

/// The field that an error names.
pub(super) fn field(error: &domain::Error) -> &'static str {
    match error {
        domain::Error::Invalid { field, .. } => field,
        domain::Error::NotFound { .. }
        | domain::Error::Forbidden { .. }
        | domain::Error::Conflict { .. }
        | domain::Error::Unavailable { .. }
        | domain::Error::CommitUnknown
        | domain::Error::Internal { .. } => "",
    }
}

/// What two files say, or one file twice.
fn twice(sources: &[Source]) -> Vec<Problem> {
    let mut seen: HashMap<(&str, String, Millis), &str> = HashMap::new();
    let mut problems = Vec::new();
    let mut triage: Option<&str> = None;
    for source in sources {
        let mut once = |kind, name: &str, at, path: &str, what: String| {
            if let Some(first) = seen.insert((kind, name.to_owned(), at), &source.name) {
                problems.push(
                    source.problem(path, format!("{what} stands in {first} already; keep one")),
                );
            }
        };
        match &source.object {
            Object::Coworker(coworker) => {
                let what = format!("the coworker {}", coworker.handle);
                once("coworker", &coworker.handle, Millis(0), "handle", what);
                if coworker.is_triage
                    && let Some(first) = triage.replace(&source.name)
                {
                    let message =
                        format!("{first} is the Triage coworker already; there can be only one");
                    problems.push(source.problem("isTriage", message));
                }
            }
            Object::Skill(skill) => {
                let what = format!("the skill {}", skill.handle);
                once("skill", &skill.handle, Millis(0), "handle", what);
            }
            Object::ToolServer(server) => {
                let what = format!("the tool server {}", server.name);
                once("tool-server", &server.name, Millis(0), "name", what);
            }
            Object::Prices(file) => {
                for (i, price) in file.prices.iter().enumerate() {
                    let what = format!("a price of {} from that moment on", price.model);
                    let path = format!("prices[{i}].effectiveFrom");
                    let name = format!("{} {}", price.model, price.service_tier);
                    once("price", &name, price.effective_from.0, &path, what);
                }
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests;

//! The playbook of a coworker's file: a mapping, which editors complete and check, or a block of text. The coworker keeps it
//! as a text; that of a mapping is its lines in the file, so that its comments and anchors stay.

use domain::model::playbook::{Form, Playbook, PlaybookError, Written};
use serde::Deserialize;

use super::form::Coworker;
use super::place;
use super::read::as_yaml;

/// Where the playbook stands in a coworker's file.
const PLACE: &str = "model.playbook";

/// What is wrong with a playbook, and where in the file.
#[derive(Debug)]
pub(super) struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// The column, from 1.
    pub column: u64,
    /// One sentence with the remedy.
    pub message: String,
}

/// The lines of a file below `playbook:`, without what they are indented by.
struct Lines {
    text: String,
    /// Where they begin in the file, from 1.
    first: u64,
    indent: u64,
}

/// A file as far as its playbook is read in place, so that what is wrong has the file's own place.
#[derive(Deserialize)]
struct InPlace {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    playbook: Form,
}

/// Gives the coworker of a file the playbook's text, and says what is wrong with it.
pub(super) fn settle(file: &str, coworker: &mut Coworker) -> Result<(), Fault> {
    let Some(playbook) = &mut coworker.model.playbook else {
        return Ok(());
    };
    let lines = Lines::of(file);
    if !place::is_mapping(file, PLACE) {
        return match Playbook::parse(playbook) {
            Ok(_) => Ok(()),
            Err(error) => Err(in_text(error, file, playbook, lines)),
        };
    }
    let form: InPlace = as_yaml(file).map_err(|error| {
        let at = error.location();
        Fault {
            line: at.map_or(1, |at| at.line()),
            column: at.map_or(1, |at| at.column()),
            message: domain::yaml::sentence(&error),
        }
    })?;
    if let Err(error) = form.model.playbook.check() {
        let found = place::find(file, PLACE);
        return Err(Fault {
            line: error.line.unwrap_or(found.0),
            column: error.column.unwrap_or(found.1),
            message: error.message,
        });
    }
    // What the lines say by themselves is the same, unless an anchor of theirs stands elsewhere.
    let same = |lines: &Lines| as_yaml(&lines.text).is_ok_and(|Written(text)| text == *playbook);
    if let Some(lines) = lines.filter(same) {
        *playbook = lines.text;
    }
    // The bounds of a playbook are narrower than those of a file.
    Playbook::parse(playbook)
        .map(drop)
        .map_err(|error| whole(&error, file))
}

/// A fault of a text: in a block its lines are lines of the file.
fn in_text(error: PlaybookError, file: &str, playbook: &str, lines: Option<Lines>) -> Fault {
    let block = lines.filter(|lines| lines.text.trim_end() == playbook.trim_end());
    match (block, error.line, error.column) {
        (Some(lines), Some(line), Some(column)) => Fault {
            line: lines.first + line - 1,
            column: lines.indent + column,
            message: error.message,
        },
        (Some(_) | None, _, _) => whole(&error, file),
    }
}

fn whole(error: &PlaybookError, file: &str) -> Fault {
    let (line, column) = place::find(file, PLACE);
    Fault {
        line,
        column,
        message: error.to_string(),
    }
}

impl Lines {
    /// The lines, if the file is written in lines at all; whether they say what the file says is for the caller to see.
    fn of(file: &str) -> Option<Self> {
        let (line, column) = place::find(file, PLACE);
        let (above, outer) = (
            usize::try_from(line).ok()?,
            usize::try_from(column).ok()? - 1,
        );
        let key = file.lines().nth(above - 1)?;
        if indent(key) != outer || !key[outer..].starts_with("playbook:") {
            return None;
        }
        let inner = file
            .lines()
            .skip(above)
            .find(|line| !is_blank(line) && !is_comment(line))
            .map(indent)
            .filter(|inner| *inner > outer)?;
        let mut text = String::new();
        let mut kept = 0;
        for line in file.lines().skip(above) {
            if indent(line) >= inner && !is_blank(line) {
                text += &line[inner..];
                text.push('\n');
                kept = text.len();
            } else if is_blank(line) || is_comment(line) {
                // Within the playbook it stays, after it, it belongs to what follows.
                text += line.trim();
                text.push('\n');
            } else {
                break;
            }
        }
        text.truncate(kept);
        Some(Self {
            text,
            first: line + 1,
            indent: inner as u64,
        })
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// A coworker's file: its playbook as a mapping, if reading that gives the very same coworker, else as a block of text.
///
/// # Errors
/// [`domain::Error::Internal`] for what YAML can't hold, which no check lets through.
pub fn print(coworker: &Coworker) -> domain::Result<String> {
    const BLOCK: &str = "\n  playbook: |\n";
    let text = domain::yaml::print(coworker)?;
    // The lines of a block are those of a mapping. It comes last of all texts, so a text that looks like it is not meant.
    let Some(at) = text.rfind(BLOCK) else {
        return Ok(text);
    };
    let (before, after) = (&text[..at], &text[at + BLOCK.len()..]);
    let mapping = format!("{before}\n  playbook:\n{after}");
    let read = as_yaml::<Coworker>(&mapping).ok().and_then(|mut read| {
        settle(&mapping, &mut read).ok()?;
        Some(read)
    });
    Ok(match read {
        Some(read) if read == *coworker => mapping,
        Some(_) | None => text,
    })
}

#[cfg(test)]
mod tests;

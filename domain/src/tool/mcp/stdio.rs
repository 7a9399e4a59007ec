//! MCP servers that are programs of the operator's: no shell, a cleared environment, a process group of their own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::process::{ChildStderr, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::exact::Results;
use super::group::Group;
use super::keeper::through;
use super::tap;
use crate::secret::{Secret, Veil};

/// The variables that every program gets, where this process has them.
const ALWAYS: [&str; 2] = ["PATH", "HOME"];
/// What a variable is called whose value nobody shall read, whatever it looks like.
const SECRET_WORDS: [&str; 5] = ["TOKEN", "SECRET", "PASSWORD", "KEY", "CREDENTIAL"];
/// The fewest bytes of a secret: what is shorter would be found everywhere.
const SHORTEST: usize = 8;
/// The most bytes of what it last wrote to its standard error.
const TAIL: usize = 2_000;
/// What a program ended with is shown if it is shorter than this, though it may be the beginning of a secret.
const TOLD_APART: usize = 4;
/// How long the last words of a program that did not start are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A program that speaks MCP on its standard input and output, as the operator's settings have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The names of variables of this process that it gets too.
    #[serde(default)]
    pub env: Vec<String>,
    /// Variables that it gets with these values: `NAME=value`. No table, for the names of variables have capitals, and
    /// the keys of settings have none.
    #[serde(default)]
    pub env_set: Vec<String>,
    /// The same as both, for values that are no secrets: `NAME` or `NAME=value`.
    #[serde(default)]
    pub env_plain: Vec<String>,
}

impl Program {
    fn environment(&self) -> BTreeMap<String, String> {
        let own = ALWAYS.into_iter().filter_map(variable);
        let plain = self.env_plain.iter().filter_map(|text| variable(text));
        own.chain(plain).chain(self.given()).collect()
    }

    /// What the operator gives it and does not call plain.
    fn given(&self) -> BTreeMap<String, String> {
        let all = self.env.iter().chain(&self.env_set);
        all.filter_map(|text| variable(text)).collect()
    }

    /// What of its environment nobody shall read, by the variables' names: all that the operator gives it, unless it is
    /// too short, or can be told to be none.
    pub(in crate::tool) fn secrets(&self) -> Vec<(String, Secret)> {
        let given = self.given().into_iter();
        given
            .filter(|(name, value)| value.len() >= SHORTEST && may_be_secret(name, value))
            .map(|(name, value)| (name, Secret::new(value)))
            .collect()
    }
}

/// A variable with its value: `NAME=value`, or that of this process that is called so.
fn variable(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.to_owned(), std::env::var(text).ok()?)),
    }
}

/// Whether a value may be one that nobody shall read: numbers and files that are there are none, if their name does not
/// say so.
fn may_be_secret(name: &str, value: &str) -> bool {
    let name = name.to_uppercase();
    let called = SECRET_WORDS.iter().any(|word| name.contains(word));
    called || !(value.parse::<f64>().is_ok() || Path::new(value).exists())
}

/// A program that was started.
pub(super) struct Started {
    /// What it writes, for the SDK.
    pub(super) output: DuplexStream,
    /// What it reads.
    pub(super) input: ChildStdin,
    /// The exact texts of its results.
    pub(super) results: Results,
    /// What it last wrote to its standard error.
    pub(super) errors: Errors,
    /// Ends it when it is dropped.
    pub(super) group: Group,
}

/// What a program last wrote to its standard error.
pub(super) struct Errors {
    kept: Arc<Mutex<String>>,
    listening: JoinHandle<()>,
}

impl Errors {
    /// The last of it, once the program has ended, or when it takes too long to.
    pub(super) async fn last(self) -> String {
        // Its output may be seen to end before its last words are read.
        drop(timeout(LAST_WORDS, self.listening).await);
        self.kept.lock().trim().to_owned()
    }
}

/// Starts a program, through `keeper` where there is one.
///
/// # Errors
/// One sentence that says why it could not be started.
pub(super) fn start(
    name: &str,
    program: &Program,
    keeper: Option<&Path>,
    tasks: &TaskTracker,
) -> Result<Started, String> {
    let command: Cow<'_, [String]> = match keeper {
        Some(keeper) => through(keeper, &program.command).into(),
        None => (&program.command).into(),
    };
    let (first, rest) = command
        .split_first()
        .ok_or_else(|| format!("the command of [mcp.{name}] is empty"))?;
    let mut started = Command::new(first);
    if keeper.is_some() {
        // What people see of it among the processes.
        started.arg0("stint");
    }
    let mut child = started
        .args(rest)
        .env_clear()
        .envs(program.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|err| {
            format!("the command of [mcp.{name}], {first}, could not be started: {err}")
        })?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let group = Group::led_by(child, tasks.clone());
    let (Some(input), Some(stdout), Some(stderr), Some(group)) = (pipes.0, pipes.1, pipes.2, group)
    else {
        return Err(format!("the command of [mcp.{name}] ended at once"));
    };
    let (results, kept) = (Results::default(), Arc::<Mutex<String>>::default());
    let (ours, output) = tokio::io::duplex(64 * 1024);
    // Both end with the program, whose end of the pipes is closed then.
    tokio::spawn(tap::pass(stdout, ours, results.clone()));
    let lines = Lines::new(program);
    let listening = tokio::spawn(listen(name.to_owned(), stderr, lines, kept.clone()));
    Ok(Started {
        output,
        input,
        results,
        errors: Errors { kept, listening },
        group,
    })
}

/// What a program writes, without its secrets: one that comes in two pieces, or over several lines, is held back until it
/// is whole.
struct Lines {
    /// Bytes of a character that has only begun.
    cut: Vec<u8>,
    /// What may be the beginning of a secret.
    unsure: String,
    /// A line that has only begun.
    begun: String,
    veil: Veil,
}

impl Lines {
    fn new(program: &Program) -> Self {
        let secrets = program.secrets();
        Self {
            cut: Vec::new(),
            unsure: String::new(),
            begun: String::new(),
            veil: Veil::new(secrets.iter().map(|(name, secret)| (name.as_str(), secret))),
        }
    }

    /// What can be shown after this piece.
    fn shown(&mut self, piece: &[u8]) -> String {
        self.cut.extend_from_slice(piece);
        let whole = self.cut.len() - begun_character(&self.cut);
        let bytes: Vec<u8> = self.cut.drain(..whole).collect();
        self.unsure.push_str(&String::from_utf8_lossy(&bytes));
        self.veil.next(&mut self.unsure, false)
    }

    /// What was held back and is no secret, at the end. Of what is as long as the beginning of one nothing is shown.
    fn rest(&mut self) -> String {
        let rest = std::mem::take(&mut self.unsure);
        if rest.len() < TOLD_APART {
            rest
        } else {
            "…".to_owned()
        }
    }

    /// The lines that this completes. Of one that is too long only its length is told.
    fn whole(&mut self, piece: &str) -> Vec<String> {
        let mut whole = Vec::new();
        for part in piece.split_inclusive('\n') {
            self.begun.push_str(part);
            if !part.ends_with('\n') {
                continue;
            }
            let line = std::mem::take(&mut self.begun);
            let line = line.trim_end();
            whole.push(if line.len() > TAIL {
                format!("(a line of more than {TAIL} bytes)")
            } else {
                line.to_owned()
            });
        }
        // Enough to know that it is too long.
        let most = self.begun.floor_char_boundary(TAIL + 4);
        self.begun.truncate(most);
        whole
    }
}

/// Reads what a program writes to its standard error: kept is only the end of it.
async fn listen(name: String, mut stderr: ChildStderr, mut lines: Lines, kept: Arc<Mutex<String>>) {
    let mut chunk = [0; 4096];
    loop {
        let read = stderr.read(&mut chunk).await.unwrap_or(0);
        let text = match read {
            0 => lines.rest(),
            read => lines.shown(&chunk[..read]),
        };
        for line in lines.whole(&text) {
            tracing::debug!(tool_server.command = name, %line, "an MCP server says");
        }
        keep(&mut kept.lock(), &text);
        if read == 0 {
            return;
        }
    }
}

/// Adds to what was said last, and forgets what was said before. No secret is in it any more that a cut could halve.
fn keep(kept: &mut String, text: &str) {
    kept.push_str(text);
    let from = kept.len().saturating_sub(TAIL);
    let from = kept.ceil_char_boundary(from);
    kept.drain(..from);
}

/// The bytes at the end that are the beginning of a character.
fn begun_character(bytes: &[u8]) -> usize {
    let last = bytes.iter().rev().take(3).enumerate();
    for (behind, byte) in last {
        let length = match byte {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            0x80..=0xBF => continue,
            0x00..=0x7F => return 0,
        };
        return if length > behind + 1 { behind + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(program: &Program) -> Vec<String> {
        let names = program.secrets().into_iter().map(|(name, _)| name);
        names.collect()
    }

    #[test]
    fn what_an_operator_gives_a_program_is_secret_unless_it_can_be_told_to_be_none() {
        let text = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let program = Program {
            command: text(&["x"]),
            env_set: text(&[
                "DSN=postgres://me:pw@desk/db",
                "WORD=hunter2-hunter2",
                "GITHUB_TOKEN=1234567890",
                "SHORT_KEY=1234567",
                "LEVEL=warn",
                "PORT=0000008080",
                "FOLDER=/proc/self",
                "GONE=/nowhere/at/all",
            ]),
            env: text(&["STINT_IS_NOT_SET"]),
            env_plain: text(&["STAGE=production", "STINT_IS_NOT_SET_EITHER"]),
        };
        assert_eq!(secrets(&program), ["DSN", "GITHUB_TOKEN", "GONE", "WORD"]);
        let environment = program.environment();
        assert_eq!(environment["STAGE"], "production");
        assert!(environment.contains_key("PATH"));
        assert!(!environment.keys().any(|name| name.starts_with("STINT_")));
    }

    #[test]
    fn what_a_program_says_is_logged_by_lines_and_without_its_secrets() {
        let program = Program {
            env_set: vec!["A_TOKEN=canary-one-two".into(), "PLAIN=canary".into()],
            ..Program::default()
        };
        let mut lines = Lines::new(&program);
        let said = |lines: &mut Lines, piece: &str| {
            let shown = lines.shown(piece.as_bytes());
            lines.whole(&shown)
        };
        assert_eq!(
            said(&mut lines, "my token is canary-o"),
            Vec::<String>::new()
        );
        assert_eq!(
            said(&mut lines, "ne-two\nand\n"),
            ["my token is ‹secret:A_TOKEN›", "and"]
        );
        for _ in 0..10 {
            assert_eq!(lines.whole(&"ß".repeat(TAIL)), Vec::<String>::new());
        }
        assert!(lines.begun.len() <= TAIL + 4);
        assert_eq!(
            lines.whole("\nx\n"),
            [format!("(a line of more than {TAIL} bytes)"), "x".into()]
        );
    }

    /// A secret that lies across a piece's end, or across the place where the last words are cut, or over several lines.
    #[test]
    fn what_is_kept_of_a_programs_last_words_shows_no_part_of_a_secret() {
        let secret = "canary-ä\n-one\n-two";
        let program = Program {
            env_set: vec![format!("A_TOKEN={secret}")],
            ..Program::default()
        };
        for behind in TAIL - 60..TAIL + 10 {
            let text = format!("{} {secret} {}", "x".repeat(300), "y".repeat(behind));
            let (mut lines, mut kept) = (Lines::new(&program), String::new());
            for piece in text.as_bytes().chunks(7) {
                keep(&mut kept, &lines.shown(piece));
            }
            keep(&mut kept, &lines.rest());
            assert!(kept.len() <= TAIL + 3);
            let shown = kept.replace("‹secret:A_TOKEN›", "");
            assert!(
                !shown.contains("one") && !shown.contains("canary"),
                "{kept}"
            );
        }
        // It ends in the middle of it.
        let mut lines = Lines::new(&program);
        assert_eq!(lines.shown(b"so: canary-"), "so: ");
        assert_eq!(lines.rest(), "…");
        assert_eq!(lines.shown(b"so: c"), "so: ");
        assert_eq!(lines.rest(), "c");
    }
}

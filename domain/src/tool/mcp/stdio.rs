//! MCP servers that are programs of the operator's: no shell, a cleared environment, a process group of their own.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::process::{ChildStderr, ChildStdin, Command};
use tokio_util::task::TaskTracker;

use super::group::Group;
use super::tap::{self, Results};
use crate::secret::Secret;

/// The variables that every program gets, where this process has them.
const ALWAYS: [&str; 2] = ["PATH", "HOME"];
/// What makes a variable's value one that nobody shall read.
const SECRET_WORDS: [&str; 5] = ["TOKEN", "SECRET", "PASSWORD", "KEY", "CREDENTIAL"];
/// The most bytes of what it last wrote to its standard error.
const TAIL: usize = 2_000;

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
}

impl Program {
    fn environment(&self) -> BTreeMap<String, String> {
        let passed = ALWAYS
            .into_iter()
            .chain(self.env.iter().map(String::as_str))
            .filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
        let set = self.env_set.iter().filter_map(|set| set.split_once('='));
        passed
            .chain(set.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect()
    }

    /// What of its environment nobody shall read, by the variables' names.
    pub(in crate::tool) fn secrets(&self) -> Vec<(String, Secret)> {
        let secret = |name: &str| {
            let name = name.to_uppercase();
            SECRET_WORDS.iter().any(|word| name.contains(word))
        };
        let all = self.environment().into_iter();
        all.filter(|(name, value)| secret(name) && value.len() >= 8)
            .map(|(name, value)| (name, Secret::new(value)))
            .collect()
    }
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
    pub(super) errors: Arc<Mutex<String>>,
    /// Ends it when it is dropped.
    pub(super) group: Group,
}

/// Starts a program.
///
/// # Errors
/// One sentence that says why it could not be started.
pub(super) fn start(name: &str, program: &Program, tasks: &TaskTracker) -> Result<Started, String> {
    let (first, rest) = program
        .command
        .split_first()
        .ok_or_else(|| format!("the command of [mcp.{name}] is empty"))?;
    let mut child = Command::new(first)
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
    let (results, errors) = (Results::default(), Arc::<Mutex<String>>::default());
    let (ours, output) = tokio::io::duplex(64 * 1024);
    // Both end with the program, whose end of the pipes is closed then.
    tokio::spawn(tap::pass(stdout, ours, results.clone()));
    tokio::spawn(listen(name.to_owned(), stderr, errors.clone()));
    Ok(Started {
        output,
        input,
        results,
        errors,
        group,
    })
}

/// Reads what a program writes to its standard error: kept is only the end of it.
async fn listen(name: String, mut stderr: ChildStderr, kept: Arc<Mutex<String>>) {
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
        let text = String::from_utf8_lossy(&chunk[..read]);
        tracing::debug!(tool_server.command = name, %text, "an MCP server says");
        let mut kept = kept.lock();
        kept.push_str(&text);
        let from = kept.len().saturating_sub(TAIL);
        let from = kept.ceil_char_boundary(from);
        kept.drain(..from);
    }
}

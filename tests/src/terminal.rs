//! The real `stint` binary on a terminal, where it asks.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::binary::{Finished, path};

/// How long anything that is awaited from a command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command to its end on a terminal of its own, where `typed` is typed and then nothing more comes. Both of its
/// outputs are the terminal's.
pub fn run(args: &[&str], typed: &str) -> Finished {
    let mut child = start(&line(args));
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(typed.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    Finished {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A command line of the binary, as a shell reads it.
fn line(args: &[&str]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let line: Vec<String> = std::iter::once(path().display().to_string())
        .chain(args.iter().map(ToString::to_string))
        .map(|text| quoted(&text))
        .collect();
    line.join(" ")
}

/// Starts a command line on a terminal.
fn start(line: &str) -> Child {
    // Of util-linux: it gives the command a pseudo-terminal, and ends as the command does.
    Command::new("script")
        .args(["--quiet", "--return", "--command", line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script of util-linux is there")
}

/// A command that runs on a terminal of its own, of 40 lines and 120 columns.
pub struct Screen {
    child: Child,
    stdin: ChildStdin,
    shown: Arc<(Mutex<String>, Condvar)>,
}

impl Screen {
    /// Starts a command.
    pub fn start(args: &[&str]) -> Self {
        let mut child = start(&format!("stty rows 40 cols 120; exec {}", line(args)));
        let mut stdout = child.stdout.take().expect("a pipe");
        let stdin = child.stdin.take().expect("a pipe");
        let shown = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let reads = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]);
                *reads.0.lock().unwrap_or_else(PoisonError::into_inner) += &text;
                reads.1.notify_all();
            }
        });
        Self {
            child,
            stdin,
            shown,
        }
    }

    /// All that was shown so far, with what moves the cursor.
    pub fn shown(&self) -> String {
        let shown = self.shown.0.lock();
        shown.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this was shown.
    pub fn until(&self, part: &str) {
        let (text, more) = &*self.shown;
        let until = Instant::now() + LIMIT;
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        while !text.contains(part) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {part:?} in {text:?}");
            let waited = more.wait_timeout(text, left);
            text = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Types this, and waits for the command's end; whether it ended well.
    pub fn leave(mut self, typed: &str) -> bool {
        self.stdin.write_all(typed.as_bytes()).expect("it reads");
        self.stdin.flush().expect("it reads");
        self.child.wait().expect("it ends").success()
    }
}

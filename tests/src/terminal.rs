//! The real `stint` binary on a terminal, where it asks.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::binary::{Finished, path};

/// Runs a command to its end on a terminal of its own, where `typed` is typed and then nothing more comes. Both of its
/// outputs are the terminal's.
pub fn run(args: &[&str], typed: &str) -> Finished {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let line: Vec<String> = std::iter::once(path().display().to_string())
        .chain(args.iter().map(ToString::to_string))
        .map(|text| quoted(&text))
        .collect();
    // Of util-linux: it gives the command a pseudo-terminal, and ends as the command does.
    let mut child = Command::new("script")
        .args([
            "--quiet",
            "--return",
            "--command",
            &line.join(" "),
            "/dev/null",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script of util-linux is there");
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

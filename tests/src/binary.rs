//! The real `stint` binary: to read what it prints, to kill it, to freeze it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::process::{self, Signal};

/// How long anything that is awaited from the binary may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The binary of this build: beside the tests in cargo's target folder, built first when it may be stale.
///
/// It belongs to another package than the tests, so that cargo does not build it for them. `tests/run` builds both in
/// one go and says so; otherwise cargo is asked once per run, with the same features, and mostly has nothing to do.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let exe = std::env::current_exe().expect("the path of this program");
        // target/<profile>/deps/it-0123456789abcdef
        let profile_dir = exe
            .ancestors()
            .nth(2)
            .expect("a test runs in cargo's target folder");
        let path = profile_dir.join("stint");
        if std::env::var_os("STINT_TESTS_BUILT").is_none() || !path.exists() {
            build(profile_dir);
        }
        assert!(
            path.exists(),
            "there is no {} after building it",
            path.display()
        );
        path
    })
}

fn build(profile_dir: &Path) {
    let shared = process::shared_dir().expect("cargo's target folder can be written");
    let lock = process::lock_file(&shared.join("stint.lock")).expect("a lock file");
    lock.lock().expect("the lock");
    // One nextest run is many processes: the first one builds for all.
    let marker = shared.join("stint.built");
    let run = std::env::var("NEXTEST_RUN_ID")
        .ok()
        .map(|id| format!("{id} {}", profile_dir.display()));
    if run.is_some() && std::fs::read_to_string(&marker).ok() == run {
        return;
    }
    let profile = match profile_dir.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let manifest_dir =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            "api",
            "--bin",
            "stint",
            "--package",
            "tests",
            "--test",
            "it",
        ])
        .args(["--profile", profile, "--target-dir"])
        .arg(
            profile_dir
                .parent()
                .expect("the profile's folder lies in cargo's target folder"),
        )
        .current_dir(manifest_dir)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "building stint failed");
    if let Some(run) = run {
        std::fs::write(marker, run).expect("cargo's target folder can be written");
    }
}

/// A command of the binary, without the caller's own settings.
fn command(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(path());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("STINT_") {
            command.env_remove(name);
        }
    }
    command
        .args(args)
        .envs(env.iter().copied())
        .stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a finished command left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(args: &[&str]) -> Finished {
    run_with(args, &[])
}

/// Runs a command to its end, with these environment variables.
pub fn run_with(args: &[&str], env: &[(&str, &str)]) -> Finished {
    let mut stint = Stint::start_with(args, env);
    let status = stint.wait();
    Finished {
        status,
        stdout: stint.stdout(),
        stderr: stint.stderr(),
    }
}

/// A running `stint`. Killed with this value.
pub struct Stint {
    child: Child,
    stdout: Arc<Text>,
    stderr: Arc<Text>,
}

impl Stint {
    /// Starts a command, such as `serve`.
    pub fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    /// Starts a command, with these environment variables.
    pub fn start_with(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = command(args, env).spawn().expect("stint starts");
        let stdout = Text::read(child.stdout.take().expect("a pipe"));
        let stderr = Text::read(child.stderr.take().expect("a pipe"));
        Self {
            child,
            stdout,
            stderr,
        }
    }

    /// Starts `serve` on this database, on a free port unless `more` says `--listen`.
    pub fn serve(database_url: &str, more: &[&str]) -> Self {
        let mut args = vec!["serve", "--database-url", database_url];
        if !more.contains(&"--listen") {
            args.extend(["--listen", "127.0.0.1:0"]);
        }
        args.extend(more);
        Self::start(&args)
    }

    /// Where a server listens. Waits until it is ready.
    pub fn address(&self) -> SocketAddr {
        let line = self.error_line("http://");
        let (_, rest) = line.split_once("http://").expect("a URL");
        let address = rest
            .split('/')
            .next()
            .and_then(|address| address.parse().ok());
        address.unwrap_or_else(|| panic!("no address in {line:?}"))
    }

    /// The admin key that the first start of a server on a database prints.
    pub fn first_key(&self) -> String {
        self.line("stint_")
    }

    /// A client of a server with its first key. Waits until the server is ready.
    pub fn client(&self) -> Client {
        Client::new(self.address(), Some(&self.first_key()))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of standard output that holds `part`, also an earlier one, and returns it.
    pub fn line(&self, part: &str) -> String {
        self.stdout
            .line(part)
            .unwrap_or_else(|| panic!("no line with {part:?}; stderr: {}", self.stderr()))
    }

    /// Waits for a line of standard error that holds `part`, also an earlier one, and returns it.
    pub fn error_line(&self, part: &str) -> String {
        self.stderr
            .line(part)
            .unwrap_or_else(|| panic!("no line with {part:?}; stderr: {}", self.stderr()))
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.all()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.all()
    }

    /// Kills it in the middle of whatever it does (SIGKILL). Returns when it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("stint can be killed");
        self.wait();
    }

    /// Freezes it (SIGSTOP).
    pub fn freeze(&self) {
        process::send(self.pid(), Signal::Stop);
    }

    /// Lets it go on after [`Stint::freeze`] (SIGCONT).
    pub fn thaw(&self) {
        process::send(self.pid(), Signal::Continue);
    }

    /// Asks it to end, as a service manager does (SIGTERM).
    pub fn terminate(&self) {
        process::send(self.pid(), Signal::Terminate);
    }

    /// Asks it to end, as Ctrl-C does (SIGINT).
    pub fn interrupt(&self) {
        process::send(self.pid(), Signal::Interrupt);
    }

    /// How it ended, if it does within this time.
    pub fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        process::wait_until(time, || {
            self.child.try_wait().expect("stint can be awaited")
        })
    }

    /// Waits until it has ended and everything it wrote was read.
    pub fn wait(&mut self) -> ExitStatus {
        let status = process::wait_until(LIMIT, || {
            self.child.try_wait().expect("stint can be awaited")
        });
        let status =
            status.unwrap_or_else(|| panic!("stint did not end; stderr: {}", self.stderr()));
        self.stdout.until_closed();
        self.stderr.until_closed();
        status
    }
}

impl Drop for Stint {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a pipe has brought so far.
#[derive(Default)]
struct Text {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    closed: bool,
}

impl Text {
    fn read(pipe: impl Read + Send + 'static) -> Arc<Self> {
        let text = Arc::new(Self::default());
        let writer = Arc::clone(&text);
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe
                .read_until(b'\n', &mut line)
                .is_ok_and(|length| length > 0)
            {
                let read = String::from_utf8_lossy(&line).into_owned();
                writer.change(|lines| lines.lines.push(read));
                line.clear();
            }
            writer.change(|lines| lines.closed = true);
        });
        text
    }

    fn change(&self, change: impl FnOnce(&mut Lines)) {
        change(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        self.more.notify_all();
    }

    /// Waits until `look` finds something, the pipe is closed, or the time is over.
    fn wait<T>(&self, mut look: impl FnMut(&Lines) -> Option<T>) -> Option<T> {
        let until = Instant::now() + LIMIT;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let found = look(&lines);
            let left = until.saturating_duration_since(Instant::now());
            if found.is_some() || lines.closed || left.is_zero() {
                return found;
            }
            lines = self
                .more
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn line(&self, part: &str) -> Option<String> {
        let found = self.wait(|lines| lines.lines.iter().find(|line| line.contains(part)).cloned());
        found.map(|line| line.trim_end().to_owned())
    }

    fn until_closed(&self) {
        self.wait(|_| None::<()>);
    }

    fn all(&self) -> String {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lines
            .concat()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use serde_json::json;

    use super::*;
    use crate::{Backend, TestDb};

    #[tokio::test]
    async fn the_real_binary_is_killed_and_started_again() {
        let db = TestDb::new(Backend::Sqlite).await;
        let mut first = Stint::serve(db.url(), &[]);
        let client = first.client();
        client.gql("{ viewer { role } }", json!({})).await;
        first.kill();
        assert_eq!(first.wait().signal(), Some(9));

        let mut second = Stint::serve(db.url(), &["--listen", &client.address().to_string()]);
        assert_eq!(second.address(), client.address());
        client.gql("{ viewer { role } }", json!({})).await;
        second.terminate();
        assert!(second.wait().success(), "{}", second.stderr());
    }

    #[test]
    fn a_command_that_ends_leaves_its_output() {
        let version = run(&["--version"]);
        assert!(version.status.success());
        assert!(version.stdout.starts_with("stint "), "{}", version.stdout);
        assert!(!run(&["no-such-command"]).status.success());
    }
}

//! Other processes: their signals, a free port, and a watchdog that cleans up after a test that died.
//!
//! Signals go through the shell's `kill`: the workspace forbids `unsafe`, and this needs no crate.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// What a process can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Dies at once, without a word (SIGKILL).
    Kill,
    /// Freezes until [`Signal::Continue`] (SIGSTOP).
    Stop,
    /// Goes on after [`Signal::Stop`] (SIGCONT).
    Continue,
    /// Is asked to end, as by Ctrl-C (SIGINT).
    Interrupt,
    /// Is asked to end, as by a service manager (SIGTERM).
    Terminate,
    /// PostgreSQL's "immediate": all connections are cut, nothing is written back (SIGQUIT).
    Quit,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
            Self::Quit => "QUIT",
        }
    }
}

/// Sends a signal; a process that is gone is no error.
pub fn send(pid: u32, signal: Signal) {
    send_all(&[pid], signal);
}

/// Sends a signal to each of these processes; those that are gone are no error.
pub fn send_all(pids: &[u32], signal: Signal) {
    if pids.is_empty() {
        return;
    }
    Command::new("sh")
        .args([
            "-c",
            r#"s=$1; shift; for p; do kill -s "$s" "$p"; done"#,
            "kill",
            signal.name(),
        ])
        .args(pids.iter().map(u32::to_string))
        .stderr(Stdio::null())
        .status()
        .expect("the shell runs");
}

/// The children of a process, at this moment. PostgreSQL's make sessions of their own, so that a process group misses
/// them.
pub fn children(pid: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc is readable");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|candidate| parent(*candidate) == Some(pid))
        .collect()
}

/// Whether a process still runs, or is frozen; one that only waits for its parent to notice does not.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid).map(|(_, parent)| parent)
}

/// A process's state and parent.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // "pid (name) state parent …": the name may hold anything, so read from its last parenthesis on.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    Some((rest.next()?.chars().next()?, rest.next()?.parse().ok()?))
}

/// Whether the tests run as root, whom PostgreSQL refuses.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// A TCP port on the loopback address that nobody listens on. It lies below the range from which the system takes the
/// ports of outgoing connections, so that a server that is down for a moment finds it free again.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 17_000;
    // Test processes run side by side: each begins somewhere else.
    let start = (std::process::id().wrapping_mul(7_919) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start + step % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

/// Waits until a server that was just started is there: asks every 10 ms, because nothing could wake us. `None` when
/// it was not within the time.
pub fn wait_until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The folder for what the test processes share: `tests` in cargo's target folder.
pub fn shared_dir() -> io::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    // target/<profile>/deps/it-0123456789abcdef
    let target = exe
        .ancestors()
        .nth(3)
        .ok_or_else(|| io::Error::other("not in cargo's target folder"))?;
    let dir = target.join("tests");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Opens a lock file, making it when needed.
pub fn lock_file(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
}

/// Ends a server and removes its folder once nobody uses it: also after a test process that was killed, or a run that
/// was interrupted. It is a process of its own, because whatever it cleans up after may be dead.
///
/// A server is in use while someone holds a shared lock on `users`. Starting one is done under the exclusive lock on
/// `start`, which the watchdog takes too before it ends the server.
#[derive(Debug)]
pub struct Watchdog<'a> {
    /// Held by whoever starts the server.
    pub start: &'a Path,
    /// Held shared by whoever uses the server.
    pub users: &'a Path,
    /// The server's folder; its file `pid` names the process.
    pub dir: &'a Path,
    /// How many seconds without a user are waited.
    pub grace: u32,
}

impl Watchdog<'_> {
    const SCRIPT: &'static str = r#"
start=$1 users=$2 dir=$3 grace=$4 idle=0
while [ -d "$dir" ]; do
  sleep 1
  exec 8>>"$start" 9>>"$users" || exit 0
  if flock -n 8 && flock -n 9; then idle=$((idle + 1)); else idle=0; fi
  if [ "$idle" -ge "$grace" ]; then
    pid=$(cat "$dir/pid")
    kill -s QUIT "$pid"
    for s in /proc/[0-9]*/stat; do
      read -r p name state parent rest <"$s" && [ "$parent" = "$pid" ] && kill -s CONT "$p"
    done
    kill -s CONT "$pid"
    for i in 1 2 3 4 5; do kill -0 "$pid" || break; sleep 1; done
    kill -s KILL "$pid"
    rm -rf "$dir"
    exit 0
  fi
  exec 8>&- 9>&-
done
"#;

    /// Sets the watchdog on a server that was just started.
    pub fn set(&self) -> io::Result<()> {
        Command::new("sh")
            .args(["-c", Self::SCRIPT, "watchdog"])
            .args([self.start, self.users, self.dir])
            .arg(self.grace.to_string())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C and the runner's time-out are for the tests; this has to outlive them.
            .process_group(0)
            .spawn()
            .map(drop)
    }
}

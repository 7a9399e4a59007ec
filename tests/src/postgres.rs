//! PostgreSQL servers for tests: one that all tests of this checkout share, and private ones to kill and freeze.
//!
//! A server has its own data folder, port and socket, and durable settings like a real one. The shared one is started
//! by the first test that needs it, in whatever process that is, and ended by a [`Watchdog`] some seconds after the
//! last one: so it works the same under `cargo test`, under nextest with its process per test, and for one test alone.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::{self, Signal, Watchdog};

/// Everything that differs from a fresh installation.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "max_connections=200",
    "shared_buffers=128MB",
    "log_min_messages=warning",
    "log_line_prefix=%m [%p] %d ",
    "timezone=UTC",
];

/// How long a server may take to be ready: recovery after a kill is part of it.
const START: Duration = Duration::from_secs(60);
/// How many idle seconds the shared server waits for another test.
const GRACE: u32 = 15;

/// Where a server listens.
#[derive(Clone, Debug)]
pub struct Address {
    /// On 127.0.0.1.
    pub port: u16,
    /// The folder with the server's socket, log and data.
    pub dir: PathBuf,
}

impl Address {
    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://stint@127.0.0.1:{}/{database}", self.port)
    }

    fn is_up(&self) -> bool {
        ready_pid(&self.dir).is_some()
            && UnixStream::connect(self.dir.join(format!(".s.PGSQL.{}", self.port))).is_ok()
    }
}

/// The server that all tests share. Nobody may stop it: a test that wants to takes a [`Postgres`] of its own.
///
/// The first call starts it, when no other process has; it stays up for as long as this process lives.
pub fn shared() -> &'static Address {
    static SHARED: OnceLock<(Address, File)> = OnceLock::new();
    let (address, _in_use) = SHARED.get_or_init(|| join_shared().expect("PostgreSQL starts"));
    address
}

fn join_shared() -> Result<(Address, File)> {
    let shared = process::shared_dir()?;
    let start_path = shared.join("postgres.start.lock");
    let users_path = shared.join("postgres.users.lock");
    let state_path = shared.join("postgres.address");

    let start = process::lock_file(&start_path)?;
    start.lock()?;
    let users = process::lock_file(&users_path)?;
    users.lock_shared()?;

    let known = std::fs::read_to_string(&state_path).ok().and_then(|text| {
        let (port, dir) = text.trim().split_once(' ')?;
        Some(Address {
            port: port.parse().ok()?,
            dir: dir.into(),
        })
    });
    if let Some(known) = known {
        if known.is_up() {
            return Ok((known, users));
        }
        // Left behind by a machine that was stopped.
        remove(&known.dir);
    }

    let dir = new_dir()?;
    let bin = Binaries::find()?;
    bin.init(dir.path())?;
    let (port, _child) = bin.start_anywhere(dir.path())?;
    let address = Address {
        port,
        dir: dir.keep(),
    };
    Watchdog {
        start: &start_path,
        users: &users_path,
        dir: &address.dir,
        grace: GRACE,
    }
    .set()?;
    std::fs::write(&state_path, format!("{port} {}\n", address.dir.display()))?;
    Ok((address, users))
}

/// A server of one test's own, which the test may kill, freeze and start again. It takes about a second to make, and
/// is removed with this value.
pub struct Postgres {
    address: Address,
    bin: Binaries,
    child: Mutex<Option<Child>>,
    _in_use: File,
}

impl Postgres {
    /// Makes and starts one.
    pub fn start() -> Self {
        Self::try_start().expect("PostgreSQL starts")
    }

    fn try_start() -> Result<Self> {
        let dir = new_dir()?;
        let bin = Binaries::find()?;
        bin.init(dir.path())?;
        let start_path = dir.path().join("start.lock");
        let users_path = dir.path().join("users.lock");
        let users = process::lock_file(&users_path)?;
        users.lock_shared()?;
        let (port, child) = bin.start_anywhere(dir.path())?;
        let address = Address {
            port,
            dir: dir.keep(),
        };
        Watchdog {
            start: &start_path,
            users: &users_path,
            dir: &address.dir,
            grace: 1,
        }
        .set()?;
        Ok(Self {
            address,
            bin,
            child: Mutex::new(Some(child)),
            _in_use: users,
        })
    }

    /// Where it listens: the same for all its life.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Kills the server and all its processes (SIGKILL): a crash. Returns when they are gone.
    pub fn kill(&self) {
        self.end(Signal::Kill);
    }

    /// PostgreSQL's immediate stop: connections are cut, nothing is written back, the next start recovers from the log.
    pub fn stop_immediate(&self) {
        self.end(Signal::Quit);
    }

    /// A clean stop: open transactions are rolled back, everything is written back.
    pub fn stop_fast(&self) {
        self.end(Signal::Interrupt);
    }

    fn end(&self, signal: Signal) {
        let Some(mut child) = self.child().take() else {
            return;
        };
        let children = process::children(child.id());
        process::send(child.id(), signal);
        if signal == Signal::Kill {
            process::send_all(&children, Signal::Kill);
        }
        child.wait().expect("the server ends");
        // They go by themselves, but a restart refuses to begin before they have.
        process::wait_until(START, || {
            (!children.iter().any(|pid| process::is_alive(*pid))).then_some(())
        })
        .expect("the server's processes end");
    }

    /// Freezes the server (SIGSTOP): connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal_all(Signal::Stop);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.signal_all(Signal::Continue);
    }

    fn signal_all(&self, signal: Signal) {
        let child = self.child();
        let pid = child.as_ref().expect("the server runs").id();
        // The parent first: then no child appears behind our back.
        process::send(pid, signal);
        process::send_all(&process::children(pid), signal);
    }

    /// Starts the server again on its data and port, after a kill or a stop. Returns when it accepts connections.
    pub fn restart(&self) {
        self.stop_immediate();
        let child = self
            .bin
            .start(&self.address.dir, self.address.port)
            .expect("PostgreSQL starts again");
        *self.child() = Some(child);
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
        remove(&self.address.dir);
    }
}

/// The server's programs, and the user who may run them.
struct Binaries {
    dir: PathBuf,
    /// Who runs the server when the tests run as root: PostgreSQL refuses root.
    user: Option<(u32, u32)>,
}

impl Binaries {
    fn find() -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
        if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
            dirs.extend(versions.flatten().map(|version| version.path().join("bin")));
        }
        let dir = dirs
            .into_iter()
            .filter(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
            .find(|dir| version(&dir.join("postgres")).is_some_and(|version| version >= 15))
            .context("PostgreSQL 15 or newer is not installed: run tests/run once, it installs what the tests need")?;
        let user = if process::is_root() {
            Some(server_user()?)
        } else {
            None
        };
        Ok(Self { dir, user })
    }

    fn command(&self, name: &str, dir: &Path) -> Command {
        let mut command = Command::new(self.dir.join(name));
        command
            .current_dir(dir)
            .env_remove("PGDATA")
            .env_remove("PGPORT")
            .env_remove("PGOPTIONS");
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn init(&self, dir: &Path) -> Result<()> {
        if let Some((uid, gid)) = self.user {
            std::os::unix::fs::chown(dir, Some(uid), Some(gid))?;
        }
        let made = self
            .command("initdb", dir)
            .args([
                "--pgdata=data",
                "--username=stint",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ])
            .arg("--no-sync")
            .stdin(Stdio::null())
            .output()
            .context("initdb runs")?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr));
        }
        Ok(())
    }

    /// Starts on a free port; tries another one when somebody else was faster.
    fn start_anywhere(&self, dir: &Path) -> Result<(u16, Child)> {
        let mut tries = 3;
        loop {
            let port = process::free_port();
            match self.start(dir, port) {
                Ok(child) => return Ok((port, child)),
                Err(_) if tries > 0 => tries -= 1,
                Err(error) => return Err(error),
            }
        }
    }

    fn start(&self, dir: &Path, port: u16) -> Result<Child> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(dir.join("log"))?;
        let mut command = self.command("postgres", dir);
        command
            .arg("-D")
            .arg(dir.join("data"))
            .arg("-k")
            .arg(dir)
            .args(["-p", &port.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let mut child = command.spawn().context("postgres runs")?;
        std::fs::write(dir.join("pid"), child.id().to_string())?;
        let mut ended = None;
        process::wait_until(START, || {
            ended = child.try_wait().ok().flatten();
            (ended.is_some() || ready_pid(dir) == Some(child.id())).then_some(())
        });
        if ended.is_none() && ready_pid(dir) == Some(child.id()) {
            return Ok(child);
        }
        process::send(child.id(), Signal::Kill);
        child.wait()?;
        let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(10).collect();
        bail!(
            "PostgreSQL did not start: {}",
            last.into_iter().rev().collect::<Vec<_>>().join("\n")
        )
    }
}

/// The number before the dot in "postgres (PostgreSQL) 15.8 (…)".
fn version(postgres: &Path) -> Option<u32> {
    let said = Command::new(postgres).arg("--version").output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    said.split_once(") ")?
        .1
        .split(['.', ' ', '\n'])
        .next()?
        .trim_end_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .ok()
}

/// The user and group under which the package runs its server.
fn server_user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some("postgres")).then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.context("PostgreSQL does not run as root, and there is no user `postgres`")
}

/// The process that accepts connections on this data, once it does: the last line of its `postmaster.pid` says so.
fn ready_pid(dir: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(dir.join("data/postmaster.pid")).ok()?;
    let mut lines = text.lines();
    let pid = lines.next()?.parse().ok()?;
    (lines.last()?.trim() == "ready").then_some(pid)
}

/// In the system's folder for temporary files: the path of a socket must be short, and the server's user must reach it.
fn new_dir() -> io::Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("stint-pg-").tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o700))?;
    Ok(dir)
}

fn remove(dir: &Path) {
    // The watchdog may be faster, or a checkpoint's last file appear meanwhile.
    for _ in 0..5 {
        if std::fs::remove_dir_all(dir).is_ok() || !dir.exists() {
            return;
        }
    }
}

//! Opening a database, and refusing one that would not keep what it acknowledged.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};

use tokio_util::sync::CancellationToken;

use super::batch::Bench;
use super::check::{check_postgres, check_snapshots, check_sqlite};
use super::lane::Lanes;
use super::schema::prepare;
use super::side::Side;
use super::snapshot::{OF_ONE_MOMENT, PLANNED_FOR_THIS};
use super::{Inner, Store};
use crate::alert::Listening;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::error::{Error, Fault, Result};

/// Lanes for appends on PostgreSQL.
const LANES: usize = 2;
/// Connections for commands that can't be written in their lane, on PostgreSQL.
const SIDE: u32 = 8;
/// How long a batch waits for a row that somebody holds before its commands are run each by itself.
const LANE_PATIENCE: &str = "1s";
/// How long such a command waits.
const PATIENCE: &str = "10s";
/// Connections for reading.
const READERS: u32 = 8;
/// Connections for snapshots, on PostgreSQL: however many figures are asked for, single rows are read beside them.
const SNAPSHOTS: u32 = 8;

/// How to open a database.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Whether to bring the schema up to date.
    pub migrate: bool,
    /// Whether this process executes runs: then an embedded database is its alone, and is locked.
    pub own: bool,
    /// Where time comes from.
    pub clock: Clock,
    /// How changes are announced.
    pub bus: Bus,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            migrate: true,
            own: true,
            clock: Clock::system(),
            bus: Bus::local(),
        }
    }
}

pub(super) async fn open(url: &str, options: OpenOptions) -> Result<Store> {
    let bus = options.bus.clone();
    let listening = Listening::default();
    let bench = |conn| Bench {
        conn,
        clock: options.clock.clone(),
        bus: bus.clone(),
        listening: listening.clone(),
        side: None,
    };
    let (read, snapshots, lanes, lock) = match kind(url)? {
        Kind::Sqlite(path) => {
            let lock = if options.own {
                Some(lock(&path)?)
            } else {
                None
            };
            let write = connect(url, sqlite(url, &path, 1, false)).await?;
            check_sqlite(&write, url).await?;
            prepare(&write, url, options.migrate).await?;
            let read = connect(url, sqlite(url, &path, READERS, true)).await?;
            (read.clone(), read, Lanes::one(bench(write))?, lock)
        }
        Kind::Postgres => {
            let side = connect(url, postgres(url, SIDE, PATIENCE)).await?;
            check_postgres(&side, url).await?;
            prepare(&side, url, options.migrate).await?;
            super::partition::ensure(&side, options.clock.now()).await?;
            let lane = async |patience| -> Result<Bench> {
                Ok(bench(connect(url, postgres(url, 1, patience)).await?))
            };
            let mut appends = Vec::with_capacity(LANES);
            for _ in 0..LANES {
                appends.push(lane(PATIENCE).await?);
            }
            let commands = Bench {
                side: Some(Side::new(side, SIDE as usize)),
                ..lane(LANE_PATIENCE).await?
            };
            let read = connect(url, postgres(url, READERS, PATIENCE)).await?;
            let settings = || OF_ONE_MOMENT.into_iter().chain(PLANNED_FOR_THIS);
            let snapshots = postgres_with(url, SNAPSHOTS, PATIENCE, settings);
            let snapshots = connect(url, snapshots).await?;
            check_snapshots(&snapshots, url).await?;
            (read, snapshots, Lanes::many(appends, commands), None)
        }
    };
    let store = Store {
        inner: std::sync::Arc::new(Inner {
            read,
            snapshots,
            lanes,
            clock: options.clock,
            bus,
            listening,
            _lock: lock,
            gone: CancellationToken::new().drop_guard(),
        }),
    };
    store.sync_clock().await?;
    // Before anything happens that somebody wants to be told of.
    store.listening().look(store.read()).await?;
    Ok(store)
}

/// Brings the schema of the database at `url` up to date; gives the names of what was applied.
///
/// # Errors
/// As [`Store::open`].
pub async fn migrate(url: &str) -> Result<Vec<String>> {
    let (conn, _lock) = match kind(url)? {
        Kind::Sqlite(path) => {
            let lock = lock(&path)?;
            (
                connect(url, sqlite(url, &path, 1, false)).await?,
                Some(lock),
            )
        }
        Kind::Postgres => (connect(url, postgres(url, 2, PATIENCE)).await?, None),
    };
    prepare(&conn, url, true).await
}

/// The database at `url` in words that hold no password.
pub fn describe(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) if scheme != "sqlite" => format!("{scheme}://{rest}"),
        _ => url.to_string(),
    }
}

/// The file of the embedded database at `url`; none for a server.
pub fn embedded_file(url: &str) -> Option<PathBuf> {
    match kind(url) {
        Ok(Kind::Sqlite(path)) => Some(path),
        Ok(Kind::Postgres) | Err(_) => None,
    }
}

enum Kind {
    Sqlite(PathBuf),
    Postgres,
}

fn kind(url: &str) -> Result<Kind> {
    if let Some(rest) = url.strip_prefix("sqlite:") {
        let path = rest
            .strip_prefix("//")
            .unwrap_or(rest)
            .split('?')
            .next()
            .unwrap_or_default();
        if path.is_empty() || path == ":memory:" || rest.contains("mode=memory") {
            return Err(unavailable(
                url,
                "an in-memory database forgets what it acknowledged; name a file, for example sqlite://stint.db",
            ));
        }
        let path = PathBuf::from(path);
        check_file(&path).map_err(|why| unavailable(url, why))?;
        return Ok(Kind::Sqlite(path));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Kind::Postgres);
    }
    Err(unavailable(
        url,
        "a database URL begins with sqlite:// or postgres://",
    ))
}

/// Refuses what is there and is no database, before anything is made beside it.
fn check_file(path: &Path) -> Result<(), String> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let unreadable = |err: std::io::Error| format!("it can't be read ({err})");
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(unreadable(err)),
    };
    let mut head = Vec::new();
    std::io::Read::by_ref(&mut file)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut head)
        .map_err(unreadable)?;
    // An empty file is a database that nobody has written to yet.
    if head.is_empty() || head == MAGIC {
        Ok(())
    } else {
        Err("the file is no SQLite database; name another one".into())
    }
}

pub(super) fn unavailable(url: &str, why: impl std::fmt::Display) -> Error {
    Error::Unavailable {
        message: format!("the database {} can't be used: {why}", describe(url)),
    }
}

fn lock(path: &Path) -> Result<std::fs::File> {
    let url = format!("sqlite://{}", path.display());
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name);
    let file = file
        .map_err(|err| unavailable(&url, format_args!("its folder can't be written to ({err})")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(unavailable(
            &url,
            "another stint process owns it; stop that one, or use PostgreSQL for several",
        )),
        Err(std::fs::TryLockError::Error(err)) => Err(unavailable(
            &url,
            format_args!("it can't be locked ({err})"),
        )),
    }
}

fn sqlite(url: &str, path: &Path, connections: u32, read_only: bool) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    let path = path.to_path_buf();
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .acquire_timeout(Duration::from_secs(5))
        .map_sqlx_sqlite_opts(move |o| {
            let o = o
                .filename(&path)
                .create_if_missing(!read_only)
                .read_only(read_only)
                .foreign_keys(true)
                .busy_timeout(Duration::from_secs(5))
                .statement_cache_capacity(512)
                // Rows come from a thread of their own, which stands still whenever this many wait: 50 are soon read.
                .row_buffer_size(1_000);
            if read_only {
                o
            } else {
                o.journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    // 16 MiB of pages: the newest part of every index that a busy writer touches.
                    .pragma("cache_size", "-16384")
                    // Else REPLACE would delete rows behind the back of the triggers that forbid it.
                    .pragma("recursive_triggers", "ON")
            }
        })
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|conn, _| {
                // A full disk lets SQLite roll back by itself. The driver then takes the next transaction for
                // one within the last, and its commits for savepoints: nothing would stand any more.
                let ended = !conn.is_in_transaction();
                Box::pin(async move { Ok(ended) })
            })
        });
    options
}

fn postgres(url: &str, connections: u32, lock_timeout: &'static str) -> ConnectOptions {
    postgres_with(url, connections, lock_timeout, std::iter::empty)
}

/// With further settings of the sessions.
fn postgres_with<I: Iterator<Item = (&'static str, &'static str)>>(
    url: &str,
    connections: u32,
    lock_timeout: &'static str,
    settings: impl Fn() -> I + Send + Sync + 'static,
) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .connect_timeout(Duration::from_secs(5))
        .acquire_timeout(Duration::from_secs(5))
        .set_application_name("stint");
    options.map_sqlx_postgres_opts(move |o| {
        let o = o.statement_cache_capacity(512).options([
            // Shorter than a budget's slice outlives what may be written down of it.
            ("idle_in_transaction_session_timeout", "10s"),
            // To compile a statement takes some ten milliseconds, more than the longest of ours: the planner, which can't know
            // how few rows a join will find, does so all the same.
            ("jit", "off"),
            ("lock_timeout", lock_timeout),
        ]);
        o.options(settings())
    });
    options
}

async fn connect(url: &str, options: ConnectOptions) -> Result<DatabaseConnection> {
    let connecting = async {
        loop {
            match Database::connect(options.clone()).await {
                // Of several that open a new file at once, one turns its write-ahead log on. SQLite tells the
                // others that it is busy, whatever `busy_timeout` says: waiting within could be a deadlock.
                Err(err) if Fault::of(&err) == Fault::Retry => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                connected => return connected,
            }
        }
    };
    match tokio::time::timeout(Duration::from_secs(10), connecting).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(err)) => Err(unavailable(url, err)),
        Err(_) => Err(unavailable(url, "it did not answer within 10 s")),
    }
}

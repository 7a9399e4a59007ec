//! The databases: fresh ones on a disk, with settings that keep what was acknowledged.

use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tests::postgres::Postgres;
use tests::process;

use crate::machine;

/// Which kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In the server's own process, `synchronous=FULL`.
    Sqlite,
    /// A server of its own beside Stint's, `fsync=on`.
    Postgres,
}

impl Kind {
    /// Of the database at a URL.
    pub(crate) fn of(url: &str) -> Self {
        match url.starts_with("sqlite:") {
            true => Self::Sqlite,
            false => Self::Postgres,
        }
    }
}

/// A fresh database, removed with this value; or one that is there.
pub(crate) enum Database {
    /// A file in this folder.
    Sqlite(TempDir),
    /// A server, stopped with this value.
    Postgres(Box<Postgres>),
    /// Somebody else's.
    There(String),
}

impl Database {
    /// Makes one.
    pub(crate) fn new(kind: Kind) -> Result<Self> {
        Ok(match kind {
            // Beside the build, and not in the system's folder for temporary files, which may be memory.
            Kind::Sqlite => Self::Sqlite(
                tempfile::Builder::new()
                    .prefix("bench-")
                    .tempdir_in(process::shared_dir()?)?,
            ),
            Kind::Postgres => Self::Postgres(Box::new(Postgres::start())),
        })
    }

    /// What `--database-url` names.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(dir) => format!("sqlite://{}/stint.db", dir.path().display()),
            Self::Postgres(server) => server.address().url("postgres"),
            Self::There(url) => url.clone(),
        }
    }

    /// The time that a database server of its own has spent on the cores so far.
    pub(crate) fn cpu(&self) -> Result<Option<Duration>> {
        let Self::Postgres(server) = self else {
            return Ok(None);
        };
        let pid = std::fs::read_to_string(server.address().dir.join("pid"))?;
        let pid = pid.trim().parse().context("a process id")?;
        let own = machine::cpu_with_ended_children(pid)?;
        // One that ends meanwhile counts with its parent the next time.
        let children = process::children(pid)
            .into_iter()
            .filter_map(|child| machine::cpu(child).ok());
        Ok(Some(own + children.sum::<Duration>()))
    }
}

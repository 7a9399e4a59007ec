//! Time and identity, passed in: the only place that reads the machine's clock or makes ids.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use entity::Millis;
use sea_orm::DbBackend;
use uuid::Uuid;

/// Now in SQL, in milliseconds, by PostgreSQL's clock.
pub(crate) const POSTGRES_NOW: &str =
    "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";

/// Where time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The database's clock: the machine's own for an embedded database, else the machine's,
    /// corrected by `offset` milliseconds (see [`Clock::correct`]).
    System {
        /// What to add to the machine's clock to get the database's, milliseconds.
        offset: Arc<AtomicI64>,
    },
    /// Stands still until it is moved; for tests.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The database's clock, not corrected yet.
    pub fn system() -> Self {
        Self::System {
            offset: Arc::default(),
        }
    }

    /// A clock that stands at `start`.
    pub fn manual(start: Millis) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.0)))
    }

    /// Now, for display and for timestamps; what decides leases and deadlines is [`Clock::sql`].
    pub fn now(&self) -> Millis {
        match self {
            Self::System { offset } => Millis(machine_now() + offset.load(Ordering::Relaxed)),
            Self::Manual(at) => Millis(at.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock; the system's clock can't be moved.
    pub fn advance(&self, ms: i64) {
        match self {
            Self::System { .. } => {}
            Self::Manual(at) => {
                at.fetch_add(ms, Ordering::Relaxed);
            }
        }
    }

    /// Learns from the database that it is `database_now`.
    pub fn correct(&self, database_now: Millis) {
        match self {
            Self::System { offset } => {
                offset.store(database_now.0 - machine_now(), Ordering::Relaxed)
            }
            Self::Manual(_) => {}
        }
    }

    /// An SQL expression for now, in milliseconds, by the database's clock.
    pub fn sql(&self, backend: DbBackend) -> String {
        match (self, backend) {
            (Self::Manual(at), _) => format!("CAST({} AS BIGINT)", at.load(Ordering::Relaxed)),
            (Self::System { .. }, DbBackend::Sqlite) => {
                "CAST(unixepoch('subsec') * 1000 AS INTEGER)".into()
            }
            (Self::System { .. }, _) => POSTGRES_NOW.into(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one reader of the machine's clock"
)]
fn machine_now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

/// A fresh id: UUIDv7, so that ids order by the time they were made at.
#[expect(clippy::disallowed_methods, reason = "the one maker of ids")]
pub fn fresh_id() -> Uuid {
    Uuid::now_v7()
}

/// A fresh id that says nothing about when it was made.
#[expect(clippy::disallowed_methods, reason = "the one maker of ids")]
pub fn random_id() -> Uuid {
    Uuid::new_v4()
}

//! How an attempt at a transaction fails.

use std::time::Duration;

use sea_orm::DbBackend;

use crate::error::{Error, Fault};

/// How one attempt at a transaction ended, if it did not commit.
pub(super) enum Failed {
    /// Before COMMIT: nothing of it stands.
    Before(Error, Fault),
    /// In COMMIT: it may stand.
    InCommit(Error),
}

/// What went wrong before the commit.
pub(super) fn before(err: Error) -> Failed {
    let fault = fault_of(&err);
    Failed::Before(err, fault)
}

/// SQLite's commit is a call, not a message: if it fails, nothing was committed. A connection that
/// breaks while PostgreSQL commits leaves the outcome open.
pub(super) fn commit_failed(backend: DbBackend, err: &sea_orm::DbErr) -> Failed {
    let fault = Fault::of(err);
    match (backend, fault) {
        (DbBackend::Sqlite, _) | (_, Fault::Retry | Fault::Constraint) => {
            Failed::Before(Error::from_db(err), fault)
        }
        (_, Fault::Lost | Fault::Other) => Failed::InCommit(Error::from_db(err)),
    }
}

/// How long to wait before the next try.
pub(super) fn pause(attempt: u32) -> Duration {
    let jitter = u64::from(crate::clock::random_id().as_bytes()[0]);
    Duration::from_millis((5 << attempt.min(6)) + jitter % (5 * u64::from(attempt)))
}

fn fault_of(err: &Error) -> Fault {
    match err {
        Error::Unavailable { .. } => Fault::Retry,
        Error::Conflict {
            code: "CONFLICT", ..
        } => Fault::Constraint,
        Error::Invalid { .. }
        | Error::NotFound { .. }
        | Error::Forbidden { .. }
        | Error::Conflict { .. }
        | Error::CommitUnknown
        | Error::Internal { .. } => Fault::Other,
    }
}

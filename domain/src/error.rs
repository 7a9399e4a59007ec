//! The one classification of everything that can go wrong; translated once per door
//! (GraphQL, command line, a coworker's tools).

use sea_orm::{DbErr, RuntimeErr, SqlErr};

/// What the domain answers when it does not do as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The input is wrong; `message` names it and the remedy.
    #[error("{message}")]
    Invalid {
        /// The input's field, as the API spells it; empty if it is none in particular.
        field: &'static str,
        /// A stable word for programs.
        code: &'static str,
        /// One sentence for people.
        message: String,
    },
    /// There is no such thing, or the actor may not know of it.
    #[error("there is no {what} with this id")]
    NotFound {
        /// The noun.
        what: &'static str,
    },
    /// The actor may not do this.
    #[error("{message}")]
    Forbidden {
        /// One sentence for people.
        message: String,
    },
    /// The thing is not in a state for this.
    #[error("{message}")]
    Conflict {
        /// A stable word for programs.
        code: &'static str,
        /// One sentence for people.
        message: String,
    },
    /// The database, or something else that is needed, does not answer now; nothing was changed.
    #[error("{message}")]
    Unavailable {
        /// One sentence for people.
        message: String,
    },
    /// The commit's reply was lost: it may or may not stand.
    #[error("the database did not confirm the change: look before you repeat it")]
    CommitUnknown,
    /// A fault of Stint itself. The detail is for the log, not for callers.
    #[error("an internal error")]
    Internal {
        /// What happened.
        detail: String,
    },
}

/// The domain's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Invalid`].
    pub fn invalid(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            code,
            message: message.into(),
        }
    }

    /// An [`Error::Conflict`].
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict {
            code,
            message: message.into(),
        }
    }

    /// An [`Error::Internal`].
    pub fn internal(detail: impl std::fmt::Display) -> Self {
        Self::Internal {
            detail: detail.to_string(),
        }
    }

    /// The stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { code, .. } | Self::Conflict { code, .. } => code,
            Self::NotFound { .. } => "NOT_FOUND",
            Self::Forbidden { .. } => "FORBIDDEN",
            Self::Unavailable { .. } => "UNAVAILABLE",
            Self::CommitUnknown => "COMMIT_UNKNOWN",
            Self::Internal { .. } => "INTERNAL",
        }
    }

    /// Whether it would happen again, and to this alone: the database is there, and others are not concerned.
    pub const fn is_fault_of_its_own(&self) -> bool {
        !matches!(self, Self::Unavailable { .. } | Self::CommitUnknown)
    }

    /// Whether the caller can mend it: a refusal, not a fault.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Invalid { .. }
            | Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::Conflict { .. } => true,
            Self::Unavailable { .. } | Self::CommitUnknown | Self::Internal { .. } => false,
        }
    }
}

impl From<DbErr> for Error {
    fn from(err: DbErr) -> Self {
        Self::from_db(&err)
    }
}

impl Error {
    /// Classifies what the database said.
    pub(crate) fn from_db(err: &DbErr) -> Self {
        match Fault::of(err) {
            Fault::Constraint => {
                Self::conflict("CONFLICT", "this clashes with what is there already")
            }
            Fault::Retry | Fault::Lost => Self::Unavailable {
                message: format!("the database does not answer: {err}"),
            },
            Fault::Other => Self::internal(err),
        }
    }
}

/// What a database error means for the transaction that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A constraint: this job's own fault, others are not concerned.
    Constraint,
    /// Serialization failure, deadlock or lock time-out: run it again.
    Retry,
    /// The connection is gone.
    Lost,
    /// Anything else: disk full, corrupt, a bug.
    Other,
}

impl Fault {
    pub(crate) fn of(err: &DbErr) -> Self {
        if matches!(
            err.sql_err(),
            Some(SqlErr::UniqueConstraintViolation(_) | SqlErr::ForeignKeyConstraintViolation(_))
        ) {
            return Self::Constraint;
        }
        let (DbErr::Conn(RuntimeErr::SqlxError(inner))
        | DbErr::Exec(RuntimeErr::SqlxError(inner))
        | DbErr::Query(RuntimeErr::SqlxError(inner))) = err
        else {
            return if matches!(err, DbErr::ConnectionAcquire(_)) {
                Self::Lost
            } else {
                Self::Other
            };
        };
        match &**inner {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Lost,
            sqlx::Error::Database(db) => match db.code().as_deref() {
                // PostgreSQL: serialization failure, deadlock, lock time-out. SQLite: busy, busy snapshot, locked.
                Some("40001" | "40P01" | "55P03" | "5" | "517" | "6") => Self::Retry,
                // PostgreSQL: administrator shutdown, crash shutdown, cannot connect now, idle for too long in a
                // transaction, too many connections.
                Some("57P01" | "57P02" | "57P03" | "25P03" | "53300") => Self::Lost,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

//! The one place where the domain's errors become the API's.
//!
//! What the caller can mend becomes a `userErrors` entry of a mutation, or a top-level error with the
//! same code elsewhere. What is a fault is written to the log whole, and shown without its detail.

use async_graphql::{ErrorExtensions as _, SimpleObject};
use domain::error::Error as Cause;

/// The error of a resolver. Deliberately not displayable: nothing turns it into text but [`From`] below.
#[derive(Clone)]
pub struct Error {
    cause: Cause,
    /// Where a stream stood when it broke.
    cursor: Option<i64>,
}

impl Error {
    /// The error of a stream that stood at `cursor`.
    #[must_use]
    pub fn at(self, cursor: i64) -> Self {
        Self {
            cursor: Some(cursor),
            ..self
        }
    }
}

/// The result of a resolver.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            cursor: None,
        }
    }
}

impl From<Error> for async_graphql::Error {
    fn from(Error { cause, cursor }: Error) -> Self {
        async_graphql::Error::new(message(&cause)).extend_with(|_, extensions| {
            extensions.set("code", cause.code());
            if let Some(cursor) = cursor {
                extensions.set("cursor", cursor);
            }
        })
    }
}

/// The sentence for the caller; faults go to the log here, once.
fn message(cause: &Cause) -> String {
    match cause {
        Cause::Invalid { message, .. }
        | Cause::Forbidden { message }
        | Cause::Conflict { message, .. } => sentence(message),
        Cause::NotFound { what } => format!("There is no such {what}."),
        Cause::Unavailable { message } => {
            tracing::warn!(error = message, "unavailable");
            "The database does not answer at the moment, and nothing was changed. Try again.".into()
        }
        Cause::CommitUnknown => {
            tracing::error!("a commit's reply was lost");
            "The database did not confirm the change: it may or may not stand. Look before you repeat it.".into()
        }
        Cause::Internal { detail } => {
            tracing::error!(error = detail, "internal error");
            "Something went wrong inside Stint; the server's log has the details.".into()
        }
    }
}

/// Begins with a capital letter and ends with a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let mut sentence: String = first.to_uppercase().chain(letters).collect();
    if !sentence.ends_with(['.', '!', '?', '`', '"']) {
        sentence.push('.');
    }
    sentence
}

/// One expected refusal of a mutation. Nothing was changed.
#[derive(SimpleObject, Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    /// The input field that is wrong, with dots into nested inputs (`goal.endOfRun.when`); null where no single field is to blame.
    pub field: Option<String>,
    /// What is wrong and how to put it right, in one sentence for people.
    pub message: String,
    /// What is wrong, for programs: for example REQUIRED, TOO_LONG, INVALID, NOT_FOUND, FORBIDDEN, CONFLICT, IDEMPOTENCY_MISMATCH. May grow.
    pub code: String,
}

impl From<Cause> for UserError {
    fn from(cause: Cause) -> Self {
        let field = match &cause {
            Cause::Invalid { field, .. } if !field.is_empty() => Some((*field).to_owned()),
            Cause::Invalid { .. }
            | Cause::NotFound { .. }
            | Cause::Forbidden { .. }
            | Cause::Conflict { .. }
            | Cause::Unavailable { .. }
            | Cause::CommitUnknown
            | Cause::Internal { .. } => None,
        };
        Self {
            field,
            message: message(&cause),
            code: cause.code().to_owned(),
        }
    }
}

/// Divides what a command answered: what the payload holds, or why it was refused.
///
/// # Errors
/// Faults; they are no part of a payload.
pub fn settle<T>(answer: domain::Result<T>) -> Result<(Option<T>, Vec<UserError>)> {
    match answer {
        Ok(made) => Ok((Some(made), Vec::new())),
        Err(cause) if cause.is_refusal() => Ok((None, vec![cause.into()])),
        Err(cause) => Err(cause.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_nothing_of_its_detail() {
        let secret = "SELECT secret FROM api_key";
        for cause in [
            Cause::internal(secret),
            Cause::Unavailable {
                message: secret.into(),
            },
        ] {
            let shown = async_graphql::Error::from(Error::from(cause.clone()));
            assert!(!format!("{shown:?}").contains("SELECT"), "{shown:?}");
            assert!(
                settle::<()>(Err(cause)).is_err(),
                "a fault is no user error"
            );
        }
    }

    #[test]
    fn a_refusal_names_its_field_and_code() {
        let (made, errors) =
            settle::<()>(Err(Cause::invalid("title", "REQUIRED", "give it a title")))
                .unwrap_or_default();
        assert_eq!(made, None);
        let expected = UserError {
            field: Some("title".into()),
            message: "Give it a title.".into(),
            code: "REQUIRED".into(),
        };
        assert_eq!(errors, [expected]);
    }
}

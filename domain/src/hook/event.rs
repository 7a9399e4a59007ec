//! What a delivery says, whatever the form that it came in.

use entity::{Millis, Priority, RequestStatus, WebhookRefusal};

// What is cut off of a machine's text stays in the payload.
pub(super) use crate::text::{cut, cut_bytes};

/// The most bytes of a sender's name for something.
const NAME: usize = 255;

/// The headers of a delivery, as they came.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// These headers.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(headers.into_iter().collect())
    }

    /// The first header of this name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All headers of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }
}

/// Why a delivery was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// For programs.
    pub code: WebhookRefusal,
    /// One sentence for whoever set the sender up.
    pub message: String,
}

impl Refused {
    /// A refusal.
    pub fn new(code: WebhookRefusal, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Whether the sender vouches for it: what was refused is what it signed.
    pub const fn is_verified(&self) -> bool {
        match self.code {
            WebhookRefusal::NotJson | WebhookRefusal::NotUnderstood => true,
            WebhookRefusal::Disabled
            | WebhookRefusal::NoSecret
            | WebhookRefusal::SignatureMissing
            | WebhookRefusal::SignatureInvalid
            | WebhookRefusal::TimestampOutOfRange
            | WebhookRefusal::TooLarge
            | WebhookRefusal::TooMany => false,
        }
    }

    pub(super) fn not_understood(message: impl Into<String>) -> Self {
        Self::new(WebhookRefusal::NotUnderstood, message)
    }
}

/// One event of an outside system.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The sender's id of it: however often it is delivered, it counts once.
    pub id: String,
    /// The sender's word for what happened.
    pub kind: Option<String>,
    /// What it is about, as the sender names it; events about the same thing go to the same request.
    pub subject: Option<String>,
    /// When it happened, by the sender's clock.
    pub at: Option<Millis>,
    /// What it says.
    pub news: News,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// There is something to do.
    Opened(Filing),
    /// What was done must be done again.
    Reopened(Filing),
    /// The subject's status is this now.
    Status(RequestStatus),
    /// Nobody is at it any more.
    Unacknowledged,
    /// It is this urgent now.
    Urgency(Priority),
    /// Someone wrote something.
    Note(String),
    /// How the subject stands now, the whole of it.
    Stands(Filing, Option<RequestStatus>),
    /// Something about the subject that changes nothing of its request.
    Other,
    /// Nothing that concerns requests, and why.
    Nothing(&'static str),
}

impl News {
    /// The texts of the request that it may make.
    pub(super) const fn filing(&self) -> Option<&Filing> {
        match self {
            Self::Opened(filing) | Self::Reopened(filing) | Self::Stands(filing, _) => Some(filing),
            Self::Status(_)
            | Self::Unacknowledged
            | Self::Urgency(_)
            | Self::Note(_)
            | Self::Other
            | Self::Nothing(_) => None,
        }
    }
}

/// The texts of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filing {
    /// One line.
    pub title: String,
    /// The whole text.
    pub description: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Its labels.
    pub labels: Vec<String>,
}

/// A sender's name for something that is looked up by it.
///
/// # Errors
/// [`Refused`] if it is empty or too long: cut, two of them could become one.
pub(super) fn name(text: &str, what: &str) -> Result<String, Refused> {
    if text.is_empty() || text.len() > NAME || text.contains('\0') {
        let text = format!(
            "{what} has {} bytes; it must have 1 to {NAME}, none of them NUL.",
            text.len()
        );
        return Err(Refused::not_understood(text));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_cut() {
        assert!(name("P1", "The id").is_ok());
        for wrong in ["", "a\0", &"x".repeat(256)] {
            assert!(name(wrong, "The id").is_err());
        }
    }
}

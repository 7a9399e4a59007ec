//! How the JSON of a Standard Webhooks or generic endpoint is read: by JSON Pointers (RFC 6901) that its owner declares.

use entity::{Millis, Priority, RequestStatus, WebhookKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{self, Event, Filing, Headers, News, Refused};
use crate::error::{Error, Result};
use crate::request::update::{DESCRIPTION, LABELS, TITLE};

/// The most characters of a pointer.
const POINTER: usize = 500;
/// The most meanings of a field, and event types.
const WORDS: usize = 50;
/// The most characters of a label, and of a word of the sender's.
const LABEL: usize = 60;

/// What the parts of a payload are for. Only the title and the event's id must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Where the title is. A payload without one is refused.
    pub title: String,
    /// Where the text is; anything but a text is written as JSON. Empty where there is none.
    pub description: Option<String>,
    /// Where the urgency is. NORMAL where there is none, or none that is known.
    pub priority: Option<String>,
    /// What the sender's words for urgencies mean, besides Stint's own.
    pub priorities: Vec<Meaning<Priority>>,
    /// Where the labels are: a list of texts, or one. None where there are none.
    pub labels: Option<String>,
    /// Where the status is. It stays as it is where there is none, or none that is known.
    pub status: Option<String>,
    /// What the sender's words for statuses mean, besides Stint's own.
    pub statuses: Vec<Meaning<RequestStatus>>,
    /// Where the name is of what the event is about. Events about the same thing go to one request; without it each makes its own.
    pub subject: Option<String>,
    /// Where the event's id is, for generic endpoints. A payload without one is refused.
    pub event_id: Option<String>,
    /// The header that holds the event's id, for generic endpoints. No signature covers it.
    pub event_id_header: Option<String>,
    /// Where the event's type is.
    pub event_type: Option<String>,
    /// The types of events that count; all if there is none.
    pub event_types: Vec<String>,
    /// Where the time of the event is: RFC 3339, or seconds since 1970.
    pub occurred_at: Option<String>,
    /// The header that holds the signature, for generic endpoints.
    pub signature_header: Option<String>,
}

/// What a word of the sender's means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning<T> {
    /// The sender's word; its case does not matter.
    pub value: String,
    /// What it means.
    pub means: T,
}

impl Mapping {
    /// Reads a row's mapping.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is none.
    pub fn from_row(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(Error::internal)
    }

    /// The form that rows hold.
    ///
    /// # Errors
    /// [`Error::Internal`], which does not happen for these types.
    pub fn to_row(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    /// Refuses what no payload could be read by.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field and the remedy.
    pub fn check(&self, kind: WebhookKind) -> Result<()> {
        pointer("mapping.title", &self.title)?;
        for (field, value) in [
            ("mapping.description", &self.description),
            ("mapping.priority", &self.priority),
            ("mapping.labels", &self.labels),
            ("mapping.status", &self.status),
            ("mapping.subject", &self.subject),
            ("mapping.eventId", &self.event_id),
            ("mapping.eventType", &self.event_type),
            ("mapping.occurredAt", &self.occurred_at),
        ] {
            value
                .as_deref()
                .map_or(Ok(()), |text| pointer(field, text))?;
        }
        for (field, value) in [
            ("mapping.eventIdHeader", &self.event_id_header),
            ("mapping.signatureHeader", &self.signature_header),
        ] {
            value
                .as_deref()
                .map_or(Ok(()), |text| header(field, text))?;
        }
        words(
            "mapping.priorities",
            self.priorities.iter().map(|one| &one.value),
        )?;
        words(
            "mapping.statuses",
            self.statuses.iter().map(|one| &one.value),
        )?;
        words("mapping.eventTypes", self.event_types.iter())?;
        let needs_id = self.event_id.is_some() || self.event_id_header.is_some();
        match kind {
            WebhookKind::Generic if !needs_id => Err(Error::invalid(
                "mapping.eventId",
                "REQUIRED",
                "say where the event's id is, with eventId or eventIdHeader: by it an event counts once however often it is delivered",
            )),
            WebhookKind::Standard if needs_id || self.signature_header.is_some() => {
                Err(Error::invalid(
                    "mapping",
                    "INVALID",
                    "Standard Webhooks have their event id and signature in headers of their own; leave out eventId, eventIdHeader and signatureHeader",
                ))
            }
            WebhookKind::Generic | WebhookKind::Standard | WebhookKind::Pagerduty => Ok(()),
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`Refused`] if the title or the event's id is not where it should be.
    pub(super) fn read(
        &self,
        kind: WebhookKind,
        headers: &Headers,
        payload: &Value,
    ) -> Result<Event, Refused> {
        let found = |at: &Option<String>| payload.pointer(at.as_deref()?);
        let standard = kind == WebhookKind::Standard;
        let usual = |at: &Option<String>, usual: &str| match at {
            Some(at) => payload.pointer(at),
            None if standard => payload.pointer(usual),
            None => None,
        };
        let id = if standard {
            headers.get("webhook-id").map(str::to_owned)
        } else {
            found(&self.event_id)
                .and_then(scalar)
                .or_else(|| Some(headers.get(self.event_id_header.as_deref()?)?.to_owned()))
        };
        let id = id.ok_or_else(|| {
            Refused::not_understood("The event's id is not where this endpoint's mapping says.")
        })?;
        let kind = usual(&self.event_type, "/type").and_then(scalar);
        let mut event = Event {
            id: event::name(&id, "The event's id")?,
            kind: kind.as_deref().map(|kind| event::cut(kind, 100)),
            subject: found(&self.subject)
                .and_then(scalar)
                .map(|text| event::name(&text, "The subject"))
                .transpose()?,
            at: usual(&self.occurred_at, "/timestamp").and_then(moment),
            news: News::Nothing("Its type is not among the mapping's eventTypes."),
        };
        let counts = |own: &String| self.event_types.is_empty() || self.event_types.contains(own);
        if self.event_types.is_empty() || kind.as_ref().is_some_and(counts) {
            let status = found(&self.status).and_then(|value| {
                meaning(
                    value,
                    &self.statuses,
                    RequestStatus::ALL,
                    RequestStatus::as_str,
                )
            });
            event.news = News::Stands(self.filing(payload)?, status);
        }
        Ok(event)
    }

    fn filing(&self, payload: &Value) -> Result<Filing, Refused> {
        let found = |at: &Option<String>| payload.pointer(at.as_deref()?);
        let title = payload
            .pointer(&self.title)
            .and_then(scalar)
            .map(|text| event::cut(&text.replace(['\n', '\r'], " "), TITLE))
            .filter(|title| !title.is_empty())
            .ok_or_else(|| {
                Refused::not_understood(format!(
                    "There is no title at {:?}, where this endpoint's mapping says.",
                    self.title
                ))
            })?;
        let description = match found(&self.description) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => serde_json::to_string_pretty(other).unwrap_or_default(),
        };
        let priority = found(&self.priority)
            .and_then(|value| meaning(value, &self.priorities, Priority::ALL, Priority::as_str));
        let labels: Vec<String> = match found(&self.labels) {
            Some(Value::Array(all)) => all.iter().filter_map(scalar).collect(),
            Some(one) => scalar(one).into_iter().collect(),
            None => Vec::new(),
        };
        let labels = labels.iter().map(|label| event::cut(label, LABEL));
        Ok(Filing {
            title,
            description: event::cut_bytes(&description, DESCRIPTION),
            priority: priority.unwrap_or(Priority::Normal),
            labels: labels
                .filter(|label| !label.is_empty())
                .take(LABELS)
                .collect(),
        })
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The declared meaning of a word, or Stint's own word of this spelling.
fn meaning<T: Copy>(
    value: &Value,
    declared: &[Meaning<T>],
    own: &[T],
    word: fn(T) -> &'static str,
) -> Option<T> {
    let text = scalar(value)?;
    let same = |other: &str| other.eq_ignore_ascii_case(text.trim());
    declared
        .iter()
        .find(|one| same(&one.value))
        .map(|one| one.means)
        .or_else(|| own.iter().copied().find(|one| same(word(*one))))
}

fn moment(value: &Value) -> Option<Millis> {
    match value {
        Value::String(text) => chrono::DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|at| Millis(at.timestamp_millis())),
        Value::Number(seconds) => seconds.as_i64()?.checked_mul(1_000).map(Millis),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn pointer(field: &'static str, text: &str) -> Result<()> {
    let escapes = text
        .match_indices('~')
        .all(|(at, _)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1')));
    if (text.is_empty() || text.starts_with('/')) && escapes && text.chars().count() <= POINTER {
        return Ok(());
    }
    let shown: String = text.chars().take(LABEL).collect();
    let message = format!(
        "{shown:?} is no JSON Pointer; write it like \"/data/title\", with ~1 for a / and ~0 for a ~ within a name"
    );
    Err(Error::invalid(field, "INVALID", message))
}

fn header(field: &'static str, text: &str) -> Result<()> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if (1..=100).contains(&text.len()) && text.bytes().all(token) {
        return Ok(());
    }
    let message = format!("{field} is no name of a header; write it like X-Event-Id");
    Err(Error::invalid(field, "INVALID", message))
}

fn words<'a>(field: &'static str, all: impl Iterator<Item = &'a String>) -> Result<()> {
    let all: Vec<_> = all.collect();
    if all.len() > WORDS {
        let message = format!("{field} has {} entries; {WORDS} are allowed", all.len());
        return Err(Error::invalid(field, "TOO_LONG", message));
    }
    for word in all {
        crate::text::check_text(field, word, LABEL)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! What a provider's refusal means: its class, what it says, and when to come back.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use crate::model::{ModelError, ModelErrorClass};

/// What a status that is no success means.
pub(super) fn refusal(name: &str, status: StatusCode, body: &str) -> ModelError {
    use ModelErrorClass::{Overloaded, RateLimited, Rejected};
    let code = status.as_u16();
    let (class, what) = match code {
        // Nothing but money helps against an empty account.
        429 if body.contains("insufficient_quota") => (Rejected, "has no credit left for its key"),
        429 => (RateLimited, "gets too many requests"),
        401 | 403 => (Rejected, "refuses the key"),
        404 => (Rejected, "does not know the model or the address"),
        300..=399 => (
            Rejected,
            "sends us elsewhere, which is not followed; is its address right?",
        ),
        408 | 409 | 425 | 500..=599 => (Overloaded, "failed or is overloaded"),
        _ => (Rejected, "refuses the request"),
    };
    let said = said(body);
    let said = if said.is_empty() {
        said
    } else {
        format!(": {said}")
    };
    let error = ModelError::new(class, format!("{name} {what} ({code}){said}"));
    ModelError {
        may_cost: is_impatience(code),
        ..error
    }
}

/// Whether a status is the word of someone who waited for an answer and gave up, or lost it: a gateway behind which the
/// model may have worked all the same. Whoever is too busy (429, 503, 529) turned the call away before.
const fn is_impatience(code: u16) -> bool {
    matches!(code, 408 | 502 | 504 | 520 | 524)
}

/// What an error's text says, in whichever form; on one line. It is cut only once no secret is in it any more
/// ([`super::Http::told`]).
pub(super) fn said(body: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(body).ok();
    let places = ["/error/message", "/error", "/message", "/detail"];
    let found = parsed.as_ref().and_then(|json| {
        places
            .iter()
            .find_map(|place| json.pointer(place).and_then(serde_json::Value::as_str))
    });
    let text = found.unwrap_or(body);
    // Blanks within a line stay: a secret may have some.
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// An answer, or a piece of one, that is not as its protocol has it.
pub(in crate::model) fn malformed(name: &str, what: impl std::fmt::Display) -> ModelError {
    let message = format!("{name} answered what can't be read: {what}");
    ModelError::new(ModelErrorClass::Malformed, message)
}

/// An answer that ended without a word of it.
pub(in crate::model) fn before_it_began(name: &str) -> ModelError {
    let message = format!("{name} ended its answer before it began");
    ModelError::new(ModelErrorClass::Truncated, message)
}

/// An error that stands in the middle of a stream; `text` is what it came in.
pub(in crate::model) fn failed_within(
    name: &str,
    error: &serde_json::Value,
    text: &str,
) -> ModelError {
    let message = format!("{name} failed in the middle of its answer: {}", said(text));
    ModelError {
        // What was written before is charged for, whatever the failure is.
        may_cost: true,
        ..ModelError::new(class_within(error), message)
    }
}

/// The class of such an error, by whatever it gives as type, code or status.
fn class_within(error: &serde_json::Value) -> ModelErrorClass {
    use ModelErrorClass::{Overloaded, RateLimited, Rejected};
    let word = |place: &str| match error.pointer(place) {
        Some(serde_json::Value::String(word)) => word.to_lowercase(),
        Some(serde_json::Value::Number(number)) => number.to_string(),
        Some(_) | None => String::new(),
    };
    let words = ["/type", "/code", "/status"].map(word);
    let any = |parts: &[&str]| {
        words
            .iter()
            .any(|word| parts.iter().any(|part| word.contains(part)))
    };
    if any(&["rate_limit", "429"]) {
        RateLimited
    } else if any(&[
        "invalid_request",
        "authentication",
        "permission",
        "not_found",
        "quota",
        "400",
        "401",
        "403",
        "404",
        "context_length",
        "too_large",
    ]) {
        Rejected
    } else {
        Overloaded
    }
}

/// How long whoever answered asks to wait: in milliseconds, seconds, or as a date beside its own.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    let number = |text: &str, unit: f64| {
        let number = text.parse::<f64>().ok()?;
        Duration::try_from_secs_f64(number * unit).ok()
    };
    if let Some(wait) = text("retry-after-ms").and_then(|text| number(text, 0.001)) {
        return Some(wait);
    }
    let wanted = text("retry-after")?;
    if let Some(wait) = number(wanted, 1.0) {
        return Some(wait);
    }
    // By its own clock: ours may be another.
    let until = DateTime::parse_from_rfc2822(wanted).ok()?;
    let now = DateTime::parse_from_rfc2822(text("date")?).ok()?;
    (until - now).max(TimeDelta::zero()).to_std().ok()
}

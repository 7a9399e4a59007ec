//! One event as one line of JSON, and the hash that chains it to the one before.

use chrono::{DateTime, SecondsFormat, Utc};
use entity::{EventId, FailureCode, Millis, Outcome, run_event};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::event::{Event, VERSION};

/// The envelope; the order of the fields is the order on the line.
#[derive(Serialize)]
struct Outgoing<'a> {
    event_id: EventId,
    r#type: &'a str,
    version: &'a str,
    run_id: &'a str,
    turn_number: i32,
    attempt: i32,
    sequence: i64,
    timestamp: &'a str,
    prev_hash: Option<&'a str>,
    data: &'a Event,
}

/// An event as it was read from a log.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    /// Its id.
    pub event_id: EventId,
    /// Its type.
    #[serde(borrow)]
    pub r#type: std::borrow::Cow<'a, str>,
    /// The version of the vocabulary that wrote it.
    #[serde(borrow)]
    pub version: std::borrow::Cow<'a, str>,
    /// The run's number.
    #[serde(borrow)]
    pub run_id: std::borrow::Cow<'a, str>,
    /// The turn that it belongs to, from 1.
    pub turn_number: i32,
    /// The attempt that it belongs to, from 1.
    pub attempt: i32,
    /// Its place, from 1.
    pub sequence: i64,
    /// When: RFC 3339, UTC, milliseconds.
    #[serde(borrow)]
    pub timestamp: std::borrow::Cow<'a, str>,
    /// The hash of the event before, hexadecimal; none for the first.
    pub prev_hash: Option<String>,
    /// What happened.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

/// Where in its run an event stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The run's number.
    pub number: i64,
    /// The turn, from 1.
    pub turn: i32,
    /// The attempt, from 1.
    pub attempt: i32,
    /// The sequence.
    pub sequence: i64,
    /// When.
    pub at: Millis,
    /// The hash of the event before; empty for the first.
    pub prev_hash: &'a [u8],
}

/// Writes an event's line.
///
/// # Errors
/// Only if an unknown event's data is not JSON.
pub fn write(id: EventId, place: Place<'_>, event: &Event) -> serde_json::Result<String> {
    let prev_hash = (!place.prev_hash.is_empty()).then(|| hex(place.prev_hash));
    serde_json::to_string(&Outgoing {
        event_id: id,
        r#type: event.kind(),
        version: VERSION,
        run_id: &place.number.to_string(),
        turn_number: place.turn,
        attempt: place.attempt,
        sequence: place.sequence,
        timestamp: &timestamp(place.at),
        prev_hash: prev_hash.as_deref(),
        data: event,
    })
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &str) -> serde_json::Result<(Envelope<'_>, Event)> {
    let envelope: Envelope<'_> = serde_json::from_str(line)?;
    let event = Event::parse(&envelope.r#type, envelope.data)?;
    Ok((envelope, event))
}

/// The event of a stored row.
///
/// # Errors
/// What is wrong with its line.
pub fn event(row: &run_event::Model) -> serde_json::Result<Event> {
    read(&row.body).map(|(_, event)| event)
}

/// How the run ended, if this event is its end.
pub fn ending(row: &run_event::Model) -> Option<Result<Outcome, FailureCode>> {
    if !matches!(row.kind.as_str(), "run.completed" | "run.failed") {
        return None;
    }
    match event(row).ok()? {
        Event::RunCompleted(end) => Some(Ok(end.outcome)),
        Event::RunFailed(end) => Some(Err(end.code)),
        _ => None,
    }
}

/// `SHA-256(prev_hash ‖ line)`, 32 bytes.
pub fn chain(prev_hash: &[u8], line: &str) -> Vec<u8> {
    Sha256::new()
        .chain_update(prev_hash)
        .chain_update(line)
        .finalize()
        .to_vec()
}

/// The heading of the text form: `RUN_STARTED 2026-05-20T03:30:55.078Z`.
pub fn heading(kind: &str, at: Millis) -> String {
    format!(
        "{} {}",
        kind.replace('.', "_").to_uppercase(),
        timestamp(at)
    )
}

/// RFC 3339, UTC, milliseconds.
pub fn timestamp(at: Millis) -> String {
    DateTime::<Utc>::from_timestamp_millis(at.0)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| {
            [
                DIGITS[usize::from(b >> 4)] as char,
                DIGITS[usize::from(b & 15)] as char,
            ]
        })
        .collect()
}

/// Bytes from hexadecimal.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |i: usize| u8::from_str_radix(text.get(i..i + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coworker::config::Limits;
    use crate::run::event::{CoworkerRef, RequestRef, RunStarted, Unknown};
    use entity::*;

    fn id() -> EventId {
        EventId(uuid::uuid!("ba81da0b-c015-48f5-8590-785f2b70555d"))
    }

    /// R50–R53.
    #[test]
    fn the_envelope_has_the_form_of_the_guide() {
        let at = Millis(1_779_247_855_078);
        let place = Place {
            number: 225,
            turn: 1,
            attempt: 1,
            sequence: 1,
            at,
            prev_hash: &[],
        };
        let id_of = |n: u128| uuid::Uuid::from_u128(n);
        let event = RunStarted {
            run: RunId(id_of(1)),
            workspace: WorkspaceId(id_of(2)),
            request: RequestRef {
                id: RequestId(id_of(3)),
                number: 12,
                title: "The network is slow".into(),
            },
            coworker: CoworkerRef {
                id: CoworkerId(id_of(4)),
                handle: "hardware-specialist".into(),
                version_id: CoworkerVersionId(id_of(5)),
                is_triage: false,
                version: 1,
            },
            trigger: Trigger::Routed,
            dispatch: DispatchId(id_of(6)),
            assignment_epoch: Some(2),
            model: "scripted".into(),
            limits: Limits::default(),
            deadline: at.plus(900_000),
        };
        let line = write(id(), place, &event.into()).unwrap();
        let text = format!("{}\n{line}", heading("run.started", at));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn an_event_of_a_later_release_is_kept_as_it_is() {
        let line = r#"{"event_id":"ba81da0b-c015-48f5-8590-785f2b70555d","type":"run.dreamt","version":"9.0","run_id":"1","turn_number":1,"attempt":1,"sequence":1,"timestamp":"2026-05-20T03:30:55.078Z","prev_hash":null,"data":{"of": [ 1,2 ]}}"#;
        let (envelope, event) = read(line).unwrap();
        assert_eq!(envelope.version, "9.0");
        let Event::Unknown(Unknown { kind, data }) = event else {
            panic!("known?")
        };
        assert_eq!(
            (kind.as_str(), data.get()),
            ("run.dreamt", r#"{"of": [ 1,2 ]}"#)
        );
    }
}

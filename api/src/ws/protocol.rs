//! The messages of `graphql-transport-ws`, and the codes with which a socket is closed.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::operation::Params;
use crate::ws::connection::End;

/// The longest reason that fits into a close frame.
const REASON_LIMIT: usize = 123;

/// The longest id of an operation.
const ID_LIMIT: usize = 128;

/// What a client may send.
pub(super) enum ClientMessage {
    ConnectionInit { authorization: Option<String> },
    Ping { payload: Option<Box<RawValue>> },
    Pong,
    Subscribe { id: String, params: Params },
    Complete { id: String },
}

/// Why the server closes a socket.
pub(super) enum Close {
    GoingAway,
    TooManyMessages,
    MessageTooBig,
    ProtocolError,
    TryAgainLater,
    BadRequest(String),
    Unauthorized(&'static str),
    Forbidden(&'static str),
    SubprotocolNotAcceptable,
    InitTimeout,
    SubscriberExists(String),
    TooManyInits,
}

impl Close {
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::ProtocolError => 1002,
            Self::TooManyMessages => 1008,
            Self::MessageTooBig => 1009,
            Self::TryAgainLater => 1013,
            Self::BadRequest(_) => 4400,
            Self::Unauthorized(_) => 4401,
            Self::Forbidden(_) => 4403,
            Self::SubprotocolNotAcceptable => 4406,
            Self::InitTimeout => 4408,
            Self::SubscriberExists(_) => 4409,
            Self::TooManyInits => 4429,
        }
    }

    pub(super) fn reason(&self) -> String {
        let mut reason = match self {
            Self::GoingAway => "The server stops; connect again".to_owned(),
            Self::ProtocolError => "Protocol error".to_owned(),
            Self::TooManyMessages => format!(
                "More than {} messages in a minute",
                super::MESSAGES_PER_MINUTE
            ),
            Self::MessageTooBig => format!("A message may have {} KiB", super::MESSAGE_LIMIT >> 10),
            Self::TryAgainLater => {
                "The API key can't be checked at the moment; try again".to_owned()
            }
            Self::BadRequest(why) => format!("Invalid message: {why}"),
            Self::Unauthorized(why) => format!("Unauthorized: {why}"),
            Self::Forbidden(why) => format!("Forbidden: {why}"),
            Self::SubprotocolNotAcceptable => {
                format!("Subprotocol not acceptable: use {}", super::PROTOCOL)
            }
            Self::InitTimeout => "Connection initialisation timeout".to_owned(),
            Self::SubscriberExists(id) => format!("Subscriber for {id} already exists"),
            Self::TooManyInits => "Too many initialisation requests".to_owned(),
        };
        reason.truncate(reason.floor_char_boundary(REASON_LIMIT));
        reason
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default, borrow)]
    payload: Option<&'a RawValue>,
}

/// Reads a message.
///
/// # Errors
/// [`Close::BadRequest`], with what is wrong with it.
pub(super) fn parse(text: &str) -> Result<ClientMessage, Close> {
    let bad = |why: String| Close::BadRequest(why);
    let message: Envelope<'_> =
        serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    let payload = message.payload;
    match &*message.kind {
        "connection_init" => Ok(ClientMessage::ConnectionInit {
            authorization: credential(payload)?,
        }),
        "ping" => Ok(ClientMessage::Ping {
            payload: object(payload)?.map(ToOwned::to_owned),
        }),
        "pong" => object(payload).map(|_| ClientMessage::Pong),
        "complete" => Ok(ClientMessage::Complete {
            id: id(message.id)?,
        }),
        "subscribe" => {
            let payload = payload.ok_or_else(|| bad("subscribe without a payload".to_owned()))?;
            let params = serde_json::from_str(payload.get())
                .map_err(|error| bad(format!("payload: {error}")))?;
            Ok(ClientMessage::Subscribe {
                id: id(message.id)?,
                params,
            })
        }
        kind => Err(bad(format!("unknown type {kind:?}"))),
    }
}

fn id(id: Option<String>) -> Result<String, Close> {
    match id {
        Some(id) if id.is_empty() || id.len() > ID_LIMIT => Err(Close::BadRequest(format!(
            "an id has 1 to {ID_LIMIT} bytes"
        ))),
        Some(id) => Ok(id),
        None => Err(Close::BadRequest("the id is missing".to_owned())),
    }
}

fn object(payload: Option<&RawValue>) -> Result<Option<&RawValue>, Close> {
    match payload {
        Some(value) if value.get() == "null" => Ok(None),
        Some(value) if !value.get().starts_with('{') => {
            Err(Close::BadRequest("the payload is no object".to_owned()))
        }
        Some(_) | None => Ok(payload),
    }
}

/// The value of `authorization` in the payload of `connection_init`, as libraries spell it.
fn credential(payload: Option<&RawValue>) -> Result<Option<String>, Close> {
    #[derive(Deserialize)]
    struct Credential {
        #[serde(default, alias = "Authorization")]
        authorization: Option<String>,
    }
    let Some(payload) = object(payload)? else {
        return Ok(None);
    };
    let credential: Credential = serde_json::from_str(payload.get())
        .map_err(|error| Close::BadRequest(format!("payload: {error}")))?;
    Ok(credential.authorization)
}

/// The answer to a `ping`, with its payload.
pub(super) fn pong(payload: Option<&RawValue>) -> String {
    match payload {
        Some(payload) => format!(r#"{{"type":"pong","payload":{}}}"#, payload.get()),
        None => r#"{"type":"pong"}"#.to_owned(),
    }
}

/// What to do about an error while reading: its type is not part of axum's interface, its text is.
pub(super) fn read_error(error: &axum::Error) -> End {
    let text = error.to_string();
    if text.contains("Space limit exceeded") {
        End::Close(Close::MessageTooBig)
    } else if text.contains("protocol error") && !text.contains("closing handshake") {
        End::Close(Close::ProtocolError)
    } else {
        End::Gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        match parse(text) {
            Ok(_) => panic!("{text} was taken"),
            Err(close) => {
                assert_eq!(close.code(), 4400);
                close.reason()
            }
        }
    }

    #[test]
    fn malformed_messages_are_named() {
        assert!(refused("nonsense").contains("expected ident"));
        assert!(refused("[]").starts_with("Invalid message: "));
        assert_eq!(
            refused(r#"{"type":"stop"}"#),
            r#"Invalid message: unknown type "stop""#
        );
        assert_eq!(
            refused(r#"{"type":"subscribe","id":"1"}"#),
            "Invalid message: subscribe without a payload"
        );
        assert!(
            refused(r#"{"type":"subscribe","id":"1","payload":{}}"#)
                .contains("missing field `query`")
        );
        assert_eq!(
            refused(r#"{"type":"complete"}"#),
            "Invalid message: the id is missing"
        );
        assert_eq!(
            refused(r#"{"type":"complete","id":""}"#),
            "Invalid message: an id has 1 to 128 bytes"
        );
        assert_eq!(
            refused(r#"{"type":"ping","payload":1}"#),
            "Invalid message: the payload is no object"
        );
    }

    #[test]
    fn a_reason_fits_into_its_frame_and_is_cut_between_characters() {
        let reason = Close::BadRequest("ä".repeat(200)).reason();
        assert!(
            reason.len() <= REASON_LIMIT && reason.len() > REASON_LIMIT - 2,
            "{}",
            reason.len()
        );
    }

    #[test]
    fn a_credential_is_found_however_it_is_spelt() {
        for name in ["authorization", "Authorization"] {
            let text = format!(
                r#"{{"payload":{{"other":1,"{name}":"Bearer x"}},"type":"connection_init"}}"#
            );
            let Ok(ClientMessage::ConnectionInit { authorization }) = parse(&text) else {
                panic!("refused")
            };
            assert_eq!(authorization.as_deref(), Some("Bearer x"));
        }
        for text in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"connection_init","payload":null}"#,
        ] {
            let Ok(ClientMessage::ConnectionInit {
                authorization: None,
            }) = parse(text)
            else {
                panic!("{text}")
            };
        }
    }

    #[test]
    fn a_pong_carries_the_payload_of_its_ping() {
        let Ok(ClientMessage::Ping { payload }) = parse(r#"{"type":"ping","payload":{"a": 1}}"#)
        else {
            panic!()
        };
        assert_eq!(
            pong(payload.as_deref()),
            r#"{"type":"pong","payload":{"a": 1}}"#
        );
        assert_eq!(pong(None), r#"{"type":"pong"}"#);
    }
}

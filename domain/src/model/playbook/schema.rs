//! The JSON Schema of playbooks: what derives can't say of their small values. Rows know nothing of schemas, so the words
//! of their closed sets are listed here.

use std::borrow::Cow;

use entity::{Outcome, Priority, RequestSource, RequestStatus, Trigger};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::fault::Fault;
use super::text::{Payload, Speech};
use super::value::{AnyOf, Delay, Needle};
use crate::tool::Effect;

/// A closed set, by its words.
pub trait Words {
    /// Its words, in the order of declaration.
    fn words() -> Vec<&'static str>;
}

macro_rules! words {
    ($($kind:ty),+) => {$(
        impl Words for $kind {
            fn words() -> Vec<&'static str> {
                Self::ALL.iter().map(|kind| kind.as_str()).collect()
            }
        }
    )+};
}

words!(Outcome, Priority, RequestSource, RequestStatus, Trigger);

/// What happens when a call is repeated, or nothing.
pub fn effect(_: &mut SchemaGenerator) -> Schema {
    let all = Effect::ALL.iter().map(|effect| Some(effect.as_str()));
    json_schema!({ "enum": all.chain([None]).collect::<Vec<_>>() })
}

/// Schemas without parameters of their own, written out where they are used.
macro_rules! inline {
    ($($kind:ty: $name:literal = $schema:tt),+ $(,)?) => {$(
        impl JsonSchema for $kind {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

inline! {
    Delay: "Delay" = { "type": "string", "pattern": "^[0-9]+(ms|s|m)$" },
    Needle: "Needle" = { "type": "string", "minLength": 1 },
    Speech: "Speech" = { "type": "string" },
    Payload: "Payload" = { "type": ["object", "array", "string", "number", "boolean"] },
}

impl<T: Words> JsonSchema for AnyOf<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "AnyOf".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let word = json_schema!({ "enum": T::words() });
        json_schema!({ "anyOf": [word, { "type": "array", "items": word, "minItems": 1 }] })
    }
}

impl<C: JsonSchema> JsonSchema for Fault<C> {
    fn schema_name() -> Cow<'static, str> {
        format!("PlaybookFaultOf{}", C::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let class = json_schema!({ "anyOf": [generator.subschema_for::<C>(), { "enum": ["hang", "abort"] }] });
        json_schema!({
            "description": "A failure on purpose: its class, or a mapping that says more. hang: no answer ever comes.",
            "anyOf": [class, {
                "type": "object",
                "properties": {
                    "class": class,
                    "times": { "description": "How many tries of this turn or answer fail; all if it is not given.", "type": ["integer", "null"], "minimum": 1 },
                    "message": { "description": "What is told of the failure.", "type": ["string", "null"] },
                    "retry_after": { "description": "How long the provider asks to wait; only for a fault of the model.", "anyOf": [generator.subschema_for::<Delay>(), { "type": "null" }] },
                },
                "required": ["class"],
                "additionalProperties": false,
            }],
        })
    }
}

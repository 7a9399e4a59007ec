//! The texts of a playbook, with what is filled in for each request.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::model::Brief;

/// Something that the model says; `{request.number}` and `{request.title}` stand for the request's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Speech(Box<str>);

impl Speech {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The text for a request.
    pub fn fill(&self, brief: &Brief) -> String {
        fill(&self.0, brief, false)
    }
}

impl<'de> Deserialize<'de> for Speech {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        check_placeholders(&text)?;
        Ok(Self(text.trim_end().into()))
    }
}

/// What a call sends or a tool answers: a YAML value becomes compact JSON with its keys in the written
/// order; a text stays exactly as it is. Placeholders as in [`Speech`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    text: Box<str>,
    json: bool,
}

impl Payload {
    /// An empty JSON object.
    pub fn empty() -> Self {
        Self {
            text: "{}".into(),
            json: true,
        }
    }

    /// Its bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// The text for a request; what is filled into JSON is escaped.
    pub fn fill(&self, brief: &Brief) -> String {
        fill(&self.text, brief, self.json)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrValue;

        impl<'de> Visitor<'de> for TextOrValue {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or any value")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Payload, E> {
                check_placeholders(text)?;
                Ok(Payload {
                    text: text.into(),
                    json: false,
                })
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Payload, E> {
                JsonVisitor.visit_bool(value).map(Payload::from)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Payload, E> {
                JsonVisitor.visit_i64(value).map(Payload::from)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Payload, E> {
                JsonVisitor.visit_u64(value).map(Payload::from)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Payload, E> {
                JsonVisitor.visit_f64(value).map(Payload::from)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Payload, A::Error> {
                JsonVisitor.visit_seq(seq).map(Payload::from)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Payload, A::Error> {
                JsonVisitor.visit_map(map).map(Payload::from)
            }
        }

        deserializer.deserialize_any(TextOrValue)
    }
}

impl From<Json> for Payload {
    fn from(Json(text): Json) -> Self {
        Self {
            text: text.into(),
            json: true,
        }
    }
}

/// A YAML value as compact JSON. Not `serde_json::Value`, which sorts the keys.
struct Json(String);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
        check_placeholders(text)?;
        Ok(Json(quoted(text).into_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        serde_json::to_string(&value).map(Json).map_err(E::custom)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json("null".into()))
    }

    fn visit_none<E>(self) -> Result<Json, E> {
        Ok(Json("null".into()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        Json::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut out = String::from("[");
        while let Some(Json(item)) = seq.next_element()? {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&item);
        }
        out.push(']');
        Ok(Json(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut out = String::from("{");
        while let Some((key, Json(value))) = map.next_entry::<String, Json>()? {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(&quoted(&key));
            out.push(':');
            out.push_str(&value);
        }
        out.push('}');
        Ok(Json(out))
    }
}

const NUMBER: &str = "{request.number}";
const TITLE: &str = "{request.title}";

fn check_placeholders<E: de::Error>(text: &str) -> Result<(), E> {
    let known = |at: usize| text[at..].starts_with(NUMBER) || text[at..].starts_with(TITLE);
    match text.match_indices("{request.").find(|(at, _)| !known(*at)) {
        None => Ok(()),
        Some(_) => Err(E::custom(format!(
            "unknown placeholder; known are {NUMBER} and {TITLE}"
        ))),
    }
}

fn fill(text: &str, brief: &Brief, json: bool) -> String {
    if !text.contains("{request.") {
        return text.to_owned();
    }
    let title = if json {
        quoted(&brief.title)
    } else {
        Cow::Borrowed(brief.title.as_str())
    };
    let title = if json {
        &title[1..title.len() - 1]
    } else {
        &title
    };
    // The title comes last: what stands in it is the requester's, and is not filled again.
    text.replace(NUMBER, &brief.number.to_string())
        .replace(TITLE, title)
}

fn quoted(text: &str) -> Cow<'_, str> {
    Cow::Owned(serde_json::Value::from(text).to_string())
}

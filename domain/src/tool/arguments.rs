//! Whether arguments are sent as they are written. A person approves their text, and the log shows it; what is sent
//! are the values in it. Where reading and writing them would make something else of it, the call is not made.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// The arguments of a call.
///
/// # Errors
/// A sentence for the model that says what is wrong with them.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let arguments = match serde_json::from_str(text) {
        Ok(arguments @ Value::Object(_)) => arguments,
        Ok(_) => return Err("the arguments must be a JSON object".into()),
        Err(err) => return Err(format!("the arguments must be a JSON object: {err}")),
    };
    serde_json::from_str::<Unique>(text).map_err(|err| format!("the arguments have {err}"))?;
    match numbers(text).find_map(|number| Some((number, sent(number)?))) {
        Some((written, sent)) => Err(format!(
            "the number {written} would be sent as {sent}; write it like that, or as a string where the tool takes one and \
             each digit counts"
        )),
        None => Ok(arguments),
    }
}

/// What is sent of a number; none if it is as it is written.
fn sent(written: &str) -> Option<String> {
    // It stands in a text that was read, so it is one.
    let number: Number = serde_json::from_str(written).ok()?;
    Some(number.to_string()).filter(|sent| sent != written)
}

/// The numbers in a text that is JSON, as they are written.
fn numbers(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?;
            rest = &rest[at..];
            match rest.strip_prefix('"') {
                Some(string) => rest = behind(string),
                None => {
                    let within =
                        |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
                    let end = rest.find(|c| !within(c)).unwrap_or(rest.len());
                    let (number, more) = rest.split_at(end);
                    rest = more;
                    return Some(number);
                }
            }
        }
    })
}

/// What follows the string that has just begun.
fn behind(string: &str) -> &str {
    let mut escaped = false;
    let end = string.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or("", |end| &string[end + 1..])
}

/// JSON in which no object has a key twice: of two values only one would be sent.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                let message = format!("the key {key:?} twice in one object; write it once");
                return Err(de::Error::custom(message));
            }
            keys.insert(key);
            map.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_would_be_sent_otherwise_are_refused() {
        for (arguments, told) in [
            (
                r#"{"to":"a","to":"b"}"#,
                "the key \"to\" twice in one object",
            ),
            (
                r#"{"a":[{"b":1,"\u0062":2}]}"#,
                "the key \"b\" twice in one object",
            ),
            (r#"{"sum":1.50}"#, "the number 1.50 would be sent as 1.5;"),
            (
                r#"{"id":[12345678901234567890123]}"#,
                "the number 12345678901234567890123 would be sent as 1.2345678901234568e+22;",
            ),
            (
                r#"{"a":"\\\"","n":-0}"#,
                "the number -0 would be sent as -0.0;",
            ),
            (r#"{"n":1e400}"#, "number out of range"),
            ("7", "must be a JSON object"),
        ] {
            let message = read(arguments).expect_err(arguments);
            assert!(message.contains(told), "{arguments}: {message}");
        }
        for arguments in [
            "{}",
            r#" { "a" : [ 0, -1, 1.5, 0.1, 1.0, 18446744073709551615, -9223372036854775808 ], "b": { "a": null }, "c": true } "#,
            r#"{"text":"1.50 \" 007 \\","to":{"to":"1e9"}}"#,
        ] {
            assert_eq!(
                read(arguments),
                Ok(serde_json::from_str(arguments).expect("JSON")),
                "{arguments}"
            );
        }
    }
}

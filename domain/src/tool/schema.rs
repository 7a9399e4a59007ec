//! Arguments against the schema that is pinned, before anything is sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The most bytes of a schema.
const LARGEST: usize = 64 * 1024;
/// Compiled schemas that are kept in memory.
const KEPT: usize = 1_000;
/// Steps that a pattern may go back before its text counts as not matching.
const BACKTRACKS: usize = 10_000;
/// The most mistakes that are told at once, and the most characters of each.
const TOLD: usize = 5;
const LONGEST: usize = 300;

/// Compiled schemas, by their text; each is compiled once while it is kept.
#[derive(Default)]
pub struct Schemas {
    known: Mutex<HashMap<Vec<u8>, Arc<Validator>>>,
}

impl Schemas {
    /// Checks the arguments of a call.
    ///
    /// # Errors
    /// A sentence for the model that says what is wrong with them.
    pub fn check(&self, schema: &Value, arguments: &str) -> Result<(), String> {
        let arguments = super::arguments::read(arguments)?;
        let validator = self.get(schema)?;
        let mistakes: Vec<String> = validator
            .iter_errors(&arguments)
            .take(TOLD)
            .map(|err| {
                let place = err.instance_path().to_string();
                let mut text = if place.is_empty() {
                    err.to_string()
                } else {
                    format!("{place}: {err}")
                };
                if let Some((end, _)) = text.char_indices().nth(LONGEST) {
                    text.truncate(end);
                    text.push('…');
                }
                text
            })
            .collect();
        if mistakes.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "the arguments do not fit the tool's schema: {}",
                mistakes.join("; ")
            ))
        }
    }

    fn get(&self, schema: &Value) -> Result<Arc<Validator>, String> {
        let key = Sha256::digest(schema.to_string()).to_vec();
        if let Some(known) = self.known.lock().get(&key) {
            return Ok(known.clone());
        }
        let compiled = Arc::new(compile(schema)?);
        let mut known = self.known.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        Ok(known.entry(key).or_insert(compiled).clone())
    }
}

/// Refuses what is no JSON Schema of an object.
///
/// # Errors
/// What is wrong with it.
pub fn check_schema(schema: &Value) -> Result<(), String> {
    let Some(object) = schema.as_object() else {
        return Err("it is no JSON object".into());
    };
    match object.get("type") {
        None => {}
        Some(Value::String(kind)) if kind == "object" => {}
        Some(other) => return Err(format!("its type is {other}, and arguments are an object")),
    }
    let size = schema.to_string().len();
    if size > LARGEST {
        return Err(format!("it has {size} bytes; {LARGEST} are allowed"));
    }
    compile(schema).map(drop)
}

/// Nothing is fetched for it: what a schema refers to stands in the schema.
fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .offline()
        .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS))
        .build(schema)
        .map_err(|err| {
            let mut text = err.to_string();
            text.truncate(text.floor_char_boundary(LONGEST));
            text
        })
}

/// The text of a value with its keys in order: equal values have equal texts.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<&String, &Value> = object.iter().collect();
            let fields = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_model_is_told_what_is_wrong() {
        let schemas = Schemas::default();
        let schema = json!({ "type": "object", "properties": { "a": { "type": "integer" }, "b": { "enum": ["x"] } },
                             "required": ["a"], "additionalProperties": false });
        assert_eq!(schemas.check(&schema, r#"{"a":1,"b":"x"}"#), Ok(()));
        for (arguments, told) in [
            (r#"{"a":"one"}"#, "/a: \"one\" is not of type \"integer\""),
            ("{}", "\"a\" is a required property"),
            (r#"{"a":1,"c":2}"#, "'c' was unexpected"),
            (r#"{"a":1,"b":"y"}"#, "/b: \"y\" is not one of"),
            ("[]", "must be a JSON object"),
            ("{", "must be a JSON object: EOF"),
        ] {
            let message = schemas.check(&schema, arguments).expect_err(arguments);
            assert!(message.contains(told), "{arguments}: {message}");
        }
        let long = json!({ "a": "x".repeat(100_000) }).to_string();
        let message = schemas.check(&schema, &long).expect_err("no number");
        assert!(message.len() < 1_000, "{} bytes", message.len());
    }

    #[test]
    fn nothing_is_fetched_for_a_schema() {
        for schema in [
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "type": "string" }),
            json!({ "type": "objekt" }),
            json!([]),
            json!({ "properties": { "a": { "pattern": "(" } } }),
        ] {
            assert!(check_schema(&schema).is_err(), "{schema}");
        }
        let own = json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/n" } }, "$defs": { "n": { "type": "number" } } });
        assert_eq!(check_schema(&own), Ok(()));
    }

    #[test]
    fn equal_values_have_equal_texts() {
        let (a, b) = (
            r#"{"b":[1,{"d":null,"c":"\u00e9"}],"a":true}"#,
            r#"{"a":true,"b":[1,{"c":"é","d":null}]}"#,
        );
        let text = |text: &str| canonical(&serde_json::from_str(text).expect("JSON"));
        assert_eq!(text(a), text(b));
        assert_eq!(text(a), r#"{"a":true,"b":[1,{"c":"é","d":null}]}"#);
    }
}

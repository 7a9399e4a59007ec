//! The file of a tool server, read as its `reach.type` says.
//!
//! What serde reads of an enum with its tag inside it reads from a copy that knows no places, and a fault anywhere in `reach`
//! would be told at the first line of it. So the type is read first, and then the file as one of that type.

use std::fmt;
use std::marker::PhantomData;

use domain::tool::server::{Declaration, HttpServer, McpHttp, McpStdio};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer as _,
    MapAccess,
};

use super::form::{Server, ServerKind};
use super::read::as_yaml;

/// The keys that tell how to read the others.
#[derive(Deserialize)]
struct Head {
    reach: Typed,
}

#[derive(Deserialize)]
struct Typed {
    r#type: Type,
}

/// The words that `reach.type` may be.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Type {
    McpStdio,
    McpHttp,
    Http,
}

/// The file of a tool server that is reached like this.
#[derive(Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    bound = "R: DeserializeOwned"
)]
struct Of<R> {
    kind: ServerKind,
    name: String,
    #[serde(deserialize_with = "untyped")]
    reach: R,
}

/// Reads the file of a tool server.
///
/// # Errors
/// What is wrong with it, with its place.
pub(super) fn server(text: &str) -> Result<Server, serde_saphyr::Error> {
    let head: Head = as_yaml(text)?;
    match head.reach.r#type {
        Type::McpStdio => of::<McpStdio>(text, Declaration::McpStdio),
        Type::McpHttp => of::<McpHttp>(text, Declaration::McpHttp),
        Type::Http => of::<HttpServer>(text, Declaration::Http),
    }
}

fn of<R: DeserializeOwned>(
    text: &str,
    declared: impl FnOnce(R) -> Declaration,
) -> Result<Server, serde_saphyr::Error> {
    let Of { kind, name, reach } = as_yaml(text)?;
    let reach = declared(reach);
    Ok(Server { kind, name, reach })
}

/// The path in the file of a field that is refused.
pub(super) fn path(reach: &Declaration, field: &str) -> String {
    let whole = |place: &String| {
        place.replace(|c: char| c == '[' || c == ']' || c.is_ascii_digit(), "") == field
    };
    let path = reach.refused_at().filter(whole);
    format!("reach.{}", path.as_deref().unwrap_or(field))
}

/// Reads what stands beside the type, straight from the text.
fn untyped<'de, R: Deserialize<'de>, D: Deserializer<'de>>(text: D) -> Result<R, D::Error> {
    struct Visitor<R>(PhantomData<R>);

    impl<'de, R: Deserialize<'de>> de::Visitor<'de> for Visitor<R> {
        type Value = R;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("how the tools are reached")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<R, A::Error> {
            R::deserialize(MapAccessDeserializer::new(Untyped(map)))
        }
    }

    text.deserialize_map(Visitor(PhantomData))
}

/// A map without the key `type`.
struct Untyped<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Untyped<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.0.next_key::<String>()? {
            if key != "type" {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            self.0.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

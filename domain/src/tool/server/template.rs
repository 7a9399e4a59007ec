//! Texts with places: URLs with `{argument}`, header values with `{{secret:NAME}}`.

use serde_json::{Map, Value};

use crate::secret::{Secret, kept};

/// A URL with places for arguments, in its path and its query only: what a model writes never decides which host is
/// called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    /// Texts and, between them, the names of arguments.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Path(String),
    Query(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let after_scheme = ["https://", "http://"]
            .into_iter()
            .find(|scheme| text.starts_with(scheme))
            .map(str::len)
            .ok_or_else(|| format!("{text:?} is no address; it begins with https:// or http://"))?;
        let authority = text[after_scheme..]
            .find(['/', '\\', '?', '#'])
            .map_or(text.len(), |end| after_scheme + end);
        // Without a host of its own, URL parsers take the next thing after the slashes for it.
        if authority == after_scheme || text[after_scheme..].starts_with('\\') {
            return Err(format!("{text:?} names no host"));
        }
        if text[..authority].contains(['{', '}']) {
            return Err(format!(
                "{text:?} has a place in its host; arguments may only stand in the path and the query"
            ));
        }
        if text.contains('#') {
            return Err(format!(
                "{text:?} has a fragment, which is never sent; remove it"
            ));
        }
        let (mut parts, mut rest, mut in_query) = (Vec::new(), text, false);
        while let Some(open) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(open);
            in_query |= before.contains('?');
            parts.push(Part::Text(before.to_owned()));
            let close = after
                .strip_prefix('{')
                .and_then(|inner| inner.find(['{', '}']))
                .filter(|end| after[1 + end..].starts_with('}'));
            let Some(close) = close else {
                return Err(format!("{text:?} has a brace without its other half"));
            };
            let name = &after[1..=close];
            if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name_byte) {
                return Err(format!(
                    "{text:?} has the place {{{name}}}; a place is the name of an argument"
                ));
            }
            parts.push(if in_query {
                Part::Query(name.to_owned())
            } else {
                Part::Path(name.to_owned())
            });
            rest = &after[close + 2..];
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self { parts };
        // With harmless values in its places it must be a URL.
        let sample = template.fill_with(|_| "x".to_owned());
        match reqwest::Url::parse(&sample) {
            Ok(url) if url.host_str().is_none() => Err(format!("{text:?} names no host")),
            Ok(url) if !url.username().is_empty() || url.password().is_some() => Err(format!(
                "{text:?} holds a user or a password; send them in a header, by a secret's name"
            )),
            Ok(_) => Ok(template),
            Err(err) => Err(format!("{text:?} is no address: {err}")),
        }
    }

    /// The arguments that it has places for.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Path(name) | Part::Query(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The URL with these arguments in its places.
    ///
    /// # Errors
    /// A sentence for the model that names the argument and what is wrong with it.
    pub(crate) fn fill(&self, arguments: &Map<String, Value>) -> Result<String, String> {
        for part in &self.parts {
            let (Part::Path(name) | Part::Query(name)) = part else {
                continue;
            };
            let text = match arguments.get(name) {
                None | Some(Value::Null) => return Err(format!("the argument {name} is missing")),
                Some(Value::Array(_) | Value::Object(_)) => {
                    return Err(format!(
                        "the argument {name} stands in the address; it must be a text or a number"
                    ));
                }
                Some(value) => plain(value),
            };
            let in_path = matches!(part, Part::Path(_));
            if in_path && text.is_empty() {
                return Err(format!("the argument {name} is empty"));
            }
            // Whatever is encoded, these two would climb out of the path.
            if in_path && matches!(text.as_str(), "." | "..") {
                return Err(format!("the argument {name} can't be {text:?}"));
            }
        }
        let url = self.fill_with(|name| arguments.get(name).map(plain).unwrap_or_default());
        let path = url.split('?').next().unwrap_or_default();
        let climbs = |segment: &str| {
            let plain = segment.to_ascii_lowercase().replace("%2e", ".");
            matches!(plain.as_str(), "." | "..")
        };
        if path.split('/').skip(3).any(climbs) {
            return Err("the arguments make an address that leads elsewhere".into());
        }
        Ok(url)
    }

    fn fill_with(&self, value: impl Fn(&str) -> String) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Path(name) | Part::Query(name) => encode(&value(name)),
            })
            .collect()
    }
}

/// A value as it stands in an address.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Percent-encodes all but letters, digits and `-_.~`.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// A text that refers to secrets: `Bearer {{secret:TOKEN}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    text: &'a str,
    /// Where each reference stands, and the secret's name.
    places: Vec<(usize, usize, &'a str)>,
}

impl<'a> Reference<'a> {
    /// Reads the references of a text.
    ///
    /// # Errors
    /// A sentence that says which one is wrong.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let (mut places, mut from) = (Vec::new(), 0);
        while let Some(open) = text[from..].find("{{") {
            let open = from + open;
            let inner = &text[open + 2..];
            let close = inner
                .find("}}")
                .ok_or_else(|| "a {{ has no }} after it".to_owned())?;
            let name = inner[..close]
                .strip_prefix("secret:")
                .filter(|name| kept::is_name(name))
                .ok_or_else(|| {
                    "between {{ and }} stands a secret's name, as in {{secret:TOKEN}}".to_owned()
                })?;
            from = open + 2 + close + 2;
            places.push((open, from, name));
        }
        Ok(Self { text, places })
    }

    /// The names of the secrets.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.places.iter().map(|(.., name)| *name)
    }

    /// The text with the secrets in their places.
    ///
    /// # Errors
    /// The name of a secret that there is none of.
    pub(crate) fn resolve<'s>(
        &self,
        secret: impl Fn(&str) -> Option<&'s Secret>,
    ) -> Result<Vec<u8>, String> {
        let (mut resolved, mut from) = (Vec::new(), 0);
        for (open, end, name) in &self.places {
            resolved.extend_from_slice(&self.text.as_bytes()[from..*open]);
            let secret = secret(name).ok_or_else(|| (*name).to_owned())?;
            resolved.extend_from_slice(secret.reveal());
            from = *end;
        }
        resolved.extend_from_slice(&self.text.as_bytes()[from..]);
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, arguments: &str) -> Result<String, String> {
        let arguments = serde_json::from_str(arguments).expect("an object");
        Template::parse(template)?.fill(&arguments)
    }

    #[test]
    fn arguments_are_encoded_into_path_and_query() {
        let template = "https://desk.example.com/tickets/{id}/notes?q={q}&n={n}";
        assert_eq!(
            filled(template, r#"{"id":"a/b?c#d","q":"x & {id}","n":7}"#).expect("filled"),
            "https://desk.example.com/tickets/a%2Fb%3Fc%23d/notes?q=x%20%26%20%7Bid%7D&n=7"
        );
    }

    #[test]
    fn no_argument_chooses_the_host_or_climbs_out_of_the_path() {
        for template in [
            "https://{host}/a",
            "https://api.{zone}.example.com/",
            "https://example.com:{port}/",
            "{url}",
            "ftp://example.com/{a}",
            "https://user:pw@example.com/",
            "https://example.com/{a",
            "https://example.com/a}",
            "https://example.com/{a b}",
            "https:///{a}",
            "https:/{a}",
            "https://\\\\{a}",
            "https:////example.com/{a}",
            "https://example.com/#{a}",
        ] {
            assert!(Template::parse(template).is_err(), "{template}");
        }
        for (template, value) in [
            ("https://example.com/a/{x}/b", ".."),
            ("https://example.com/a/{x}/b", "."),
            ("https://example.com/a/{x}/b", ""),
            ("https://example.com/a/.{x}/b", "."),
            ("https://example.com/a/%2e{x}", "."),
        ] {
            let arguments = serde_json::json!({ "x": value }).to_string();
            assert!(filled(template, &arguments).is_err(), "{template} {value}");
        }
        let far = filled("https://example.com/{x}", r#"{"x":"@evil.example/../b"}"#);
        assert_eq!(
            far.expect("filled"),
            "https://example.com/%40evil.example%2F..%2Fb"
        );
        assert!(filled("https://example.com/{x}", r#"{"x":["a"]}"#).is_err());
        assert!(filled("https://example.com/{x}", "{}").is_err());
    }

    #[test]
    fn secrets_are_referred_to_by_name() {
        let reference = Reference::parse("Bearer {{secret:TOKEN}}, {{secret:b-2}}").expect("read");
        assert_eq!(reference.names().collect::<Vec<_>>(), ["TOKEN", "b-2"]);
        let secret = Secret::new(*b"{{secret:b-2}}");
        let resolved = reference.resolve(|_| Some(&secret)).expect("resolved");
        // What a secret holds is no reference.
        assert_eq!(resolved, b"Bearer {{secret:b-2}}, {{secret:b-2}}");
        assert_eq!(
            reference.resolve(|_| None).expect_err("there is none"),
            "TOKEN"
        );
        for text in ["{{TOKEN}}", "{{secret:}}", "{{secret:a", "{{secret:a b}}"] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}

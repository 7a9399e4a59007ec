//! What comes back from outside may hold the secrets that it was called with. They are taken out before anything
//! is stored or shown, in the forms in which they usually come back.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::Secret;
use crate::run::envelope::hex;

/// Takes known secrets out of texts.
#[derive(Clone, Default)]
pub struct Veil {
    /// Each form of each secret, with the secret's name; longer ones first, so that none hides a part of another.
    forms: Vec<(String, String)>,
}

impl std::fmt::Debug for Veil {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Veil")
            .field("forms", &self.forms.len())
            .finish()
    }
}

impl Veil {
    /// Over these secrets, each with its name.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Self {
        let mut forms = Vec::new();
        for (name, secret) in secrets {
            let bytes = secret.reveal();
            if bytes.is_empty() {
                continue;
            }
            let mut add = |form: String| {
                if !forms.iter().any(|(known, _)| *known == form) {
                    forms.push((form, name.to_owned()));
                }
            };
            if let Ok(text) = std::str::from_utf8(bytes) {
                add(text.to_owned());
                if let Ok(json) = serde_json::to_string(text) {
                    add(json[1..json.len() - 1].to_owned());
                }
                add(percent_encoded(text, false));
                add(percent_encoded(text, true));
            }
            add(STANDARD.encode(bytes));
            add(STANDARD_NO_PAD.encode(bytes));
            add(URL_SAFE.encode(bytes));
            add(URL_SAFE_NO_PAD.encode(bytes));
            add(hex(bytes));
            add(hex(bytes).to_uppercase());
        }
        forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        Self { forms }
    }

    /// The text with `‹secret:NAME›` in the place of each secret, and the names of those that were found.
    pub fn over(&self, text: String) -> (String, Vec<String>) {
        let mut text = text;
        let mut found: Vec<String> = Vec::new();
        for (form, name) in &self.forms {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), &format!("‹secret:{name}›"));
                if !found.contains(name) {
                    found.push(name.clone());
                }
            }
        }
        (text, found)
    }
}

/// As a URL holds it; `plus`: a space is a plus sign, as forms have it.
fn percent_encoded(text: &str, plus: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte));
            }
            b' ' if plus => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_the_forms_in_which_it_comes_back() {
        let secret = Secret::new(*b"canary \"one\"/two");
        let veil = Veil::new([("token", &secret)]);
        for form in [
            "canary \"one\"/two",
            r#"canary \"one\"/two"#,
            "canary%20%22one%22%2Ftwo",
            "canary+%22one%22%2Ftwo",
            "Y2FuYXJ5ICJvbmUiL3R3bw==",
            "Y2FuYXJ5ICJvbmUiL3R3bw",
            "63616e61727920226f6e65222f74776f",
        ] {
            let (text, found) = veil.over(format!("<{form}>"));
            assert_eq!(text, "<‹secret:token›>", "{form}");
            assert_eq!(found, ["token"]);
        }
        assert_eq!(veil.over("canary".into()), ("canary".into(), Vec::new()));
        assert!(!format!("{veil:?}").contains("canary"), "{veil:?}");
    }

    #[test]
    fn a_secret_within_another_hides_no_part_of_it() {
        let (short, long) = (
            Secret::new(*b"secret-one"),
            Secret::new(*b"secret-one-and-two"),
        );
        let veil = Veil::new([("short", &short), ("long", &long)]);
        let (text, _) = veil.over("secret-one-and-two secret-one".into());
        assert_eq!(text, "‹secret:long› ‹secret:short›");
    }
}

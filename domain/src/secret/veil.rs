//! What comes back from outside may hold the secrets that it was called with. They are taken out before anything
//! is stored or shown, in the forms in which they usually come back.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use super::Secret;
use crate::run::envelope::hex;

/// The fewest characters of a secret within base64 that are looked for.
const LEAST: usize = 8;

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
                    let json = &json[1..json.len() - 1];
                    add(json.to_owned());
                    // As some write it.
                    add(json.replace('/', "\\/"));
                }
                for plus in [false, true] {
                    let encoded = percent_encoded(text, plus);
                    add(lower_digits(&encoded));
                    add(encoded);
                }
            }
            add(STANDARD.encode(bytes));
            add(STANDARD_NO_PAD.encode(bytes));
            add(URL_SAFE.encode(bytes));
            add(URL_SAFE_NO_PAD.encode(bytes));
            within_base64(bytes).for_each(&mut add);
            add(hex(bytes));
            add(hex(bytes).to_uppercase());
        }
        forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        Self { forms }
    }

    /// Whether there is nothing to take out.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// Takes off a text what can be shown of it, without the secrets. Unless it is `whole`, its end stays if it may be
    /// the beginning of a secret; never more than the longest form of one less a byte.
    pub fn next(&self, text: &mut String, whole: bool) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let rest = &text[at..];
            let first = rest.as_bytes().first();
            let likely = |(form, _): &&(String, String)| form.as_bytes().first() == first;
            let mut longer = self.forms.iter().filter(likely);
            if !whole && longer.any(|(form, _)| form.len() > rest.len() && form.starts_with(rest)) {
                break;
            }
            let mut likely = self.forms.iter().filter(likely);
            match likely.find(|(form, _)| rest.starts_with(form.as_str())) {
                Some((form, name)) => {
                    shown.push_str(&mark(name));
                    at += form.len();
                }
                None => {
                    shown.push(c);
                    at += c.len_utf8();
                }
            }
        }
        text.drain(..at);
        shown
    }

    /// The text with `‹secret:NAME›` in the place of each secret, and the names of those that were found.
    pub fn over(&self, text: String) -> (String, Vec<String>) {
        let mut text = text;
        let mut found: Vec<String> = Vec::new();
        for (form, name) in &self.forms {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), &mark(name));
                if !found.contains(name) {
                    found.push(name.clone());
                }
            }
        }
        (text, found)
    }
}

/// What stands in a secret's place.
fn mark(name: &str) -> String {
    format!("‹secret:{name}›")
}

/// The characters of base64 that hold nothing but a secret, whatever stands before and behind it.
fn within_base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3).flat_map(move |before| {
        let padded = [vec![0; before], bytes.to_vec()].concat();
        let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        let both = [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ];
        // A short one can't be told from other words.
        both.into_iter()
            .filter_map(move |encoded| Some(encoded.get(first..last)?.to_owned()))
            .filter(|core| core.len() >= LEAST)
    })
}

/// The digits behind the percent signs in small letters.
fn lower_digits(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        lower.push('%');
        lower.push_str(&digits.to_lowercase());
        lower.push_str(rest);
    }
    lower
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
            r#"canary \"one\"\/two"#,
            "canary%20%22one%22%2ftwo",
        ] {
            let (text, found) = veil.over(format!("<{form}>"));
            assert_eq!(text, "<‹secret:token›>", "{form}");
            assert_eq!(found, ["token"]);
        }
        assert_eq!(veil.over("canary".into()), ("canary".into(), Vec::new()));
        assert!(!format!("{veil:?}").contains("canary"), "{veil:?}");
    }

    #[test]
    fn a_secret_is_found_within_base64_whatever_stands_beside_it() {
        let secret = Secret::new(*b"canary/one+two=three");
        let veil = Veil::new([("token", &secret)]);
        for before in ["", "B", "Be", "Bearer ", "user:"] {
            for behind in ["", "x", "xy", "\n"] {
                let encoded = STANDARD.encode(format!("{before}canary/one+two=three{behind}"));
                let (text, found) = veil.over(encoded.clone());
                assert_eq!(found, ["token"], "{encoded}");
                // Only characters that hold bits of what stands beside it are left.
                assert!(
                    text.len()
                        <= "‹secret:token›".len()
                            + 4 * (before.len() + behind.len()).div_ceil(3)
                            + 8,
                    "{text}"
                );
            }
        }
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

//! Texts from outside: checked before they are kept, cut where they are only quoted.

use crate::error::{Error, Result};

/// Refuses an empty text.
///
/// # Errors
/// [`Error::Invalid`] that names the field.
pub fn required(field: &'static str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        let message = format!("{field} is empty; say in a few words what it is about");
        return Err(Error::invalid(field, "REQUIRED", message));
    }
    Ok(())
}

/// Refuses a text of more than `most` bytes, or with a NUL: no text column of PostgreSQL holds one.
///
/// # Errors
/// [`Error::Invalid`] that names the field and the limit.
pub fn bounded(field: &'static str, text: &str, most: usize) -> Result<()> {
    at_most(field, text.len(), most, "bytes")?;
    without_nul(field, text)
}

/// Refuses what can't be shown as a line or a paragraph: an empty text, one of more than `most` characters, or with
/// a NUL.
///
/// # Errors
/// [`Error::Invalid`] that names the field and the limit.
pub fn check_text(field: &'static str, text: &str, most: usize) -> Result<()> {
    required(field, text)?;
    at_most(field, text.chars().count(), most, "characters")?;
    without_nul(field, text)
}

fn at_most(field: &'static str, length: usize, most: usize, unit: &str) -> Result<()> {
    if length > most {
        let message = format!("{field} has {length} {unit}; {most} are allowed");
        return Err(Error::invalid(field, "TOO_LONG", message));
    }
    Ok(())
}

fn without_nul(field: &'static str, text: &str) -> Result<()> {
    if text.contains('\0') {
        let message = format!("{field} holds a NUL character; remove it");
        return Err(Error::invalid(field, "INVALID", message));
    }
    Ok(())
}

/// A text made to fit: without NUL and outer spaces, cut to `most` characters with an ellipsis.
pub fn cut(text: &str, most: usize) -> String {
    let text = text.trim().replace('\0', "");
    if text.chars().count() <= most {
        return text;
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A text without NUL, cut to `most` bytes with an ellipsis.
pub fn cut_bytes(text: &str, most: usize) -> String {
    let mut text = text.replace('\0', "");
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub('…'.len_utf8())));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(checked: Result<()>) -> Option<(&'static str, String)> {
        checked.err().map(|err| (err.code(), err.to_string()))
    }

    #[test]
    fn what_is_wrong_with_a_text_is_said_with_the_limit() {
        for good in ["a", " ä ", "üüü"] {
            assert_eq!(code(check_text("name", good, 3)), None, "{good}");
        }
        for (text, expected) in [
            (" \n", "REQUIRED"),
            ("äöüß", "TOO_LONG"),
            ("a\0", "INVALID"),
        ] {
            let told = code(check_text("name", text, 3));
            assert_eq!(told.map(|(code, _)| code), Some(expected), "{text:?}");
        }
        assert_eq!(code(bounded("text", "", 3)), None);
        let told = code(bounded("text", "äö", 3)).expect("too long");
        assert!(
            told.1.contains("text has 4 bytes; 3 are allowed"),
            "{told:?}"
        );
    }

    #[test]
    fn texts_are_cut_at_characters() {
        assert_eq!(cut(" a\0b ", 10), "ab");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut_bytes("äöü", 6), "äöü");
        assert_eq!(cut_bytes("äöüß", 7), "äö…");
        assert!(cut_bytes(&"ä".repeat(100), 64).len() <= 64);
        assert_eq!(cut_bytes("äö", 2), "…", "the mark itself is always whole");
    }
}

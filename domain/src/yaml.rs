//! YAML as people write it and read it: what is wrong in their words, and texts as blocks.

use serde::Serialize;
use serde_saphyr::MessageFormatter;

use crate::error::{Error, Result};

/// What the YAML crate found, in the words of someone who writes a file.
pub fn sentence(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::SerdeUnknownField {
            field, expected, ..
        } => format!(
            "unknown key `{field}`, expected one of `{}`",
            expected.join("`, `")
        ),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => format!(
            "unknown word `{variant}`, expected one of `{}`",
            expected.join("`, `")
        ),
        Error::SerdeMissingField { field, .. } => format!("`{field}` is missing; add it"),
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        } => format!("expected {expected}, found {unexpected}"),
        Error::DuplicateMappingKey { key, .. } => format!(
            "the key {:?} stands twice; keep one",
            key.as_deref().unwrap_or("")
        ),
        Error::Unexpected {
            expected: "sequence start",
            ..
        } => "expected a list; begin each item with `- `".into(),
        Error::Unexpected {
            expected: "mapping start",
            ..
        } => "expected a mapping; write `key: value`".into(),
        Error::Unexpected {
            expected: "string scalar",
            ..
        } => "expected a text".into(),
        Error::NullIntoString { .. } => {
            "a text is missing; write it, or \"\" for an empty one".into()
        }
        Error::InvalidBooleanStrict { .. } | Error::InvalidScalar { ty: "bool", .. } => {
            "expected true or false".into()
        }
        Error::InvalidScalar {
            ty: "i64" | "usize" | "u64",
            ..
        } => "expected a whole number".into(),
        Error::Eof { .. } => "it is empty; write something, or remove it".into(),
        Error::MultipleDocuments { .. } => {
            "it holds several documents; remove the line `---`, or make several files of it".into()
        }
        Error::Budget { .. } => "it has too many values, anchors or levels; simplify it".into(),
        other => serde_saphyr::DefaultMessageFormatter
            .format_message(other)
            .into_owned(),
    }
}

/// A value as YAML, texts of several lines as blocks: a playbook differs line by line.
///
/// # Errors
/// [`Error::Internal`] for what YAML can't hold.
pub fn print(value: &impl Serialize) -> Result<String> {
    let options = serde_saphyr::ser_options! {
        prefer_block_scalars: true,
        min_fold_chars: usize::MAX,
        folded_wrap_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(value, options).map_err(Error::internal)
}

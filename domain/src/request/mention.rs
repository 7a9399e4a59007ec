//! `@handle` in a note.

use std::collections::BTreeSet;

/// The handles that a text mentions, in lower case, each once.
///
/// A mention begins with `@` that no word character precedes (so an e-mail address is none) and is made
/// of letters, digits, `-` and `_`.
pub fn handles(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices('@') {
        if text[..at].chars().next_back().is_some_and(word) {
            continue;
        }
        let handle: String = text[at + 1..].chars().take_while(|c| word(*c)).collect();
        let handle = handle.trim_end_matches(['-', '_']).to_lowercase();
        if !handle.is_empty() {
            found.insert(handle);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_is_a_handle_after_an_at_that_is_no_address() {
        let text =
            "@aws-engineer, could you (with @triage) write to jo@example.org? @AWS-Engineer @ @-";
        assert_eq!(
            handles(text).into_iter().collect::<Vec<_>>(),
            ["aws-engineer", "triage"]
        );
    }
}

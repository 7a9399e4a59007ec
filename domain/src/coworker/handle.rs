//! Handles: the short names of coworkers and skills.

use crate::error::{Error, Result};

/// A handle out of what people and models write: with or without the `@`, in any case, with spaces around it.
pub fn handle(text: &str) -> String {
    text.trim().trim_start_matches('@').to_lowercase()
}

/// Refuses what is no handle: of a coworker or of a skill.
///
/// # Errors
/// [`Error::Invalid`].
pub(crate) fn check_handle(handle: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let ends = |c: Option<char>| c.is_some_and(|c| c != '-');
    if (2..=40).contains(&handle.len())
        && handle.chars().all(fits)
        && ends(handle.chars().next())
        && ends(handle.chars().last())
    {
        return Ok(());
    }
    let message = format!(
        "the handle \"{handle}\" must have 2 to 40 of a-z, 0-9 and -, and begin and end with none of -"
    );
    Err(Error::invalid("handle", "INVALID", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_however_it_is_written() {
        for written in ["aws-engineer", "@aws-engineer", " @AWS-Engineer\n"] {
            assert_eq!(handle(written), "aws-engineer");
        }
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        for good in ["ab", "a-1", &"x".repeat(40)] {
            assert!(check_handle(good).is_ok(), "{good}");
        }
        for wrong in ["", "a", "-ab", "ab-", "Ab", "a b", "@ab", &"x".repeat(41)] {
            assert!(check_handle(wrong).is_err(), "{wrong}");
        }
    }
}

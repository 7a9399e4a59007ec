//! What an MCP server answers to a call.

use serde::Deserialize;
use serde_json::Value;

use crate::tool::{ToolError, ToolErrorClass};

/// A result as the model is told of it: its exact text, or what failed.
pub(super) fn read(name: &str, text: String) -> Result<String, ToolError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        #[serde(default)]
        content: Vec<Block>,
        #[serde(default)]
        structured_content: Option<Value>,
        #[serde(default)]
        is_error: bool,
    }
    #[derive(Deserialize)]
    struct Block {
        #[serde(default)]
        text: Option<String>,
    }
    let bad = |message: String, text: String| {
        let error = ToolError::new(ToolErrorClass::BadResponse, message).doubted();
        Err(error.answered(text.into_bytes()))
    };
    // A list would be read as the fields in their order.
    if !text.trim_start().starts_with('{') {
        let message = format!("{name} answered something that is no result: it is no object");
        return bad(message, text);
    }
    match serde_json::from_str::<Answer>(&text) {
        Err(err) => {
            let message = format!("{name} answered something that is no result: {err}");
            bad(message, text)
        }
        Ok(answer) if answer.is_error => {
            let told: Vec<String> = answer
                .content
                .into_iter()
                .filter_map(|block| block.text)
                .collect();
            let told = match (told.is_empty(), answer.structured_content) {
                (true, Some(value)) => value.to_string(),
                (true, None) => "it did not say why".into(),
                (false, _) => told.join("\n"),
            };
            let message = format!("{name} failed: {told}");
            let error = ToolError::new(ToolErrorClass::Failed, message);
            Err(error.answered(text.into_bytes()))
        }
        Ok(_) => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_says_error_is_a_failure_for_the_model() {
        let exact = r#"{ "content": [{ "type": "text", "text": "8" }] }"#;
        assert_eq!(read("a.b", exact.into()).as_deref(), Ok(exact));
        let error = read(
            "a.b",
            r#"{"content":[{"type":"text","text":"No such file."}],"isError":true}"#.into(),
        );
        let error = error.expect_err("it failed");
        assert_eq!(
            (error.class, error.message.as_str()),
            (ToolErrorClass::Failed, "a.b failed: No such file.")
        );
        // Told is what it says, kept is how it says it.
        assert!(
            error
                .response
                .is_some_and(|response| response.ends_with(r#""isError":true}"#))
        );
        let error = read("a.b", "[]".into()).expect_err("no result");
        assert_eq!(error.class, ToolErrorClass::BadResponse);
    }
}

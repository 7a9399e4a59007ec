//! What a program writes, line by line, before the SDK reads it: bounded, and the exact text of each result kept for
//! whoever waits for it.

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::exact::Results;
use crate::tool::LARGEST;

/// The most bytes of a line: an answer of the largest size, with what JSON adds to it.
const LINE: usize = 2 * LARGEST;
/// Bytes of either end of a line in which its id is looked for.
const ENDS: usize = 256;
/// The code of the error that stands for a line that was too long.
pub(super) const TOO_LONG: i32 = -32_099;

/// Passes lines on until either side ends. A line that is too long is dropped as it comes, and the request that it
/// answers gets an error in its place; who asked for something else is not concerned.
pub(super) async fn pass(
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    results: Results,
) -> std::io::Result<()> {
    let mut from = BufReader::with_capacity(64 * 1024, from);
    let (mut line, mut dropped) = (Vec::new(), 0_usize);
    loop {
        let chunk = from.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(());
        }
        let (part, ends) = match chunk.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&chunk[..=end], true),
            None => (chunk, false),
        };
        let taken = part.len();
        line.extend_from_slice(part);
        if line.len() > LINE {
            // Both ends are kept, to tell which request it answers.
            let tail = line.len() - ENDS;
            dropped += tail - ENDS;
            line.drain(ENDS..tail);
        } else if dropped > 0 && line.len() > 4 * ENDS {
            let tail = line.len() - ENDS;
            dropped += tail - ENDS;
            line.drain(ENDS..tail);
        }
        from.consume(taken);
        if !ends {
            continue;
        }
        if dropped == 0 {
            results.keep(&line);
            to.write_all(&line).await?;
        } else if let Some(id) = id_of(&line) {
            let message = format!("an answer of more than {LARGEST} bytes was dropped");
            let error = serde_json::json!({ "code": TOO_LONG, "message": message });
            let answer = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}\n");
            to.write_all(answer.as_bytes()).await?;
        }
        to.flush().await?;
        line.clear();
        dropped = 0;
    }
}

/// The id of a response of which only both ends are known: it stands first or last.
fn id_of(line: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(line);
    let number = |text: &str| -> Option<u64> {
        let text = text.trim_start().strip_prefix(':')?.trim_start();
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        text[..digits].parse().ok()
    };
    let (head, tail) = (text.find("\"id\""), text.rfind("\"id\""));
    let first = head
        .filter(|at| *at < 32)
        .and_then(|at| number(&text[at + 4..]));
    let last = || {
        let after = &text[tail? + 4..];
        let closed = after.trim_end().ends_with('}') && after.len() < 40;
        closed.then(|| number(after)).flatten()
    };
    first.or_else(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::mcp::exact::Exact;

    async fn passed(input: Vec<u8>) -> (String, Results) {
        let results = Results::default().awaiting("3");
        let mut out = Vec::new();
        pass(input.as_slice(), &mut out, results.clone())
            .await
            .expect("passed");
        (String::from_utf8(out).expect("text"), results)
    }

    #[tokio::test]
    async fn the_exact_text_of_a_result_is_kept() {
        let lines = "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{ \"b\": 1.0,\"a\" : [] }}\nno json\n{\"method\":\"x\"}\n";
        let (out, results) = passed(lines.into()).await;
        assert_eq!(out, lines);
        let exact = Exact::Text("{ \"b\": 1.0,\"a\" : [] }".into());
        assert_eq!(results.take("3"), Some(exact));
        assert_eq!(results.take("3"), None);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_answers_its_own_request_only() {
        let long = "x".repeat(3 * LINE);
        for line in [
            format!("{{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"{long}\"}}"),
            format!("{{\"result\":{{\"id\":\"{long}\"}},\"jsonrpc\":\"2.0\",\"id\":7}}"),
        ] {
            let (out, _) = passed(format!("{line}\n{{\"id\":8,\"result\":1}}\n").into()).await;
            let mut lines = out.lines();
            let first = lines.next().expect("an error");
            assert!(
                first.contains("\"id\":7") && first.contains("-32099"),
                "{first}"
            );
            assert_eq!(lines.next(), Some("{\"id\":8,\"result\":1}"));
        }
    }
}

//! The playbook: what the scripted model says, written in YAML. A coworker keeps it as a text; a file may also hold it as
//! a mapping ([`Written`]).
//!
//! ```yaml
//! tools:                                # scripted tools that this coworker has
//!   - name: device.telemetry            # server.action
//!     description: Reads the network telemetry of a device.
//!     effect: READ                      # READ | IDEMPOTENT | EFFECT; EFFECT if not said
//!     parameters:                       # JSON Schema of the arguments; any object if not said
//!       type: object
//!       properties: { device: { type: string } }
//!       required: [device]
//!     answers:                          # the first one whose condition holds is given
//!       - when: { arguments_contain: LT-2231, call: 1 }
//!         delay: 300ms
//!         response: { latency_ms: 9 }   # a value becomes compact JSON, a text stays as it is
//!       - fault: offline                # offline | timed_out | failed | bad_response | hang | abort
//!
//! turns:                                # each is played once per run, the first one that fits
//!   - when: { trigger: INTAKE, title_contains: network }
//!     thinking: Slow network on one laptop. The device comes first.
//!     text: I look at the device.
//!     calls:
//!       - tool: device.telemetry
//!         arguments: { device: LT-2231 }
//!     delay: 600ms
//!   - when: { result_of: device.telemetry, result_failed: false }
//!     calls:
//!       - tool: finish
//!         arguments: { outcome: RESOLVED, reason: "…", summary: "Request {request.number}: …" }
//!     usage: { input: 310, cache_read: 1840, output: 212, reasoning: 90 }   # estimated if not said
//!     fault: { class: overloaded, times: 1, retry_after: 1s }   # only the first try of this turn fails
//!   - when: { closing: true }           # the run is near a limit: its last turn
//!     calls:
//!       - tool: finish
//!         arguments: { outcome: BLOCKED, reason: "…", summary: "…" }
//! ```
//!
//! For each model call, the first turn in order is played that fits and was not yet played in this run.
//! A turn with `repeat: true` may be played any number of times: a model that never stops. When the run
//! is near a limit, only turns with `closing: true` are played, or else repeated ones that don't ask.
//! If no turn fits, the run is finished as `DECLINED`, with a summary that says why.
//!
//! `when` holds if all of its keys hold; without keys it always does:
//! - the request as the run found it: `trigger`, `status`, `priority`, `source` (a word or a list),
//!   `title_contains`, `description_contains`, `first_run` (no earlier run of this coworker on it),
//!   `earlier_outcome: { coworker, outcome }` (some earlier run);
//! - one and the same note: `note_by`, `note_contains`;
//! - in turns, one and the same result since the model's last turn: `result_of`, `result_contains`,
//!   `result_failed`; and `closing`;
//! - in answers: `call` (from 1, the how many-th of this tool in the run), `arguments_contain`;
//! - `any: [ … ]` and `not: { … }` of the same.
//!
//! Texts are compared without regard to case. A model's `fault` is a class of failure (`unreachable`,
//! `rate_limited`, `overloaded`, `truncated`, `timed_out`, `rejected`, `not_configured`), `hang`, or
//! `abort`; as a mapping it has `class`, `times`, `message` and, for a model, `retry_after`. `{request.number}` and
//! `{request.title}` are filled into texts, arguments and responses.

mod check;
mod condition;
mod fault;
mod form;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod written;

use std::fmt;
use std::sync::Arc;

pub(super) use self::condition::{Condition, Moment};
pub(super) use self::fault::FaultKind;
pub use self::form::Form;
pub(super) use self::form::{ScriptedTool, Turn};
pub use self::written::Written;
use crate::tool::ToolSpec;
use crate::yaml;

/// The most bytes of a playbook.
pub const MAX_BYTES: usize = 256 * 1024;
/// The most bytes of its texts, with its anchors expanded.
const MAX_EXPANDED: usize = 4 * MAX_BYTES;
/// The most turns of a playbook.
pub const MAX_TURNS: usize = 200;
/// The most tools of a playbook.
pub const MAX_TOOLS: usize = 50;
/// The most answers of a tool.
pub const MAX_ANSWERS: usize = 50;
/// The most calls in one turn.
pub const MAX_CALLS: usize = 20;
/// The most tokens of one kind that a turn may claim.
const MAX_TOKENS: i64 = 1_000_000_000;

/// What the scripted model of one coworker says, and the tools that it has.
#[derive(Debug)]
pub struct Playbook {
    pub(super) tools: Vec<Arc<ScriptedTool>>,
    pub(super) turns: Vec<Turn>,
}

/// What is wrong with a playbook, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PlaybookError {
    /// One sentence with the remedy.
    pub message: String,
    /// The line, from 1; none if the playbook as a whole is meant.
    pub line: Option<u64>,
    /// The column, from 1.
    pub column: Option<u64>,
}

impl fmt::Display for PlaybookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => {
                write!(f, "playbook line {line}, column {column}: {}", self.message)
            }
            (Some(line), None) => write!(f, "playbook line {line}: {}", self.message),
            (None, _) => write!(f, "playbook: {}", self.message),
        }
    }
}

impl Playbook {
    /// Reads a playbook.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and column.
    pub fn parse(text: &str) -> Result<Self, PlaybookError> {
        if text.len() > MAX_BYTES {
            let message = format!(
                "it has {} bytes, and at most {MAX_BYTES} are allowed; shorten its texts or give the work to several coworkers",
                text.len()
            );
            return Err(PlaybookError {
                message,
                line: None,
                column: None,
            });
        }
        let form: Form = serde_saphyr::from_str_with_options(text, options())
            .map_err(|error| PlaybookError::from_yaml(&error))?;
        form.check()
    }

    /// The tools that the playbook brings, in its order.
    pub fn tools(&self) -> impl Iterator<Item = &ToolSpec> {
        self.tools.iter().map(|tool| &tool.spec)
    }
}

/// How playbooks are read: anchors may be used, but not to blow up a small text: every bound here is far above a real
/// playbook.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        budget: serde_saphyr::budget! { max_nodes: 50_000, max_events: 100_000, max_aliases: 16, max_anchors: 16 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
    }
}

impl PlaybookError {
    fn from_yaml(error: &serde_saphyr::Error) -> Self {
        let location = error.location();
        Self {
            message: sentence(error),
            line: location.map(|l| l.line()),
            column: location.map(|l| l.column()),
        }
    }
}

/// What the YAML crate found, in the words of someone who writes a playbook.
fn sentence(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error.without_snippet() {
        Error::Eof { .. } => "it is empty; it needs `turns`, a list with at least one turn".into(),
        Error::MultipleDocuments { .. } => {
            "a playbook is one document; remove the line `---`".into()
        }
        _ => yaml::sentence(error),
    }
}

//! What a run's model is writing.

use async_graphql::SimpleObject;
use domain::run::delta::Written;

use crate::graphql::kind::DeltaKind;
use crate::graphql::scalar::int;

/// Some of what a run's model is writing. It is ephemeral: shown once to whoever watches, and kept nowhere.
#[derive(SimpleObject)]
pub struct RunDelta {
    /// The model turn that it belongs to, from 1.
    pub turn: i32,
    /// The try within the turn, from 1. With a new one the turn's text begins anew.
    pub attempt: i32,
    /// What is being written.
    pub kind: DeltaKind,
    /// For TOOL_CALL: the call's place among the calls of the turn, from 0. Calls may be written in turns.
    pub call_index: Option<i32>,
    /// For TOOL_CALL: the tool.
    pub tool: Option<String>,
    /// What was written since the last item of the same turn, attempt, kind and call.
    pub text: String,
    /// Whether something before it was missed: the caller reads too slowly, or it was lost between nodes.
    pub gap: bool,
}

impl From<Written> for RunDelta {
    fn from(Written { delta, text, gap }: Written) -> Self {
        let (call_index, tool) = match delta.call {
            Some(call) => (
                Some(int(i64::try_from(call.place).unwrap_or(i64::MAX))),
                Some(call.tool.to_string()),
            ),
            None => (None, None),
        };
        Self {
            turn: delta.turn,
            attempt: delta.attempt,
            kind: delta.kind.into(),
            call_index,
            tool,
            text,
            gap,
        }
    }
}

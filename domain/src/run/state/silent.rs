//! Tools that do not answer (R72).

use super::{Open, State};
use crate::tool::{ASK, ToolErrorClass};

impl State {
    /// Takes down whether the tool of the open call answered: it failed like this, or not at all.
    pub(super) fn heard(&mut self, failed: Option<ToolErrorClass>) {
        let Some(Open::Tool(call)) = &self.open else {
            return;
        };
        match failed {
            // Whoever says that it failed is there.
            None | Some(ToolErrorClass::Failed) => {
                self.silent.remove(&call.tool);
            }
            Some(
                ToolErrorClass::Offline | ToolErrorClass::TimedOut | ToolErrorClass::BadResponse,
            ) => {
                self.silent.insert(call.tool.clone(), false);
            }
        }
    }

    /// Takes down that the coworker wrote to everyone; a question explains nothing.
    pub(super) fn told(&mut self) {
        if matches!(&self.open, Some(Open::Tool(call)) if call.tool == ASK) {
            return;
        }
        self.silent.values_mut().for_each(|told| *told = true);
    }

    /// The tools that did not answer when they were called last, with commas between; none: all did.
    pub fn silent_tools(&self) -> Option<String> {
        let tools: Vec<&str> = self.silent.keys().map(String::as_str).collect();
        (!tools.is_empty()).then(|| tools.join(", "))
    }

    /// Whether one of them went silent and no public note came since.
    pub fn silent_untold(&self) -> bool {
        self.silent.values().any(|told| !told)
    }
}

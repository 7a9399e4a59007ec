//! Tools that answer from a playbook.

use std::sync::Arc;

use async_trait::async_trait;

use super::befall;
use crate::model::playbook::{Moment, ScriptedTool};
use crate::tool::{Answer, Invocation, Tool, ToolError, ToolErrorClass, ToolSpec};

/// The tool, ready to be called.
pub(super) fn playing(tool: Arc<ScriptedTool>, aborts: bool) -> Arc<dyn Tool> {
    Arc::new(Playing { tool, aborts })
}

struct Playing {
    tool: Arc<ScriptedTool>,
    aborts: bool,
}

#[async_trait]
impl Tool for Playing {
    fn spec(&self) -> &ToolSpec {
        &self.tool.spec
    }

    async fn call(&self, invocation: Invocation<'_>) -> Result<Answer, ToolError> {
        let Invocation {
            arguments,
            idempotency_key: _,
            nth,
            brief,
        } = invocation;
        let name = &self.tool.spec.name;
        let Some(answer) = self.tool.answer(Moment {
            brief,
            messages: &[],
            call: Some((arguments, nth)),
        }) else {
            let message = format!("The playbook has no answer of {name} for this call.");
            return Err(ToolError::new(ToolErrorClass::Failed, message));
        };
        if let Some(delay) = answer.delay() {
            tokio::time::sleep(delay).await;
        }
        if let Some(fault) = answer.fault.as_ref().filter(|fault| fault.strikes(nth)) {
            let class = befall(fault.kind, self.aborts)
                .await
                .unwrap_or(ToolErrorClass::Failed);
            let message = fault
                .message
                .clone()
                .unwrap_or_else(|| default_message(name, class));
            return Err(ToolError::new(class, message));
        }
        match &answer.response {
            Some(response) => Ok(response.fill(brief).into()),
            // Parsing asks for a response beside every fault that can be over.
            None => {
                let message = format!("The playbook has no response of {name} for this call.");
                Err(ToolError::new(ToolErrorClass::Failed, message))
            }
        }
    }
}

fn default_message(name: &str, class: ToolErrorClass) -> String {
    match class {
        ToolErrorClass::Offline => format!("{name} is offline."),
        ToolErrorClass::TimedOut => format!("{name} did not answer in time."),
        ToolErrorClass::Failed => format!("{name} reported a failure."),
        ToolErrorClass::BadResponse => format!("{name} gave an answer that can't be used."),
    }
}

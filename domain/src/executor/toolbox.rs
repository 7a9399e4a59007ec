//! The tools of one run: those of its coworker that are enabled.

use std::sync::Arc;

use crate::coworker::Config;
use crate::tool::{Tool, ToolSpec, specs, triage_specs};

/// The tools of one run that are enabled: the built-in ones and those outside.
pub(super) struct Toolbox {
    specs: Arc<[ToolSpec]>,
    outside: Vec<Arc<dyn Tool>>,
    /// The names of the tools that the coworker has and may not use.
    disabled: Vec<String>,
}

impl Toolbox {
    /// What `config` enables of the built-in tools and of those outside; `routes`: the run decides to whom its
    /// request goes.
    pub(super) fn new(config: &Config, routes: bool, outside: Vec<Arc<dyn Tool>>) -> Self {
        let outside_specs = outside.iter().map(|tool| tool.spec());
        let routing = if routes { triage_specs() } else { &[] };
        let (enabled, disabled): (Vec<_>, Vec<_>) = specs()
            .iter()
            .chain(routing)
            .chain(outside_specs)
            .partition(|spec| config.enables(&spec.name));
        Self {
            specs: enabled.into_iter().cloned().collect(),
            disabled: disabled.iter().map(|spec| spec.name.clone()).collect(),
            outside: outside
                .into_iter()
                .filter(|tool| config.enables(&tool.spec().name))
                .collect(),
        }
    }

    /// What the model is told of them.
    pub(super) fn specs(&self) -> Arc<[ToolSpec]> {
        self.specs.clone()
    }

    /// An enabled tool outside.
    pub(super) fn get(&self, name: &str) -> Option<Arc<dyn Tool>> {
        self.outside
            .iter()
            .find(|tool| tool.spec().name == name)
            .cloned()
    }

    /// Whether the run has this tool.
    pub(super) fn offers(&self, name: &str) -> bool {
        self.specs.iter().any(|spec| spec.name == name)
    }

    /// What the model is told of this tool, if the run has it.
    pub(super) fn spec(&self, name: &str) -> Option<&ToolSpec> {
        self.specs.iter().find(|spec| spec.name == name)
    }

    /// Whether the coworker has the tool and may not use it.
    pub(super) fn disables(&self, name: &str) -> bool {
        self.disabled.iter().any(|disabled| disabled == name)
    }

    /// The names of those that are enabled, for people and models.
    pub(super) fn names(&self) -> String {
        self.specs
            .iter()
            .map(|spec| spec.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

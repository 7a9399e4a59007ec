//! The tools of one run: those of its coworker that are enabled.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::coworker::Config;
use crate::tool::{Given, Tool, ToolSpec, Withheld, specs, triage_specs};

/// The tools of one run that are enabled: the built-in ones and those outside.
pub(super) struct Toolbox {
    specs: Arc<[ToolSpec]>,
    outside: Vec<Arc<dyn Tool>>,
    /// The tools that the coworker has and may not use.
    withheld: Vec<Withheld>,
    /// Tells apart what runs of one version have of servers; nothing: 0.
    mark: u64,
}

impl Toolbox {
    /// What `config` enables of the built-in tools and of those that its playbook plays, and what it was given of servers;
    /// `routes`: the run decides to whom its request goes. A server's tool comes before a played one of the same name.
    pub(super) fn new(
        config: &Config,
        routes: bool,
        played: Vec<Arc<dyn Tool>>,
        given: Given,
    ) -> Self {
        let Given { tools, withheld } = given;
        let served = |name: &str| {
            tools.iter().any(|tool| tool.spec().name == name)
                || withheld.iter().any(|tool| tool.name == name)
        };
        let played: Vec<Arc<dyn Tool>> = played
            .into_iter()
            .filter(|tool| !served(&tool.spec().name))
            .collect();
        let played_specs = played.iter().map(|tool| tool.spec());
        let routing = if routes { triage_specs() } else { &[] };
        let (enabled, disabled): (Vec<_>, Vec<_>) = specs()
            .iter()
            .chain(routing)
            .chain(played_specs)
            .partition(|spec| config.enables(&spec.name));
        let disabled = disabled.into_iter().map(|spec| Withheld {
            name: spec.name.clone(),
            why: "is not enabled for you",
        });
        let given_specs = tools.iter().map(|tool| tool.spec());
        Self {
            mark: mark(&tools),
            specs: enabled.into_iter().chain(given_specs).cloned().collect(),
            withheld: disabled.chain(withheld).collect(),
            outside: played
                .into_iter()
                .filter(|tool| config.enables(&tool.spec().name))
                .chain(tools)
                .collect(),
        }
    }

    /// Tells apart what runs of one version have of servers.
    pub(super) fn mark(&self) -> u64 {
        self.mark
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

    /// Why the coworker may not use a tool that it has.
    pub(super) fn withholds(&self, name: &str) -> Option<&'static str> {
        let withheld = self.withheld.iter().find(|withheld| withheld.name == name);
        withheld.map(|withheld| withheld.why)
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

/// What these tools say of themselves, in one number: what was pinned changes only with it.
fn mark(tools: &[Arc<dyn Tool>]) -> u64 {
    if tools.is_empty() {
        return 0;
    }
    let mut hash = DefaultHasher::new();
    for tool in tools {
        let ToolSpec {
            name,
            description,
            parameters,
            effect: _,
            destructive: _,
        } = tool.spec();
        (name, description, parameters.to_string()).hash(&mut hash);
    }
    hash.finish()
}

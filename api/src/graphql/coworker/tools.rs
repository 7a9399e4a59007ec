//! Which tools a coworker may use, as the contract shows and takes it.

use async_graphql::{InputObject, SimpleObject};
use domain::coworker::Config;
use domain::coworker::tools::{ToolAction, ToolServer};

use crate::graphql::kind::ToolApproval;

/// The actions of one server of tools, as a coworker may use them.
#[derive(SimpleObject)]
pub struct CoworkerToolServer {
    /// What stands before the dot of its tools' names; `stint` for the built-in tools, whose names have no dot.
    pub server: String,
    /// Its actions.
    pub actions: Vec<CoworkerToolAction>,
}

/// Whether a coworker may call one action.
#[derive(SimpleObject)]
pub struct CoworkerToolAction {
    /// What stands after the dot: `telemetry` of `device.telemetry`.
    pub name: String,
    /// Whether it may be called. Its model is not told of an action that is disabled; a call of it is refused and stands in the run's log.
    pub enabled: bool,
    /// Whether a person must approve each call.
    pub approval: ToolApproval,
}

/// Every action that a coworker has or that its settings name.
pub fn of(config: &Config) -> Vec<CoworkerToolServer> {
    let action = |action: ToolAction| {
        let ToolAction {
            name,
            enabled,
            approval,
        } = action;
        CoworkerToolAction {
            name,
            enabled,
            approval: approval.into(),
        }
    };
    let servers = config.tool_servers().into_iter();
    servers
        .map(|ToolServer { server, actions }| CoworkerToolServer {
            server,
            actions: actions.into_iter().map(action).collect(),
        })
        .collect()
}

/// How a coworker may use the actions of one server of tools.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerToolServerInput {
    /// What stands before the dot of its tools' names; `stint` for the built-in tools, whose names have no dot.
    pub server: String,
    /// Its actions; one that is not named is enabled.
    #[graphql(default)]
    pub actions: Vec<CoworkerToolActionInput>,
}

/// Whether a coworker may call one action.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerToolActionInput {
    /// What stands after the dot: `telemetry` of `device.telemetry`.
    pub name: String,
    /// Whether it may be called. `finish` of the server `stint` can't be disabled.
    #[graphql(default = true)]
    pub enabled: bool,
    /// Whether a person must approve each call. This release can't ask: anything but NEVER is refused.
    #[graphql(default_with = "ToolApproval::Never")]
    pub approval: ToolApproval,
}

impl From<CoworkerToolServerInput> for ToolServer {
    fn from(CoworkerToolServerInput { server, actions }: CoworkerToolServerInput) -> Self {
        let actions = actions.into_iter().map(|action| {
            let CoworkerToolActionInput {
                name,
                enabled,
                approval,
            } = action;
            ToolAction {
                name,
                enabled,
                approval: approval.into(),
            }
        });
        Self {
            server,
            actions: actions.collect(),
        }
    }
}

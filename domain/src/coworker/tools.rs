//! Which tools a coworker may use, action by action.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::Config;
use crate::error::{Error, Result};
use crate::model::playbook::Playbook;
use crate::tool::{BUILT_IN, FINISH, ToolSpec, specs};

/// The most servers that a configuration names.
const MOST_SERVERS: usize = 50;
/// The most actions that it names of one server.
const MOST_ACTIONS: usize = 100;

/// What a coworker may do on one server of tools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolServer {
    /// What stands before the dot of its tools' names; `stint` for the built-in ones, which have no dot.
    pub server: String,
    /// Its actions. One that is not named is enabled if it is the coworker's own: a built-in tool, or one of its
    /// playbook. An action of a tool server is enabled only by being named.
    #[serde(default)]
    pub actions: Vec<ToolAction>,
}

/// Whether a coworker may call one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolAction {
    /// What stands after the dot: `telemetry` of `device.telemetry`.
    pub name: String,
    /// Whether it may be called; the model is not told of it otherwise, and a call is refused.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Whether a person must approve each call.
    #[serde(default)]
    pub approval: Approval,
}

/// Whether a person must approve a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Approval {
    /// Never.
    #[default]
    Never,
    /// Each time.
    Always,
    /// When the tool says that the call destroys something.
    WhenDestructive,
}

const fn yes() -> bool {
    true
}

impl Config {
    /// Whether the coworker may call `tool`; it need not exist.
    pub fn enables(&self, tool: &str) -> bool {
        let (server, action) = parted(tool);
        let named = self.tools.iter().filter(|named| named.server == server);
        named
            .flat_map(|named| &named.actions)
            .find(|named| named.name == action)
            .is_none_or(|named| named.enabled)
    }

    /// Whether a person must approve a call of this tool.
    pub fn asks(&self, tool: &ToolSpec) -> bool {
        let (server, action) = parted(&tool.name);
        match self.action(server, action).approval {
            Approval::Never => false,
            Approval::Always => true,
            Approval::WhenDestructive => tool.destructive,
        }
    }

    /// Whether it was given an action of a tool server: those are enabled by being named, and not otherwise.
    pub fn is_given(&self, server: &str, action: &str) -> bool {
        let named = self.tools.iter().filter(|named| named.server == server);
        named
            .flat_map(|named| &named.actions)
            .any(|named| named.name == action && named.enabled)
    }

    /// The servers that its settings name besides the built-in one: those whose tools its runs have.
    pub fn named_servers(&self) -> impl Iterator<Item = &str> {
        let servers = self.tools.iter().map(|named| named.server.as_str());
        servers.filter(|server| *server != BUILT_IN)
    }

    /// The names of all tools that the coworker has, enabled or not: the built-in ones, then its
    /// playbook's.
    pub fn own_tools(&self) -> Vec<String> {
        let built_in = specs().iter().map(|spec| spec.name.clone());
        // A playbook that can't be read was refused when the coworker was written.
        let book = self.model.playbook.as_deref().map(Playbook::parse);
        let played = book.and_then(Result::ok);
        let played = played.iter().flat_map(Playbook::tools);
        built_in
            .chain(played.map(|spec| spec.name.clone()))
            .collect()
    }

    /// Every action that the coworker has or that its configuration names, server by server.
    pub fn tool_servers(&self) -> Vec<ToolServer> {
        let mut servers: Vec<ToolServer> = Vec::new();
        let own = self.own_tools();
        let own = own.iter().map(|tool| parted(tool));
        let named = self.tools.iter().flat_map(|server| {
            let actions = server.actions.iter();
            actions.map(|action| (server.server.as_str(), action.name.as_str()))
        });
        for (server, action) in own.chain(named) {
            let place = servers.iter().position(|known| known.server == server);
            let place = place.unwrap_or_else(|| {
                servers.push(ToolServer {
                    server: server.to_owned(),
                    actions: Vec::new(),
                });
                servers.len() - 1
            });
            let actions = &mut servers[place].actions;
            if actions.iter().all(|known| known.name != action) {
                actions.push(self.action(server, action));
            }
        }
        servers
    }

    fn action(&self, server: &str, action: &str) -> ToolAction {
        let named = self.tools.iter().filter(|named| named.server == server);
        let mut named = named.flat_map(|named| &named.actions);
        let named = named.find(|named| named.name == action).cloned();
        named.unwrap_or_else(|| ToolAction {
            name: action.to_owned(),
            enabled: true,
            approval: Approval::Never,
        })
    }
}

/// A tool's server and action.
fn parted(tool: &str) -> (&str, &str) {
    tool.split_once('.').unwrap_or((BUILT_IN, tool))
}

/// Whether this can be the name of a server: what stands before the dot of its tools' names.
pub fn is_server(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

/// Whether this can be the name of an action. Servers of others choose them, so capitals are names too.
pub fn is_action(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

/// Refuses names that can't be, names that stand twice, and what this installation can't keep.
///
/// # Errors
/// [`Error::Invalid`] that names the field and the remedy.
pub(super) fn check(tools: &[ToolServer]) -> Result<()> {
    let invalid = |field, message| Err(Error::invalid(field, "INVALID", message));
    super::config::at_most("tools", tools.len(), MOST_SERVERS)?;
    let mut servers = HashSet::new();
    for ToolServer { server, actions } in tools {
        if !is_server(server) {
            let message =
                format!("{server:?} is no name of a server; write 1 to 64 of a-z, 0-9, _ and -");
            return invalid("tools.server", message);
        }
        if !servers.insert(server) {
            let message = format!("the server {server} stands twice; put its actions together");
            return invalid("tools.server", message);
        }
        super::config::at_most("tools.actions", actions.len(), MOST_ACTIONS)?;
        let mut seen = HashSet::new();
        for ToolAction {
            name,
            enabled,
            approval,
        } in actions
        {
            if !is_action(name) {
                let message = format!(
                    "{name:?} is no name of an action; write what follows the dot of the tool's name, such as telemetry"
                );
                return invalid("tools.actions.name", message);
            }
            if !seen.insert(name) {
                let message = format!("the action {name} of {server} stands twice; keep one");
                return invalid("tools.actions.name", message);
            }
            if server == BUILT_IN && name == FINISH && !enabled {
                let message = "finish can't be disabled: every run ends with it";
                return invalid("tools.actions.enabled", message.into());
            }
            // To take the setting and then not to ask would be worse than to refuse it.
            match approval {
                Approval::Never => {}
                Approval::Always | Approval::WhenDestructive
                    if server == BUILT_IN && name == FINISH =>
                {
                    let message = "finish can't wait for an approval: every run ends with it; set it to NEVER";
                    return invalid("tools.actions.approval", message.into());
                }
                Approval::WhenDestructive if server == BUILT_IN => {
                    let message = format!(
                        "the built-in tools destroy nothing, so that nobody would ever be asked; set the approval of {name} to ALWAYS or NEVER"
                    );
                    return invalid("tools.actions.approval", message);
                }
                Approval::Always | Approval::WhenDestructive => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coworker::lint::sample;

    fn with(yaml: &str) -> Config {
        Config {
            tools: serde_saphyr::from_str(yaml).expect("tools"),
            ..sample()
        }
    }

    #[test]
    fn what_is_not_named_is_enabled() {
        let config = with(
            "[{ server: device, actions: [{ name: reset, enabled: false }, { name: ping }] }, \
                            { server: stint, actions: [{ name: reassign, enabled: false }] }]",
        );
        for (tool, enabled) in [
            ("device.reset", false),
            ("device.ping", true),
            ("device.telemetry", true),
            ("other.reset", true),
            ("reassign", false),
            ("post_note", true),
        ] {
            assert_eq!(config.enables(tool), enabled, "{tool}");
        }
    }

    #[test]
    fn a_person_is_asked_as_the_setting_and_the_tool_say() {
        let config = with(
            "[{ server: device, actions: [{ name: reset, approval: ALWAYS }, { name: wipe, approval: WHEN_DESTRUCTIVE }] }, \
                            { server: stint, actions: [{ name: reassign, approval: ALWAYS }] }]",
        );
        for (tool, destructive, asks) in [
            ("device.reset", false, true),
            ("device.reset", true, true),
            ("device.wipe", false, false),
            ("device.wipe", true, true),
            ("device.ping", true, false),
            ("reassign", false, true),
            ("post_note", false, false),
        ] {
            let spec = ToolSpec {
                name: tool.into(),
                destructive,
                ..specs()[0].clone()
            };
            assert_eq!(config.asks(&spec), asks, "{tool} {destructive}");
        }
    }

    #[test]
    fn every_action_is_listed_with_its_setting() {
        let config = with("[{ server: device, actions: [{ name: reset, enabled: false }] }]");
        let listed: Vec<String> = config
            .tool_servers()
            .iter()
            .flat_map(|server| {
                server.actions.iter().map(move |action| {
                    format!("{}.{} {}", server.server, action.name, action.enabled)
                })
            })
            .collect();
        assert_eq!(
            listed,
            [
                "stint.post_note true",
                "stint.set_status true",
                "stint.reassign true",
                "stint.ask_requester true",
                "stint.finish true",
                "device.telemetry true",
                "device.reset false",
            ]
        );
    }

    #[test]
    fn settings_that_can_not_be_kept_are_refused() {
        for (yaml, told) in [
            ("[{ server: Device }]", "is no name of a server"),
            ("[{ server: a }, { server: a }]", "stands twice"),
            (
                "[{ server: a, actions: [{ name: b.c }] }]",
                "is no name of an action",
            ),
            (
                "[{ server: a, actions: [{ name: b }, { name: b }] }]",
                "stands twice",
            ),
            (
                "[{ server: stint, actions: [{ name: finish, enabled: false }] }]",
                "finish can't be disabled",
            ),
            (
                "[{ server: stint, actions: [{ name: finish, approval: ALWAYS }] }]",
                "finish can't wait for an approval",
            ),
            (
                "[{ server: stint, actions: [{ name: set_status, approval: WHEN_DESTRUCTIVE }] }]",
                "the built-in tools destroy nothing",
            ),
        ] {
            let message = with(yaml).check().expect_err(yaml).to_string();
            assert!(message.contains(told), "{yaml}: {message}");
        }
    }
}

//! The servers of tools of each workspace as runs read them: kept until the bus says that they changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use entity::{Millis, ToolActionState, WorkspaceId, secret, tool_action, tool_server};
use futures_util::future::join_all;
use parking_lot::RwLock;
use tokio::time::timeout;

use super::outside::{Outside, Served};
use super::server::{Declaration, query};
use super::{Effect, Tool, ToolSpec};
use crate::coworker::Config;
use crate::error::Result;
use crate::store::Store;

/// After this time servers are read again without a signal, milliseconds.
const STALE: i64 = 10_000;
/// How long a run waits at its start for all servers together that never said what they offer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with all that a call of it needs.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its row.
    pub row: tool_server::Model,
    /// How its tools are reached.
    pub declaration: Declaration,
    /// Its actions, by name.
    pub actions: Vec<tool_action::Model>,
    /// The secrets that its declaration refers to, sealed.
    pub secrets: BTreeMap<String, secret::Model>,
}

/// The servers of every workspace that was asked about.
#[derive(Default)]
pub struct Catalog {
    known: RwLock<HashMap<WorkspaceId, Known>>,
}

#[derive(Clone)]
struct Known {
    /// The bus's count of changes when the rows were read.
    version: u64,
    read_at: Millis,
    servers: Arc<[Arc<Server>]>,
}

/// The tools of servers that a run has, and those that it does not have though its coworker names their server.
#[derive(Default)]
pub struct Given {
    /// Those that it has.
    pub tools: Vec<Arc<dyn Tool>>,
    /// Those that are refused.
    pub withheld: Vec<Withheld>,
}

/// A tool that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Its name.
    pub name: String,
    /// Why, to be read after its name.
    pub why: &'static str,
}

impl Catalog {
    /// The servers of a workspace.
    ///
    /// # Errors
    /// What the database said.
    pub async fn servers(
        &self,
        store: &Store,
        workspace: WorkspaceId,
    ) -> Result<Arc<[Arc<Server>]>> {
        let version = *store.bus().here().tools().borrow();
        let now = store.now();
        let known = self.known.read().get(&workspace).cloned();
        if let Some(known) = known
            && known.version == version
            && now.since(known.read_at) < STALE
        {
            return Ok(known.servers);
        }
        let (rows, secrets) = query::all(store.read(), workspace).await?;
        let servers: Arc<[Arc<Server>]> = rows
            .into_iter()
            .map(|(row, actions)| Server::new(row, actions, &secrets).map(Arc::new))
            .collect::<Result<_>>()?;
        self.known.write().insert(
            workspace,
            Known {
                version,
                read_at: now,
                servers: servers.clone(),
            },
        );
        Ok(servers)
    }

    /// Reads the servers of a workspace anew when they are next asked for.
    pub(super) fn forget(&self, workspace: WorkspaceId) {
        self.known.write().remove(&workspace);
    }

    /// What a coworker's run has of the servers that its configuration names. An action that it does not name is not
    /// enabled, and neither is one that an administrator has not looked at.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn given(
        &self,
        outside: &Arc<Outside>,
        workspace: WorkspaceId,
        config: &Config,
    ) -> Result<Given> {
        let mut given = Given::default();
        // Most coworkers name none, and their runs look nowhere.
        if config.named_servers().next().is_none() {
            return Ok(given);
        }
        let mut servers = self.servers(outside.store(), workspace).await?;
        let named = |server: &Server| config.named_servers().any(|named| named == server.row.name);
        // One that came from a file was never asked.
        let silent = |server: &&Arc<Server>| {
            named(server) && server.actions.is_empty() && server.declaration.defined().is_none()
        };
        let silent: Vec<Arc<Server>> = servers.iter().filter(silent).cloned().collect();
        if !silent.is_empty() {
            let asking = join_all(silent.iter().map(|server| outside.ask(server)));
            // Who has not answered by then has no tools in this run; the next one asks again.
            if let Ok(asked) = timeout(PATIENCE, asking).await {
                asked.into_iter().collect::<Result<()>>()?;
            }
            self.forget(workspace);
            servers = self.servers(outside.store(), workspace).await?;
        }
        for server in servers.iter() {
            if !named(server) {
                continue;
            }
            for action in &server.actions {
                let name = format!("{}.{}", server.row.name, action.name);
                match withheld(config, &server.row.name, action) {
                    Some(why) => given.withheld.push(Withheld { name, why }),
                    None => given.tools.push(Arc::new(Served {
                        spec: spec(name, action)?,
                        action: action.clone(),
                        server: server.clone(),
                        outside: outside.clone(),
                    })),
                }
            }
        }
        Ok(given)
    }
}

/// Why a coworker can't call an action; `None`: it can.
fn withheld(config: &Config, server: &str, action: &tool_action::Model) -> Option<&'static str> {
    let own = || (!config.is_given(server, &action.name)).then_some("is not enabled for you");
    barred(action).or_else(own)
}

/// Why no coworker can call an action; `None`: those can that were given it.
pub(crate) fn barred(action: &tool_action::Model) -> Option<&'static str> {
    match action.state {
        ToolActionState::Changed => Some(
            "has changed its definition, and can't be called until an administrator accepts it",
        ),
        ToolActionState::Gone => Some("is not offered by its server any more"),
        ToolActionState::Ok if !action.enabled => Some("is disabled by an administrator"),
        ToolActionState::Ok => None,
    }
}

fn spec(name: String, action: &tool_action::Model) -> Result<ToolSpec> {
    Ok(ToolSpec {
        name,
        description: action.description.clone(),
        parameters: serde_json::from_str(&action.parameters)
            .map_err(crate::error::Error::internal)?,
        effect: effect(action),
        destructive: action.destructive,
    })
}

/// What happens when a call is repeated: what an administrator says, else what the server says.
pub fn effect(action: &tool_action::Model) -> Effect {
    action.effect.unwrap_or(action.hinted_effect)
}

impl Server {
    /// A server with its actions and what it needs of the workspace's secrets.
    ///
    /// # Errors
    /// As [`Declaration::from_row`].
    pub fn new(
        row: tool_server::Model,
        actions: Vec<tool_action::Model>,
        secrets: &[secret::Model],
    ) -> Result<Self> {
        let declaration = Declaration::from_row(&row.declaration)?;
        let wanted = declaration.secrets();
        let secrets = secrets
            .iter()
            .filter(|secret| wanted.contains(&secret.name));
        Ok(Self {
            secrets: secrets.map(|s| (s.name.clone(), s.clone())).collect(),
            row,
            declaration,
            actions,
        })
    }
}

//! The way to the tools of servers: what the operator allows, the connections, and what is known of the servers' health.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use entity::{ToolServerId, ToolServerKind, WorkspaceId, secret, tool_action};
use parking_lot::Mutex;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use tokio_util::task::TaskTracker;

use super::catalog::{Catalog, Given, Server};
use super::guard::{Exception, Guard};
use super::http::Http;
use super::mcp::{Connections, Program};
use super::schema::Schemas;
use super::server::{Declaration, Defined, Discovered, Health, query};
use super::{Answer, Invocation, Tool, ToolError, ToolErrorClass, ToolSpec};
use crate::access::{Action, Actor};
use crate::coworker::Config;
use crate::error::{Error, Result};
use crate::secret::{Secret, Vault, Veil, kept};
use crate::store::Store;

/// How long an administrator who asks waits for a server to say what it offers.
const DISCOVERY: Duration = Duration::from_secs(8);
/// How long connections may take to end when the process does.
const FAREWELL: Duration = Duration::from_secs(8);

/// What the operator says of tools.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The programs that servers of the kind MCP_STDIO may name.
    pub programs: BTreeMap<String, Program>,
    /// The hosts that calls may reach though their addresses are not public.
    pub exceptions: Vec<Exception>,
    /// The `stint` binary, through which programs are started so that they end with this process even when it is
    /// killed; none: they end only when it ends by itself.
    pub keeper: Option<PathBuf>,
}

/// The way to the tools of servers, shared by all runs of a process.
pub struct Outside {
    store: Store,
    vault: Vault,
    guard: Guard,
    programs: BTreeMap<String, Program>,
    keeper: Option<PathBuf>,
    catalog: Catalog,
    schemas: Schemas,
    connections: Connections,
    /// Whether each server answered when it was last called from here.
    health: Mutex<HashMap<ToolServerId, bool>>,
    /// What is written down on the side, and processes that are on their way out.
    tasks: TaskTracker,
}

impl Outside {
    /// The way out under these settings.
    ///
    /// # Errors
    /// As [`Guard::new`].
    pub fn new(store: Store, vault: Vault, settings: Settings) -> Result<Arc<Self>> {
        let tasks = TaskTracker::new();
        Ok(Arc::new(Self {
            store,
            vault,
            guard: Guard::new(settings.exceptions)?,
            programs: settings.programs,
            keeper: settings.keeper,
            catalog: Catalog::default(),
            schemas: Schemas::default(),
            connections: Connections::new(tasks.clone()),
            health: Mutex::default(),
            tasks,
        }))
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The compiled schemas of arguments.
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The binary that programs are started through.
    pub(super) fn keeper(&self) -> Option<&Path> {
        self.keeper.as_deref()
    }

    /// The program of this name.
    pub(super) fn program(&self, name: &str) -> Result<&Program, String> {
        self.programs.get(name).ok_or_else(|| {
            format!(
                "the operator's settings have no command {name}; it is declared there as [mcp.{name}] and nowhere else"
            )
        })
    }

    /// The tools of servers that a coworker's run has.
    ///
    /// # Errors
    /// What the database said.
    pub async fn given(self: &Arc<Self>, workspace: WorkspaceId, config: &Config) -> Result<Given> {
        self.catalog.given(self, workspace, config).await
    }

    /// Reads the servers of a workspace anew when they are next asked for, whatever the bus says.
    pub fn forget(&self, workspace: WorkspaceId) {
        self.catalog.forget(workspace);
    }

    /// Refuses a declaration that this installation would never call.
    ///
    /// # Errors
    /// [`Error::Invalid`] that names the field and the remedy.
    pub fn check(&self, declaration: &Declaration) -> Result<()> {
        declaration.check()?;
        let reaches = |url: &str| -> Result<()> {
            // Places stand in path and query, so the host is there to be looked at.
            let plain = url.replace(['{', '}'], "");
            let refuse = |message: String| Error::invalid("url", "INVALID", message);
            let url = reqwest::Url::parse(&plain).map_err(|err| refuse(err.to_string()))?;
            self.guard.client(&url).map(drop).map_err(refuse)
        };
        match declaration {
            Declaration::McpStdio(stdio) => self
                .program(&stdio.command)
                .map(drop)
                .map_err(|message| Error::invalid("command", "NOT_CONFIGURED", message)),
            Declaration::McpHttp(http) => reaches(&http.url),
            Declaration::Http(http) => http.tools.iter().try_for_each(|tool| reaches(&tool.url)),
        }
    }

    /// Asks a server what it offers, and writes that down, or what it failed with.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without [`Action::ToolManage`], [`Error::NotFound`], else what the database said. A server
    /// that does not answer is no error: its health says so.
    pub async fn refresh(self: &Arc<Self>, actor: &Actor, id: ToolServerId) -> Result<()> {
        actor.authorize(Action::ToolManage)?;
        let db = self.store.read();
        let row = query::get(db, actor, id).await?;
        if row.kind == ToolServerKind::Http {
            // It says what it offers itself, and whether it answers is seen when it is called.
            return Ok(());
        }
        let actions = query::actions(db, actor, id).await?;
        let secrets = secret::Entity::find()
            .filter(secret::Column::WorkspaceId.eq(actor.workspace))
            .limit(kept::MOST)
            .all(db)
            .await?;
        let server = Server::new(row, actions, &secrets)?;
        let outside = self.clone();
        let asked = self.tasks.spawn(async move { outside.ask(&server).await });
        match tokio::time::timeout(DISCOVERY, asked).await {
            Ok(Ok(written)) => written,
            Ok(Err(err)) => Err(Error::internal(err)),
            // A program may take its time to start; what it says is written down when it comes.
            Err(_) => Ok(()),
        }
    }

    /// Asks a server what it offers, and writes that down, or what it failed with.
    pub(super) async fn ask(&self, server: &Server) -> Result<()> {
        let found = self.discover(server).await;
        self.health.lock().insert(server.row.id, found.is_ok());
        match found {
            Ok(found) => {
                let discovered = Discovered {
                    server: server.row.id,
                    version: server.row.version,
                    found,
                };
                self.store.write(discovered).await
            }
            Err(err) => self.store.write(health(server, Some(err.message))).await,
        }
    }

    async fn discover(&self, server: &Server) -> Result<Vec<Defined>, ToolError> {
        let (secrets, veil) = self.secrets(server)?;
        let found = self.connections.discover(self, server, &secrets).await;
        found.map_err(|err| err.veiled(&veil))
    }

    /// The secrets that a server's declaration refers to, in the clear, and what takes them out of what comes back.
    pub(super) fn secrets(
        &self,
        server: &Server,
    ) -> Result<(BTreeMap<String, Secret>, Veil), ToolError> {
        let opened: Result<BTreeMap<String, Secret>> = server
            .secrets
            .iter()
            .map(|(name, row)| Ok((name.clone(), kept::open(&self.vault, row)?)))
            .collect();
        let opened = opened.map_err(|err| {
            tracing::error!(tool_server.name = server.row.name, ?err, "a secret does not open");
            let message = format!(
                "a secret of {} can't be read by this process; its operator must give it the key that it was kept under",
                server.row.name
            );
            ToolError::new(ToolErrorClass::Failed, message)
        })?;
        let program = match &server.declaration {
            Declaration::McpStdio(stdio) => self.programs.get(&stdio.command),
            Declaration::McpHttp(_) | Declaration::Http(_) => None,
        };
        let own: Vec<(String, Secret)> = program.map(Program::secrets).unwrap_or_default();
        let named = opened.iter().chain(own.iter().map(|(name, s)| (name, s)));
        let veil = Veil::new(named.map(|(name, secret)| (name.as_str(), secret)));
        Ok((opened, veil))
    }

    /// What was found on the way, when a run's call made a connection: written down if it is news.
    pub(super) fn found(&self, server: &Server, found: &[Defined]) {
        let known: HashMap<&str, &[u8]> = server
            .actions
            .iter()
            .filter(|action| action.state == entity::ToolActionState::Ok)
            .map(|action| (action.name.as_str(), action.digest.as_slice()))
            .collect();
        let same = found.len() == known.len()
            && found.iter().all(|defined| {
                known.get(defined.name.as_str()) == Some(&defined.digest().as_slice())
            });
        if same {
            return;
        }
        let (store, discovered) = (
            self.store.clone(),
            Discovered {
                server: server.row.id,
                version: server.row.version,
                found: found.to_vec(),
            },
        );
        self.tasks.spawn(async move {
            if let Err(err) = store.write(discovered).await {
                tracing::warn!(%err, "what a tool server offers could not be written down");
            }
        });
    }

    /// Writes down that a server began to answer, or to fail.
    fn noted(&self, server: &Server, result: &Result<String, ToolError>) {
        let error = match result {
            Ok(_) => None,
            Err(err) => match err.class {
                // It answered; that the answer is a refusal says nothing of its health.
                ToolErrorClass::Failed => None,
                ToolErrorClass::Offline
                | ToolErrorClass::TimedOut
                | ToolErrorClass::BadResponse => Some(err.message.clone()),
            },
        };
        self.health_is(server, error);
    }

    fn health_is(&self, server: &Server, error: Option<String>) {
        let well = error.is_none();
        if self.health.lock().insert(server.row.id, well) == Some(well) {
            return;
        }
        let (store, health) = (self.store.clone(), health(server, error));
        self.tasks.spawn(async move {
            if let Err(err) = store.write(health).await {
                tracing::warn!(%err, "the health of a tool server could not be written down");
            }
        });
    }

    /// Ends all connections, and the programs behind them.
    pub async fn close(&self) {
        self.connections.close();
        self.tasks.close();
        if tokio::time::timeout(FAREWELL, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some tool servers did not end in time");
        }
    }
}

fn health(server: &Server, error: Option<String>) -> Health {
    Health {
        workspace: server.row.workspace_id,
        server: server.row.id,
        error,
    }
}

/// A tool of a server, as a run has it.
pub(super) struct Served {
    pub(super) spec: ToolSpec,
    pub(super) action: tool_action::Model,
    pub(super) server: Arc<Server>,
    pub(super) outside: Arc<Outside>,
}

#[async_trait]
impl Tool for Served {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, invocation: Invocation<'_>) -> Result<Answer, ToolError> {
        let (secrets, veil) = self.outside.secrets(&self.server)?;
        let mut unheard = Unheard(Some(self));
        let result = self.send(&secrets, &veil, &invocation).await;
        unheard.0 = None;
        // The health that people see holds no secret either.
        let result = result.map_err(|err| err.veiled(&veil));
        self.outside.noted(&self.server, &result);
        result.map(|text| Answer::veiled(&veil, text))
    }

    async fn is_stale(&self) -> Result<bool> {
        let db = self.outside.store.read();
        query::differs(db, &self.action, &self.server).await
    }
}

impl Served {
    async fn send(
        &self,
        secrets: &BTreeMap<String, Secret>,
        veil: &Veil,
        invocation: &Invocation<'_>,
    ) -> Result<String, ToolError> {
        match &self.server.declaration {
            Declaration::McpStdio(_) | Declaration::McpHttp(_) => {
                let connections = &self.outside.connections;
                connections.call(self, secrets, invocation).await
            }
            Declaration::Http(server) => {
                let declared = server
                    .tools
                    .iter()
                    .find(|tool| tool.name == self.action.name);
                let tool = declared.ok_or_else(|| {
                    let message = format!("{} is not declared any more", self.spec.name);
                    ToolError::new(ToolErrorClass::Failed, message)
                })?;
                let call = Http {
                    name: &self.spec.name,
                    guard: &self.outside.guard,
                    headers: &server.headers,
                    tool,
                    secrets,
                    veil,
                };
                call.send(invocation).await
            }
        }
    }
}

/// A call that the executor gave up, because its time was over: the server did not answer.
struct Unheard<'a>(Option<&'a Served>);

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(served) = self.0 {
            let message = format!("{} did not answer in time", served.spec.name);
            served.outside.health_is(&served.server, Some(message));
        }
    }
}

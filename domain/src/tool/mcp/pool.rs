//! One connection to each MCP server, shared by the runs of a process: opened when it is first needed, and again when it
//! broke off.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use entity::{Millis, ToolServerId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::connection::{Connection, OPENING};
use crate::secret::Secret;
use crate::tool::catalog::Server;
use crate::tool::outside::{Outside, Served};
use crate::tool::server::Defined;
use crate::tool::{Invocation, ToolError, ToolErrorClass};

/// Calls of one server that may be under way or wait at once.
const AT_ONCE: usize = 64;
/// For how long a failure to connect stands for those who come right after.
const RESPITE: Duration = Duration::from_millis(500);
/// A connection that nobody used for this long is given up when another one is opened.
const IDLE: Duration = Duration::from_secs(600);

/// The connections of a process.
pub(in crate::tool) struct Connections {
    slots: Mutex<HashMap<ToolServerId, Arc<Slot>>>,
    tasks: TaskTracker,
}

struct Slot {
    room: Semaphore,
    state: tokio::sync::Mutex<State>,
    used: Mutex<Instant>,
}

#[derive(Default)]
struct State {
    open: Option<(Mark, Arc<Connection>)>,
    failed: Option<(Mark, Instant, ToolError)>,
}

/// What a connection was opened with: another declaration, or another secret, needs another connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark(i32, Vec<Millis>);

impl Mark {
    fn of(server: &Server) -> Self {
        let secrets = server.secrets.values();
        Self(
            server.row.version,
            secrets.map(|secret| secret.updated_at).collect(),
        )
    }
}

/// Gives a connection up unless its call came to an end: a server that does not answer is not asked again before it was
/// reached anew.
struct Pending<'a> {
    slot: &'a Slot,
    connection: Arc<Connection>,
    ended: bool,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // Whoever holds the state at this moment opens a connection, or looks whether this one is open.
        if let Ok(mut state) = self.slot.state.try_lock() {
            let same = |open: &(Mark, Arc<Connection>)| Arc::ptr_eq(&open.1, &self.connection);
            state.open.take_if(|open| same(open));
        }
    }
}

impl Connections {
    pub(in crate::tool) fn new(tasks: TaskTracker) -> Self {
        Self {
            slots: Mutex::default(),
            tasks,
        }
    }

    /// Calls an action of a server.
    ///
    /// # Errors
    /// What came instead of a useful answer; it may hold secrets still.
    pub(in crate::tool) async fn call(
        &self,
        served: &Served,
        secrets: &BTreeMap<String, Secret>,
        invocation: &Invocation<'_>,
    ) -> Result<String, ToolError> {
        let (outside, server, name) = (&served.outside, &served.server, &served.spec.name);
        let slot = self.slot(server.row.id);
        let _room = slot.room.try_acquire().map_err(|_| {
            let message = format!(
                "{name} was not called: {AT_ONCE} calls of {} are under way already",
                server.row.name
            );
            ToolError::new(ToolErrorClass::Offline, message)
        })?;
        let connection = self.connect(&slot, outside, server, secrets).await?;
        let mut pending = Pending {
            slot: &slot,
            connection: connection.clone(),
            ended: false,
        };
        if let Some(found) = connection.relist(&server.row.name).await? {
            outside.found(server, &found);
        }
        let (action, pinned) = (&served.action.name, &served.action.digest);
        let result = connection.call(name, action, pinned, invocation).await;
        pending.ended = true;
        *slot.used.lock() = Instant::now();
        result
    }

    /// Asks a server what it offers.
    ///
    /// # Errors
    /// As [`Connections::call`].
    pub(in crate::tool) async fn discover(
        &self,
        outside: &Outside,
        server: &Server,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Vec<Defined>, ToolError> {
        let slot = self.slot(server.row.id);
        // An administrator asks to know how it is now.
        slot.state.lock().await.failed = None;
        let connection = self.connect(&slot, outside, server, secrets).await?;
        let mut pending = Pending {
            slot: &slot,
            connection: connection.clone(),
            ended: false,
        };
        let found = connection.list(&server.row.name).await;
        pending.ended = found.is_ok();
        found
    }

    fn slot(&self, id: ToolServerId) -> Arc<Slot> {
        let new = || {
            Arc::new(Slot {
                room: Semaphore::new(AT_ONCE),
                state: tokio::sync::Mutex::default(),
                used: Mutex::new(Instant::now()),
            })
        };
        let slot = self.slots.lock().entry(id).or_insert_with(new).clone();
        *slot.used.lock() = Instant::now();
        slot
    }

    async fn connect(
        &self,
        slot: &Slot,
        outside: &Outside,
        server: &Server,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<Arc<Connection>, ToolError> {
        let mark = Mark::of(server);
        let mut state = slot.state.lock().await;
        match &state.open {
            Some((known, open)) if *known == mark && open.is_open() => return Ok(open.clone()),
            Some(_) | None => state.open = None,
        }
        match &state.failed {
            Some((known, at, err)) if *known == mark && at.elapsed() < RESPITE => {
                return Err(err.clone());
            }
            Some(_) | None => state.failed = None,
        }
        self.give_up_idle();
        let opening = Connection::open(outside, server, secrets, &self.tasks);
        let opened = tokio::time::timeout(OPENING, opening)
            .await
            .unwrap_or_else(|_| {
                let message = format!(
                    "{} did not say within {} s what it offers",
                    server.row.name,
                    OPENING.as_secs()
                );
                Err(ToolError::new(ToolErrorClass::TimedOut, message))
            });
        match opened {
            Ok((connection, found)) => {
                outside.found(server, &found);
                let connection = Arc::new(connection);
                state.open = Some((mark, connection.clone()));
                Ok(connection)
            }
            Err(err) => {
                state.failed = Some((mark, Instant::now(), err.clone()));
                Err(err)
            }
        }
    }

    /// Servers that are gone, and those that nobody calls, keep no program running.
    fn give_up_idle(&self) {
        let idle = |slot: &Slot| {
            slot.used.lock().elapsed() > IDLE && slot.room.available_permits() == AT_ONCE
        };
        self.slots.lock().retain(|_, slot| !idle(slot));
    }

    /// Ends all connections; calls under way are told that theirs broke off.
    pub(in crate::tool) fn close(&self) {
        self.slots.lock().clear();
    }
}

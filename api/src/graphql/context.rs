//! What resolvers stand on: who asks, the store, and the loaders of this one operation.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_graphql::Context;
use domain::access::Actor;
use domain::error::{Error, Result};
use domain::model::KnownProviders;
use domain::page::Slice;
use domain::secret::Vault;
use domain::store::Store;
use domain::tool::Outside;
use entity::WorkspaceId;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::loader::Loaders;

/// Who asks, and in which request: data of every operation, put there by the transport.
#[derive(Debug)]
pub struct Session {
    /// Who asks.
    pub actor: Actor,
    /// The request's id, for logs and errors.
    pub request_id: String,
    loaders: OnceLock<Loaders>,
}

impl Session {
    /// A session of one operation.
    pub fn new(actor: Actor, request_id: String) -> Self {
        Self {
            actor,
            request_id,
            loaders: OnceLock::new(),
        }
    }
}

/// A clone is for another operation, so it begins with loaders of its own.
impl Clone for Session {
    fn clone(&self) -> Self {
        Self::new(self.actor.clone(), self.request_id.clone())
    }
}

/// Where what an operation leaves behind goes on.
#[derive(Clone, Debug, Default)]
pub struct Behind {
    /// Waited for when Stint stops.
    pub tasks: TaskTracker,
    /// Cancelled when it does: what is long ends early then.
    pub closing: CancellationToken,
}

/// What all operations share: data of the schema.
pub struct Shared {
    /// The database.
    pub store: Store,
    /// What seals secrets.
    pub vault: Vault,
    /// The way to the tools of servers.
    pub outside: Arc<Outside>,
    /// The providers of models that this process has.
    pub providers: KnownProviders,
    /// Address of a frontend's page of a request, with `{number}` in the place of its number.
    pub ui_url: Option<String>,
    /// Where what an operation leaves behind goes on.
    pub behind: Behind,
    /// The workspaces' cursor keys; they never change.
    cursor_keys: Mutex<HashMap<WorkspaceId, Vec<u8>>>,
}

impl Shared {
    /// What operations on `store` share.
    pub fn new(
        store: Store,
        vault: Vault,
        outside: Arc<Outside>,
        providers: KnownProviders,
        ui_url: Option<String>,
        behind: Behind,
    ) -> Self {
        Self {
            store,
            vault,
            outside,
            providers,
            ui_url,
            behind,
            cursor_keys: Mutex::default(),
        }
    }
}

/// The short way from a resolver to what it stands on.
pub trait ContextExt {
    /// The session.
    fn session(&self) -> &Session;
    /// What all operations share.
    fn shared(&self) -> &Shared;

    /// Who asks.
    fn actor(&self) -> &Actor {
        &self.session().actor
    }

    /// The database.
    fn store(&self) -> &Store {
        &self.shared().store
    }

    /// This operation's loaders.
    fn loaders(&self) -> &Loaders {
        let session = self.session();
        session
            .loaders
            .get_or_init(|| Loaders::new(self.store().clone(), session.actor.clone()))
    }
}

impl ContextExt for Context<'_> {
    fn session(&self) -> &Session {
        self.data_unchecked::<Session>()
    }

    fn shared(&self) -> &Shared {
        self.data_unchecked::<Arc<Shared>>()
    }
}

/// The key of the checksums in the caller's cursors.
///
/// # Errors
/// What the database answers.
pub async fn cursor_key(ctx: &Context<'_>) -> Result<Vec<u8>> {
    let (actor, shared) = (ctx.actor(), ctx.shared());
    if let Some(key) = shared.cursor_keys.lock().get(&actor.workspace) {
        return Ok(key.clone());
    }
    let key = domain::key::query::workspace(shared.store.read(), actor)
        .await?
        .cursor_key;
    if key.len() < 32 {
        return Err(Error::internal(
            "the workspace's cursor key is shorter than 32 bytes",
        ));
    }
    shared
        .cursor_keys
        .lock()
        .insert(actor.workspace, key.clone());
    Ok(key)
}

/// The slice that a connection's arguments name; nothing but the count where neither edges nor nodes
/// nor pageInfo are selected.
///
/// # Errors
/// As [`Slice::new`].
pub fn slice(
    ctx: &Context<'_>,
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
) -> Result<Slice> {
    let slice = Slice::new(first, after, last, before)?;
    let selected = ctx.look_ahead();
    let rows = ["edges", "nodes", "pageInfo"]
        .iter()
        .any(|field| selected.field(field).exists());
    Ok(if rows { slice } else { slice.only_count() })
}

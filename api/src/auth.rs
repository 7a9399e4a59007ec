//! Who comes in: API keys, looked up in the database and remembered for a moment.
//!
//! A key opens exactly one workspace with one role, for one principal. What it may do is decided in the
//! domain; here it is only turned into an [`Actor`]. A revoked key stops working within [`LIFE`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::access::Actor;
use domain::error::Error;
use domain::key::{CreateKey, EnsureWorkspace, Holder, KeyText};
use domain::store::{Command, Needs, Store, Tx};
use entity::{Role, workspace};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sea_orm::EntityTrait;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

/// How long a key that was found is taken as valid without asking the database again.
pub const LIFE: Duration = Duration::from_secs(10);

/// How many keys are remembered at once.
const CAPACITY: usize = 10_000;

/// Why a credential was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// None was sent.
    #[error("Send an API key: `Authorization: Bearer stint_…`. `stint key create` makes one.")]
    Missing,
    /// It is no key of this server, or not one any more. Deliberately without saying which.
    #[error("The API key is unknown, revoked or expired. `stint key create` makes a new one.")]
    Invalid,
    /// It could not be looked up.
    #[error("The API key can't be checked at the moment. Try again.")]
    Unavailable,
}

impl Refusal {
    /// The code that clients see.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing | Self::Invalid => "UNAUTHENTICATED",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// Looks keys up in `store`.
pub fn lookup(store: Store) -> Lookup {
    Box::new(move |key| {
        let store = store.clone();
        Box::pin(async move {
            match domain::key::authenticate(&store, &key).await {
                Ok((_, actor)) => Ok(actor),
                Err(Error::Forbidden { .. }) => Err(Refusal::Invalid),
                Err(error) => {
                    tracing::warn!(%error, "an API key can't be checked");
                    Err(Refusal::Unavailable)
                }
            }
        })
    })
}

/// Finds the actor of a key in the database.
pub type Lookup = Box<dyn Fn(String) -> BoxFuture<'static, Result<Actor, Refusal>> + Send + Sync>;

/// The keys in use.
pub struct Keys {
    lookup: Lookup,
    life: Duration,
    /// By the hash of the whole key, so that no secret lies in memory. Callers that come while a key is
    /// being looked up wait for that one answer.
    known: Mutex<HashMap<[u8; 32], Known>>,
}

struct Known {
    until: Instant,
    actor: Arc<OnceCell<Actor>>,
}

impl Keys {
    /// Keys that are looked up with `lookup`, and remembered for `life`.
    pub fn new(lookup: Lookup, life: Duration) -> Self {
        Self {
            lookup,
            life,
            known: Mutex::default(),
        }
    }

    /// The actor of an `Authorization` header or a `connection_init` payload.
    ///
    /// # Errors
    /// [`Refusal`], when it is absent, of another scheme, or not (or no longer) valid.
    pub async fn actor(&self, authorization: Option<&str>) -> Result<Actor, Refusal> {
        let key = authorization.and_then(bearer).ok_or(Refusal::Missing)?;
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let cell = self.cell(hash);
        let found = cell
            .get_or_try_init(|| (self.lookup)(key.to_owned()))
            .await
            .cloned();
        if found.is_err() {
            self.forget(hash, &cell);
        }
        found
    }

    fn cell(&self, hash: [u8; 32]) -> Arc<OnceCell<Actor>> {
        let now = Instant::now();
        let mut known = self.known.lock();
        if let Some(entry) = known.get(&hash)
            && entry.until > now
        {
            return entry.actor.clone();
        }
        if known.len() >= CAPACITY {
            known.retain(|_, entry| entry.until > now);
        }
        if known.len() >= CAPACITY {
            known.clear();
        }
        // The life counts from before the lookup, so that it bounds the age of what was read.
        let entry = Known {
            until: now + self.life,
            actor: Arc::default(),
        };
        let actor = entry.actor.clone();
        known.insert(hash, entry);
        actor
    }

    fn forget(&self, hash: [u8; 32], cell: &Arc<OnceCell<Actor>>) {
        let mut known = self.known.lock();
        if known
            .get(&hash)
            .is_some_and(|entry| Arc::ptr_eq(&entry.actor, cell))
        {
            known.remove(&hash);
        }
    }
}

/// The token of `Bearer <token>`; the scheme's case does not matter.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Makes an API key for someone who stands at the machine, not at the API: the first start and
/// `stint key create`. Makes the workspace too, in the same transaction, if there is none.
#[derive(Clone, Debug)]
pub struct MakeKey {
    /// The workspace's name; none means the only one there is, or a new one called Main.
    pub workspace: Option<String>,
    /// What the key is called in lists.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// For whom it acts.
    pub holder: Holder,
    /// Makes nothing if there is a workspace already.
    pub only_first: bool,
}

impl Command for MakeKey {
    /// The key's text; none if it was to be the first and is not.
    type Output = Option<KeyText>;

    async fn run(&self, tx: &Tx) -> domain::Result<Self::Output> {
        let known = workspace::Entity::find().all(tx.conn()).await?;
        if self.only_first && !known.is_empty() {
            return Ok(None);
        }
        let name = match (&self.workspace, known.as_slice()) {
            (Some(name), _) => name.clone(),
            (None, []) => "Main".to_owned(),
            (None, [only]) => only.name.clone(),
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
                let text = format!(
                    "there are several workspaces ({}); name one with --workspace",
                    names.join(", ")
                );
                return Err(Error::invalid("workspace", "REQUIRED", text));
            }
        };
        let (workspace, _) = EnsureWorkspace { name }.run(tx).await?;
        let create = CreateKey {
            actor: Actor::stint(workspace.id),
            name: self.name.clone(),
            role: self.role,
            holder: self.holder.clone(),
            expires: None,
            idempotency_key: None,
        };
        let (_, text) = create.run(tx).await?;
        Ok(text)
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Someone who may do everything.
    pub(crate) fn actor() -> Actor {
        Actor::stint(entity::WorkspaceId(uuid::Uuid::nil()))
    }

    fn keys(life: Duration) -> (Arc<Keys>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let lookup: Lookup = Box::new(move |key| {
            count.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                tokio::task::yield_now().await;
                if key == "good" {
                    Ok(actor())
                } else {
                    Err(Refusal::Invalid)
                }
            })
        });
        (Arc::new(Keys::new(lookup, life)), asked)
    }

    #[tokio::test]
    async fn a_key_is_looked_up_once_while_it_is_fresh() {
        let (keys, asked) = keys(LIFE);
        let calls = (0..50).map(|_| keys.actor(Some("Bearer good")));
        for found in futures_util::future::join_all(calls).await {
            assert_eq!(found, Ok(actor()));
        }
        assert_eq!(keys.actor(Some("bearer  good ")).await, Ok(actor()));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_key_that_is_no_longer_fresh_is_looked_up_again() {
        let (keys, asked) = keys(Duration::ZERO);
        for _ in 0..3 {
            assert!(keys.actor(Some("Bearer good")).await.is_ok());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn what_is_no_key_is_refused_and_not_remembered() {
        let (keys, asked) = keys(LIFE);
        for nothing in [
            None,
            Some(""),
            Some("Bearer"),
            Some("Bearer "),
            Some("Basic good"),
        ] {
            assert_eq!(keys.actor(nothing).await, Err(Refusal::Missing));
        }
        for _ in 0..2 {
            assert_eq!(keys.actor(Some("Bearer bad")).await, Err(Refusal::Invalid));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert!(keys.known.lock().is_empty());
    }
}

//! Which endpoint an address is, without letting strangers cost the database anything.
//!
//! Whoever reaches the server can make addresses up, as many as the network carries. So an address that was met before is looked
//! up at once, and one that was not waits for the next look, which is for all that wait together and comes at most every
//! [`PAUSE`]. It goes by the address and not by the sender, because behind a proxy all senders are one; and it does not remember
//! what is not there, because made-up addresses do not repeat, and what is made a moment later must be found.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use domain::error::{Error, Result};
use domain::hook::receive;
use domain::store::Store;
use entity::webhook_endpoint::Model;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The least time between two looks for addresses that were not met before.
const PAUSE: Duration = Duration::from_millis(100);
/// How many of them one look is for.
const TOGETHER: usize = 512;
/// How many endpoints are met at the start: more are met as their deliveries come.
const KNOWN: u64 = 10_000;
/// How many of them may wait.
const WAITING: usize = 2 * TOGETHER;

/// Finds endpoints by their addresses.
pub(super) struct Lookup {
    store: Store,
    /// The addresses that were found: no more than there are endpoints.
    met: Arc<RwLock<HashSet<String>>>,
    strangers: mpsc::Sender<Stranger>,
}

/// An address that was not met before, and who waits to know.
struct Stranger {
    address: String,
    answer: oneshot::Sender<Result<Option<Model>>>,
}

/// What an address is.
pub(super) enum Found {
    Endpoint(Box<Model>),
    Nobody,
    /// Too many wait to know.
    Busy,
}

impl From<Option<Model>> for Found {
    fn from(found: Option<Model>) -> Self {
        found.map_or(Self::Nobody, |endpoint| Self::Endpoint(Box::new(endpoint)))
    }
}

impl Lookup {
    /// One that looks until `closing`, in a task of its own.
    pub(super) fn start(store: Store, tasks: &TaskTracker, closing: CancellationToken) -> Self {
        let (strangers, waiting) = mpsc::channel(WAITING);
        let own = store.clone();
        let look = move |addresses: Vec<String>| {
            let store = own.clone();
            async move { receive::find(&store, &addresses).await }
        };
        let met = Arc::new(RwLock::new(HashSet::new()));
        let (known, from) = (met.clone(), store.clone());
        let work = async move {
            // A flood that is there before the first real delivery must not keep that one out.
            match receive::addresses(&from, KNOWN).await {
                Ok(addresses) => known.write().extend(addresses),
                Err(error) => tracing::warn!(%error, "endpoints could not be read beforehand"),
            }
            drop((known, from));
            looking(waiting, look).await;
        };
        tasks.spawn(async move {
            closing.run_until_cancelled_owned(work).await;
        });
        Self {
            store,
            met,
            strangers,
        }
    }

    pub(super) async fn find(&self, address: &str) -> Result<Found> {
        if !receive::is_address(address) {
            return Ok(Found::Nobody);
        }
        // A statement of its own: `met` is not held while the database thinks.
        let met = self.met.read().contains(address);
        if met {
            let mut found = receive::find(&self.store, &[address.to_owned()]).await?;
            return Ok(found.pop().into());
        }
        let (answer, told) = oneshot::channel();
        let address = address.to_owned();
        match self.strangers.try_send(Stranger { address, answer }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Ok(Found::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(stopping()),
        }
        let found = told.await.map_err(|_| stopping())??;
        if let Some(endpoint) = &found {
            self.met.write().insert(endpoint.address.clone());
        }
        Ok(found.into())
    }
}

fn stopping() -> Error {
    Error::Unavailable {
        message: "the server is stopping".into(),
    }
}

/// Looks for those who wait, all at once, again and again.
async fn looking<F, R>(mut waiting: mpsc::Receiver<Stranger>, look: F)
where
    F: Fn(Vec<String>) -> R + Send,
    R: Future<Output = Result<Vec<Model>>> + Send,
{
    let mut together = Vec::new();
    while waiting.recv_many(&mut together, TOGETHER).await > 0 {
        // Whoever gave up waiting leaves the place to others.
        together.retain(|one: &Stranger| !one.answer.is_closed());
        if together.is_empty() {
            continue;
        }
        let next = Instant::now() + PAUSE;
        let addresses = together.iter().map(|one| one.address.clone()).collect();
        let found = look(addresses).await;
        for Stranger { address, answer } in together.drain(..) {
            let own = match &found {
                Ok(all) => Ok(all.iter().find(|one| one.address == address).cloned()),
                Err(error) => Err(Error::Unavailable {
                    message: format!("the endpoint could not be looked for: {error}"),
                }),
            };
            // Whoever has gone away needs no answer.
            answer.send(own).ok();
        }
        tokio::time::sleep_until(next).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use domain::hook::CreateEndpoint;
    use entity::{Millis, WebhookKind, WorkspaceId};
    use futures_util::future::join_all;
    use uuid::Uuid;

    use super::*;

    fn endpoint(address: &str) -> Model {
        Model {
            id: CreateEndpoint::fresh_id(),
            address: address.to_owned(),
            workspace_id: WorkspaceId(Uuid::nil()),
            name: "PagerDuty".to_owned(),
            kind: WebhookKind::Pagerduty,
            mapping: None,
            enabled: true,
            created_at: Millis(0),
            updated_at: Millis(0),
        }
    }

    #[tokio::test]
    async fn a_flood_of_made_up_addresses_costs_a_few_looks() {
        let looks = Arc::new(AtomicUsize::new(0));
        let own = endpoint("in_own");
        let (counted, known) = (looks.clone(), own.clone());
        let look = move |addresses: Vec<String>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let found = addresses.contains(&known.address).then(|| known.clone());
            async move { Ok(found.into_iter().collect()) }
        };
        let (strangers, waiting) = mpsc::channel(WAITING);
        let task = tokio::spawn(looking(waiting, look));
        let ask = async |address: String| {
            let (answer, told) = oneshot::channel();
            let stranger = Stranger { address, answer };
            assert!(strangers.send(stranger).await.is_ok(), "it looks");
            told.await.expect("an answer").expect("a look")
        };
        let begun = Instant::now();
        let flood = (0..2_000).map(|n| ask(format!("in_{n}")));
        let (found, strange) = tokio::join!(ask("in_own".to_owned()), join_all(flood));
        assert_eq!(found, Some(own), "whoever is there is found among them");
        assert!(strange.iter().all(Option::is_none));
        let most = 1 + begun.elapsed().as_millis() / PAUSE.as_millis();
        let looks = looks.load(Ordering::Relaxed);
        assert!((4..=most as usize).contains(&looks), "{looks} of {most}");
        task.abort();
    }
}

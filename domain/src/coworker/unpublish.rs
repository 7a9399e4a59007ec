//! Out of work again.
//!
//! However much waits for a coworker, no write is long: the first one ends its *term*, and from then on nothing of that
//! term starts, whoever looks; then what waits is dropped a few at a time. Should that be cut off, the claim drops the
//! rest as it comes by, also if the coworker takes work again by then.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use entity::{
    CoworkerId, CoworkerState, DispatchId, DropReason, RequestId, Trigger, coworker, dispatch,
    request,
};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::write::{lock, save};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::request::TimelineData;
use crate::request::desk::Desk;
use crate::request::dropped::{drop_all, see_to};
use crate::request::escalate::foresee;
use crate::request::query::is_waiting;
use crate::request::route::{Anew, Routing, decide_for};
use crate::store::{Command, Needs, Store, Tx};

/// The most dispatches that one write drops.
const CHUNK: u64 = 50;
/// How long a caller waits for what waits to be dropped.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes a coworker out of work: runs under way finish, and nothing starts any more of what waits.
#[derive(Clone, Debug)]
pub struct UnpublishCoworker {
    /// Who asks.
    pub actor: Actor,
    /// The coworker.
    pub coworker: CoworkerId,
}

impl UnpublishCoworker {
    /// Does it, and drops what waits in a task of its own, which ends early once `closing` is cancelled. The caller waits
    /// for the task, but not long.
    ///
    /// # Errors
    /// As the command itself.
    pub async fn submit(
        self,
        store: &Store,
        tasks: &TaskTracker,
        closing: &CancellationToken,
    ) -> Result<coworker::Model> {
        let actor = self.actor.clone();
        let row = store.write(self).await?;
        let (store, closing, of) = (store.clone(), closing.clone(), row.clone());
        let rest = tasks.spawn(async move {
            closing
                .run_until_cancelled(drop_waiting(&store, &actor, &of))
                .await
        });
        if tokio::time::timeout(PATIENCE, rest).await.is_err() {
            tracing::debug!(coworker.id = %row.id, "much waits for a coworker out of work; it is dropped behind the answer");
        }
        Ok(row)
    }
}

impl Command for UnpublishCoworker {
    type Output = coworker::Model;

    async fn run(&self, tx: &Tx) -> Result<coworker::Model> {
        let Self { actor, coworker } = self;
        actor.authorize(Action::CoworkerPublish)?;
        let mut row = lock(tx, actor, *coworker).await?;
        match row.state {
            CoworkerState::Draft => {
                return Err(Error::conflict(
                    "NOT_PUBLISHED",
                    "the coworker was never published; there is nothing to take out of work",
                ));
            }
            CoworkerState::Unpublished => return Ok(row),
            CoworkerState::Published => {}
        }
        row.state = CoworkerState::Unpublished;
        row.term += 1;
        save(tx, row).await
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        // It locks a coworker for a change, and commands of its batch hold requests already.
        Needs::ALONE
    }
}

/// Drops what waits for a coworker of a term that is over, in as many writes as that takes; others get their turn
/// between them. What could not be dropped is left to the claim: the coworker is out of work already.
pub async fn drop_waiting(store: &Store, actor: &Actor, row: &coworker::Model) {
    let all = async {
        while let Some(some) = DropWaiting::find(store, actor, row).await? {
            store.write(some).await?;
        }
        Ok::<(), Error>(())
    };
    if let Err(err) = all.await {
        tracing::warn!(coworker.id = %row.id, %err, "what waits for a coworker out of work could not be dropped; it is when it would start");
    }
}

/// Drops a few dispatches that wait for a coworker of a term that is over.
#[derive(Clone, Debug)]
pub struct DropWaiting {
    actor: Actor,
    waiting: Vec<dispatch::Model>,
    /// Of Triage: where the requests go that nobody was named for.
    ahead: HashMap<RequestId, Routing>,
}

impl DropWaiting {
    /// The oldest that wait for this coworker, taken out of work by this actor; none if nothing does any more. Where requests
    /// go that wait for Triage is looked up here, before the writer is asked.
    ///
    /// # Errors
    /// What the database said.
    pub async fn find(store: &Store, actor: &Actor, row: &coworker::Model) -> Result<Option<Self>> {
        let waiting = dispatch::Entity::find()
            .filter(dispatch::Column::CoworkerId.eq(row.id))
            // Terms only rise: what is found stays over, so the coworker need not be locked.
            .filter(dispatch::Column::Term.lt(row.term))
            .filter(is_waiting())
            .order_by_asc(dispatch::Column::Id)
            .limit(CHUNK)
            .all(store.read())
            .await?;
        if waiting.is_empty() {
            return Ok(None);
        }
        let unnamed = waiting
            .iter()
            .filter(|row| row.trigger == Trigger::Intake)
            .map(|row| row.request_id);
        let ahead = decide_for(store.read(), actor.workspace, unnamed.collect()).await?;
        Ok(Some(Self {
            actor: actor.clone(),
            waiting,
            ahead,
        }))
    }
}

impl Command for DropWaiting {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        let Self {
            actor,
            waiting,
            ahead,
        } = self;
        actor.authorize(Action::CoworkerPublish)?;
        let requests = request::Entity::find()
            .filter(request::Column::WorkspaceId.eq(actor.workspace))
            .filter(request::Column::Id.is_in(waiting.iter().map(|row| row.request_id)))
            .order_by_asc(request::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .all(tx.conn())
            .await?;
        let mut desks: BTreeMap<RequestId, Desk> = requests
            .into_iter()
            .map(|request| (request.id, Desk::of(request)))
            .collect();
        // A claim may have come first before the requests were locked.
        let ids: Vec<DispatchId> = waiting.iter().map(|row| row.id).collect();
        let dropped = drop_all(tx, &ids, DropReason::NotPublished).await?;
        foresee(tx, desks.values_mut()).await?;
        let anew = Anew::new(tx, actor.workspace);
        let mut changed = HashSet::with_capacity(desks.len());
        for row in waiting.iter().filter(|row| dropped.contains(&row.id)) {
            let Some(desk) = desks.get_mut(&row.request_id) else {
                return Err(Error::internal("a request was not locked"));
            };
            let entry = TimelineData::DispatchDropped { dispatch: row.id };
            desk.entry(tx.at(), actor, &entry)?;
            let before = ahead.get(&row.request_id);
            see_to(tx, desk, row, DropReason::NotPublished, before, &anew).await?;
            changed.insert(row.request_id);
        }
        // Only what was changed: whoever watches the others needs no bell.
        desks.retain(|id, _| changed.contains(id));
        desks.into_values().for_each(|desk| drop(desk.save(tx)));
        Ok(())
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        // What it locks are others' requests, many of them.
        Needs::ALONE
    }
}

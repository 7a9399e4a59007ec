//! Out of work again.
//!
//! However much waits for a coworker, no write is long: the first one ends its *term*, and from then on nothing of that
//! term starts, whoever looks; then what waits is dropped a few at a time. Should that be cut off, the claim drops the
//! rest as it comes by, also if the coworker takes work again by then.

use std::collections::{BTreeMap, HashMap};

use entity::{
    CoworkerId, CoworkerState, DropReason, RequestId, Trigger, WorkspaceId, coworker, dispatch,
    request,
};
use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::write::{lock, save};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::request::TimelineData;
use crate::request::assign::drop_all;
use crate::request::desk::Desk;
use crate::request::query::is_waiting;
use crate::request::route::{Anew, OUT_OF_WORK, Routing, decide_for, without_triage};
use crate::store::{Command, Store, Tx};

/// The most dispatches that one write drops.
pub const CHUNK: u64 = 200;

/// Takes a coworker out of work: runs under way finish, and nothing starts any more of what waits.
#[derive(Clone, Debug)]
pub struct UnpublishCoworker {
    /// Who asks.
    pub actor: Actor,
    /// The coworker.
    pub coworker: CoworkerId,
}

impl UnpublishCoworker {
    /// Does it, and drops what waits.
    ///
    /// # Errors
    /// As the command itself.
    pub async fn submit(self, store: &Store) -> Result<coworker::Model> {
        let actor = self.actor.clone();
        let row = store.write(self).await?;
        drop_waiting(store, &actor, &row).await;
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
}

/// Drops what waits for a coworker of a term that is over, in as many writes as that takes; others get their turn
/// between them. What could not be dropped is left to the claim: the coworker is out of work already.
pub async fn drop_waiting(store: &Store, actor: &Actor, row: &coworker::Model) {
    let all = async {
        while DropWaiting::of(actor, row).submit(store).await? == CHUNK {}
        Ok::<(), Error>(())
    };
    if let Err(err) = all.await {
        tracing::warn!(coworker.id = %row.id, %err, "what waits for a coworker out of work could not be dropped; it is when it would start");
    }
}

/// Drops the oldest dispatches that wait for a coworker of a term that is over, at most [`CHUNK`]; gives how many it
/// found.
#[derive(Clone, Debug)]
pub struct DropWaiting {
    actor: Actor,
    coworker: CoworkerId,
    /// Those of an earlier term are meant. Terms only rise, so the coworker need not be locked.
    term: i64,
    /// Of Triage: where the requests go that nobody was named for, as far as that was looked up beforehand.
    ahead: HashMap<RequestId, Routing>,
}

impl DropWaiting {
    /// Those that wait for this coworker, taken out of work by this actor.
    pub fn of(actor: &Actor, row: &coworker::Model) -> Self {
        Self {
            actor: actor.clone(),
            coworker: row.id,
            term: row.term,
            ahead: HashMap::new(),
        }
    }

    /// Does it. Where requests go that waited for Triage is looked up before the writer is asked.
    ///
    /// # Errors
    /// As the command itself.
    pub async fn submit(mut self, store: &Store) -> Result<u64> {
        let waiting = self.find(store.read()).await?;
        let unnamed = waiting
            .iter()
            .filter(|row| row.trigger == Trigger::Intake)
            .map(|row| row.request_id);
        let workspace = self.actor.workspace;
        self.ahead = decide_for(store.read(), workspace, unnamed.collect()).await?;
        store.write(self).await
    }

    async fn find<C: ConnectionTrait>(&self, conn: &C) -> Result<Vec<dispatch::Model>> {
        let found = over(self.actor.workspace, self.coworker, self.term)
            .order_by_asc(dispatch::Column::Id)
            .limit(CHUNK);
        Ok(found.all(conn).await?)
    }
}

/// What waits for a coworker of a term before this one.
fn over(workspace: WorkspaceId, coworker: CoworkerId, term: i64) -> Select<dispatch::Entity> {
    dispatch::Entity::find()
        .filter(dispatch::Column::WorkspaceId.eq(workspace))
        .filter(dispatch::Column::CoworkerId.eq(coworker))
        .filter(dispatch::Column::Term.lt(term))
        .filter(is_waiting())
}

impl Command for DropWaiting {
    type Output = u64;

    async fn run(&self, tx: &Tx) -> Result<u64> {
        let Self { actor, ahead, .. } = self;
        actor.authorize(Action::CoworkerPublish)?;
        tx.settle_all().await?;
        let waiting = self.find(tx.conn()).await?;
        let requests = request::Entity::find()
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
        let ids: Vec<_> = waiting.iter().map(|row| row.id).collect();
        let dropped = drop_all(tx, &ids, DropReason::NotPublished).await?;
        let anew = Anew::new(tx, actor.workspace);
        for row in waiting.iter().filter(|row| dropped.contains(&row.id)) {
            let Some(desk) = desks.get_mut(&row.request_id) else {
                return Err(Error::internal("a request was not locked"));
            };
            let entry = TimelineData::DispatchDropped { dispatch: row.id };
            desk.entry(tx.at(), actor, &entry)?;
            let before = ahead.get(&row.request_id);
            without_triage(tx, desk, row, OUT_OF_WORK, before, &anew).await?;
        }
        // Only what was changed: whoever watches the others needs no bell.
        let changed: Vec<RequestId> = waiting
            .iter()
            .filter(|row| dropped.contains(&row.id))
            .map(|row| row.request_id)
            .collect();
        desks.retain(|id, _| changed.contains(id));
        desks.into_values().for_each(|desk| drop(desk.save(tx)));
        Ok(waiting.len() as u64)
    }

    fn repeatable(&self) -> bool {
        true
    }
}

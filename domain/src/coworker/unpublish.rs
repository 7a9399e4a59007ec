//! Out of work again.

use std::collections::{BTreeMap, HashMap};

use entity::{CoworkerId, CoworkerState, DropReason, RequestId, coworker, dispatch, request};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::write::{lock, save};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::request::assign::drop_dispatch;
use crate::request::desk::Desk;
use crate::request::query::is_waiting;
use crate::request::route::{Anew, Routing, decide_waiting, without_triage};
use crate::store::{Command, Store, Tx};

/// Takes a coworker out of work: runs under way finish, waiting dispatches are dropped.
#[derive(Clone, Debug)]
pub struct UnpublishCoworker {
    /// Who asks.
    pub actor: Actor,
    /// The coworker.
    pub coworker: CoworkerId,
    /// Of Triage: where the requests go that wait for it and that nobody was named for, as far as that was looked up
    /// beforehand; [`UnpublishCoworker::submit`] does.
    pub ahead: HashMap<RequestId, Routing>,
}

impl UnpublishCoworker {
    /// Does it. Where the requests go that wait for Triage is looked up before the writer is asked.
    ///
    /// # Errors
    /// As the command itself.
    pub async fn submit(mut self, store: &Store) -> Result<coworker::Model> {
        self.actor.authorize(Action::CoworkerPublish)?;
        let row = super::query::get(store.read(), &self.actor, self.coworker).await?;
        if row.is_triage {
            self.ahead = decide_waiting(store.read(), &row).await?;
        }
        store.write(self).await
    }
}

impl Command for UnpublishCoworker {
    type Output = coworker::Model;

    async fn run(&self, tx: &Tx) -> Result<coworker::Model> {
        let Self {
            actor,
            coworker,
            ahead,
        } = self;
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
        drop_waiting(tx, actor, row.id, ahead).await?;
        save(tx, row).await
    }

    fn repeatable(&self) -> bool {
        true
    }
}

async fn drop_waiting(
    tx: &Tx,
    actor: &Actor,
    coworker: CoworkerId,
    ahead: &HashMap<RequestId, Routing>,
) -> Result<()> {
    let anew = Anew::new(tx, actor.workspace);
    tx.settle_all().await?;
    let waiting = dispatch::Entity::find()
        .filter(dispatch::Column::CoworkerId.eq(coworker))
        .filter(is_waiting())
        .all(tx.conn())
        .await?;
    // As a query within the query: there may be more of them than a statement takes values.
    let theirs = dispatch::Entity::find()
        .select_only()
        .column(dispatch::Column::RequestId)
        .filter(dispatch::Column::CoworkerId.eq(coworker))
        .filter(is_waiting());
    let requests = request::Entity::find()
        .filter(request::Column::Id.in_subquery(theirs.into_query()))
        .order_by_asc(request::Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(tx.conn())
        .await?;
    let mut desks: BTreeMap<RequestId, Desk> = requests
        .into_iter()
        .map(|request| (request.id, Desk::of(request)))
        .collect();
    for row in waiting {
        if let Some(desk) = desks.get_mut(&row.request_id) {
            drop_dispatch(tx, desk, actor, row.id, DropReason::NotPublished).await?;
            without_triage(tx, desk, &row, ahead.get(&row.request_id), &anew).await?;
        }
    }
    desks.into_values().for_each(|desk| drop(desk.save(tx)));
    Ok(())
}

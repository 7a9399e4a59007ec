//! From draft to version, and out of work again.

use entity::{
    CoworkerId, CoworkerState, CoworkerVersionId, DispatchState, DropReason, coworker,
    coworker_version, dispatch, request,
};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::config::Config;
use super::write::{lock, save};
use crate::access::{Action, Actor};
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::request::assign::drop_dispatch;
use crate::request::desk::Desk;
use crate::request::route::without_triage;
use crate::store::{Command, Tx, insert_all};

/// Publishes a coworker's draft as its next version. A draft that is the published version already
/// makes no new one, but an unpublished coworker takes work again.
#[derive(Clone, Debug)]
pub struct PublishCoworker {
    /// Who asks.
    pub actor: Actor,
    /// The coworker.
    pub coworker: CoworkerId,
}

impl Command for PublishCoworker {
    type Output = coworker::Model;

    async fn run(&self, tx: &Tx) -> Result<coworker::Model> {
        let Self { actor, coworker } = self;
        actor.authorize(Action::CoworkerPublish)?;
        let mut row = lock(tx, actor, *coworker).await?;
        Config::from_row(&row.draft)?.check()?;
        let current = match row.version_id {
            Some(id) => {
                coworker_version::Entity::find_by_id(id)
                    .one(tx.conn())
                    .await?
            }
            None => None,
        };
        if current.is_none_or(|version| version.config != row.draft) {
            let version = coworker_version::Model {
                id: CoworkerVersionId(fresh_id()),
                workspace_id: row.workspace_id,
                coworker_id: row.id,
                version: row.version + 1,
                config: row.draft.clone(),
                published_by_kind: actor.principal.kind(),
                published_by_id: actor.principal.id(),
                published_at: tx.at(),
            };
            row.version = version.version;
            row.version_id = Some(version.id);
            insert_all(tx.writing().await?, vec![version], None).await?;
        }
        row.state = CoworkerState::Published;
        save(tx, row).await
    }

    fn repeatable(&self) -> bool {
        true
    }
}

/// Takes a coworker out of work: runs under way finish, waiting dispatches are dropped.
#[derive(Clone, Debug)]
pub struct UnpublishCoworker {
    /// Who asks.
    pub actor: Actor,
    /// The coworker.
    pub coworker: CoworkerId,
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
        drop_waiting(tx, actor, row.id).await?;
        save(tx, row).await
    }

    fn repeatable(&self) -> bool {
        true
    }
}

async fn drop_waiting(tx: &Tx, actor: &Actor, coworker: CoworkerId) -> Result<()> {
    let waiting = dispatch::Entity::find()
        .filter(dispatch::Column::CoworkerId.eq(coworker))
        .filter(dispatch::Column::State.eq(DispatchState::Waiting))
        .all(tx.conn())
        .await?;
    tx.settle(waiting.iter().map(|d| d.request_id)).await?;
    let requests = request::Entity::find()
        .filter(request::Column::Id.is_in(waiting.iter().map(|d| d.request_id)))
        .order_by_asc(request::Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(tx.conn())
        .await?;
    let mut desks: Vec<Desk> = requests.into_iter().map(Desk::of).collect();
    for row in waiting {
        if let Some(desk) = desks
            .iter_mut()
            .find(|desk| desk.request.id == row.request_id)
        {
            drop_dispatch(tx, desk, actor, row.id, DropReason::NotPublished).await?;
            without_triage(tx, desk, &row).await?;
        }
    }
    desks.into_iter().for_each(|desk| drop(desk.save(tx)));
    Ok(())
}

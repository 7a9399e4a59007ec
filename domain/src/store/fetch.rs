//! What the commands of a batch will lock and take, got for all of them in one statement each.
//!
//! This is also what keeps the order of locks: coworkers, requests, and counters last. What a command finds only while it
//! runs (whom a note mentions, which run is stopped) it locks by itself, without waiting ([`Tx::lock_one`]): a command that
//! can't have it at once is run again alone. What a claim can't have at once it leaves for the next one. What is done seldom
//! and locks rows of its own (an administrator's changes) is alone from the beginning.
//!
//! [`Tx::lock_one`]: super::Tx::lock_one

use std::collections::{BTreeSet, HashMap};

use entity::{CoworkerId, RequestId, WorkspaceId, coworker, request};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::rows::chunks;
use super::tx::statement;
use crate::error::{Error, Result};

/// What a command says beforehand of what it will lock and take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// A coworker that must not be unpublished meanwhile.
    pub coworker: Option<CoworkerId>,
    /// A request that it changes.
    pub request: Option<RequestId>,
    /// A counter that it takes numbers from: such commands run after the others of their batch.
    pub counter: Option<Counter>,
    /// Whether it needs a transaction of its own: it locks what others do not know of, and waits for it.
    pub alone: bool,
}

impl Needs {
    /// A transaction of its own.
    pub const ALONE: Self = Self {
        coworker: None,
        request: None,
        counter: None,
        alone: true,
    };
}

/// A workspace's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// One number for a request.
    Request(WorkspaceId),
    /// Numbers for runs.
    Run,
}

/// What a batch has fetched for its commands.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    coworkers: HashMap<CoworkerId, coworker::Model>,
    requests: HashMap<RequestId, request::Model>,
    numbers: Counted,
    /// The last workspace, by its id, of which a counter is taken: it is locked until the commit.
    counted: Option<WorkspaceId>,
}

/// How the counters stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted(HashMap<WorkspaceId, Numbers>);

/// Numbers for requests.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    /// Commands to come that want one.
    wanted: i64,
    /// The last number that was taken from the counter, and how many up to it are not used.
    last: i64,
    left: i64,
}

impl Fetched {
    /// Locks what is needed.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn fetch<C: ConnectionTrait>(
        conn: &C,
        needs: impl Iterator<Item = Needs>,
    ) -> Result<Self> {
        let mut fetched = Self::default();
        // Sorted, so that two nodes lock in the same order.
        let (mut coworkers, mut requests) = (BTreeSet::new(), BTreeSet::new());
        for need in needs {
            coworkers.extend(need.coworker);
            requests.extend(need.request);
            if let Some(Counter::Request(workspace)) = need.counter {
                fetched.numbers.0.entry(workspace).or_default().wanted += 1;
            }
        }
        let mut coworkers = coworkers.into_iter();
        for size in chunks(coworkers.len()) {
            let rows = coworker::Entity::find()
                .filter(coworker::Column::Id.is_in(coworkers.by_ref().take(size)))
                .order_by_asc(coworker::Column::Id)
                .lock(LockType::Share);
            let rows = rows.all(conn).await?;
            fetched
                .coworkers
                .extend(rows.into_iter().map(|row| (row.id, row)));
        }
        let mut requests = requests.into_iter();
        for size in chunks(requests.len()) {
            let rows = request::Entity::find()
                .filter(request::Column::Id.is_in(requests.by_ref().take(size)))
                .order_by_asc(request::Column::Id)
                .lock(LockType::NoKeyUpdate);
            let rows = rows.all(conn).await?;
            fetched
                .requests
                .extend(rows.into_iter().map(|row| (row.id, row)));
        }
        Ok(fetched)
    }

    /// A coworker, locked.
    pub(super) fn coworker(&self, id: CoworkerId) -> Option<coworker::Model> {
        self.coworkers.get(&id).cloned()
    }

    /// A request, locked; given once, for whoever gets it may change it.
    pub(super) fn request(&mut self, id: RequestId) -> Option<request::Model> {
        self.requests.remove(&id)
    }

    /// What a command has written is not as it was fetched.
    pub(super) fn forget_request(&mut self, id: RequestId) {
        self.requests.remove(&id);
    }

    /// What a command wrote of coworkers is not seen in its draft, so all are read again.
    pub(super) fn forget_coworkers(&mut self) {
        self.coworkers.clear();
    }

    /// How the counters stand, for [`Fetched::take_back`].
    pub(super) fn counted(&self) -> Counted {
        self.numbers.clone()
    }

    /// What a command took from the counters was rolled back with it.
    pub(super) fn take_back(&mut self, before: Counted) {
        self.numbers = before;
    }

    /// Whether a counter of this workspace may be waited for now; if so, it counts as taken.
    pub(super) fn counts(&mut self, workspace: WorkspaceId) -> bool {
        let in_order = self.counted.is_none_or(|last| last <= workspace);
        if in_order {
            self.counted = Some(workspace);
        }
        in_order
    }

    /// A command of the batch has run, whether or not it took its number.
    pub(super) fn has_run(&mut self, needs: Needs) {
        if let Some(Counter::Request(workspace)) = needs.counter
            && let Some(numbers) = self.numbers.0.get_mut(&workspace)
        {
            numbers.wanted -= 1;
        }
    }

    /// The next number of a request; the first one takes from the counter what the rest of the batch wants.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn number<C: ConnectionTrait>(
        &mut self,
        conn: &C,
        workspace: WorkspaceId,
    ) -> Result<i64> {
        let numbers = self.numbers.0.entry(workspace).or_default();
        if numbers.left == 0 {
            numbers.left = numbers.wanted.max(1);
            numbers.last = count(conn, workspace, numbers.left).await?;
        }
        numbers.left -= 1;
        Ok(numbers.last - numbers.left)
    }

    /// Gives back the numbers that nobody used; the counter has been locked since they were taken.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn give_back<C: ConnectionTrait>(self, conn: &C) -> Result<()> {
        for (workspace, numbers) in self.numbers.0 {
            if numbers.left > 0 {
                count(conn, workspace, -numbers.left).await?;
            }
        }
        Ok(())
    }
}

async fn count<C: ConnectionTrait>(conn: &C, workspace: WorkspaceId, n: i64) -> Result<i64> {
    let sql = "UPDATE workspace SET last_request_number = last_request_number + ? WHERE id = ? \
               RETURNING last_request_number";
    let sql = statement(
        conn.get_database_backend(),
        sql,
        [n.into(), workspace.into()],
    );
    let row = conn.query_one_raw(sql).await?;
    let row = row.ok_or_else(|| Error::internal("the workspace is gone"))?;
    Ok(row.try_get("", "last_request_number")?)
}

//! What is under way on requests under their assignments, read for all requests of a write at once.
//!
//! Whoever asks holds the requests: nothing begins, pauses or goes on there meanwhile.

use std::collections::HashMap;

use entity::{DispatchId, RequestId, RunId, RunStatus, assignment, dispatch, run};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};

use super::query::is_waiting;
use crate::error::Result;
use crate::run::query::{is_active, is_paused};
use crate::store::Tx;

/// What is under way on a request. Mentions are not: they belong to no assignment.
#[derive(Clone, Debug, Default)]
pub struct UnderWay {
    /// The runs that work or are paused, each with its epoch. One that assigned the request itself has only its ending left,
    /// and is none of them.
    runs: Vec<(RunId, RunStatus, i64)>,
    /// The dispatches that wait, each with its epoch, the oldest first.
    waiting: Vec<(DispatchId, i64)>,
}

impl UnderWay {
    /// What is under way on each of these requests; one where nothing is may be missing.
    ///
    /// # Errors
    /// What the database said.
    pub async fn on(tx: &Tx, requests: &[RequestId]) -> Result<HashMap<RequestId, Self>> {
        let mut all: HashMap<RequestId, Self> = HashMap::new();
        let handed_on = assignment::Entity::find()
            .select_only()
            .column(assignment::Column::RunId)
            .filter(assignment::Column::RequestId.is_in(requests.iter().copied()))
            .filter(assignment::Column::RunId.is_not_null());
        let stays = Condition::any()
            .add(is_paused())
            .add(run::Column::Id.not_in_subquery(handed_on.into_query()));
        let runs = run::Entity::find()
            .select_only()
            .columns([
                run::Column::RequestId,
                run::Column::Id,
                run::Column::Status,
                run::Column::AssignmentEpoch,
            ])
            .filter(run::Column::RequestId.is_in(requests.iter().copied()))
            .filter(is_active())
            .filter(run::Column::AssignmentEpoch.is_not_null())
            .filter(stays)
            .into_tuple::<(RequestId, RunId, RunStatus, i64)>();
        for (request, id, status, epoch) in runs.all(tx.conn()).await? {
            all.entry(request)
                .or_default()
                .runs
                .push((id, status, epoch));
        }
        let waiting = dispatch::Entity::find()
            .select_only()
            .columns([
                dispatch::Column::RequestId,
                dispatch::Column::Id,
                dispatch::Column::AssignmentEpoch,
            ])
            .filter(dispatch::Column::RequestId.is_in(requests.iter().copied()))
            .filter(is_waiting())
            .filter(dispatch::Column::AssignmentEpoch.is_not_null())
            .order_by_asc(dispatch::Column::Id)
            .into_tuple::<(RequestId, DispatchId, i64)>();
        for (request, id, epoch) in waiting.all(tx.conn()).await? {
            all.entry(request).or_default().waiting.push((id, epoch));
        }
        Ok(all)
    }

    /// Whether a run of an older epoch is paused.
    pub(super) fn is_paused(&self, epoch: i64) -> bool {
        let mut runs = self.runs.iter();
        runs.any(|(_, status, of)| *status == RunStatus::PausedForApproval && *of < epoch)
    }

    /// The runs of older epochs that work.
    pub(super) fn running(&self, epoch: i64) -> impl Iterator<Item = RunId> {
        let older = self.runs.iter();
        let older =
            older.filter(move |(_, status, of)| *status == RunStatus::Running && *of < epoch);
        older.map(|(id, _, _)| *id)
    }

    /// What waits under older epochs.
    pub(super) fn waiting(&self, epoch: i64) -> Vec<DispatchId> {
        let older = self.waiting.iter().filter(|(_, of)| *of < epoch);
        older.map(|(id, _)| *id).collect()
    }
}

//! When coworkers pass a request on without end: it goes to the workspace's escalation assignee, or to nobody.
//!
//! What is counted is the chain of runs since a person last touched the request, whoever they were of. A coworker
//! that it is escalated to gets one run; if that settles nothing, a person must look.

use std::collections::{HashMap, HashSet};

use entity::{
    ActorKind, AssignmentId, CoworkerId, CoworkerState, DropReason, PersonId, RequestEventKind,
    RequestId, RequestStatus, RunId, Trigger, assignment, coworker, dispatch, person, request,
    request_event, run, workspace,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait as _, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};

use super::assign::{Assignee, assign};
use super::desk::Desk;
use super::dropped::drop_dispatch;
use super::timeline::TimelineData;
use super::under_way::UnderWay;
use crate::access::Actor;
use crate::error::Result;
use crate::store::Tx;

/// The most runs of a chain that its entry names.
const CHAIN: u64 = 100;

/// Whether a dispatch may still become a run: within the hop budget, or as the one run of the coworker
/// that the request was escalated to.
///
/// # Errors
/// What the database said.
pub async fn may_start(
    tx: &Tx,
    workspace: &workspace::Model,
    desk: &Desk,
    dispatch: &dispatch::Model,
) -> Result<bool> {
    let (hops, budget) = (desk.request.hop_count, workspace.hop_budget);
    if hops < budget {
        return Ok(true);
    }
    let own = dispatch.assignment_epoch == Some(desk.request.assignment_epoch);
    Ok(hops == budget && own && escalated(tx, desk).await?)
}

/// Whether the current assignment is an escalation.
///
/// # Errors
/// What the database said.
pub(super) async fn escalated(tx: &Tx, desk: &Desk) -> Result<bool> {
    match desk.escalated {
        Some(known) => Ok(known),
        None => Ok(!escalated_of(tx, &[&desk.request]).await?.is_empty()),
    }
}

/// Those of these requests whose current assignment is an escalation.
///
/// # Errors
/// What the database said.
async fn escalated_of(tx: &Tx, requests: &[&request::Model]) -> Result<HashSet<RequestId>> {
    let ids = || requests.iter().map(|request| request.id);
    // The newest of each request is what counts, however often it was escalated.
    let newest = request_event::Entity::find()
        .select_only()
        .column(request_event::Column::RequestId)
        .column_as(request_event::Column::Seq.max(), "seq")
        .filter(request_event::Column::RequestId.is_in(ids()))
        .filter(request_event::Column::Kind.eq(RequestEventKind::Escalated))
        .group_by(request_event::Column::RequestId);
    let place = Expr::tuple([
        Expr::col(request_event::Column::RequestId),
        Expr::col(request_event::Column::Seq),
    ]);
    let entries = request_event::Entity::find()
        .filter(place.in_subquery(newest.into_query()))
        .all(tx.conn())
        .await?;
    let mut made: Vec<AssignmentId> = Vec::with_capacity(entries.len());
    for entry in entries {
        if let TimelineData::Escalated { assignment, .. } = TimelineData::from_row(&entry.data)? {
            made.extend(assignment);
        }
    }
    if made.is_empty() {
        return Ok(HashSet::new());
    }
    let made = assignment::Entity::find()
        .filter(assignment::Column::Id.is_in(made))
        .all(tx.conn())
        .await?;
    let epochs: HashMap<RequestId, i64> = requests
        .iter()
        .map(|request| (request.id, request.assignment_epoch))
        .collect();
    let current = made
        .into_iter()
        .filter(|made| epochs.get(&made.request_id) == Some(&made.epoch));
    Ok(current.map(|made| made.request_id).collect())
}

/// Reads what drops of these requests' dispatches will ask, for all of them at once.
///
/// # Errors
/// What the database said.
pub async fn foresee<'a>(tx: &Tx, desks: impl Iterator<Item = &'a mut Desk>) -> Result<()> {
    let mut desks: Vec<&mut Desk> = desks.collect();
    let requests: Vec<&request::Model> = desks.iter().map(|desk| &desk.request).collect();
    let ids: Vec<RequestId> = requests.iter().map(|request| request.id).collect();
    let mut under_way = UnderWay::on(tx, &ids).await?;
    let escalated = escalated_of(tx, &requests).await?;
    for desk in &mut desks {
        desk.under_way = Some(under_way.remove(&desk.request.id).unwrap_or_default());
        desk.escalated = Some(escalated.contains(&desk.request.id));
    }
    Ok(())
}

/// Drops a dispatch that is over the hop budget and escalates its request, unless it is a mention: that moves
/// no request. A request that was escalated already goes to nobody: open, and a person must look.
///
/// # Errors
/// What the database said.
pub async fn escalate(
    tx: &Tx,
    workspace: &workspace::Model,
    desk: &mut Desk,
    dispatch: &dispatch::Model,
) -> Result<()> {
    let stint = Actor::stint(dispatch.workspace_id);
    let reason = match dispatch.assignment_epoch {
        // What another dispatch of this claim has escalated.
        Some(epoch) if epoch != desk.request.assignment_epoch => DropReason::Superseded,
        Some(_) | None => DropReason::HopLimit,
    };
    drop_dispatch(tx, desk, &stint, dispatch.id, reason).await?;
    if reason == DropReason::Superseded || dispatch.assignment_epoch.is_none() {
        return Ok(());
    }
    let runs = chain(tx, desk).await?;
    let to = if desk.request.hop_count > workspace.hop_budget || escalated(tx, desk).await? {
        None
    } else {
        // Whoever has it already did not end the chain: that needs somebody else.
        let to = assignee(tx, workspace).await?;
        to.filter(|to| Some(to.parts()) != desk.assignee())
    };
    let why = format!(
        "Coworkers passed the request on in {} runs without a person; the workspace allows {}.",
        desk.request.hop_count, workspace.hop_budget
    );
    let made = assign(tx, desk, &stint, to.as_ref(), Some(why), Trigger::Routed).await?;
    desk.set_status(tx.at(), &stint, RequestStatus::Open)?;
    desk.request.needs_person = to.is_none();
    let entry = TimelineData::Escalated {
        assignment: made.map(|made| made.id),
        runs,
    };
    desk.entry(tx.at(), &stint, &entry)
}

/// The runs since a person last touched the request, oldest first.
async fn chain(tx: &Tx, desk: &Desk) -> Result<Vec<RunId>> {
    let hops = u64::try_from(desk.request.hop_count).unwrap_or(0);
    let mut runs: Vec<RunId> = run::Entity::find()
        .select_only()
        .column(run::Column::Id)
        .filter(run::Column::RequestId.eq(desk.request.id))
        .order_by_desc(run::Column::Number)
        .limit(Ord::min(hops, CHAIN))
        .into_tuple()
        .all(tx.conn())
        .await?;
    runs.reverse();
    Ok(runs)
}

/// The escalation assignee, if there is one who can take the request.
async fn assignee(tx: &Tx, workspace: &workspace::Model) -> Result<Option<Assignee>> {
    Ok(match (workspace.escalation_kind, workspace.escalation_id) {
        (Some(ActorKind::Person), Some(id)) => person::Entity::find_by_id(PersonId(id))
            .one(tx.conn())
            .await?
            .map(Assignee::Person),
        // Not locked: should it be unpublished meanwhile, the claim drops the dispatch, and the request goes to nobody.
        (Some(ActorKind::Coworker), Some(id)) => coworker::Entity::find_by_id(CoworkerId(id))
            .filter(coworker::Column::State.eq(CoworkerState::Published))
            .one(tx.conn())
            .await?
            .map(Assignee::Coworker),
        (Some(ActorKind::Workflow | ActorKind::System) | None, _) | (_, None) => None,
    })
}

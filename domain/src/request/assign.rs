//! Who works on a request, and the dispatches that follow from it.

use entity::{
    ActorKind, AssignmentId, CoworkerId, CoworkerState, DispatchId, DispatchState, DropReason,
    PersonId, RequestId, Trigger, assignment, coworker, dispatch, person, request, run,
};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::desk::Desk;
use super::dropped::{drop_all, is_seen};
use super::query::is_waiting;
use super::timeline::TimelineData;
use super::under_way::UnderWay;
use crate::access::{Action, Actor, Principal};
use crate::bus::Signal;
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::idempotency::once;
use crate::run::approval::end_paused_on;
use crate::run::query::is_active;
use crate::run::state::Ending;
use crate::store::{Command, Needs, Tx};
use crate::telemetry::trace;
use crate::text::check_text;

/// Who can be assigned.
#[derive(Clone, Debug, PartialEq)]
pub enum Assignee {
    /// A person.
    Person(person::Model),
    /// A coworker, published or not.
    Coworker(coworker::Model),
}

/// Whom a caller names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssigneeId {
    /// A person.
    Person(PersonId),
    /// A coworker.
    Coworker(CoworkerId),
}

impl AssigneeId {
    /// Loads it from the actor's workspace; a coworker is locked against being unpublished meanwhile.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn load(self, tx: &Tx, actor: &Actor) -> Result<Assignee> {
        match self {
            Self::Person(id) => person::Entity::find_by_id(id)
                .filter(person::Column::WorkspaceId.eq(actor.workspace))
                .one(tx.conn())
                .await?
                .map(Assignee::Person)
                .ok_or(Error::NotFound { what: "Person" }),
            Self::Coworker(id) => {
                let found = match tx.fetched_coworker(id).await {
                    Some(row) => Some(row).filter(|row| row.workspace_id == actor.workspace),
                    None => {
                        let own = coworker::Entity::find_by_id(id)
                            .filter(coworker::Column::WorkspaceId.eq(actor.workspace));
                        tx.lock_one(own, LockType::Share).await?
                    }
                };
                found
                    .map(Assignee::Coworker)
                    .ok_or(Error::NotFound { what: "Coworker" })
            }
        }
    }

    /// The coworker, if it is one.
    pub fn coworker(self) -> Option<CoworkerId> {
        match self {
            Self::Person(_) => None,
            Self::Coworker(id) => Some(id),
        }
    }
}

/// The coworker that a request is assigned to, if it is one; locked as [`AssigneeId::load`] does, so before the
/// request itself is.
///
/// # Errors
/// What the database said.
pub async fn assigned_coworker(
    tx: &Tx,
    actor: &Actor,
    request: &request::Model,
) -> Result<Option<coworker::Model>> {
    let (Some(ActorKind::Coworker), Some(id)) = (request.assignee_kind, request.assignee_id) else {
        return Ok(None);
    };
    match AssigneeId::Coworker(CoworkerId(id)).load(tx, actor).await {
        Ok(Assignee::Coworker(row)) => Ok(Some(row)),
        Ok(Assignee::Person(_)) | Err(Error::NotFound { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

impl Assignee {
    /// What rows hold of it.
    pub fn parts(&self) -> (ActorKind, Uuid) {
        match self {
            Self::Person(person) => (ActorKind::Person, person.id.0),
            Self::Coworker(coworker) => (ActorKind::Coworker, coworker.id.0),
        }
    }
}

/// Assigns a request, or takes it from everyone.
#[derive(Clone, Debug)]
pub struct AssignRequest {
    /// Who asks.
    pub actor: Actor,
    /// The request.
    pub request: RequestId,
    /// To whom; none: to nobody.
    pub assignee: Option<AssigneeId>,
    /// Why, 1 to 1,000 characters.
    pub reason: Option<String>,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for AssignRequest {
    type Output = request::Model;

    async fn run(&self, tx: &Tx) -> Result<request::Model> {
        self.actor.authorize(Action::RequestAssign)?;
        if let Some(reason) = &self.reason {
            check_text("reason", reason, 1_000)?;
        }
        let input = (
            self.request,
            self.assignee.map(|a| format!("{a:?}")),
            &self.reason,
        );
        let once = once(
            tx,
            &self.actor,
            "requestAssign",
            self.idempotency_key.as_deref(),
            &input,
        )
        .await?;
        let to = match self.assignee {
            Some(id) => Some(id.load(tx, &self.actor).await?),
            None => None,
        };
        let mut desk = Desk::lock(tx, &self.actor, self.request).await?;
        if once.made().is_none() {
            assign(
                tx,
                &mut desk,
                &self.actor,
                to.as_ref(),
                self.reason.clone(),
                Trigger::Assigned,
            )
            .await?;
            once.remember(tx, self.request.0).await?;
        }
        Ok(desk.save(tx))
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        Needs {
            coworker: self.assignee.and_then(AssigneeId::coworker),
            request: Some(self.request),
            ..Needs::default()
        }
    }
}

/// Assigns the request on the desk, begins an epoch, supersedes what waits and runs under the old
/// one, and makes the dispatch. Assigning to the current assignee keeps the epoch and only makes a
/// dispatch if the coworker has nothing under way; to assign to nobody what nobody has changes nothing.
///
/// # Errors
/// [`Error::Conflict`] if the request is done; else what the database said.
pub async fn assign(
    tx: &Tx,
    desk: &mut Desk,
    actor: &Actor,
    to: Option<&Assignee>,
    reason: Option<String>,
    trigger: Trigger,
) -> Result<Option<assignment::Model>> {
    if desk.request.status.is_done() && to.is_some() {
        let status = desk.request.status.as_str();
        return Err(Error::conflict(
            "REQUEST_DONE",
            format!("the request is {status}; set its status to OPEN first"),
        ));
    }
    let parts = to.map(Assignee::parts);
    if parts.is_none() && desk.assignee().is_none() {
        // Nobody had it, and nobody has it.
        return Ok(None);
    }
    let now = tx.at();
    desk.touch(actor);
    if parts == desk.assignee() {
        if let Some(Assignee::Coworker(coworker)) = to
            && !under_way(tx, desk.request.id, coworker, desk.request.assignment_epoch).await?
        {
            dispatch(
                tx,
                desk,
                actor,
                coworker,
                trigger,
                Some(desk.request.assignment_epoch),
            )?;
        }
        return Ok(None);
    }
    let old = desk.request.assignment_epoch;
    desk.request.assignment_epoch += 1;
    (desk.request.assignee_kind, desk.request.assignee_id) = parts.unzip();
    let made = assignment::Model {
        id: AssignmentId(fresh_id()),
        workspace_id: desk.request.workspace_id,
        request_id: desk.request.id,
        epoch: desk.request.assignment_epoch,
        assignee_kind: desk.request.assignee_kind,
        assignee_id: desk.request.assignee_id,
        assigned_by_kind: actor.principal.kind(),
        assigned_by_id: actor.principal.id(),
        run_id: actor.principal.run(),
        reason,
        created_at: now,
    };
    tx.draft(|draft| draft.assignments.push(made.clone()));
    desk.entry(
        now,
        actor,
        &TimelineData::Assigned {
            assignment: made.id,
        },
    )?;
    if old > 0 {
        supersede(tx, desk, actor).await?;
    }
    if let Some(Assignee::Coworker(coworker)) = to {
        dispatch(
            tx,
            desk,
            actor,
            coworker,
            trigger,
            Some(desk.request.assignment_epoch),
        )?;
    }
    Ok(Some(made))
}

/// Whether the coworker has a run or a waiting dispatch of this epoch. What waits since an earlier term never starts.
async fn under_way(
    tx: &Tx,
    request: RequestId,
    coworker: &coworker::Model,
    epoch: i64,
) -> Result<bool> {
    let waiting = dispatch::Entity::find()
        .filter(dispatch::Column::RequestId.eq(request))
        .filter(dispatch::Column::CoworkerId.eq(coworker.id))
        .filter(dispatch::Column::AssignmentEpoch.eq(epoch))
        .filter(dispatch::Column::Term.eq(coworker.term))
        .filter(is_waiting())
        .one(tx.conn())
        .await?;
    let active = run::Entity::find()
        .filter(run::Column::RequestId.eq(request))
        .filter(run::Column::CoworkerId.eq(coworker.id))
        .filter(run::Column::AssignmentEpoch.eq(epoch))
        .filter(is_active())
        .one(tx.conn())
        .await?;
    Ok(waiting.is_some() || active.is_some())
}

/// Ends the runs that are paused under older epochs, rings those that work, and drops what waits under them: runs are
/// locked before dispatches. A run that assigned the request itself has only its ending left, and is not called away from
/// that.
async fn supersede(tx: &Tx, desk: &mut Desk, actor: &Actor) -> Result<()> {
    let (id, epoch) = (desk.request.id, desk.request.assignment_epoch);
    desk.escalated = None;
    let under_way = match desk.under_way.take() {
        Some(known) => known,
        None => UnderWay::on(tx, &[id])
            .await?
            .remove(&id)
            .unwrap_or_default(),
    };
    if under_way.is_paused(epoch) {
        let older = Condition::all().add(run::Column::AssignmentEpoch.lt(epoch));
        end_paused_on(tx, desk, older, &Ending::Superseded).await?;
    }
    for run in under_way.running(epoch) {
        // Its own assignment is not written yet.
        if Some(run) != actor.principal.run() {
            tx.signal(Signal::Interrupt(run));
        }
    }
    let waiting = under_way.waiting(epoch);
    let dropped = drop_all(tx, &waiting, DropReason::Superseded).await?;
    for dispatch in waiting.into_iter().filter(|id| dropped.contains(id)) {
        desk.entry(tx.at(), actor, &TimelineData::DispatchDropped { dispatch })?;
    }
    Ok(())
}

/// Makes a dispatch; for a coworker that is not published it is dropped at once, visibly, and a person must look where
/// nobody chose the coworker.
///
/// # Errors
/// What the database said.
pub fn dispatch(
    tx: &Tx,
    desk: &mut Desk,
    actor: &Actor,
    to: &coworker::Model,
    trigger: Trigger,
    epoch: Option<i64>,
) -> Result<dispatch::Model> {
    let now = tx.at();
    let published = to.state == CoworkerState::Published;
    let row = dispatch::Model {
        id: DispatchId(fresh_id()),
        workspace_id: desk.request.workspace_id,
        request_id: desk.request.id,
        coworker_id: to.id,
        trigger,
        assignment_epoch: epoch,
        term: to.term,
        source_run_id: actor.principal.run(),
        state: if published {
            DispatchState::Waiting
        } else {
            DispatchState::Dropped
        },
        run_id: None,
        drop_reason: (!published).then_some(DropReason::NotPublished),
        created_at: now,
        trace: trace::current(),
        decided_at: (!published).then_some(now),
    };
    tx.draft(|draft| draft.dispatches.push(row.clone()));
    if published {
        tx.signal(Signal::Work);
    } else {
        let entry = TimelineData::DispatchDropped { dispatch: row.id };
        desk.entry(now, actor, &entry)?;
        // Who delivers an event sees nothing of what becomes of it.
        let event = matches!(actor.principal, Principal::Hook(_));
        desk.request.needs_person |= event || !is_seen(trigger);
    }
    Ok(row)
}

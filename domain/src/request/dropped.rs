//! Dispatches that never become a run, and what becomes of their requests.

use std::collections::HashSet;

use entity::{DispatchId, DropReason, RequestStatus, Trigger, dispatch};
use sea_orm::{ConnectionTrait, DbErr};

use super::assign::assign;
use super::desk::Desk;
use super::escalate::escalated;
use super::route::{Anew, Routing, without_triage};
use super::timeline::TimelineData;
use crate::access::Actor;
use crate::error::Result;
use crate::store::{Tx, chunks};

/// Drops a waiting dispatch, with the reason on the timeline. One that a claim took meanwhile stays.
///
/// # Errors
/// What the database said.
pub async fn drop_dispatch(
    tx: &Tx,
    desk: &mut Desk,
    actor: &Actor,
    id: DispatchId,
    reason: DropReason,
) -> Result<()> {
    if drop_all(tx, &[id], reason).await?.contains(&id) {
        let entry = TimelineData::DispatchDropped { dispatch: id };
        desk.entry(tx.at(), actor, &entry)?;
    }
    Ok(())
}

/// Drops those of these dispatches that still wait; gives which. Whoever asks says so on the timelines of their requests.
///
/// # Errors
/// What the database said.
pub async fn drop_all(
    tx: &Tx,
    ids: &[DispatchId],
    reason: DropReason,
) -> Result<HashSet<DispatchId>> {
    let mut dropped = HashSet::with_capacity(ids.len());
    let mut left = ids.iter();
    for size in chunks(ids.len()) {
        let places = vec!["?"; size].join(", ");
        let sql = format!(
            "UPDATE dispatch SET state = 'DROPPED', drop_reason = ?, decided_at = ? \
             WHERE id IN ({places}) AND state = 'WAITING' RETURNING id"
        );
        let values = [reason.as_str().into(), tx.at().into()];
        let ids = left.by_ref().take(size).map(|id| (*id).into());
        let sql = tx.sql(&sql, values.into_iter().chain(ids));
        for row in tx.writing().await?.query_all_raw(sql).await? {
            let id: Result<DispatchId, DbErr> = row.try_get("", "id");
            dropped.insert(id?);
        }
    }
    Ok(dropped)
}

/// Whether whoever made the dispatch chose its coworker in that call, and so sees that it was dropped.
pub(super) fn is_seen(trigger: Trigger) -> bool {
    match trigger {
        Trigger::Assigned | Trigger::Mention => true,
        Trigger::Intake | Trigger::Routed | Trigger::Handoff | Trigger::Reply => false,
    }
}

/// Why Triage can't take a request, in a sentence.
fn not_by_triage(reason: DropReason) -> &'static str {
    match reason {
        DropReason::NotPublished => "Triage was taken out of work.",
        DropReason::BudgetExhausted => "The budget for Triage is used up.",
        DropReason::UnpricedModel => "Triage has a model without a price.",
        DropReason::Superseded | DropReason::RequestClosed | DropReason::HopLimit => {
            "Triage could not take it."
        }
    }
}

/// Why an escalation comes to nothing, in a sentence.
fn escalated_in_vain(reason: DropReason) -> &'static str {
    match reason {
        DropReason::NotPublished => "The coworker that it was escalated to was taken out of work.",
        DropReason::BudgetExhausted => {
            "The budget for the coworker that it was escalated to is used up."
        }
        DropReason::UnpricedModel => {
            "The coworker that it was escalated to has a model without a price."
        }
        DropReason::Superseded | DropReason::RequestClosed | DropReason::HopLimit => {
            "The coworker that it was escalated to could not take it."
        }
    }
}

/// Sees to the request of a dispatch that was dropped because its coworker is out of work or there is no money for it, so that
/// it does not lie unseen: a new one is routed without Triage; where nobody chose the coworker a person must look; what was
/// escalated to it goes to nobody. `before` is what the ranking said beforehand.
///
/// # Errors
/// As [`without_triage`].
pub async fn see_to(
    tx: &Tx,
    desk: &mut Desk,
    dropped: &dispatch::Model,
    reason: DropReason,
    before: Option<&Routing>,
    anew: &Anew<'_>,
) -> Result<()> {
    let current = dropped.assignment_epoch == Some(desk.request.assignment_epoch);
    if is_seen(dropped.trigger) || !current || desk.request.status.is_done() {
        return Ok(());
    }
    if dropped.trigger == Trigger::Intake {
        let why = not_by_triage(reason);
        return without_triage(tx, desk, dropped, why, before, anew).await;
    }
    if dropped.trigger == Trigger::Routed && escalated(tx, desk).await? {
        let stint = Actor::stint(dropped.workspace_id);
        let why = escalated_in_vain(reason).to_owned();
        assign(tx, desk, &stint, None, Some(why.clone()), Trigger::Routed).await?;
        desk.set_status(tx.at(), &stint, RequestStatus::Open)?;
        desk.leave_to_people(tx.at(), &stint, why)?;
    }
    desk.request.needs_person = true;
    Ok(())
}

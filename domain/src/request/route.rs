//! Routing by identity: what becomes of a request that nobody was named for.
//!
//! With a published Triage coworker the request is dispatched to it. Without one, and when Triage declines or
//! fails, the ranking decides ([`crate::coworker::route`]); the fallback is part of the transaction that ends
//! Triage's run, so that no crash comes in between.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use entity::{
    CoworkerId, CoworkerState, CoworkerVersionId, Outcome, Trigger, WorkspaceId, coworker,
    coworker_version, dispatch, request,
};
use parking_lot::Mutex;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::assign::{Assignee, assign};
use super::desk::Desk;
use super::timeline::TimelineData;
use crate::access::Actor;
use crate::coworker::Config;
use crate::coworker::route::{Profile, Roster, Verdict};
use crate::error::Result;
use crate::run::log::Log;
use crate::store::Tx;

/// The most coworkers that are ranked: the first ones by when they were made.
const MOST: u64 = 500;
/// Rosters that are kept in memory.
const ROSTERS: usize = 1_000;
/// Candidates that a model is told of.
const LISTED: usize = 10;
/// The most bytes of a scope that it is told.
const SCOPE: usize = 2_000;
/// The most characters of a run's reason that a routing's reason quotes.
const QUOTED: usize = 300;

/// What a ranking decided.
#[derive(Clone, Debug)]
pub struct Routing {
    to: Option<coworker::Model>,
    reason: String,
}

/// Decides who gets a request with this text.
///
/// The coworker is not locked: should it be unpublished meanwhile, the claim drops the dispatch and says so.
///
/// # Errors
/// What the database said.
pub async fn decide<C: ConnectionTrait>(
    conn: &C,
    workspace: WorkspaceId,
    title: &str,
    description: &str,
) -> Result<Routing> {
    let ranking = roster(conn, workspace).await?.rank(title, description);
    let (best, reason) = match ranking.verdict() {
        Verdict::Assign(best, reason) => (Some(best.coworker), reason),
        Verdict::Leave(reason) => (None, reason),
    };
    let to = match best {
        Some(id) => coworker::Entity::find_by_id(id).one(conn).await?,
        None => None,
    };
    Ok(Routing { to, reason })
}

/// Gives the request on the desk to whom the ranking decided for, or leaves it to people; either way it is
/// said why.
///
/// # Errors
/// As [`assign`].
pub async fn carry_out(tx: &Tx, desk: &mut Desk, routing: Routing) -> Result<()> {
    let stint = Actor::stint(desk.request.workspace_id);
    let Routing { to, reason } = routing;
    if let Some(to) = to {
        let to = Assignee::Coworker(to);
        assign(tx, desk, &stint, Some(&to), Some(reason), Trigger::Routed).await?;
        return Ok(());
    }
    if desk.assignee().is_some() {
        let why = Some(reason.clone());
        assign(tx, desk, &stint, None, why, Trigger::Routed).await?;
    }
    desk.entry(tx.at(), &stint, &TimelineData::LeftToPeople { reason })?;
    desk.request.needs_person = true;
    Ok(())
}

/// Routes the request of a Triage run that has just ended without having assigned it.
///
/// # Errors
/// As [`decide`] and [`carry_out`].
pub async fn fall_back(tx: &Tx, log: &Log, desk: &mut Desk) -> Result<()> {
    let run = log.run();
    let current = run.assignment_epoch == Some(desk.request.assignment_epoch);
    let gave_up = log.state().end.as_ref().filter(|end| match end.how {
        Ok(Outcome::Declined) => true,
        // It answered, waits for an answer, or left the request to whoever picks it up.
        Ok(
            Outcome::Resolved
            | Outcome::Replied
            | Outcome::HandedOff
            | Outcome::AwaitingReply
            | Outcome::Blocked
            | Outcome::Superseded,
        ) => false,
        // Who stops a run takes the request in hand.
        Err(code) => code != entity::FailureCode::Stopped,
    });
    let Some(end) = gave_up else { return Ok(()) };
    if run.trigger != Trigger::Intake || !current || desk.request.status.is_done() {
        return Ok(());
    }
    let request = &desk.request;
    let mut routing = decide(
        tx.conn(),
        request.workspace_id,
        &request.title,
        &request.description,
    )
    .await?;
    let what = if end.how.is_ok() {
        "declined"
    } else {
        "failed"
    };
    let why: String = end.reason.chars().take(QUOTED).collect();
    let why = why.trim_end_matches('.');
    routing.reason = format!(
        "Triage {what} in Run-{} ({why}). {}",
        run.number, routing.reason
    );
    carry_out(tx, desk, routing).await
}

/// Routes the request of a dispatch that was dropped because its coworker is not published, if it was a new
/// request on its way to Triage: nobody was named for it.
///
/// # Errors
/// As [`decide`] and [`carry_out`].
pub async fn without_triage(tx: &Tx, desk: &mut Desk, dropped: &dispatch::Model) -> Result<()> {
    let current = dropped.assignment_epoch == Some(desk.request.assignment_epoch);
    if dropped.trigger != Trigger::Intake || !current || desk.request.status.is_done() {
        return Ok(());
    }
    let request = &desk.request;
    let mut routing = decide(
        tx.conn(),
        request.workspace_id,
        &request.title,
        &request.description,
    )
    .await?;
    routing.reason = format!("Triage is not published any more. {}", routing.reason);
    carry_out(tx, desk, routing).await
}

/// Whom a request fits, as a model reads it: JSON, the best first.
///
/// # Errors
/// What the database said.
pub async fn candidates<C: ConnectionTrait>(conn: &C, request: &request::Model) -> Result<String> {
    let roster = roster(conn, request.workspace_id).await?;
    let mut ranking = roster.rank(&request.title, &request.description);
    let verdict = match ranking.verdict() {
        Verdict::Assign(best, reason) => format!("Assign it to @{}. {reason}", best.handle),
        Verdict::Leave(reason) => format!("Leave it to people. {reason}"),
    };
    ranking.candidates.truncate(LISTED);
    for candidate in &mut ranking.candidates {
        let end = candidate.scope.floor_char_boundary(SCOPE);
        candidate.scope.truncate(end);
    }
    let answer = serde_json::json!({ "candidates": ranking.candidates, "ranking": verdict });
    Ok(answer.to_string())
}

/// What a roster was made of.
type Members = Vec<(CoworkerId, String, CoworkerVersionId)>;
type Known = HashMap<WorkspaceId, (Members, Arc<Roster>)>;

/// Rosters by workspace. A memo and no state: versions never change, so whatever transaction read them, the
/// same members make the same roster.
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// The published coworkers of a workspace but Triage, ready to be ranked: one statement, two after a change.
///
/// # Errors
/// What the database said.
pub async fn roster<C: ConnectionTrait>(conn: &C, workspace: WorkspaceId) -> Result<Arc<Roster>> {
    let members: Members = coworker::Entity::find()
        .select_only()
        .columns([
            coworker::Column::Id,
            coworker::Column::Handle,
            coworker::Column::VersionId,
        ])
        .filter(coworker::Column::WorkspaceId.eq(workspace))
        .filter(coworker::Column::State.eq(CoworkerState::Published))
        .filter(coworker::Column::IsTriage.eq(false))
        .filter(coworker::Column::VersionId.is_not_null())
        .order_by_asc(coworker::Column::Id)
        .limit(MOST)
        .into_tuple()
        .all(conn)
        .await?;
    if let Some((known, roster)) = KNOWN.lock().get(&workspace)
        && *known == members
    {
        return Ok(roster.clone());
    }
    let versions = coworker_version::Entity::find()
        .filter(coworker_version::Column::Id.is_in(members.iter().map(|(.., version)| *version)))
        .all(conn)
        .await?;
    let profile = |(id, handle, version): &(CoworkerId, String, CoworkerVersionId)| {
        let row = versions.iter().find(|row| row.id == *version)?;
        match Config::from_row(&row.config) {
            Ok(config) => Some(Profile {
                coworker: *id,
                handle: handle.clone(),
                identity: config.identity,
                routes: config.goal.out_of_scope,
            }),
            // A run's end must not fail for it.
            Err(err) => {
                tracing::error!(coworker.id = %id, ?err, "a version can't be read; it is not ranked");
                None
            }
        }
    };
    let roster = Arc::new(Roster::new(members.iter().filter_map(profile).collect()));
    let mut known = KNOWN.lock();
    if known.len() >= ROSTERS {
        known.clear();
    }
    known.insert(workspace, (members, roster.clone()));
    Ok(roster)
}

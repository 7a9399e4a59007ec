//! Routing by identity: what becomes of a request that nobody was named for.
//!
//! With a published Triage coworker the request is dispatched to it. Without one, and when Triage declines or
//! fails, the ranking decides ([`crate::coworker::route`]); the fallback is part of the transaction that ends
//! Triage's run, so that no crash comes in between.
//!
//! To rank takes time, and there is one writer: who writes a command asks beforehand ([`ahead`], [`decide`]), and the
//! transaction looks whether what was decided still holds: the coworker takes work with the version that was compared,
//! and the request says what it said. What does not hold any more, or came in between, is decided anew in the transaction
//! ([`Anew`]), which is seldom. That somebody else began to take work in that moment is not looked for: the request
//! came a moment before them.

mod roster;

use std::collections::HashMap;

use entity::{
    CoworkerId, CoworkerState, CoworkerVersionId, FailureCode, Outcome, RequestId, Trigger,
    WorkspaceId, coworker, dispatch, request,
};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::assign::{Assignee, AssigneeId, assign};
use super::desk::Desk;
use crate::access::Actor;
use crate::coworker::route::{Roster, Verdict};
use crate::error::Result;
use crate::run::log::Log;
use crate::store::Tx;
use crate::text::{cut, cut_bytes};
use roster::Published;

/// The most bytes of a scope that a model is told.
const SCOPE: usize = 2_000;
/// The most characters of a run's reason that a routing's reason quotes.
const QUOTED: usize = 300;

/// Where a request that names nobody would go, as things stood before its transaction.
#[derive(Clone, Debug)]
pub enum Ahead {
    /// To the workspace's Triage coworker.
    Triage(CoworkerId),
    /// Where the ranking says.
    Ranked(Routing),
}

impl Ahead {
    /// The coworker that would get it.
    pub fn coworker(&self) -> Option<CoworkerId> {
        match self {
            Self::Triage(id) => Some(*id),
            Self::Ranked(routing) => routing.coworker(),
        }
    }
}

/// What a ranking decided before a transaction.
#[derive(Clone, Debug)]
pub struct Routing {
    to: Option<(CoworkerId, CoworkerVersionId)>,
    reason: String,
    of: Text,
}

/// What a ranking decided, as it holds within a transaction.
#[derive(Clone, Debug)]
pub struct Decided {
    to: Option<coworker::Model>,
    reason: String,
    of: Text,
}

/// The text that was ranked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text(Vec<u8>);

impl Text {
    fn of(title: &str, description: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(title);
        hash.update([0]);
        hash.update(description);
        Self(hash.finalize().to_vec())
    }

    fn is_of(&self, request: &request::Model) -> bool {
        *self == Self::of(&request.title, &request.description)
    }
}

/// Where a request with this text would go now: one statement, or three after the published coworkers changed.
///
/// # Errors
/// What the database said.
pub async fn ahead(
    read: &DatabaseConnection,
    workspace: WorkspaceId,
    title: &str,
    description: &str,
) -> Result<Ahead> {
    let published = Published::read(read, workspace).await?;
    if let Some(triage) = published.triage {
        return Ok(Ahead::Triage(triage));
    }
    let roster = published.roster(read, workspace).await?;
    Ok(Ahead::Ranked(routing(&roster, title, description)))
}

/// Whom the ranking gives this request to, whatever Triage there is.
///
/// # Errors
/// What the database said.
pub async fn decide(read: &DatabaseConnection, request: &request::Model) -> Result<Routing> {
    let published = Published::read(read, request.workspace_id).await?;
    let roster = published.roster(read, request.workspace_id).await?;
    Ok(routing(&roster, &request.title, &request.description))
}

fn routing(roster: &Roster, title: &str, description: &str) -> Routing {
    let of = Text::of(title, description);
    match roster.rank(title, description).verdict() {
        Verdict::Assign(best, reason) => Routing {
            to: Some((best.coworker, best.version)),
            reason,
            of,
        },
        Verdict::Leave(reason) => Routing {
            to: None,
            reason,
            of,
        },
    }
}

/// What the ranking decides for a few requests that nobody was named for, whatever Triage there is.
///
/// # Errors
/// What the database said.
pub async fn decide_for(
    read: &DatabaseConnection,
    workspace: WorkspaceId,
    requests: Vec<RequestId>,
) -> Result<HashMap<RequestId, Routing>> {
    if requests.is_empty() {
        return Ok(HashMap::new());
    }
    let published = Published::read(read, workspace).await?;
    let roster = published.roster(read, workspace).await?;
    let requests = request::Entity::find()
        .filter(request::Column::WorkspaceId.eq(workspace))
        .filter(request::Column::Id.is_in(requests))
        .all(read)
        .await?;
    let decide = |request: request::Model| {
        let routing = routing(&roster, &request.title, &request.description);
        (request.id, routing)
    };
    Ok(requests.into_iter().map(decide).collect())
}

impl Routing {
    /// The coworker that gets it; none: it is left to people.
    pub fn coworker(&self) -> Option<CoworkerId> {
        self.to.map(|(id, _)| id)
    }

    /// What was decided, if the coworker still takes work, with the version that was compared; it is locked against being unpublished meanwhile, so
    /// before a request is.
    ///
    /// # Errors
    /// What the database said.
    pub async fn hold(&self, tx: &Tx, workspace: WorkspaceId) -> Result<Option<Decided>> {
        let to = match self.to {
            None => None,
            Some((id, version)) => {
                let stint = Actor::stint(workspace);
                match AssigneeId::Coworker(id).load(tx, &stint).await? {
                    Assignee::Coworker(row) if takes(&row, version) => Some(row),
                    Assignee::Coworker(_) | Assignee::Person(_) => return Ok(None),
                }
            }
        };
        let (reason, of) = (self.reason.clone(), self.of.clone());
        Ok(Some(Decided { to, reason, of }))
    }
}

/// Whether it takes work with this version.
fn takes(row: &coworker::Model, version: CoworkerVersionId) -> bool {
    row.state == CoworkerState::Published && row.version_id == Some(version)
}

/// Decides within a transaction, by what that transaction sees, what could not be decided before it. What it reads is
/// kept as long as it, and no longer.
pub struct Anew<'a> {
    tx: &'a Tx,
    workspace: WorkspaceId,
    roster: OnceCell<Roster>,
}

impl<'a> Anew<'a> {
    /// Reads nothing yet.
    pub fn new(tx: &'a Tx, workspace: WorkspaceId) -> Self {
        Self {
            tx,
            workspace,
            roster: OnceCell::new(),
        }
    }

    /// Decides.
    ///
    /// The coworker is not locked: should it be unpublished meanwhile, the dispatch is dropped, and a person must look.
    ///
    /// # Errors
    /// What the database said.
    pub async fn decide(&self, title: &str, description: &str) -> Result<Decided> {
        let conn = self.tx.conn();
        let read = async || {
            let published = Published::read(conn, self.workspace).await?;
            published.made(conn).await
        };
        let Routing { to, reason, of } =
            routing(self.roster.get_or_try_init(read).await?, title, description);
        let to = match to {
            Some((id, _)) => coworker::Entity::find_by_id(id).one(conn).await?,
            None => None,
        };
        Ok(Decided { to, reason, of })
    }

    /// What was decided before, if it still holds; else what is decided now.
    async fn or(&self, before: Option<&Routing>, request: &request::Model) -> Result<Decided> {
        if let Some(Routing { to, reason, of }) = before
            && of.is_of(request)
        {
            let (reason, of) = (reason.clone(), of.clone());
            let Some((id, version)) = to else {
                return Ok(Decided {
                    to: None,
                    reason,
                    of,
                });
            };
            let found = coworker::Entity::find_by_id(*id)
                .one(self.tx.conn())
                .await?;
            if let Some(row) = found.filter(|row| takes(row, *version)) {
                return Ok(Decided {
                    to: Some(row),
                    reason,
                    of,
                });
            }
        }
        self.decide(&request.title, &request.description).await
    }
}

/// Gives the request on the desk to whom the ranking decided for, or leaves it to people; either way it is
/// said why.
///
/// # Errors
/// As [`assign`].
pub async fn carry_out(tx: &Tx, desk: &mut Desk, decided: Decided) -> Result<()> {
    let stint = Actor::stint(desk.request.workspace_id);
    let Decided { to, reason, of: _ } = decided;
    if let Some(to) = to {
        let to = Assignee::Coworker(to);
        assign(tx, desk, &stint, Some(&to), Some(reason), Trigger::Routed).await?;
        return Ok(());
    }
    if desk.assignee().is_some() {
        let why = Some(reason.clone());
        assign(tx, desk, &stint, None, why, Trigger::Routed).await?;
    }
    desk.leave_to_people(tx.at(), &stint, reason)
}

/// Whether the run decides to whom its request goes: Triage's, for a new request and for one that came back to it.
pub fn routes(log: &Log) -> bool {
    let started = log.state().started.as_ref();
    match log.run().trigger {
        Trigger::Intake => true,
        Trigger::Handoff | Trigger::Assigned | Trigger::Reply | Trigger::Routed => {
            started.is_some_and(|started| started.coworker.is_triage)
        }
        Trigger::Mention => false,
    }
}

/// Whether a run that ends like this leaves its request to whoever comes next.
pub fn gives_up(how: Result<Outcome, FailureCode>) -> bool {
    match how {
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
        Err(code) => code != FailureCode::Stopped,
    }
}

/// Routes the request of a Triage run that has just ended without having assigned it; `decided` is what the ranking
/// said beforehand.
///
/// # Errors
/// As [`Anew::decide`] and [`carry_out`].
pub async fn fall_back(
    tx: &Tx,
    log: &Log,
    desk: &mut Desk,
    decided: Option<Decided>,
) -> Result<()> {
    let run = log.run();
    let current = run.assignment_epoch == Some(desk.request.assignment_epoch);
    let end = log.state().end.as_ref();
    let Some(end) = end.filter(|end| gives_up(end.how)) else {
        return Ok(());
    };
    if !routes(log) || !current || desk.request.status.is_done() {
        return Ok(());
    }
    let mut decided = match decided.filter(|decided| decided.of.is_of(&desk.request)) {
        Some(decided) => decided,
        None => {
            Anew::new(tx, run.workspace_id)
                .or(None, &desk.request)
                .await?
        }
    };
    let what = if end.how.is_ok() {
        "declined"
    } else {
        "failed"
    };
    let why = cut(&end.reason, QUOTED);
    let why = why.trim_end_matches('.');
    decided.reason = format!(
        "Triage {what} in Run-{} ({why}). {}",
        run.number, decided.reason
    );
    carry_out(tx, desk, decided).await
}

/// Routes the request of a dispatch that was dropped because its coworker can't take it, if it was a new request on
/// its way to Triage: nobody was named for it. `why`: a sentence; `before` is what the ranking said beforehand.
///
/// # Errors
/// As [`Anew::decide`] and [`carry_out`].
pub async fn without_triage(
    tx: &Tx,
    desk: &mut Desk,
    dropped: &dispatch::Model,
    why: &str,
    before: Option<&Routing>,
    anew: &Anew<'_>,
) -> Result<()> {
    let current = dropped.assignment_epoch == Some(desk.request.assignment_epoch);
    if dropped.trigger != Trigger::Intake || !current || desk.request.status.is_done() {
        return Ok(());
    }
    let mut decided = anew.or(before, &desk.request).await?;
    decided.reason = format!("{why} {}", decided.reason);
    carry_out(tx, desk, decided).await
}

/// Whom a request fits, as a model reads it: JSON, the best first.
///
/// # Errors
/// What the database said.
pub async fn candidates(read: &DatabaseConnection, request: &request::Model) -> Result<String> {
    let published = Published::read(read, request.workspace_id).await?;
    let roster = published.roster(read, request.workspace_id).await?;
    let mut ranking = roster.rank(&request.title, &request.description);
    let verdict = match ranking.verdict() {
        Verdict::Assign(best, reason) => format!("Assign it to @{}. {reason}", best.handle),
        Verdict::Leave(reason) => format!("Leave it to people. {reason}"),
    };
    for candidate in &mut ranking.candidates {
        candidate.scope = cut_bytes(&candidate.scope, SCOPE);
    }
    let answer = serde_json::json!({ "candidates": ranking.candidates, "ranking": verdict });
    Ok(answer.to_string())
}

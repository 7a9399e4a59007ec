//! Notes, and the mentions in them.

use std::collections::BTreeSet;

use entity::{
    ActorKind, CoworkerId, NoteId, NoteVisibility, RequestId, RequestStatus, Trigger, coworker,
    note, request,
};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder};

use super::assign::dispatch;
use super::desk::Desk;
use super::mention;
use super::timeline::TimelineData;
use crate::access::{Action, Actor};
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::idempotency::once;
use crate::store::{Command, Needs, Tx};
use crate::text::{bounded, required};

/// The most bytes of a note.
pub const BODY: usize = 64 * 1024;
/// The most coworkers that one note may mention.
const MENTIONS: usize = 10;

/// Posts a note with a key of one's own.
#[derive(Clone, Debug)]
pub struct CreateNote {
    /// Who posts it.
    pub actor: Actor,
    /// The request.
    pub request: RequestId,
    /// The text, Markdown, 1 byte to 64 KiB. Each `@handle` of a coworker that a person who may see coworkers writes starts a run.
    pub body: String,
    /// Who may read it.
    pub visibility: NoteVisibility,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for CreateNote {
    type Output = note::Model;

    async fn run(&self, tx: &Tx) -> Result<note::Model> {
        let Self {
            actor,
            request,
            body,
            visibility,
            idempotency_key,
        } = self;
        actor.authorize(match visibility {
            NoteVisibility::Public => Action::NotePublic,
            NoteVisibility::Private => Action::NotePrivate,
        })?;
        let once = once(
            tx,
            actor,
            "noteCreate",
            idempotency_key.as_deref(),
            &(request, body, visibility),
        )
        .await?;
        if let Some(made) = once.made() {
            // The call that made it may be of the same batch, its rows not written yet.
            tx.settle([*request]).await?;
            return super::query::get_note(tx.conn(), actor, NoteId(made)).await;
        }
        tx.settle([*request]).await?;
        let row = super::query::get(tx.conn(), actor, *request).await?;
        let (mentioned, waiting) = coworkers(tx, actor, body, waiting_coworker(&row)).await?;
        let mut desk = Desk::lock(tx, actor, *request).await?;
        if waiting_coworker(&desk.request) != waiting.as_ref().map(|coworker| coworker.id) {
            return Err(Error::Unavailable {
                message: "the request changed meanwhile; repeat it".into(),
            });
        }
        let made = post(tx, &mut desk, actor, *visibility, body)?;
        let answered = waiting.filter(|c| answers(&desk, actor, *visibility, c));
        // Who is answered reads the note anyway, and may act on it.
        let is_answered =
            |row: &&coworker::Model| answered.as_ref().is_some_and(|a| a.id == row.id);
        for coworker in mentioned.iter().filter(|row| !is_answered(row)) {
            dispatch(tx, &mut desk, actor, coworker, Trigger::Mention, None)?;
        }
        if let Some(coworker) = answered {
            desk.set_status(tx.at(), actor, RequestStatus::InProgress)?;
            let epoch = Some(desk.request.assignment_epoch);
            dispatch(tx, &mut desk, actor, &coworker, Trigger::Reply, epoch)?;
        }
        once.remember(tx, made.id.0).await?;
        desk.save(tx);
        Ok(made)
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        Needs {
            request: Some(self.request),
            ..Needs::default()
        }
    }
}

/// Whether the note is the answer that a coworker waits for: the requester's, public, on a pending
/// request that is still assigned to that coworker.
fn answers(
    desk: &Desk,
    actor: &Actor,
    visibility: NoteVisibility,
    coworker: &coworker::Model,
) -> bool {
    let request = &desk.request;
    let by_requester = (request.requester_kind, request.requester_id)
        == (actor.principal.kind(), actor.principal.id());
    by_requester
        && visibility == NoteVisibility::Public
        && request.status == RequestStatus::Pending
        && desk.assignee() == Some((ActorKind::Coworker, coworker.id.0))
}

/// The coworker that waits for an answer on a request.
fn waiting_coworker(row: &request::Model) -> Option<CoworkerId> {
    let waits =
        row.status == RequestStatus::Pending && row.assignee_kind == Some(ActorKind::Coworker);
    row.assignee_id.filter(|_| waits).map(CoworkerId)
}

/// The coworkers that a person who may see them mentions, for others mention without starting anything, and the one that waits for
/// an answer. They are locked together, in the order of everyone.
async fn coworkers(
    tx: &Tx,
    actor: &Actor,
    body: &str,
    waiting: Option<CoworkerId>,
) -> Result<(Vec<coworker::Model>, Option<coworker::Model>)> {
    let mentions = actor.principal.is_person() && actor.may(Action::CoworkerRead);
    let handles = if mentions {
        mention::handles(body)
    } else {
        BTreeSet::new()
    };
    if handles.is_empty() && waiting.is_none() {
        return Ok((Vec::new(), None));
    }
    let either = Condition::any()
        .add(coworker::Column::Handle.is_in(&handles))
        .add_option(waiting.map(|id| coworker::Column::Id.eq(id)));
    let select = coworker::Entity::find()
        .filter(coworker::Column::WorkspaceId.eq(actor.workspace))
        .filter(either)
        .order_by_asc(coworker::Column::Id);
    let found = tx.lock_all(select, LockType::Share).await?;
    let waits = found.iter().find(|row| Some(row.id) == waiting).cloned();
    let mentioned: Vec<_> = found
        .into_iter()
        .filter(|row| handles.contains(&row.handle))
        .collect();
    if mentioned.len() > MENTIONS {
        let message = format!(
            "the note mentions {} coworkers; {MENTIONS} are allowed",
            mentioned.len()
        );
        return Err(Error::invalid("body", "TOO_LONG", message));
    }
    Ok((mentioned, waits))
}

/// Posts a note on the request on the desk.
///
/// # Errors
/// [`Error::Invalid`] for an empty or oversized text, else what the database said.
pub fn post(
    tx: &Tx,
    desk: &mut Desk,
    actor: &Actor,
    visibility: NoteVisibility,
    body: &str,
) -> Result<note::Model> {
    required("body", body)?;
    bounded("body", body, BODY)?;
    let now = tx.at();
    let row = note::Model {
        id: NoteId(fresh_id()),
        workspace_id: desk.request.workspace_id,
        request_id: desk.request.id,
        author_kind: actor.principal.kind(),
        author_id: actor.principal.id(),
        run_id: actor.principal.run(),
        visibility,
        body: body.to_owned(),
        created_at: now,
    };
    tx.draft(|draft| draft.notes.push(row.clone()));
    desk.touch(actor);
    desk.entry(
        now,
        actor,
        &TimelineData::NotePosted {
            note: row.id,
            visibility,
        },
    )?;
    Ok(row)
}

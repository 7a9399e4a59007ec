//! Reading what the model reads: the request, its notes, its ended runs.

use std::collections::HashMap;

use entity::{
    ActorKind, Millis, NoteId, RequestSource, RunStatus, WebhookOutcome, api_key, coworker, note,
    person, prompt_part, request, run, webhook_delivery, webhook_endpoint,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::error::Result;
use crate::model::{Brief, NoteBrief, OutcomeBrief};
use crate::run::event::ActorRef;
use crate::text::cut_bytes;

/// Notes and earlier runs that a prompt holds, the newest ones.
const MOST: u64 = 100;
/// The most bytes of a payload that a prompt holds; an incident of PagerDuty has about 2,000.
const PAYLOAD: usize = 16 * 1024;

/// Reads parts that an earlier worker stored.
///
/// # Errors
/// What the database said.
pub async fn load_parts<C: ConnectionTrait>(
    conn: &C,
    run: &run::Model,
    digests: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, String>> {
    let rows = prompt_part::Entity::find()
        .filter(prompt_part::Column::WorkspaceId.eq(run.workspace_id))
        .filter(prompt_part::Column::Digest.is_in(digests.iter().cloned()))
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.digest, row.body)).collect())
}

/// Reads the request, its notes and its ended runs.
///
/// # Errors
/// What the database said.
pub async fn brief<C: ConnectionTrait>(
    conn: &C,
    run: &run::Model,
    request: &request::Model,
    handle: &str,
) -> Result<Brief> {
    // A request with nothing on it but its making, its assignment and this start has neither.
    let fresh = request.last_seq == 3 && request.assignment_epoch == 1;
    let (notes, earlier) = if fresh {
        (Vec::new(), Vec::new())
    } else {
        (notes(conn, run, None).await?.0, earlier(conn, run).await?)
    };
    Ok(Brief {
        coworker: handle.to_owned(),
        trigger: run.trigger,
        number: request.number,
        title: request.title.clone(),
        description: request.description.clone(),
        status: request.status,
        priority: request.priority,
        source: request.source,
        payload: payload(conn, request).await?,
        notes,
        earlier,
    })
}

/// What the webhook sent that made the request; others cost no look.
async fn payload<C: ConnectionTrait>(conn: &C, request: &request::Model) -> Result<Option<String>> {
    if request.source != RequestSource::System {
        return Ok(None);
    }
    let first = webhook_delivery::Entity::find()
        .select_only()
        .column(webhook_delivery::Column::Payload)
        .filter(webhook_delivery::Column::RequestId.eq(request.id))
        .filter(webhook_delivery::Column::Outcome.eq(WebhookOutcome::RequestMade))
        .order_by_asc(webhook_delivery::Column::ReceivedAt);
    let payload: Option<Option<String>> = first.into_tuple().one(conn).await?;
    Ok(payload.flatten().map(|text| cut_bytes(&text, PAYLOAD)))
}

/// Notes on the run's request after `after` that the run did not write itself, oldest first, and the
/// newest note's id.
///
/// # Errors
/// What the database said.
pub async fn notes<C: ConnectionTrait>(
    conn: &C,
    run: &run::Model,
    after: Option<NoteId>,
) -> Result<(Vec<NoteBrief>, Option<NoteId>)> {
    let mut select = note::Entity::find().filter(note::Column::RequestId.eq(run.request_id));
    if let Some(after) = after {
        select = select.filter(note::Column::Id.gt(after));
    }
    let mut rows = select
        .order_by_desc(note::Column::Id)
        .limit(MOST)
        .all(conn)
        .await?;
    rows.reverse();
    let newest = rows.last().map(|row| row.id).or(after);
    rows.retain(|row| row.run_id != Some(run.id));
    let names = names(
        conn,
        rows.iter().map(|row| (row.author_kind, row.author_id)),
    )
    .await?;
    let brief = |row: note::Model| NoteBrief {
        author: names
            .get(&row.author_id)
            .cloned()
            .unwrap_or_else(|| "Stint".into()),
        author_kind: row.author_kind,
        visibility: row.visibility,
        body: row.body,
        at: row.created_at,
    };
    Ok((rows.into_iter().map(brief).collect(), newest))
}

async fn earlier<C: ConnectionTrait>(conn: &C, own: &run::Model) -> Result<Vec<OutcomeBrief>> {
    let mut rows = run::Entity::find()
        .filter(run::Column::RequestId.eq(own.request_id))
        .filter(run::Column::Status.is_in([RunStatus::Completed, RunStatus::Failed]))
        .order_by_desc(run::Column::Number)
        .limit(MOST)
        .all(conn)
        .await?;
    rows.reverse();
    let names = names(
        conn,
        rows.iter()
            .map(|row| (ActorKind::Coworker, row.coworker_id.0)),
    )
    .await?;
    let brief = |row: run::Model| OutcomeBrief {
        number: row.number,
        coworker: names.get(&row.coworker_id.0).cloned().unwrap_or_default(),
        outcome: row.outcome,
        summary: row.summary.unwrap_or_default(),
    };
    Ok(rows.into_iter().map(brief).collect())
}

/// The names of actors: a coworker's handle, a person's name, the name of a key or of a webhook endpoint.
async fn names<C: ConnectionTrait>(
    conn: &C,
    actors: impl Iterator<Item = (ActorKind, Uuid)>,
) -> Result<HashMap<Uuid, String>> {
    let (mut coworkers, mut people, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    let mut systems = Vec::new();
    for (kind, id) in actors {
        match kind {
            ActorKind::Coworker => coworkers.push(id),
            ActorKind::Person => people.push(id),
            ActorKind::Workflow => keys.push(id),
            ActorKind::System => {
                keys.push(id);
                systems.push(id);
            }
        }
    }
    let mut names = HashMap::new();
    if !coworkers.is_empty() {
        let rows = coworker::Entity::find()
            .filter(coworker::Column::Id.is_in(coworkers))
            .all(conn)
            .await?;
        names.extend(rows.into_iter().map(|row| (row.id.0, row.handle)));
    }
    if !people.is_empty() {
        let rows = person::Entity::find()
            .filter(person::Column::Id.is_in(people))
            .all(conn)
            .await?;
        names.extend(rows.into_iter().map(|row| (row.id.0, row.name)));
    }
    if !keys.is_empty() {
        let rows = api_key::Entity::find()
            .filter(api_key::Column::Id.is_in(keys))
            .all(conn)
            .await?;
        names.extend(rows.into_iter().map(|row| (row.id.0, row.name)));
    }
    if !systems.is_empty() {
        let rows = webhook_endpoint::Entity::find()
            .filter(webhook_endpoint::Column::Id.is_in(systems))
            .all(conn)
            .await?;
        names.extend(rows.into_iter().map(|row| (row.id.0, row.name)));
    }
    Ok(names)
}

/// The newest note on the run's request that is not later than `until`; later ones are news.
///
/// # Errors
/// What the database said.
pub async fn newest_note<C: ConnectionTrait>(
    conn: &C,
    run: &run::Model,
    until: Option<Millis>,
) -> Result<Option<NoteId>> {
    let Some(until) = until else { return Ok(None) };
    let newest = note::Entity::find()
        .select_only()
        .column(note::Column::Id)
        .filter(note::Column::RequestId.eq(run.request_id))
        .filter(note::Column::CreatedAt.lte(until))
        .order_by_desc(note::Column::Id);
    Ok(newest.into_tuple().one(conn).await?)
}

/// An assignee, as events name it.
///
/// # Errors
/// What the database said.
pub async fn named<C: ConnectionTrait>(
    conn: &C,
    assignee: Option<(ActorKind, Uuid)>,
) -> Result<Option<ActorRef>> {
    let Some((kind, id)) = assignee else {
        return Ok(None);
    };
    let name = match kind {
        ActorKind::Coworker => coworker::Entity::find_by_id(entity::CoworkerId(id))
            .one(conn)
            .await?
            .map(|row| row.handle),
        ActorKind::Person => person::Entity::find_by_id(entity::PersonId(id))
            .one(conn)
            .await?
            .map(|row| row.name),
        ActorKind::Workflow | ActorKind::System => None,
    };
    Ok(Some(ActorRef {
        kind,
        id,
        name: name.unwrap_or_default(),
    }))
}

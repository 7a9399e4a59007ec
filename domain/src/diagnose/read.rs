//! Reads the history of a coworker, some runs at a time.

use std::collections::{BTreeMap, HashMap};

use entity::{
    Millis, RequestEventKind, RequestId, RequestStatus, RunId, assignment, coworker,
    coworker_version, request, request_event, run, run_event,
};
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{
    ColumnTrait, DatabaseConnection, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::WINDOW;
use super::history::{History, MOST, Undone, Worked};
use crate::access::Actor;
use crate::coworker::Config;
use crate::coworker::query as coworkers;
use crate::error::{Error, Result};
use crate::request::timeline::TimelineData;
use crate::run::envelope;
use crate::run::event::Event;
use crate::run::query as runs;
use crate::store::Store;

/// Runs that are read at once.
const CHUNK: usize = 50;
/// The longest event that is read, bytes: none of those that show something is longer, but for what tools answered at length.
const LONGEST: i64 = 16 * 1024;
/// The most events, and entries of timelines, of one chunk.
const MOST_ROWS: u64 = 50_000;

/// The kinds of events that detectors look at.
const KINDS: [&str; 9] = [
    "tool.requested",
    "tool.completed",
    "tool.failed",
    "tool.refused",
    "approval.denied",
    "request.status_changed",
    "request.reassigned",
    "limit.reached",
    "note.posted",
];

/// Reads what a coworker did in a span of time: its runs that ended in it, the newest [`MOST`].
///
/// # Errors
/// What the database said.
pub(super) async fn read(
    store: &Store,
    actor: &Actor,
    coworker: &coworker::Model,
    (start, end): (Millis, Millis),
) -> Result<History> {
    let db = store.read();
    let mut rows = runs::visible(actor)
        .filter(run::Column::CoworkerId.eq(coworker.id))
        .filter(run::Column::EndedAt.gte(start))
        .filter(run::Column::EndedAt.lt(end))
        .order_by_desc(run::Column::Number)
        .limit(MOST as u64 + 1)
        .all(db)
        .await?;
    let mut is_complete = rows.len() <= MOST;
    rows.truncate(MOST);
    let mut history = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(CHUNK) {
        let (runs, all) = worked(db, chunk).await?;
        history.extend(runs);
        is_complete &= all;
    }
    let mut ids: Vec<_> = rows.iter().map(|row| row.coworker_version_id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.extend(coworker.version_id);
    let versions = coworkers::visible_versions(actor)
        .filter(coworker_version::Column::Id.is_in(ids))
        .all(db)
        .await?;
    let versions: HashMap<_, _> = versions
        .iter()
        .map(|row| Ok((row.id, Config::from_row(&row.config)?)))
        .collect::<Result<_>>()?;
    let in_force = coworker.version_id.and_then(|id| versions.get(&id));
    let config = match in_force {
        Some(config) => config.clone(),
        None => Config::from_row(&coworker.draft)?,
    };
    let subject = coworker::Model {
        draft: config.to_row()?,
        ..coworker.clone()
    };
    let findings = coworkers::findings(db, actor, &subject, store.now(), None).await?;
    Ok(History {
        coworker: coworker.clone(),
        config,
        findings,
        runs: history,
        is_complete,
        versions,
    })
}

/// What a few runs did, and what became of their requests; and whether it is all that they did.
async fn worked(db: &DatabaseConnection, rows: &[run::Model]) -> Result<(Vec<Worked>, bool)> {
    let ids: Vec<RunId> = rows.iter().map(|row| row.id).collect();
    let mut requests: Vec<RequestId> = rows.iter().map(|row| row.request_id).collect();
    requests.sort_unstable();
    requests.dedup();
    let (mut events, mut all) = events(db, &ids).await?;
    let texts = texts(db, &requests).await?;
    let since = rows.iter().map(|row| row.started_at).min();
    let (after, all_after) = timelines(db, &requests, since.unwrap_or(Millis(0))).await?;
    all &= all_after;
    let runs = rows
        .iter()
        .filter_map(|row| {
            let ended_at = row.ended_at?;
            let (title, description, now) = texts.get(&row.request_id)?.clone();
            let until = ended_at.plus(WINDOW);
            let all = after.get(&row.request_id).map_or(&[][..], Vec::as_slice);
            let after: Vec<Undone> = all
                .iter()
                .filter(|undone| (row.started_at..=until).contains(&undone.at()))
                .cloned()
                .collect();
            let mut status = None;
            for undone in all {
                match undone {
                    Undone::Status { at, after, .. } if *at <= ended_at => status = Some(*after),
                    Undone::Status { before, .. } => {
                        status.get_or_insert(*before);
                    }
                    Undone::Assigned { .. } | Undone::Run { .. } => {}
                }
            }
            Some(Worked {
                ended_at,
                title,
                description,
                events: events.remove(&row.id).unwrap_or_default(),
                status: status.unwrap_or(now),
                after,
                run: row.clone(),
            })
        })
        .collect();
    Ok((runs, all))
}

type Events = HashMap<RunId, Vec<(i64, Millis, Event)>>;

/// The events of runs that detectors look at, and whether these are all.
async fn events(db: &DatabaseConnection, ids: &[RunId]) -> Result<(Events, bool)> {
    use run_event::Column as E;
    let of_runs = || run_event::Entity::find().filter(E::RunId.is_in(ids.iter().copied()));
    let length = || Expr::expr(Func::char_length(E::Body.into_expr()));
    let rows = of_runs()
        .filter(E::Kind.is_in(KINDS))
        .filter(length().lte(LONGEST))
        .order_by_asc(E::RunId)
        .order_by_asc(E::Seq)
        .limit(MOST_ROWS)
        .all(db)
        .await?;
    // Of an answer the detectors ask only whether it is nothing, and a long one is not.
    let kinds = KINDS.into_iter().filter(|kind| *kind != "tool.completed");
    let long: Option<RunId> = of_runs()
        .select_only()
        .column(E::RunId)
        .filter(E::Kind.is_in(kinds))
        .filter(length().gt(LONGEST))
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    let all = is_all(rows.len()) && long.is_none();
    let mut events = Events::new();
    for row in rows {
        let event = envelope::event(&row).map_err(Error::internal)?;
        events
            .entry(row.run_id)
            .or_default()
            .push((row.seq, row.at, event));
    }
    Ok((events, all))
}

/// Whether so many rows are all that there are.
fn is_all(rows: usize) -> bool {
    u64::try_from(rows).is_ok_and(|rows| rows < MOST_ROWS)
}

/// What requests say, and their statuses now.
async fn texts(
    db: &DatabaseConnection,
    ids: &[RequestId],
) -> Result<HashMap<RequestId, (String, String, RequestStatus)>> {
    #[derive(FromQueryResult)]
    struct Text {
        id: RequestId,
        title: String,
        description: String,
        status: RequestStatus,
    }
    let rows = request::Entity::find()
        .select_only()
        .columns([
            request::Column::Id,
            request::Column::Title,
            request::Column::Description,
            request::Column::Status,
        ])
        .filter(request::Column::Id.is_in(ids.iter().copied()))
        .into_model::<Text>()
        .all(db)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, (row.title, row.description, row.status)))
        .collect())
}

/// What happened to requests since a moment, in the order of time; and whether it is all.
async fn timelines(
    db: &DatabaseConnection,
    ids: &[RequestId],
    since: Millis,
) -> Result<(BTreeMap<RequestId, Vec<Undone>>, bool)> {
    let mut timelines: BTreeMap<RequestId, Vec<Undone>> = BTreeMap::new();
    let entries = request_event::Entity::find()
        .filter(request_event::Column::RequestId.is_in(ids.iter().copied()))
        .filter(request_event::Column::Kind.eq(RequestEventKind::StatusChanged))
        .filter(request_event::Column::At.gte(since))
        .order_by_asc(request_event::Column::RequestId)
        .order_by_asc(request_event::Column::Seq)
        .limit(MOST_ROWS)
        .all(db)
        .await?;
    let mut all = is_all(entries.len());
    for row in entries {
        if let TimelineData::StatusChanged { before, after } = TimelineData::from_row(&row.data)? {
            timelines
                .entry(row.request_id)
                .or_default()
                .push(Undone::Status {
                    at: row.at,
                    by: row.actor_kind,
                    run: row.run_id,
                    before,
                    after,
                });
        }
    }
    let assignments = assignment::Entity::find()
        .filter(assignment::Column::RequestId.is_in(ids.iter().copied()))
        .filter(assignment::Column::CreatedAt.gte(since))
        .order_by_asc(assignment::Column::RequestId)
        .order_by_asc(assignment::Column::Epoch)
        .limit(MOST_ROWS)
        .all(db)
        .await?;
    all &= is_all(assignments.len());
    for row in assignments {
        timelines
            .entry(row.request_id)
            .or_default()
            .push(Undone::Assigned {
                at: row.created_at,
                epoch: row.epoch,
                by: row.assigned_by_kind,
                run: row.run_id,
                to: row.assignee_kind.zip(row.assignee_id),
            });
    }
    let others = run::Entity::find()
        .filter(run::Column::RequestId.is_in(ids.iter().copied()))
        .filter(run::Column::StartedAt.gte(since))
        .order_by_asc(run::Column::RequestId)
        .order_by_asc(run::Column::Number)
        .limit(MOST_ROWS)
        .all(db)
        .await?;
    all &= is_all(others.len());
    for row in others {
        timelines
            .entry(row.request_id)
            .or_default()
            .push(Undone::Run {
                at: row.started_at,
                id: row.id,
                coworker: row.coworker_id,
                trigger: row.trigger,
                outcome: row.outcome,
            });
    }
    for items in timelines.values_mut() {
        items.sort_by_key(Undone::at);
    }
    Ok((timelines, all))
}

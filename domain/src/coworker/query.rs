//! Reading coworkers and their versions, within the actor's workspace and rights.

use entity::{CoworkerId, CoworkerVersionId, Millis, coworker, coworker_version, workspace};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryResult,
    Select,
};

use super::config::Config;
use super::lint::{Finding, Peer, Subject, World, lint};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::model::KnownProviders;
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};
use crate::price::{STANDARD, own_prices, price_of};
use crate::request::query::nothing;
use crate::skill::query::newest;
use crate::store::statement;

/// The coworkers that the actor may look at.
pub fn visible(actor: &Actor) -> Select<coworker::Entity> {
    let select = coworker::Entity::find().filter(coworker::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::CoworkerRead) {
        select
    } else {
        select.filter(nothing())
    }
}

/// The coworkers of the actor's workspace, for their names: whoever sees a request sees who works on
/// it. What they are made of takes [`Action::CoworkerRead`].
pub fn named(actor: &Actor) -> Select<coworker::Entity> {
    coworker::Entity::find().filter(coworker::Column::WorkspaceId.eq(actor.workspace))
}

/// The versions that the actor may look at.
pub fn visible_versions(actor: &Actor) -> Select<coworker_version::Entity> {
    let select = coworker_version::Entity::find()
        .filter(coworker_version::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::CoworkerRead) {
        select
    } else {
        select.filter(nothing())
    }
}

/// One coworker.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not look at.
pub async fn get<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: CoworkerId,
) -> Result<coworker::Model> {
    visible(actor)
        .filter(coworker::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "Coworker" })
}

/// The coworker with this handle.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not look at.
pub async fn by_handle<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    handle: &str,
) -> Result<coworker::Model> {
    let absent = Error::NotFound { what: "Coworker" };
    // A database would take it for the text's end, or for an error.
    if handle.contains('\0') {
        return Err(absent);
    }
    let found = visible(actor)
        .filter(coworker::Column::Handle.eq(handle))
        .one(db)
        .await?;
    found.ok_or(absent)
}

/// One version.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not look at.
pub async fn get_version<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: CoworkerVersionId,
) -> Result<coworker_version::Model> {
    let found = visible_versions(actor)
        .filter(coworker_version::Column::Id.eq(id))
        .one(db)
        .await?;
    found.ok_or(Error::NotFound {
        what: "CoworkerVersion",
    })
}

/// A page of the coworkers that the actor may look at and that meet `filter`; by name unless ordered.
///
/// # Errors
/// As [`page::page`].
pub async fn page<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    filter: Condition,
    order: &[(CoworkerKey, Direction)],
    slice: &Slice,
) -> Result<Page<coworker::Model>> {
    let list = List {
        cursor_key,
        name: "coworkers".into(),
    };
    let order = if order.is_empty() {
        &[(CoworkerKey::Name, Direction::Asc)]
    } else {
        order
    };
    page::page(db, &list, visible(actor).filter(filter), order, slice).await
}

/// A page of a coworker's versions, newest first.
///
/// # Errors
/// As [`page::page`].
pub async fn versions<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    coworker: CoworkerId,
    slice: &Slice,
) -> Result<Page<coworker_version::Model>> {
    let list = List {
        cursor_key,
        name: format!("coworker.versions:{coworker}"),
    };
    let select = visible_versions(actor).filter(coworker_version::Column::CoworkerId.eq(coworker));
    page::page(db, &list, select, &[(VersionKey, Direction::Desc)], slice).await
}

/// What the lint finds in a coworker's draft, as it stands among the others now, in a process with these providers.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::CoworkerRead`]; what the database said.
pub async fn findings<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    coworker: &coworker::Model,
    now: Millis,
    providers: KnownProviders,
) -> Result<Vec<Finding>> {
    actor.authorize(Action::CoworkerRead)?;
    let config = Config::from_row(&coworker.draft)?;
    let world = World {
        providers,
        ..world(db, coworker, &config, &config.skills, now).await?
    };
    let subject = Subject {
        handle: &coworker.handle,
        is_triage: coworker.is_triage,
        config: &config,
    };
    Ok(lint(&subject, &world))
}

/// The most coworkers that one is compared with.
const MOST_PEERS: usize = 1_000;

/// What a coworker stands among: the others of its workspace, and the newest texts of `skills`. Of the
/// others' versions only the identities are read, for playbooks are long.
///
/// # Errors
/// What the database said.
pub(super) async fn world<C: ConnectionTrait>(
    db: &C,
    coworker: &coworker::Model,
    config: &Config,
    skills: &[String],
    now: Millis,
) -> Result<World> {
    let identity = if db.get_database_backend() == DbBackend::Sqlite {
        "json_extract(v.config, '$.identity')"
    } else {
        "(v.config::json -> 'identity')::text"
    };
    let sql = format!(
        "SELECT c.handle, c.is_triage, {identity} AS identity FROM coworker c \
         LEFT JOIN coworker_version v ON v.id = c.version_id AND c.state = 'PUBLISHED' \
         WHERE c.workspace_id = ? AND c.id <> ? ORDER BY c.handle LIMIT {MOST_PEERS}"
    );
    let values = [coworker.workspace_id.into(), coworker.id.into()];
    let rows = db
        .query_all_raw(statement(db.get_database_backend(), &sql, values))
        .await?;
    let peer = |row: &QueryResult| -> Result<Peer> {
        let identity: Option<String> = row.try_get("", "identity")?;
        let identity = identity.map(|json| serde_json::from_str(&json));
        Ok(Peer {
            handle: row.try_get("", "handle")?,
            is_triage: row.try_get("", "is_triage")?,
            identity: identity.transpose().map_err(Error::internal)?,
        })
    };
    let newest = newest(db, coworker.workspace_id, skills).await?;
    let texts = newest.into_iter().map(|(handle, row)| (handle, row.body));
    let (served, silent) = crate::tool::server::query::names(db, coworker.workspace_id).await?;
    let workspace = workspace::Entity::find_by_id(coworker.workspace_id)
        .one(db)
        .await?;
    let has_budget = workspace
        .is_some_and(|row| row.daily_budget_nano.is_some() || row.monthly_budget_nano.is_some());
    let is_unpriced = (has_budget || config.limits_money()) && {
        let own = own_prices(db, coworker.workspace_id).await?;
        price_of(&own, &config.model.name(), STANDARD, now).is_none()
    };
    Ok(World {
        has_budget,
        is_unpriced,
        peers: rows.iter().map(peer).collect::<Result<_>>()?,
        skills: texts.collect(),
        served,
        silent,
        providers: None,
    })
}

/// What coworkers can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoworkerKey {
    /// The name.
    Name,
    /// The handle.
    Handle,
    /// When it was made.
    CreatedAt,
    /// When it last changed.
    UpdatedAt,
}

impl Key<coworker::Entity> for CoworkerKey {
    const TIE: Self = Self::Handle;

    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Handle => "handle",
            Self::CreatedAt => "createdAt",
            Self::UpdatedAt => "updatedAt",
        }
    }

    fn is_unique(self) -> bool {
        matches!(self, Self::Handle)
    }

    fn expr(self) -> Expr {
        match self {
            Self::Name => coworker::Column::Name.into_expr(),
            Self::Handle => coworker::Column::Handle.into_expr(),
            Self::CreatedAt => coworker::Column::CreatedAt.into_expr(),
            Self::UpdatedAt => coworker::Column::UpdatedAt.into_expr(),
        }
    }

    fn value(self, row: &coworker::Model) -> KeyValue {
        match self {
            Self::Name => KeyValue::Text(row.name.clone()),
            Self::Handle => KeyValue::Text(row.handle.clone()),
            Self::CreatedAt => KeyValue::Int(row.created_at.0),
            Self::UpdatedAt => KeyValue::Int(row.updated_at.0),
        }
    }
}

/// Versions are sorted by number, which is unique within a coworker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionKey;

impl Key<coworker_version::Entity> for VersionKey {
    const TIE: Self = Self;

    fn name(self) -> &'static str {
        "number"
    }

    fn is_unique(self) -> bool {
        true
    }

    fn expr(self) -> Expr {
        coworker_version::Column::Version.into_expr()
    }

    fn value(self, row: &coworker_version::Model) -> KeyValue {
        KeyValue::Int(row.version.into())
    }
}

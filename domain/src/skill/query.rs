//! Reading the library of skills, within the actor's workspace and rights.

use std::collections::HashMap;

use entity::{
    CoworkerVersionId, SkillId, SkillVersionId, WorkspaceId, coworker, coworker_version_skill,
    skill, skill_version,
};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
};

use crate::access::{Action, Actor};
use crate::coworker::query as coworkers;
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};
use crate::request::query::nothing;

/// The most coworkers that [`used_by`] names.
pub const MOST_USERS: u64 = 100;

/// The skills that the actor may look at: who sees what coworkers are made of sees them too.
pub fn visible(actor: &Actor) -> Select<skill::Entity> {
    let select = skill::Entity::find().filter(skill::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::CoworkerRead) {
        select
    } else {
        select.filter(nothing())
    }
}

/// The versions of skills that the actor may look at.
pub fn visible_versions(actor: &Actor) -> Select<skill_version::Entity> {
    let select = skill_version::Entity::find()
        .filter(skill_version::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::CoworkerRead) {
        select
    } else {
        select.filter(nothing())
    }
}

/// One skill.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not look at.
pub async fn get<C: ConnectionTrait>(db: &C, actor: &Actor, id: SkillId) -> Result<skill::Model> {
    let found = visible(actor)
        .filter(skill::Column::Id.eq(id))
        .one(db)
        .await?;
    found.ok_or(Error::NotFound { what: "Skill" })
}

/// One skill by its handle.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not look at.
pub async fn by_handle<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    handle: &str,
) -> Result<skill::Model> {
    let absent = Error::NotFound { what: "Skill" };
    // PostgreSQL takes no NUL in a text, and no handle has one.
    if handle.contains('\0') {
        return Err(absent);
    }
    let found = visible(actor)
        .filter(skill::Column::Handle.eq(handle))
        .one(db)
        .await?;
    found.ok_or(absent)
}

/// One version of a skill.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not look at.
pub async fn get_version<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: SkillVersionId,
) -> Result<skill_version::Model> {
    let found = visible_versions(actor)
        .filter(skill_version::Column::Id.eq(id))
        .one(db)
        .await?;
    found.ok_or(Error::NotFound {
        what: "SkillVersion",
    })
}

/// A page of the library, by name.
///
/// # Errors
/// As [`page::page`].
pub async fn page<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    slice: &Slice,
) -> Result<Page<skill::Model>> {
    let list = List {
        cursor_key,
        name: "skills".into(),
    };
    let order = &[(SkillKey::Name, Direction::Asc)];
    page::page(db, &list, visible(actor), order, slice).await
}

/// A page of a skill's versions, newest first.
///
/// # Errors
/// As [`page::page`].
pub async fn versions<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    skill: SkillId,
    slice: &Slice,
) -> Result<Page<skill_version::Model>> {
    let list = List {
        cursor_key,
        name: format!("skill.versions:{skill}"),
    };
    let select = visible_versions(actor).filter(skill_version::Column::SkillId.eq(skill));
    page::page(
        db,
        &list,
        select,
        &[(SkillVersionKey, Direction::Desc)],
        slice,
    )
    .await
}

/// The published coworkers that have the skill in the version that new runs pin, at most
/// [`MOST_USERS`], by handle.
///
/// # Errors
/// What the database said.
pub async fn used_by<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    skill: SkillId,
) -> Result<Vec<coworker::Model>> {
    let versions = skill_version::Entity::find()
        .select_only()
        .column(skill_version::Column::Id)
        .filter(skill_version::Column::SkillId.eq(skill));
    let pins = coworker_version_skill::Entity::find()
        .select_only()
        .column(coworker_version_skill::Column::CoworkerVersionId)
        .filter(coworker_version_skill::Column::SkillVersionId.in_subquery(versions.into_query()));
    let users = coworkers::visible(actor)
        .filter(coworker::Column::State.eq(entity::CoworkerState::Published))
        .filter(coworker::Column::VersionId.in_subquery(pins.into_query()))
        .order_by_asc(coworker::Column::Handle)
        .limit(MOST_USERS);
    Ok(users.all(db).await?)
}

/// What a coworker's version pins, in its order, each with its place among the skills of the configuration (one
/// that a forced version names and nobody has made has no pin): what its runs read. Not scoped: whoever has the
/// version may read its skills.
///
/// # Errors
/// What the database said.
pub async fn pinned<C: ConnectionTrait>(
    db: &C,
    version: CoworkerVersionId,
) -> Result<Vec<(usize, skill_version::Model)>> {
    let pins = coworker_version_skill::Entity::find()
        .filter(coworker_version_skill::Column::CoworkerVersionId.eq(version))
        .order_by_asc(coworker_version_skill::Column::Position)
        .all(db)
        .await?;
    let ids = pins.iter().map(|pin| pin.skill_version_id);
    if pins.is_empty() {
        return Ok(Vec::new());
    }
    let rows = skill_version::Entity::find()
        .filter(skill_version::Column::Id.is_in(ids))
        .all(db)
        .await?;
    let mut rows: HashMap<SkillVersionId, skill_version::Model> =
        rows.into_iter().map(|row| (row.id, row)).collect();
    let pinned = pins.iter().map(|pin| {
        let row = rows.remove(&pin.skill_version_id);
        let row = row.ok_or_else(|| Error::internal("a pinned skill is gone"))?;
        Ok((usize::try_from(pin.position).unwrap_or(0), row))
    });
    pinned.collect()
}

/// The newest versions of the skills with these handles, by handle; those that there are.
///
/// # Errors
/// What the database said.
pub(crate) async fn newest<C: ConnectionTrait>(
    db: &C,
    workspace: WorkspaceId,
    handles: &[String],
) -> Result<HashMap<String, skill_version::Model>> {
    if handles.is_empty() {
        return Ok(HashMap::new());
    }
    let skills = skill::Entity::find()
        .filter(skill::Column::WorkspaceId.eq(workspace))
        .filter(skill::Column::Handle.is_in(handles))
        .all(db)
        .await?;
    let rows = skill_version::Entity::find()
        .filter(skill_version::Column::Id.is_in(skills.iter().map(|skill| skill.version_id)))
        .all(db)
        .await?;
    let handle = |row: &skill_version::Model| {
        let skill = skills.iter().find(|skill| skill.id == row.skill_id);
        skill.map(|skill| skill.handle.clone())
    };
    let named = rows
        .into_iter()
        .filter_map(|row| Some((handle(&row)?, row)));
    Ok(named.collect())
}

/// What skills are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkillKey {
    /// The name.
    Name,
    /// The handle.
    Handle,
}

impl Key<skill::Entity> for SkillKey {
    const TIE: Self = Self::Handle;

    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Handle => "handle",
        }
    }

    fn is_unique(self) -> bool {
        matches!(self, Self::Handle)
    }

    fn expr(self) -> Expr {
        match self {
            Self::Name => skill::Column::Name.into_expr(),
            Self::Handle => skill::Column::Handle.into_expr(),
        }
    }

    fn value(self, row: &skill::Model) -> KeyValue {
        match self {
            Self::Name => KeyValue::Text(row.name.clone()),
            Self::Handle => KeyValue::Text(row.handle.clone()),
        }
    }
}

/// Versions are sorted by number, which is unique within a skill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkillVersionKey;

impl Key<skill_version::Entity> for SkillVersionKey {
    const TIE: Self = Self;

    fn name(self) -> &'static str {
        "number"
    }

    fn is_unique(self) -> bool {
        true
    }

    fn expr(self) -> Expr {
        skill_version::Column::Version.into_expr()
    }

    fn value(self, row: &skill_version::Model) -> KeyValue {
        KeyValue::Int(row.version.into())
    }
}

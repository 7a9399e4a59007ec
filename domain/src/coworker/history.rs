//! A coworker's versions, one beside the other.

use entity::{coworker, coworker_version, skill_version};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::config::Config;
use super::diff::{Diff, Side, diff};
use super::query::get_version;
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::skill::query::{newest, pinned};

/// A coworker's version by its number. Not scoped: whoever has the coworker's row asked before.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn numbered<C: ConnectionTrait>(
    db: &C,
    coworker: &coworker::Model,
    number: i32,
) -> Result<coworker_version::Model> {
    let found = coworker_version::Entity::find()
        .filter(coworker_version::Column::CoworkerId.eq(coworker.id))
        .filter(coworker_version::Column::Version.eq(number))
        .one(db)
        .await?;
    found.ok_or(Error::NotFound {
        what: "CoworkerVersion",
    })
}

/// Two configurations of a coworker and what changed between them.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The version before; none: the coworker was never published.
    pub from: Option<coworker_version::Model>,
    /// The version after; none: the draft.
    pub to: Option<coworker_version::Model>,
    /// What changed.
    pub diff: Diff,
}

/// Compares the version `from` (none: the one in force) with the version `to` (none: the draft).
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::CoworkerRead`]; [`Error::NotFound`] for a number that no version has.
pub async fn compare<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    coworker: &coworker::Model,
    from: Option<i32>,
    to: Option<i32>,
) -> Result<Compared> {
    actor.authorize(Action::CoworkerRead)?;
    let from = match (from, coworker.version_id) {
        (Some(number), _) => Some(numbered(db, coworker, number).await?),
        (None, Some(current)) => Some(get_version(db, actor, current).await?),
        (None, None) => None,
    };
    let to = match to {
        Some(number) => Some(numbered(db, coworker, number).await?),
        None => None,
    };
    let before = match &from {
        Some(version) => Some(Shown::version(db, version).await?),
        None => None,
    };
    let after = match &to {
        Some(version) => Shown::version(db, version).await?,
        None => Shown::draft(db, coworker).await?,
    };
    let diff = diff(before.as_ref().map(Shown::side), after.side())?;
    Ok(Compared { from, to, diff })
}

/// A configuration with all that a comparison shows of it.
struct Shown {
    name: String,
    config: Config,
    skills: Vec<(String, i32)>,
}

impl Shown {
    async fn version<C: ConnectionTrait>(db: &C, row: &coworker_version::Model) -> Result<Self> {
        let config = Config::from_row(&row.config)?;
        let pinned = pinned(db, row.id).await?;
        let named = |(place, skill): &(usize, skill_version::Model)| {
            Some((config.skills.get(*place)?.clone(), skill.version))
        };
        Ok(Self {
            name: format!("version {}", row.version),
            skills: pinned.iter().filter_map(named).collect(),
            config,
        })
    }

    /// The draft, with the skills that publishing it would pin.
    async fn draft<C: ConnectionTrait>(db: &C, row: &coworker::Model) -> Result<Self> {
        let config = Config::from_row(&row.draft)?;
        let newest = newest(db, row.workspace_id, &config.skills).await?;
        let skill = |handle: &String| Some((handle.clone(), newest.get(handle)?.version));
        Ok(Self {
            name: "draft".into(),
            skills: config.skills.iter().filter_map(skill).collect(),
            config,
        })
    }

    fn side(&self) -> Side<'_> {
        Side {
            name: &self.name,
            config: &self.config,
            skills: &self.skills,
        }
    }
}

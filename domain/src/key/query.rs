//! Reading who is there: people, API keys, and the workspace itself.

use entity::{ApiKeyId, PersonId, api_key, person, workspace};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Select};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};

/// The actor's workspace.
///
/// # Errors
/// [`Error::NotFound`] once it is gone.
pub async fn workspace<C: ConnectionTrait>(db: &C, actor: &Actor) -> Result<workspace::Model> {
    workspace::Entity::find_by_id(actor.workspace)
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "Workspace" })
}

/// The people of the actor's workspace: their names are no secret within it.
pub fn visible_people(actor: &Actor) -> Select<person::Entity> {
    person::Entity::find().filter(person::Column::WorkspaceId.eq(actor.workspace))
}

/// One person.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get_person<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: PersonId,
) -> Result<person::Model> {
    visible_people(actor)
        .filter(person::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "Person" })
}

/// The API keys of the actor's workspace. For the names of workflows and systems only: whoever lists
/// or shows keys as such asks [`Action::KeyManage`] first.
pub fn named(actor: &Actor) -> Select<api_key::Entity> {
    api_key::Entity::find().filter(api_key::Column::WorkspaceId.eq(actor.workspace))
}

/// One API key.
///
/// # Errors
/// [`Error::NotFound`], also for actors who may not manage keys.
pub async fn get<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: ApiKeyId,
) -> Result<api_key::Model> {
    let absent = Error::NotFound { what: "ApiKey" };
    if !actor.may(Action::KeyManage) {
        return Err(absent);
    }
    named(actor)
        .filter(api_key::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(absent)
}

/// A page of the workspace's API keys, newest first.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::KeyManage`]; otherwise as [`page::page`].
pub async fn page<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    slice: &Slice,
) -> Result<Page<api_key::Model>> {
    actor.authorize(Action::KeyManage)?;
    let list = List {
        cursor_key,
        name: "apiKeys".into(),
    };
    page::page(
        db,
        &list,
        named(actor),
        &[(KeyKey::CreatedAt, Direction::Desc)],
        slice,
    )
    .await
}

/// What API keys can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKey {
    /// When it was made.
    CreatedAt,
    /// The id.
    Id,
}

impl Key<api_key::Entity> for KeyKey {
    const TIE: Self = Self::Id;

    fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "createdAt",
            Self::Id => "id",
        }
    }

    fn is_unique(self) -> bool {
        matches!(self, Self::Id)
    }

    fn expr(self) -> Expr {
        match self {
            Self::CreatedAt => api_key::Column::CreatedAt.into_expr(),
            Self::Id => api_key::Column::Id.into_expr(),
        }
    }

    fn value(self, row: &api_key::Model) -> KeyValue {
        match self {
            Self::CreatedAt => KeyValue::Int(row.created_at.0),
            Self::Id => KeyValue::Id(row.id.0),
        }
    }
}

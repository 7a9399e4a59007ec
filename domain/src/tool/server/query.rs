//! Reading servers of tools and their actions, within the actor's workspace and rights.

use std::collections::{BTreeMap, BTreeSet};

use entity::{ToolActionId, ToolServerId, WorkspaceId, secret, tool_action, tool_server};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::{MOST, MOST_ACTIONS};
use crate::access::{Action, Actor};
use crate::error::{Error, Result};
use crate::page::{self, Direction, Key, KeyValue, List, Page, Slice};
use crate::request::query::nothing;
use crate::secret::kept;
use crate::tool::catalog::Server;

/// The servers that the actor may see.
pub fn visible(actor: &Actor) -> Select<tool_server::Entity> {
    let select =
        tool_server::Entity::find().filter(tool_server::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::ToolManage) {
        select
    } else {
        select.filter(nothing())
    }
}

/// The actions that the actor may see.
pub fn visible_actions(actor: &Actor) -> Select<tool_action::Entity> {
    let select =
        tool_action::Entity::find().filter(tool_action::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::ToolManage) {
        select
    } else {
        select.filter(nothing())
    }
}

/// One server.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: ToolServerId,
) -> Result<tool_server::Model> {
    visible(actor)
        .filter(tool_server::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "ToolServer" })
}

/// One action.
///
/// # Errors
/// [`Error::NotFound`], also for one that the actor may not see.
pub async fn get_action<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    id: ToolActionId,
) -> Result<tool_action::Model> {
    visible_actions(actor)
        .filter(tool_action::Column::Id.eq(id))
        .one(db)
        .await?
        .ok_or(Error::NotFound { what: "ToolAction" })
}

/// A page of the workspace's servers, by name.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::ToolManage`]; otherwise as [`page::page`].
pub async fn page<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    cursor_key: Vec<u8>,
    slice: &Slice,
) -> Result<Page<tool_server::Model>> {
    actor.authorize(Action::ToolManage)?;
    let list = List {
        cursor_key,
        name: "toolServers".into(),
    };
    let order = [(ServerKey::Name, Direction::Asc)];
    page::page(db, &list, visible(actor), &order, slice).await
}

/// The actions of a server by name, at most twice [`MOST_ACTIONS`]: those that are gone are kept.
///
/// # Errors
/// What the database said.
pub async fn actions<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    server: ToolServerId,
) -> Result<Vec<tool_action::Model>> {
    let rows = visible_actions(actor)
        .filter(tool_action::Column::ServerId.eq(server))
        .order_by_asc(tool_action::Column::Name)
        .limit(2 * MOST_ACTIONS as u64)
        .all(db)
        .await?;
    Ok(rows)
}

/// Every server of a workspace with its actions, and the workspace's secrets. Not scoped: runs have what their
/// coworkers were given.
///
/// # Errors
/// What the database said.
pub(crate) async fn all<C: ConnectionTrait>(
    db: &C,
    workspace: WorkspaceId,
) -> Result<(
    Vec<(tool_server::Model, Vec<tool_action::Model>)>,
    Vec<secret::Model>,
)> {
    let servers = tool_server::Entity::find()
        .filter(tool_server::Column::WorkspaceId.eq(workspace))
        .order_by_asc(tool_server::Column::Name)
        .limit(MOST)
        .all(db)
        .await?;
    if servers.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut actions = tool_action::Entity::find()
        .filter(tool_action::Column::WorkspaceId.eq(workspace))
        .order_by_asc(tool_action::Column::Name)
        .limit(MOST * 2 * MOST_ACTIONS as u64)
        .all(db)
        .await?;
    let secrets = secret::Entity::find()
        .filter(secret::Column::WorkspaceId.eq(workspace))
        .limit(kept::MOST)
        .all(db)
        .await?;
    let mut of = |server: &tool_server::Model| -> Vec<tool_action::Model> {
        actions
            .extract_if(.., |action| action.server_id == server.id)
            .collect()
    };
    let servers = servers.into_iter().map(|server| {
        let actions = of(&server);
        (server, actions)
    });
    Ok((servers.collect(), secrets))
}

/// Whether an action, the way to its server, or a secret on that way is not any more as a run read it. Not scoped: the run is
/// about to call it.
///
/// # Errors
/// What the database said.
pub(crate) async fn differs<C: ConnectionTrait>(
    db: &C,
    action: &tool_action::Model,
    server: &Server,
) -> Result<bool> {
    let now = tool_action::Entity::find_by_id(action.id).one(db).await?;
    let row = tool_server::Entity::find_by_id(action.server_id)
        .one(db)
        .await?;
    if now.as_ref() != Some(action) || row.is_none_or(|row| row.version != server.row.version) {
        return Ok(true);
    }
    let wanted = server.declaration.secrets();
    if wanted.is_empty() {
        return Ok(false);
    }
    let secrets = secret::Entity::find()
        .filter(secret::Column::WorkspaceId.eq(action.workspace_id))
        .filter(secret::Column::Name.is_in(wanted))
        .limit(kept::MOST)
        .all(db)
        .await?;
    let known = |secret: &secret::Model| server.secrets.get(&secret.name) == Some(secret);
    Ok(secrets.len() != server.secrets.len() || !secrets.iter().all(known))
}

/// The tools of a workspace's servers by name, each with why it can't be called now, if it can't; and the servers that have not
/// said yet what they offer. Not scoped: whoever sees what a
/// coworker is made of sees what it may be given.
///
/// # Errors
/// What the database said.
pub(crate) async fn names<C: ConnectionTrait>(
    db: &C,
    workspace: WorkspaceId,
) -> Result<(BTreeMap<String, Option<&'static str>>, BTreeSet<String>)> {
    let (servers, _) = all(db, workspace).await?;
    let silent = servers.iter().filter(|(_, actions)| actions.is_empty());
    let silent = silent.map(|(server, _)| server.name.clone()).collect();
    let names = servers.iter().flat_map(|(server, actions)| {
        actions.iter().map(|action| {
            let name = format!("{}.{}", server.name, action.name);
            (name, crate::tool::catalog::barred(action))
        })
    });
    Ok((names.collect(), silent))
}

/// What servers are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKey {
    /// Its name.
    Name,
    /// The id.
    Id,
}

impl Key<tool_server::Entity> for ServerKey {
    const TIE: Self = Self::Id;

    fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Id => "id",
        }
    }

    fn is_unique(self) -> bool {
        match self {
            Self::Name | Self::Id => true,
        }
    }

    fn expr(self) -> Expr {
        match self {
            Self::Name => tool_server::Column::Name.into_expr(),
            Self::Id => tool_server::Column::Id.into_expr(),
        }
    }

    fn value(self, row: &tool_server::Model) -> KeyValue {
        match self {
            Self::Name => KeyValue::Text(row.name.clone()),
            Self::Id => KeyValue::Id(row.id.0),
        }
    }
}

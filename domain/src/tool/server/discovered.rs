//! What a server offers, and what became of the definitions that are pinned.

use std::collections::HashMap;

use entity::{
    Millis, ToolActionId, ToolActionState, ToolServerId, WorkspaceId, tool_action, tool_server,
};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::MOST_ACTIONS;
use crate::bus::Signal;
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::store::{Command, Needs, Tx, insert_all};
use crate::tool::{Effect, schema};

/// The most bytes of a failure that a server's health shows.
const LONGEST: usize = 2_000;

/// An action as its server defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct Defined {
    /// What stands after the dot of the tool's name.
    pub name: String,
    /// What models are told that it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub parameters: Value,
    /// What happens when a call is repeated, as the server says.
    pub effect: Effect,
    /// Whether a call may destroy something, as the server says.
    pub destructive: bool,
}

impl Defined {
    /// What is pinned: name, description and schema, and what the server says of repeated calls, so that none of
    /// it changes unseen.
    pub fn digest(&self) -> Vec<u8> {
        let Self {
            name,
            description,
            parameters,
            effect,
            destructive,
        } = self;
        let mut hash = Sha256::new();
        let parameters = schema::canonical(parameters);
        let marks = format!("{}:{destructive}", effect.as_str());
        for part in [name, description, &parameters, &marks] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().to_vec()
    }

    /// A row that pins it.
    pub(super) fn row(&self, server: &tool_server::Model, now: Millis) -> tool_action::Model {
        tool_action::Model {
            id: ToolActionId(fresh_id()),
            workspace_id: server.workspace_id,
            server_id: server.id,
            name: self.name.clone(),
            description: self.description.clone(),
            parameters: schema::canonical(&self.parameters),
            digest: self.digest(),
            state: ToolActionState::Ok,
            seen_description: None,
            seen_parameters: None,
            seen_digest: None,
            seen_effect: None,
            seen_destructive: None,
            seen_at: None,
            hinted_effect: self.effect,
            effect: None,
            destructive: self.destructive,
            enabled: true,
            created_at: now,
            updated_at: now,
        }
    }
}

/// Writes down what a server offers: new actions are pinned, changed ones wait for an administrator, those that
/// are not there any more are gone. What was found under an older declaration changes nothing.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// The server.
    pub server: ToolServerId,
    /// The version of its declaration under which it was asked.
    pub version: i32,
    /// What it offers.
    pub found: Vec<Defined>,
}

impl Command for Discovered {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        let Some(server) = lock(tx, self.server).await? else {
            return Ok(());
        };
        if server.version != self.version {
            return Ok(());
        }
        let now = tx.at();
        reconcile(tx, &server, &self.found, false).await?;
        healthy(tx, server, now).await
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

async fn lock(tx: &Tx, id: ToolServerId) -> Result<Option<tool_server::Model>> {
    let found = tool_server::Entity::find()
        .filter(tool_server::Column::Id.eq(id))
        .lock(LockType::NoKeyUpdate)
        .one(tx.conn())
        .await?;
    Ok(found)
}

/// Brings a server's actions to what was found. `trusted`: an administrator wrote it, so that it is pinned as it is.
pub(super) async fn reconcile(
    tx: &Tx,
    server: &tool_server::Model,
    found: &[Defined],
    trusted: bool,
) -> Result<()> {
    let now = tx.at();
    let rows = tool_action::Entity::find()
        .filter(tool_action::Column::ServerId.eq(server.id))
        .limit(2 * MOST_ACTIONS as u64)
        .all(tx.conn())
        .await?;
    let room = (2 * MOST_ACTIONS).saturating_sub(rows.len());
    let mut rows: HashMap<String, tool_action::Model> = rows
        .into_iter()
        .map(|row| (row.name.clone(), row))
        .collect();
    let (mut new, mut changed) = (Vec::new(), false);
    for defined in found.iter().take(MOST_ACTIONS) {
        let Some(row) = rows.remove(&defined.name) else {
            new.push(defined.row(server, now));
            continue;
        };
        let digest = defined.digest();
        let was = row.clone();
        let mut row = unseen(row);
        if row.digest == digest {
            row.state = ToolActionState::Ok;
        } else if trusted {
            let fresh = defined.row(server, now);
            row = tool_action::Model {
                id: row.id,
                effect: row.effect,
                enabled: row.enabled,
                created_at: row.created_at,
                ..fresh
            };
        } else {
            row.state = ToolActionState::Changed;
            row.seen_description = Some(defined.description.clone());
            row.seen_parameters = Some(schema::canonical(&defined.parameters));
            // The same change seen again is no news.
            let known = was.seen_digest.as_ref() == Some(&digest);
            row.seen_at = was.seen_at.filter(|_| known).or(Some(now));
            row.seen_digest = Some(digest);
            row.seen_effect = Some(defined.effect);
            row.seen_destructive = Some(defined.destructive);
        }
        if row != was {
            changed = true;
            save(tx, row).await?;
        }
    }
    for (_, was) in rows {
        if trusted {
            changed = true;
            tool_action::Entity::delete_by_id(was.id)
                .exec(tx.writing().await?)
                .await?;
        } else if was.state != ToolActionState::Gone {
            changed = true;
            let row = tool_action::Model {
                state: ToolActionState::Gone,
                ..unseen(was)
            };
            save(tx, row).await?;
        }
    }
    new.truncate(room);
    changed |= !new.is_empty();
    insert_all(tx.writing().await?, new, None).await?;
    if changed {
        tx.signal(Signal::Tools(server.workspace_id));
    }
    Ok(())
}

/// The row without what waits to be accepted.
pub(super) fn unseen(row: tool_action::Model) -> tool_action::Model {
    tool_action::Model {
        seen_description: None,
        seen_parameters: None,
        seen_digest: None,
        seen_effect: None,
        seen_destructive: None,
        seen_at: None,
        ..row
    }
}

/// Writes an action back, changed now.
pub(super) async fn save(tx: &Tx, row: tool_action::Model) -> Result<tool_action::Model> {
    let row = tool_action::Model {
        updated_at: tx.at().max(row.updated_at),
        ..row
    };
    let tool_action::Model {
        id,
        workspace_id: _,
        server_id: _,
        name: _,
        description,
        parameters,
        digest,
        state,
        seen_description,
        seen_parameters,
        seen_digest,
        seen_effect,
        seen_destructive,
        seen_at,
        hinted_effect,
        effect,
        destructive,
        enabled,
        created_at: _,
        updated_at,
    } = row.clone();
    let change = tool_action::ActiveModel {
        id: ActiveValue::Unchanged(id),
        description: ActiveValue::Set(description),
        parameters: ActiveValue::Set(parameters),
        digest: ActiveValue::Set(digest),
        state: ActiveValue::Set(state),
        seen_description: ActiveValue::Set(seen_description),
        seen_parameters: ActiveValue::Set(seen_parameters),
        seen_digest: ActiveValue::Set(seen_digest),
        seen_effect: ActiveValue::Set(seen_effect),
        seen_destructive: ActiveValue::Set(seen_destructive),
        seen_at: ActiveValue::Set(seen_at),
        hinted_effect: ActiveValue::Set(hinted_effect),
        effect: ActiveValue::Set(effect),
        destructive: ActiveValue::Set(destructive),
        enabled: ActiveValue::Set(enabled),
        updated_at: ActiveValue::Set(updated_at),
        ..Default::default()
    };
    tool_action::Entity::update(change)
        .exec(tx.writing().await?)
        .await?;
    Ok(row)
}

/// Writes down that a server answers, or what it fails with. Written when that changes, not at each call.
#[derive(Clone, Debug)]
pub struct Health {
    /// The workspace, for the log of this process.
    pub workspace: WorkspaceId,
    /// The server.
    pub server: ToolServerId,
    /// What it fails with; `None`: it answers.
    pub error: Option<String>,
}

impl Command for Health {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        let Some(row) = lock(tx, self.server).await? else {
            return Ok(());
        };
        let now = tx.at();
        let Some(error) = &self.error else {
            return healthy(tx, row, now).await;
        };
        let since = row
            .health_since
            .filter(|_| row.error.is_some())
            .unwrap_or(now);
        let change = tool_server::ActiveModel {
            id: ActiveValue::Unchanged(row.id),
            failed_at: ActiveValue::Set(Some(now)),
            error: ActiveValue::Set(Some(shown(error))),
            health_since: ActiveValue::Set(Some(since)),
            ..Default::default()
        };
        tool_server::Entity::update(change)
            .exec(tx.writing().await?)
            .await?;
        Ok(())
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

async fn healthy(tx: &Tx, row: tool_server::Model, now: Millis) -> Result<()> {
    let well = row.ok_at.is_some() && row.error.is_none();
    let since = row.health_since.filter(|_| well).unwrap_or(now);
    let change = tool_server::ActiveModel {
        id: ActiveValue::Unchanged(row.id),
        ok_at: ActiveValue::Set(Some(now)),
        error: ActiveValue::Set(None),
        health_since: ActiveValue::Set(Some(since)),
        ..Default::default()
    };
    let updated = tool_server::Entity::update(change)
        .exec(tx.writing().await?)
        .await;
    updated.map(drop).map_err(Error::from)
}

/// What others said, as a row can hold it.
fn shown(text: &str) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}

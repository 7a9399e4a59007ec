//! Making, changing and deleting servers of tools.

use entity::{ToolServerId, tool_action, tool_server};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};

use super::discovered::reconcile;
use super::query::{get, visible};
use super::{Declaration, MOST};
use crate::access::{Action, Actor};
use crate::bus::Signal;
use crate::clock::fresh_id;
use crate::coworker::tools::is_server;
use crate::error::{Error, Result};
use crate::idempotency::once_at_a_time;
use crate::store::{Command, Needs, Tx, insert_all};
use crate::tool::BUILT_IN;

/// Makes a server of tools.
#[derive(Clone, Debug)]
pub struct CreateServer {
    /// Who asks.
    pub actor: Actor,
    /// What stands before the dot of its tools' names: 1 to 64 of `a-z`, `0-9`, `_`, `-`; unique in the workspace.
    pub name: String,
    /// How its tools are reached.
    pub declaration: Declaration,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for CreateServer {
    type Output = tool_server::Model;

    async fn run(&self, tx: &Tx) -> Result<tool_server::Model> {
        let Self {
            actor,
            name,
            declaration,
            idempotency_key,
        } = self;
        actor.authorize(Action::ToolManage)?;
        if !is_server(name) || name == BUILT_IN {
            let message = format!(
                "{:?} is no name of a tool server; write 1 to 64 of a-z, 0-9, _ and -, other than {BUILT_IN}",
                name.chars().take(80).collect::<String>()
            );
            return Err(Error::invalid("name", "INVALID", message));
        }
        declaration.check()?;
        let text = declaration.to_row()?;
        let once = once_at_a_time(
            tx,
            actor,
            "toolServerCreate",
            idempotency_key.as_deref(),
            &(name, &text),
        )
        .await?;
        if let Some(made) = once.made() {
            return get(tx.conn(), actor, ToolServerId(made)).await;
        }
        let taken = visible(actor)
            .filter(tool_server::Column::Name.eq(name))
            .one(tx.conn())
            .await?;
        if taken.is_some() {
            let message = format!("there is a tool server {name} already; choose another name");
            return Err(Error::invalid("name", "CONFLICT", message));
        }
        if visible(actor).count(tx.conn()).await? >= MOST {
            let message = format!(
                "the workspace has {MOST} tool servers, as many as it may; delete one that is not used any more"
            );
            return Err(Error::conflict("TOO_MANY", message));
        }
        let now = tx.at();
        let row = tool_server::Model {
            id: ToolServerId(fresh_id()),
            workspace_id: actor.workspace,
            name: name.clone(),
            kind: declaration.kind(),
            declaration: text,
            version: 1,
            ok_at: None,
            failed_at: None,
            error: None,
            health_since: None,
            created_at: now,
            updated_at: now,
        };
        insert_all(tx.writing().await?, vec![row.clone()], None).await?;
        if let Some(defined) = declaration.defined() {
            reconcile(tx, &row, &defined, true).await?;
        }
        once.remember(tx, row.id.0).await?;
        tx.signal(Signal::Tools(actor.workspace));
        Ok(row)
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// Changes how the tools of a server are reached. Its name stays, for coworkers refer to it.
#[derive(Clone, Debug)]
pub struct UpdateServer {
    /// Who asks.
    pub actor: Actor,
    /// The server.
    pub server: ToolServerId,
    /// How its tools are reached from now on.
    pub declaration: Declaration,
}

impl Command for UpdateServer {
    type Output = tool_server::Model;

    async fn run(&self, tx: &Tx) -> Result<tool_server::Model> {
        let Self {
            actor,
            server,
            declaration,
        } = self;
        actor.authorize(Action::ToolManage)?;
        declaration.check()?;
        let mut row = lock(tx, actor, *server).await?;
        if row.kind != declaration.kind() {
            let message = format!(
                "the tool server {} is of the kind {}, and stays it; delete it and make another one",
                row.name,
                row.kind.as_str()
            );
            return Err(Error::invalid("kind", "INVALID", message));
        }
        let text = declaration.to_row()?;
        if text == row.declaration {
            return Ok(row);
        }
        row.declaration = text;
        row.version += 1;
        row.updated_at = tx.at().max(row.updated_at);
        let change = tool_server::ActiveModel {
            id: ActiveValue::Unchanged(row.id),
            declaration: ActiveValue::Set(row.declaration.clone()),
            version: ActiveValue::Set(row.version),
            updated_at: ActiveValue::Set(row.updated_at),
            ..Default::default()
        };
        tool_server::Entity::update(change)
            .exec(tx.writing().await?)
            .await?;
        if let Some(defined) = declaration.defined() {
            reconcile(tx, &row, &defined, true).await?;
        }
        tx.signal(Signal::Tools(actor.workspace));
        Ok(row)
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// Deletes a server of tools and its actions. Calls under way end as they do; later ones are told that the tool is
/// not there any more.
#[derive(Clone, Debug)]
pub struct DeleteServer {
    /// Who asks.
    pub actor: Actor,
    /// The server.
    pub server: ToolServerId,
}

impl Command for DeleteServer {
    type Output = tool_server::Model;

    async fn run(&self, tx: &Tx) -> Result<tool_server::Model> {
        self.actor.authorize(Action::ToolManage)?;
        let row = lock(tx, &self.actor, self.server).await?;
        tool_action::Entity::delete_many()
            .filter(tool_action::Column::ServerId.eq(row.id))
            .exec(tx.writing().await?)
            .await?;
        tool_server::Entity::delete_by_id(row.id)
            .exec(tx.writing().await?)
            .await?;
        tx.signal(Signal::Tools(self.actor.workspace));
        Ok(row)
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

async fn lock(tx: &Tx, actor: &Actor, id: ToolServerId) -> Result<tool_server::Model> {
    let found = visible(actor)
        .filter(tool_server::Column::Id.eq(id))
        .lock(LockType::Update)
        .one(tx.conn())
        .await?;
    found.ok_or(Error::NotFound { what: "ToolServer" })
}

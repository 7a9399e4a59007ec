//! The secrets of a workspace: set, deleted and listed by name; read back only where a call is sent.

use entity::{SecretId, WorkspaceId, secret, tool_server};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use sea_orm::{PaginatorTrait, QuerySelect, Select};

use super::{Secret, Vault};
use crate::access::{Action, Actor};
use crate::bus::Signal;
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::request::query::nothing;
use crate::store::{Command, Needs, Tx, insert_all};
use crate::tool::server::Declaration;

/// The most secrets of a workspace.
pub const MOST: u64 = 200;
/// The fewest and the most bytes of a value. What is shorter could not be found in what comes back without
/// finding harmless words too.
const SHORTEST: usize = 8;
const LONGEST: usize = 8 * 1024;

/// A value on its way into the database: sealed, because a command holds nothing in the clear.
#[derive(Clone, Debug)]
pub struct SealedValue {
    name: String,
    sealed: Vec<u8>,
}

impl SealedValue {
    /// Seals a value for the secret of this name.
    ///
    /// # Errors
    /// [`Error::Forbidden`] without [`Action::ToolManage`]; [`Error::Invalid`] for a name or a value that
    /// can't be; [`Error::Conflict`] with `NO_SECRET_KEY`.
    pub fn seal(vault: &Vault, actor: &Actor, name: &str, value: &str) -> Result<Self> {
        actor.authorize(Action::ToolManage)?;
        if !is_name(name) {
            let message = format!(
                "{:?} is no name of a secret; write 1 to 64 letters, digits, _ and -",
                name.chars().take(60).collect::<String>()
            );
            return Err(Error::invalid("name", "INVALID", message));
        }
        // The value is not quoted: it is the secret.
        if !(SHORTEST..=LONGEST).contains(&value.len()) || value.chars().any(char::is_control) {
            let message = format!(
                "a secret has {SHORTEST} to {LONGEST} bytes and no line breaks or other control characters"
            );
            return Err(Error::invalid("value", "INVALID", message));
        }
        Ok(Self {
            name: name.to_owned(),
            sealed: vault.seal(&owner(actor.workspace, name), &Secret::new(value))?,
        })
    }
}

/// Whether this can be a secret's name.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// To whom a secret belongs, for [`Vault`].
fn owner(workspace: WorkspaceId, name: &str) -> String {
    format!("secret:{workspace}:{name}")
}

/// The value of a secret, for the call that is about to be sent.
///
/// # Errors
/// As [`Vault::open`].
pub(crate) fn open(vault: &Vault, row: &secret::Model) -> Result<Secret> {
    vault.open(&owner(row.workspace_id, &row.name), &row.sealed)
}

/// Sets a secret: makes it, or gives it another value.
#[derive(Clone, Debug)]
pub struct SetSecret {
    /// Who asks.
    pub actor: Actor,
    /// Its name and its value.
    pub value: SealedValue,
}

impl Command for SetSecret {
    type Output = secret::Model;

    async fn run(&self, tx: &Tx) -> Result<secret::Model> {
        let Self {
            actor,
            value: SealedValue { name, sealed },
        } = self;
        actor.authorize(Action::ToolManage)?;
        let now = tx.at();
        let found = visible(actor)
            .filter(secret::Column::Name.eq(name))
            .lock(LockType::NoKeyUpdate)
            .one(tx.conn())
            .await?;
        let row = match found {
            Some(row) => {
                let row = secret::Model {
                    sealed: sealed.clone(),
                    updated_at: now.max(row.updated_at),
                    ..row
                };
                let change = secret::ActiveModel {
                    id: ActiveValue::Unchanged(row.id),
                    sealed: ActiveValue::Set(row.sealed.clone()),
                    updated_at: ActiveValue::Set(row.updated_at),
                    ..Default::default()
                };
                secret::Entity::update(change)
                    .exec(tx.writing().await?)
                    .await?;
                row
            }
            None => {
                if visible(actor).count(tx.conn()).await? >= MOST {
                    let message = format!(
                        "the workspace has {MOST} secrets, as many as it may; delete one that is not used any more"
                    );
                    return Err(Error::conflict("TOO_MANY", message));
                }
                let row = secret::Model {
                    id: SecretId(fresh_id()),
                    workspace_id: actor.workspace,
                    name: name.clone(),
                    sealed: sealed.clone(),
                    created_at: now,
                    updated_at: now,
                };
                insert_all(tx.writing().await?, vec![row.clone()], None).await?;
                row
            }
        };
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

/// Deletes a secret that no server of tools refers to.
#[derive(Clone, Debug)]
pub struct DeleteSecret {
    /// Who asks.
    pub actor: Actor,
    /// Its name.
    pub name: String,
}

impl Command for DeleteSecret {
    type Output = secret::Model;

    async fn run(&self, tx: &Tx) -> Result<secret::Model> {
        let Self { actor, name } = self;
        actor.authorize(Action::ToolManage)?;
        let absent = Error::NotFound { what: "Secret" };
        if !is_name(name) {
            return Err(absent);
        }
        let found = visible(actor)
            .filter(secret::Column::Name.eq(name))
            .lock(LockType::Update)
            .one(tx.conn())
            .await?;
        let row = found.ok_or(absent)?;
        let servers = tool_server::Entity::find()
            .filter(tool_server::Column::WorkspaceId.eq(actor.workspace))
            .limit(crate::tool::server::MOST)
            .all(tx.conn())
            .await?;
        for server in servers {
            if Declaration::from_row(&server.declaration)?
                .secrets()
                .contains(name)
            {
                let message = format!(
                    "the tool server {} is reached with the secret {name}; take it out of its headers before",
                    server.name
                );
                return Err(Error::conflict("IN_USE", message));
            }
        }
        secret::Entity::delete_by_id(row.id)
            .exec(tx.writing().await?)
            .await?;
        tx.signal(Signal::Tools(actor.workspace));
        Ok(row)
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// The secrets that the actor may know of.
pub fn visible(actor: &Actor) -> Select<secret::Entity> {
    let select = secret::Entity::find().filter(secret::Column::WorkspaceId.eq(actor.workspace));
    if actor.may(Action::ToolManage) {
        select
    } else {
        select.filter(nothing())
    }
}

/// The workspace's secrets by name, at most [`MOST`]; their values are sealed.
///
/// # Errors
/// [`Error::Forbidden`] without [`Action::ToolManage`], else what the database said.
pub async fn list<C: ConnectionTrait>(db: &C, actor: &Actor) -> Result<Vec<secret::Model>> {
    actor.authorize(Action::ToolManage)?;
    let rows = visible(actor)
        .order_by_asc(secret::Column::Name)
        .limit(MOST)
        .all(db)
        .await?;
    Ok(rows)
}

//! What administrators decide of single actions.

use entity::{ToolActionId, ToolActionState, tool_action};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, QueryFilter, QuerySelect};

use super::discovered::{save, unseen};
use super::query::visible_actions;
use crate::access::{Action, Actor};
use crate::bus::Signal;
use crate::error::{Error, Result};
use crate::run::envelope::{hex, unhex};
use crate::store::{Command, Needs, Tx};
use crate::tool::Effect;

/// Accepts the definition that a server has changed, or that an action is gone.
#[derive(Clone, Debug)]
pub struct AcceptAction {
    /// Who asks.
    pub actor: Actor,
    /// The action.
    pub action: ToolActionId,
    /// The digest of the definition that was looked at, hexadecimal.
    pub digest: String,
}

impl Command for AcceptAction {
    type Output = tool_action::Model;

    async fn run(&self, tx: &Tx) -> Result<tool_action::Model> {
        self.actor.authorize(Action::ToolManage)?;
        let row = lock(tx, &self.actor, self.action).await?;
        let looked_at = unhex(&self.digest);
        match row.state {
            // Accepted a moment ago.
            ToolActionState::Ok if looked_at.as_ref() == Some(&row.digest) => return Ok(row),
            ToolActionState::Ok | ToolActionState::Gone => {
                let message = format!(
                    "the definition of {} waits for nobody: its state is {}",
                    row.name,
                    row.state.as_str()
                );
                return Err(Error::conflict("CONFLICT", message));
            }
            ToolActionState::Changed => {}
        }
        let tool_action::Model {
            seen_description: Some(description),
            seen_parameters: Some(parameters),
            seen_digest: Some(digest),
            seen_effect: Some(hinted_effect),
            seen_destructive: Some(destructive),
            ..
        } = row.clone()
        else {
            return Err(Error::internal("a changed action without its change"));
        };
        // It may have changed again since it was looked at.
        if looked_at.as_ref() != Some(&digest) {
            let message = format!(
                "this is not the digest of the definition that waits, which is {}: look at it, and accept that",
                hex(&digest)
            );
            return Err(Error::invalid("digest", "CONFLICT", message));
        }
        let accepted = tool_action::Model {
            description,
            parameters,
            digest,
            hinted_effect,
            destructive,
            state: ToolActionState::Ok,
            ..unseen(row)
        };
        tx.signal(Signal::Tools(self.actor.workspace));
        save(tx, accepted).await
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// Changes what an administrator says of an action; what is `None` stays.
#[derive(Clone, Debug)]
pub struct UpdateAction {
    /// Who asks.
    pub actor: Actor,
    /// The action.
    pub action: ToolActionId,
    /// What happens when a call is repeated; `Some(None)`: as the server says.
    pub effect: Option<Option<Effect>>,
    /// Whether coworkers may call it at all.
    pub enabled: Option<bool>,
}

impl Command for UpdateAction {
    type Output = tool_action::Model;

    async fn run(&self, tx: &Tx) -> Result<tool_action::Model> {
        self.actor.authorize(Action::ToolManage)?;
        let mut row = lock(tx, &self.actor, self.action).await?;
        row.effect = self.effect.unwrap_or(row.effect);
        row.enabled = self.enabled.unwrap_or(row.enabled);
        tx.signal(Signal::Tools(self.actor.workspace));
        save(tx, row).await
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

async fn lock(tx: &Tx, actor: &Actor, id: ToolActionId) -> Result<tool_action::Model> {
    let found = visible_actions(actor)
        .filter(tool_action::Column::Id.eq(id))
        .lock(LockType::NoKeyUpdate)
        .one(tx.conn())
        .await?;
    found.ok_or(Error::NotFound { what: "ToolAction" })
}

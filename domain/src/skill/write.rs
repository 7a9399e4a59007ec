//! Making and changing skills.

use entity::{SkillId, SkillVersionId, skill, skill_version};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::access::{Action, Actor};
use crate::clock::fresh_id;
use crate::coworker::check_handle;
use crate::error::{Error, Result};
use crate::idempotency::{once, once_at_a_time};
use crate::store::{Command, Needs, Tx, insert_all};
use crate::text::{bounded, check_text, required};

/// The longest text of a skill, bytes.
const LONGEST: usize = 64 * 1024;

/// Makes a skill with its first version.
#[derive(Clone, Debug)]
pub struct CreateSkill {
    /// Who asks.
    pub actor: Actor,
    /// Its short name: 2 to 40 of `a-z`, `0-9`, `-`; unique in the workspace.
    pub handle: String,
    /// The name to show, 1 to 100 characters.
    pub name: String,
    /// The text that models read, 1 byte to 64 KiB.
    pub text: String,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for CreateSkill {
    type Output = skill::Model;

    async fn run(&self, tx: &Tx) -> Result<skill::Model> {
        let Self {
            actor,
            handle,
            name,
            text,
            idempotency_key,
        } = self;
        actor.authorize(Action::CoworkerWrite)?;
        check_handle(handle)?;
        check_text("name", name, 100)?;
        check_body(text)?;
        let once = once_at_a_time(
            tx,
            actor,
            "skillCreate",
            idempotency_key.as_deref(),
            &(handle, name, text),
        )
        .await?;
        if let Some(made) = once.made() {
            return super::query::get(tx.conn(), actor, SkillId(made)).await;
        }
        let taken = super::query::visible(actor)
            .filter(skill::Column::Handle.eq(handle))
            .one(tx.conn())
            .await?;
        if taken.is_some() {
            let message = format!("the handle {handle} is taken; choose another one");
            return Err(Error::invalid("handle", "CONFLICT", message));
        }
        let now = tx.at();
        let row = skill::Model {
            id: SkillId(fresh_id()),
            workspace_id: actor.workspace,
            handle: handle.clone(),
            name: name.trim().to_owned(),
            version: 1,
            version_id: SkillVersionId(fresh_id()),
            created_at: now,
            updated_at: now,
        };
        insert_all(tx.writing().await?, vec![row.clone()], None).await?;
        let version = version(tx, actor, &row, text);
        insert_all(tx.writing().await?, vec![version], None).await?;
        once.remember(tx, row.id.0).await?;
        Ok(row)
    }

    fn repeatable(&self) -> bool {
        self.idempotency_key.is_some()
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// Changes a skill: makes its next version, unless it says the same already. Coworkers that are
/// published keep the version that they pin.
#[derive(Clone, Debug)]
pub struct UpdateSkill {
    /// Who asks.
    pub actor: Actor,
    /// The skill.
    pub skill: SkillId,
    /// The name to show; `None`: it stays.
    pub name: Option<String>,
    /// The text; `None`: it stays.
    pub text: Option<String>,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for UpdateSkill {
    type Output = skill::Model;

    async fn run(&self, tx: &Tx) -> Result<skill::Model> {
        let Self {
            actor,
            skill,
            name,
            text,
            idempotency_key,
        } = self;
        actor.authorize(Action::CoworkerWrite)?;
        if let Some(name) = name {
            check_text("name", name, 100)?;
        }
        if let Some(text) = text {
            check_body(text)?;
        }
        let found = super::query::visible(actor)
            .filter(skill::Column::Id.eq(*skill))
            .lock(LockType::NoKeyUpdate)
            .one(tx.conn())
            .await?;
        let mut row = found.ok_or(Error::NotFound { what: "Skill" })?;
        let once = once(
            tx,
            actor,
            "skillUpdate",
            idempotency_key.as_deref(),
            &(skill, name, text),
        )
        .await?;
        if once.made().is_some() {
            return Ok(row);
        }
        let current = super::query::get_version(tx.conn(), actor, row.version_id).await?;
        let name = name.as_deref().map_or(row.name.as_str(), str::trim);
        let text = text.as_ref().unwrap_or(&current.body);
        if name != row.name || *text != current.body {
            row.name = name.to_owned();
            row.version += 1;
            row.version_id = SkillVersionId(fresh_id());
            row.updated_at = tx.at().max(row.updated_at);
            let version = version(tx, actor, &row, text);
            insert_all(tx.writing().await?, vec![version], None).await?;
            save(tx, row.clone()).await?;
        }
        once.remember(tx, row.version_id.0).await?;
        Ok(row)
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

/// The version that a skill's row names as its newest.
fn version(tx: &Tx, actor: &Actor, row: &skill::Model, text: &str) -> skill_version::Model {
    skill_version::Model {
        id: row.version_id,
        workspace_id: row.workspace_id,
        skill_id: row.id,
        version: row.version,
        name: row.name.clone(),
        body: text.to_owned(),
        created_by_kind: actor.principal.kind(),
        created_by_id: actor.principal.id(),
        created_at: tx.at(),
    }
}

async fn save(tx: &Tx, row: skill::Model) -> Result<()> {
    let skill::Model {
        id,
        workspace_id: _,
        handle: _,
        name,
        version,
        version_id,
        created_at: _,
        updated_at,
    } = row;
    let change = skill::ActiveModel {
        id: ActiveValue::Unchanged(id),
        name: ActiveValue::Set(name),
        version: ActiveValue::Set(version),
        version_id: ActiveValue::Set(version_id),
        updated_at: ActiveValue::Set(updated_at),
        ..Default::default()
    };
    skill::Entity::update(change)
        .exec(tx.writing().await?)
        .await?;
    Ok(())
}

fn check_body(text: &str) -> Result<()> {
    required("text", text)?;
    bounded("text", text, LONGEST)
}

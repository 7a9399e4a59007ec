//! Making and changing coworkers.

use entity::{CoworkerId, CoworkerState, coworker};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::check_handle;
use super::config::Config;
use crate::access::{Action, Actor};
use crate::clock::fresh_id;
use crate::error::{Error, Result};
use crate::idempotency::once_at_a_time;
use crate::store::{Command, Needs, Tx, insert_all};
use crate::text::check_text;

/// Makes a coworker as a draft.
#[derive(Clone, Debug)]
pub struct CreateCoworker {
    /// Who asks.
    pub actor: Actor,
    /// Its short name: 2 to 40 of `a-z`, `0-9`, `-`; unique in the workspace.
    pub handle: String,
    /// The name to show, 1 to 100 characters.
    pub name: String,
    /// Whether it is the workspace's Triage coworker.
    pub is_triage: bool,
    /// Its configuration.
    pub config: Config,
    /// The caller's key.
    pub idempotency_key: Option<String>,
}

impl Command for CreateCoworker {
    type Output = coworker::Model;

    async fn run(&self, tx: &Tx) -> Result<coworker::Model> {
        let Self {
            actor,
            handle,
            name,
            is_triage,
            config,
            idempotency_key,
        } = self;
        actor.authorize(Action::CoworkerWrite)?;
        check_handle(handle)?;
        check_text("name", name, 100)?;
        config.check()?;
        let draft = config.to_row()?;
        let once = once_at_a_time(
            tx,
            actor,
            "coworkerCreate",
            idempotency_key.as_deref(),
            &(handle, name, is_triage, &draft),
        )
        .await?;
        if let Some(made) = once.made() {
            return find(tx, actor, CoworkerId(made)).await;
        }
        let taken = coworker::Entity::find()
            .filter(coworker::Column::WorkspaceId.eq(actor.workspace))
            .filter(coworker::Column::Handle.eq(handle))
            .one(tx.conn())
            .await?;
        if taken.is_some() {
            let message = format!("the handle {handle} is taken; choose another one");
            return Err(Error::invalid("handle", "CONFLICT", message));
        }
        if *is_triage {
            only_triage(tx, actor, None).await?;
        }
        let now = tx.at();
        let row = coworker::Model {
            id: CoworkerId(fresh_id()),
            workspace_id: actor.workspace,
            handle: handle.clone(),
            name: name.trim().to_owned(),
            state: CoworkerState::Draft,
            is_triage: *is_triage,
            term: 0,
            version: 0,
            version_id: None,
            daily_budget_nano: None,
            monthly_budget_nano: None,
            draft,
            created_at: now,
            updated_at: now,
        };
        insert_all(tx.writing().await?, vec![row.clone()], None).await?;
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

/// Changes a coworker's draft; what is `None` stays.
#[derive(Clone, Debug)]
pub struct UpdateCoworker {
    /// Who asks.
    pub actor: Actor,
    /// The coworker.
    pub coworker: CoworkerId,
    /// The name to show.
    pub name: Option<String>,
    /// Whether it is the workspace's Triage coworker.
    pub is_triage: Option<bool>,
    /// What to change of the draft.
    pub change: Change,
}

/// The parts of a draft that a call replaces.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The identity.
    pub identity: Option<super::config::Identity>,
    /// The soul.
    pub soul: Option<String>,
    /// The goal.
    pub goal: Option<super::config::Goal>,
    /// The model.
    pub model: Option<crate::model::ModelConfig>,
    /// The skills.
    pub skills: Option<Vec<String>>,
    /// The tools.
    pub tools: Option<Vec<super::tools::ToolServer>>,
    /// The limits.
    pub limits: Option<super::config::Limits>,
    /// The budget.
    pub budget: Option<crate::budget::Budget>,
}

impl Command for UpdateCoworker {
    type Output = coworker::Model;

    async fn run(&self, tx: &Tx) -> Result<coworker::Model> {
        let Self {
            actor,
            coworker,
            name,
            is_triage,
            change,
        } = self;
        actor.authorize(Action::CoworkerWrite)?;
        let mut row = lock(tx, actor, *coworker).await?;
        if let Some(name) = name {
            check_text("name", name, 100)?;
            name.trim().clone_into(&mut row.name);
        }
        if let Some(is_triage) = is_triage {
            if *is_triage {
                only_triage(tx, actor, Some(row.id)).await?;
            }
            row.is_triage = *is_triage;
        }
        let Change {
            identity,
            soul,
            goal,
            model,
            skills,
            tools,
            limits,
            budget,
        } = change.clone();
        let draft = Config::from_row(&row.draft)?;
        let draft = Config {
            identity: identity.unwrap_or(draft.identity),
            soul: soul.unwrap_or(draft.soul),
            goal: goal.unwrap_or(draft.goal),
            skills: skills.unwrap_or(draft.skills),
            tools: tools.unwrap_or(draft.tools),
            model: model.unwrap_or(draft.model),
            limits: limits.unwrap_or(draft.limits),
            budget: budget.unwrap_or(draft.budget),
        };
        draft.check()?;
        row.draft = draft.to_row()?;
        save(tx, row).await
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        // It locks a coworker for a change, and commands of its batch share others already.
        Needs::ALONE
    }
}

/// Refuses a second Triage coworker.
async fn only_triage(tx: &Tx, actor: &Actor, own: Option<CoworkerId>) -> Result<()> {
    let found = coworker::Entity::find()
        .filter(coworker::Column::WorkspaceId.eq(actor.workspace))
        .filter(coworker::Column::IsTriage.eq(true))
        .one(tx.conn())
        .await?;
    match found {
        Some(other) if Some(other.id) != own => Err(Error::invalid(
            "isTriage",
            "CONFLICT",
            format!(
                "{} is the workspace's Triage coworker; there can be only one",
                other.handle
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

async fn find(tx: &Tx, actor: &Actor, id: CoworkerId) -> Result<coworker::Model> {
    let found = super::query::visible(actor)
        .filter(coworker::Column::Id.eq(id))
        .one(tx.conn())
        .await?;
    found.ok_or(Error::NotFound { what: "Coworker" })
}

/// Locks a coworker for a change.
///
/// # Errors
/// [`Error::NotFound`].
pub(super) async fn lock(tx: &Tx, actor: &Actor, id: CoworkerId) -> Result<coworker::Model> {
    let found = super::query::visible(actor)
        .filter(coworker::Column::Id.eq(id))
        .lock(LockType::NoKeyUpdate)
        .one(tx.conn())
        .await?;
    found.ok_or(Error::NotFound { what: "Coworker" })
}

/// Locks several coworkers for changes, in the order that everyone takes.
///
/// # Errors
/// What the database said.
pub async fn lock_all(
    tx: &Tx,
    actor: &Actor,
    ids: impl IntoIterator<Item = CoworkerId>,
) -> Result<()> {
    super::query::visible(actor)
        .filter(coworker::Column::Id.is_in(ids))
        .order_by_asc(coworker::Column::Id)
        .lock(LockType::NoKeyUpdate)
        .all(tx.conn())
        .await?;
    Ok(())
}

/// Saves a locked coworker.
///
/// # Errors
/// What the database said.
pub(super) async fn save(tx: &Tx, mut row: coworker::Model) -> Result<coworker::Model> {
    row.updated_at = tx.at().max(row.updated_at);
    let coworker::Model {
        id,
        workspace_id: _,
        handle: _,
        name,
        state,
        is_triage,
        term,
        version,
        version_id,
        daily_budget_nano,
        monthly_budget_nano,
        draft,
        created_at: _,
        updated_at,
    } = row.clone();
    let change = coworker::ActiveModel {
        id: ActiveValue::Unchanged(id),
        name: ActiveValue::Set(name),
        state: ActiveValue::Set(state),
        is_triage: ActiveValue::Set(is_triage),
        term: ActiveValue::Set(term),
        version: ActiveValue::Set(version),
        version_id: ActiveValue::Set(version_id),
        daily_budget_nano: ActiveValue::Set(daily_budget_nano),
        monthly_budget_nano: ActiveValue::Set(monthly_budget_nano),
        draft: ActiveValue::Set(draft),
        updated_at: ActiveValue::Set(updated_at),
        ..Default::default()
    };
    coworker::Entity::update(change)
        .exec(tx.writing().await?)
        .await?;
    Ok(row)
}

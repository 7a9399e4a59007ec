//! The workspace's settings.

use entity::{ActorKind, workspace};
use sea_orm::{ActiveValue, EntityTrait};

use crate::access::{Action, Actor};
use crate::budget::{Budget, Scope, clear_marks, lock_marks};
use crate::error::{Error, Result};
use crate::metric::rollup;
use crate::metric::zone::Zone;
use crate::request::assign::AssigneeId;
use crate::store::{Command, Needs, Tx};

/// The most runs that may follow each other on one request.
const MOST_HOPS: i32 = 100;

/// Changes the workspace's settings; what is `None` stays.
#[derive(Clone, Debug)]
pub struct UpdateWorkspace {
    /// Who asks.
    pub actor: Actor,
    /// Runs that may follow each other on one request without a person touching it, 1 to 100.
    pub hop_budget: Option<i32>,
    /// Who gets a request that went past it; `Some(None)`: nobody.
    pub escalation_assignee: Option<Option<AssigneeId>>,
    /// The time zone that figures by the day are kept in.
    pub time_zone: Option<Zone>,
    /// What all runs together may cost.
    pub budget: Option<Budget>,
}

impl Command for UpdateWorkspace {
    type Output = workspace::Model;

    async fn run(&self, tx: &Tx) -> Result<workspace::Model> {
        let Self {
            actor,
            hop_budget,
            escalation_assignee,
            time_zone,
            budget,
        } = self;
        actor.authorize(Action::WorkspaceUpdate)?;
        let mut change = workspace::ActiveModel {
            id: ActiveValue::Unchanged(actor.workspace),
            ..Default::default()
        };
        if let Some(hops) = hop_budget {
            if !(1..=MOST_HOPS).contains(hops) {
                let message = format!("hopBudget is {hops}; it must be from 1 to {MOST_HOPS}");
                return Err(Error::invalid("hopBudget", "INVALID", message));
            }
            change.hop_budget = ActiveValue::Set(*hops);
        }
        if let Some(to) = escalation_assignee {
            let parts = match to {
                Some(id) => Some(id.load(tx, actor).await?.parts()),
                None => None,
            };
            let (kind, id): (Option<ActorKind>, _) = parts.unzip();
            change.escalation_kind = ActiveValue::Set(kind);
            change.escalation_id = ActiveValue::Set(id);
        }
        if let Some(zone) = time_zone {
            rollup::set_zone(tx, actor.workspace, *zone).await?;
        }
        if let Some(budget) = budget {
            budget.check()?;
            change.daily_budget_nano = ActiveValue::Set(budget.daily_nano);
            change.monthly_budget_nano = ActiveValue::Set(budget.monthly_nano);
            // Before the row below: the order of locks is the same everywhere.
            let scope = Scope::Workspace(actor.workspace);
            lock_marks(tx, actor.workspace, scope).await?;
            clear_marks(tx, scope).await?;
        }
        if hop_budget.is_some() || escalation_assignee.is_some() || budget.is_some() {
            // Only these columns: the counters of the same row go on.
            workspace::Entity::update(change)
                .exec(tx.writing().await?)
                .await?;
        }
        crate::request::create::workspace(tx.conn(), actor).await
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        // The row of the settings is the counters' row, which is locked last.
        Needs::ALONE
    }
}

//! An AI coworker: a teammate with an identity, a goal and a history of versions.

use sea_orm::entity::prelude::*;

use crate::*;

/// An AI coworker: a teammate with an identity, a goal and a history of versions.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "coworker")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CoworkerId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its short name, unique in the workspace; `@handle` mentions it.
    pub handle: String,
    /// The name to show.
    pub name: String,
    /// Where it stands.
    pub state: CoworkerState,
    /// Whether it is the workspace's Triage coworker.
    pub is_triage: bool,
    /// How often it was taken out of work: a dispatch of an earlier term never starts.
    pub term: i64,
    /// The newest published version's number; 0 before the first.
    pub version: i32,
    /// The version that new runs pin; null before the first publication.
    pub version_id: Option<CoworkerVersionId>,
    /// What all its runs of a day (UTC) may cost, nano-USD, in the version in force; null: no limit.
    pub daily_budget_nano: Option<i64>,
    /// The same for a month (UTC).
    pub monthly_budget_nano: Option<i64>,
    /// The configuration as it is being edited, JSON (`domain::coworker::Config`).
    #[sea_orm(column_type = "Text")]
    pub draft: String,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}

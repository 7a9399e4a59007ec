//! An address of an outside system that is told of what happens here.

use sea_orm::entity::prelude::*;

use crate::*;

/// An address of an outside system that is told of what happens here.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "alert_endpoint")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AlertEndpointId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// What it is called.
    pub name: String,
    /// Where alerts are sent to.
    #[sea_orm(column_type = "Text")]
    pub url: String,
    /// Of what it is told, a JSON array of words ([`AlertKind`]).
    #[sea_orm(column_type = "Text")]
    pub kinds: String,
    /// Only of what concerns one of these coworkers, a JSON array of ids; empty: of all.
    #[sea_orm(column_type = "Text")]
    pub coworkers: String,
    /// Only of what concerns a request with one of these labels, a JSON array of strings; empty: of all.
    #[sea_orm(column_type = "Text")]
    pub labels: String,
    /// From which share of a budget on it is told, percent.
    pub budget_percent: i32,
    /// From which rise of the cost per run on it is told, percent.
    pub climb_percent: i32,
    /// Whether it is told of anything.
    pub enabled: bool,
    /// Why it is not.
    pub disabled: Option<AlertDisabled>,
    /// Since when it is not.
    pub disabled_at: Option<Millis>,
    /// When it first failed after it last took an alert; null: it took the last one.
    pub failing_since: Option<Millis>,
    /// Until when nothing is sent to it, because it asked for that.
    pub rests_until: Option<Millis>,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

impl ActiveModelBehavior for ActiveModel {}

//! A piece of work: a ticket of an employee, of a workflow, of a system.

use sea_orm::entity::prelude::*;

use crate::*;

/// A piece of work: a ticket of an employee, of a workflow, of a system.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "request")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RequestId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// Its number within the workspace, from 1.
    pub number: i64,
    /// One line.
    pub title: String,
    /// The whole text, as it was written.
    #[sea_orm(column_type = "Text")]
    pub description: String,
    /// Where it stands.
    pub status: RequestStatus,
    /// How urgent it is.
    pub priority: Priority,
    /// Where it came from.
    pub source: RequestSource,
    /// What kind of actor made it.
    pub requester_kind: ActorKind,
    /// Who made it: the id of a person, or of the API key of a workflow or system.
    pub requester_id: Uuid,
    /// What kind of actor it is assigned to; null: nobody.
    pub assignee_kind: Option<ActorKind>,
    /// Whom it is assigned to.
    pub assignee_id: Option<Uuid>,
    /// Counts the assignments; a run of an older epoch may no longer write to the request.
    pub assignment_epoch: i64,
    /// Labels, a JSON array of strings.
    #[sea_orm(column_type = "Text")]
    pub labels: String,
    /// Runs started since a person last touched it.
    pub hop_count: i32,
    /// No coworker goes on with it; a person must look.
    pub needs_person: bool,
    /// The sequence of the newest timeline entry.
    pub last_seq: i64,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// When it was resolved; null while it is not.
    pub resolved_at: Option<Millis>,
}

impl ActiveModelBehavior for ActiveModel {}

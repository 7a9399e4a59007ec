//! A published configuration of a coworker: immutable, pinned by the runs that use it.

use sea_orm::entity::prelude::*;

use crate::*;

/// A published configuration of a coworker: immutable, pinned by the runs that use it.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "coworker_version")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CoworkerVersionId,
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// The coworker.
    pub coworker_id: CoworkerId,
    /// From 1, per coworker.
    pub version: i32,
    /// The configuration, JSON (`domain::coworker::Config`).
    #[sea_orm(column_type = "Text")]
    pub config: String,
    /// What kind of actor published it.
    pub published_by_kind: ActorKind,
    /// Who published it.
    pub published_by_id: Uuid,
    /// When.
    pub published_at: Millis,
    /// The number of the version whose configuration this one brought back; null: it was a draft.
    pub restored_from: Option<i32>,
    /// Why it was published in spite of findings that are errors; null: there were none.
    pub forced_reason: Option<String>,
    /// What the lint found then, JSON (a list of `domain::coworker::lint::Finding`).
    #[sea_orm(column_type = "Text")]
    pub findings: String,
}

impl ActiveModelBehavior for ActiveModel {}

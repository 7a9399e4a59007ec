//! A credential. The secret is never stored, only its hash.

use sea_orm::entity::prelude::*;

use crate::*;

/// A credential. The secret is never stored, only its hash.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "api_key")]
pub struct Model {
    /// Its id; part of the key's text.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    /// The workspace that the key opens.
    pub workspace_id: WorkspaceId,
    /// What it is called in lists.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// For whom it acts: a person, a workflow or a system.
    pub principal_kind: ActorKind,
    /// The person; null for workflows and systems, which are known by the key itself.
    pub person_id: Option<PersonId>,
    /// SHA-256 of the secret, 32 bytes.
    pub secret_hash: Vec<u8>,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends by itself; null: never.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
}

impl ActiveModelBehavior for ActiveModel {}

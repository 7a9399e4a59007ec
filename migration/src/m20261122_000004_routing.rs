//! Who gets a request that coworkers passed on too often.

use sea_orm_migration::prelude::*;

use crate::sql;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait elides them, and a method must match it"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    // SQLite's migrations are not transactional unless asked.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, ESCALATION).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, UNDO).await
    }
}

const ESCALATION: &str = r#"
ALTER TABLE workspace ADD COLUMN escalation_kind TEXT;
ALTER TABLE workspace ADD COLUMN escalation_id UUID;
"#;

const UNDO: &str = r#"
ALTER TABLE workspace DROP COLUMN escalation_id;
ALTER TABLE workspace DROP COLUMN escalation_kind;
"#;

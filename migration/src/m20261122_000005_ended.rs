//! Runs by their end: boards that fell behind look at what has ended since.

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
        sql::run(manager, ENDED).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        sql::run(manager, UNDO).await
    }
}

const ENDED: &str = r#"
CREATE INDEX run_ended ON run (ended_at);
"#;

const UNDO: &str = r#"
DROP INDEX run_ended;
"#;

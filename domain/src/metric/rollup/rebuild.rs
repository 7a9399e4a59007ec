//! Making rollups anew.

use entity::{WorkspaceId, run, usage_ledger, usage_rollup};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait, QueryFilter};

use super::wait_for;
use crate::error::Result;
use crate::store::{Command, Needs, Tx};

/// Forgets a workspace's rollups: all that was folded is to be folded again. Figures stay right meanwhile, for rows that no
/// rollup holds are counted one by one; they take longer.
#[derive(Clone, Copy, Debug)]
pub struct Forget {
    /// The workspace.
    pub workspace: WorkspaceId,
}

impl Command for Forget {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        wait_for(tx, self.workspace).await?;
        let conn = tx.writing().await?;
        usage_rollup::Entity::delete_many()
            .filter(usage_rollup::Column::WorkspaceId.eq(self.workspace))
            .exec(conn)
            .await?;
        usage_ledger::Entity::update_many()
            .col_expr(usage_ledger::Column::RolledUp, Expr::val(false))
            .filter(usage_ledger::Column::WorkspaceId.eq(self.workspace))
            .filter(Expr::cust("rolled_up"))
            .exec(conn)
            .await?;
        run::Entity::update_many()
            .col_expr(run::Column::RolledUp, Expr::val(false))
            .filter(run::Column::WorkspaceId.eq(self.workspace))
            .filter(Expr::cust("rolled_up"))
            .exec(conn)
            .await?;
        Ok(())
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

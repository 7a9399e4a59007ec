//! What no fold and no slice gets to: nobody leaves it behind, but a database that was restored in parts, or written to by hand.

use entity::{RollupCube, RollupGrain, WorkspaceId, rollup_state, run, usage_ledger, usage_rollup};
use sea_orm::sea_query::{Expr, ExprTrait as _, IntoCondition as _};
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait, PaginatorTrait as _,
    QueryFilter, QuerySelect, QueryTrait as _,
};
use usage_rollup::Column as C;

use crate::error::Result;
use crate::metric::fresh;
use crate::metric::rollup::wait_for;
use crate::store::{Command, Needs, Snapshot, Tx};

/// Looked for by a snapshot, cured by a command.
pub(super) struct Strays {
    pub workspace: WorkspaceId,
}

/// How many there were.
pub(super) struct Strayed {
    calls: u64,
    rows: u64,
}

impl Strayed {
    /// How many of what, in words.
    pub fn told(&self) -> impl Iterator<Item = (u64, String)> {
        let calls = format!("{} model calls of runs that are folded are not", self.calls);
        let rows = format!("{} rows are of days that are yet to be made", self.rows);
        [(self.calls, calls), (self.rows, rows)]
            .into_iter()
            .filter(|(count, _)| *count > 0)
    }
}

impl Snapshot for Strays {
    type Output = Strayed;

    async fn read(&self, tx: &DatabaseTransaction) -> Result<Strayed> {
        let state = rollup_state::Entity::find_by_id(self.workspace)
            .one(tx)
            .await?;
        let calls = usage_ledger::Entity::find().filter(self.calls());
        let rows = match state {
            Some(state) => {
                let rows = usage_rollup::Entity::find().filter(self.rows(&state));
                rows.count(tx).await?
            }
            None => 0,
        };
        Ok(Strayed {
            calls: calls.count(tx).await?,
            rows,
        })
    }
}

impl Command for Strays {
    type Output = Strayed;

    async fn run(&self, tx: &Tx) -> Result<Strayed> {
        let state = wait_for(tx, self.workspace).await?;
        let conn = tx.writing().await?;
        // Counted with their runs from now on, like those that are folded with them.
        let calls = usage_ledger::Entity::update_many()
            .col_expr(usage_ledger::Column::RolledUp, Expr::val(true))
            .filter(self.calls())
            .exec(conn)
            .await?;
        let rows = usage_rollup::Entity::delete_many()
            .filter(self.rows(&state))
            .exec(conn)
            .await?;
        Ok(Strayed {
            calls: calls.rows_affected,
            rows: rows.rows_affected,
        })
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::ALONE
    }
}

impl Strays {
    /// Calls that are not folded though their run is: folding goes by runs.
    fn calls(&self) -> Condition {
        let folded = run::Entity::find()
            .select_only()
            .column(run::Column::Id)
            .filter(Expr::cust("run.id = usage_ledger.run_id AND run.rolled_up"));
        fresh::of_ledger()
            .add(usage_ledger::Column::WorkspaceId.eq(self.workspace))
            .add(Expr::exists(folded.into_query()).into_condition())
    }

    /// Days and weeks of a generation that is yet to begin: what is swept is older than the present one.
    fn rows(&self, state: &rollup_state::Model) -> Condition {
        Condition::all()
            .add(C::WorkspaceId.eq(self.workspace))
            // All of them, for the index: the key has it before the rest.
            .add(C::Cube.is_in(RollupCube::ALL.iter().copied()))
            .add(C::Grain.is_in([RollupGrain::Day, RollupGrain::Week]))
            .add(C::Generation.into_expr().gt(state.generation))
    }
}

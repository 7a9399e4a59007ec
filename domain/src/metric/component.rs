//! Which parts of prompts the input tokens belong to.

use entity::usage_ledger;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Func, Query};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, QuerySelect, QueryTrait};

use super::query::{Scope, whole};
use crate::access::{Action, Actor};
use crate::error::Result;
use crate::model::tokens::Components;

/// The input tokens of a scope's model calls by component of the prompt, scaled call by call to what the
/// provider reported. Calls whose usage is not known, or that were made before components were counted, are left out.
///
/// # Errors
/// [`crate::Error::Forbidden`] without [`Action::MetricsRead`].
pub async fn by_component<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    scope: &Scope,
) -> Result<Components> {
    #[derive(FromQueryResult)]
    struct Sum {
        component: String,
        tokens: i64,
    }
    actor.authorize(Action::MetricsRead)?;
    let backend = db.get_database_backend();
    let rows = scope
        .ledger(actor)
        .select_only()
        .column(usage_ledger::Column::Components);
    let (rows, parts) = (
        Alias::new("ledger"),
        (rows.into_query(), Alias::new("part")),
    );
    let column = Expr::col((rows.clone(), usage_ledger::Column::Components));
    let each = match backend {
        DbBackend::Sqlite => Func::cust("json_each").arg(column),
        _ => Func::cust("json_each_text").arg(column.cast_as("JSON")),
    };
    let value = Expr::col((parts.1.clone(), Alias::new("value"))).cast_as("BIGINT");
    let key = (parts.1.clone(), Alias::new("key"));
    let sums = Query::select()
        .expr_as(Expr::col(key.clone()), "component")
        .expr_as(whole(value.sum()), "tokens")
        .from_subquery(parts.0, rows)
        .from_function(each, parts.1)
        .group_by_col(key)
        .to_owned();
    let mut components = Components::default();
    for sum in Sum::find_by_statement(backend.build(&sums)).all(db).await? {
        components.add_key(&sum.component, sum.tokens);
    }
    Ok(components)
}

//! Many rows, few statements, few statement texts.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel, Value};

use super::tx::statement;
use crate::error::Result;

/// A column of a set-wise update: its name, and PostgreSQL's type of its values.
pub(crate) type Column = (&'static str, &'static str);

/// `v (columns) AS (VALUES …)` for `n` rows: what a set-wise update reads from. PostgreSQL takes the
/// types from the first row, so that one is cast.
pub(super) fn values_cte(backend: DbBackend, columns: &[Column], n: usize) -> String {
    let names = columns
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ");
    let plain = format!("({})", vec!["?"; columns.len()].join(", "));
    let first = if backend == DbBackend::Sqlite {
        plain.clone()
    } else {
        let cast = columns
            .iter()
            .map(|(_, ty)| format!("CAST(? AS {ty})"))
            .collect::<Vec<_>>();
        format!("({})", cast.join(", "))
    };
    format!(
        "WITH v ({names}) AS (VALUES {first}{})",
        format!(", {plain}").repeat(n - 1)
    )
}

/// Sets the columns of rows that are found by the first of `columns`.
///
/// # Errors
/// What the database said.
pub(crate) async fn update_all<C: ConnectionTrait>(
    conn: &C,
    table: &str,
    columns: &[Column],
    rows: Vec<Vec<Value>>,
) -> Result<()> {
    let backend = conn.get_database_backend();
    let key = columns[0].0;
    let set = columns[1..]
        .iter()
        .map(|(name, _)| format!("{name} = v.{name}"))
        .collect::<Vec<_>>()
        .join(", ");
    let mut left = rows.into_iter();
    for size in chunks(left.len()) {
        let cte = values_cte(backend, columns, size);
        let sql = format!("{cte} UPDATE {table} SET {set} FROM v WHERE {table}.{key} = v.{key}");
        conn.execute_raw(statement(backend, &sql, left.by_ref().take(size).flatten()))
            .await?;
    }
    Ok(())
}

/// The most rows of one statement: a table has no more statement texts than this, so that all of them
/// stay prepared (see the cache's size in `open.rs`), and a batch seldom needs a second one.
const MOST: usize = 32;

/// Splits `n` rows into the chunks of the statements.
pub(crate) fn chunks(mut n: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let size = Ord::min(n, MOST);
        n -= size;
        (size > 0).then_some(size)
    })
}

/// Inserts all rows; on a conflict does what `on_conflict` says, else fails.
///
/// # Errors
/// What the database said.
pub(crate) async fn insert_all<M, A, C>(
    conn: &C,
    models: Vec<M>,
    on_conflict: Option<OnConflict>,
) -> Result<()>
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait + Send,
    C: ConnectionTrait,
{
    let mut left = models.into_iter().map(IntoActiveModel::into_active_model);
    for size in chunks(left.len()) {
        let mut insert = <A::Entity as EntityTrait>::insert_many::<A, _>(
            left.by_ref().take(size).collect::<Vec<A>>(),
        );
        if let Some(on_conflict) = &on_conflict {
            insert = insert.on_conflict(on_conflict.clone());
        }
        insert.exec_without_returning(conn).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_as_large_as_they_may_be_and_add_up() {
        assert_eq!(chunks(0).count(), 0);
        assert_eq!(chunks(32).collect::<Vec<_>>(), [32]);
        assert_eq!(chunks(70).collect::<Vec<_>>(), [32, 32, 6]);
    }
}

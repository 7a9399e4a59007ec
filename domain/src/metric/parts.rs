//! Rows of many spans of time, in one statement.

use entity::Millis;
use sea_orm::sea_query::{
    Alias, Asterisk, CommonTableExpression, Expr, ExprTrait as _, Func, IntoTableRef, JoinType,
    Query, SelectStatement,
};
use sea_orm::{Condition, DbBackend};

use super::cover::Piece;

/// A piece of one of the intervals.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// The place of the interval.
    pub interval: usize,
    /// The piece.
    pub piece: Piece,
}

/// What a statement gives of a span.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// The sums of its groups, by which it is grouped.
    Summed,
    /// Each row.
    Each,
}

/// A span of time, and the `place` that its rows are told by.
pub(super) type Placed = (usize, (Millis, Millis));

impl From<&Part> for Placed {
    fn from(Part { interval, piece }: &Part) -> Self {
        (*interval, (piece.start, piece.end))
    }
}

/// The rows of each span, with its `place`: of a table by the `time` of its rows, joined with what `joins` adds; `rows` says what
/// of them.
///
/// Both databases are made to go from span to span, and find the rows of each by an index of their time: neither knows how many
/// there are, and goes through all of them for each span otherwise.
pub(super) fn of_each(
    backend: DbBackend,
    spans: impl Iterator<Item = Placed>,
    (table, time): (impl IntoTableRef, Expr),
    (mut rows, kind): (SelectStatement, Rows),
    joins: impl FnOnce(&mut SelectStatement),
) -> SelectStatement {
    let part = Alias::new("part");
    let of_part = |column: &'static str| Expr::col((Alias::new("part"), Alias::new(column)));
    rows.and_where(time.clone().gte(of_part("first")))
        .and_where(time.lt(of_part("last")));
    let list = CommonTableExpression::new()
        .table_name(part.clone())
        .query(listed(backend, spans))
        // Once: within the join, the list would be read anew for each row.
        .materialized(true)
        .to_owned();
    match backend {
        DbBackend::Sqlite => {
            rows.with_cte(list)
                .expr_as(of_part("place"), "place")
                .from(part)
                // Unlike other joins, this one is done in the order in which it is written.
                .join(JoinType::CrossJoin, table, Condition::all());
            joins(&mut rows);
            if kind == Rows::Summed {
                rows.add_group_by([of_part("place")]);
            }
            rows
        }
        _ => {
            let found = Alias::new("found");
            rows.from(table);
            joins(&mut rows);
            if kind == Rows::Each {
                // Else it would be made one with the join.
                rows.offset(0);
            }
            Query::select()
                .with_cte(list)
                .expr_as(of_part("place"), "place")
                .column((found.clone(), Asterisk))
                .from(part)
                .join_lateral(JoinType::InnerJoin, rows, found, Condition::all())
                .to_owned()
        }
    }
}

/// The spans as rows, of one value: the text of the statement stays the same however many there are.
fn listed(backend: DbBackend, spans: impl Iterator<Item = Placed>) -> SelectStatement {
    let list: Vec<_> = spans
        .map(|(place, (first, last))| {
            vec![i64::try_from(place).unwrap_or(i64::MAX), first.0, last.0]
        })
        .collect();
    let list = Expr::val(serde_json::Value::from(list).to_string());
    let each = match backend {
        DbBackend::Sqlite => Func::cust("json_each").arg(list),
        _ => Func::cust("json_array_elements").arg(list.cast_as("JSON")),
    };
    Query::select()
        .expr_as(Expr::cust("CAST(listed.value->>0 AS BIGINT)"), "place")
        .expr_as(Expr::cust("CAST(listed.value->>1 AS BIGINT)"), "first")
        .expr_as(Expr::cust("CAST(listed.value->>2 AS BIGINT)"), "last")
        .from_function(each, "listed")
        .to_owned()
}

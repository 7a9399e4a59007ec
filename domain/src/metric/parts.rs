//! Rows of many spans of time, in one statement.

use entity::{Millis, RollupCube, RollupGrain, usage_rollup};
use sea_orm::sea_query::{
    Alias, Asterisk, CommonTableExpression, Expr, ExprTrait as _, Func, IntoTableRef, JoinType,
    Query, SelectStatement,
};
use sea_orm::{ActiveEnum as _, ColumnTrait as _, Condition, DbBackend};
use serde_json::json;

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

/// A span of time.
#[derive(Clone, Copy)]
pub(super) struct Placed {
    /// What its rows are told by.
    pub place: usize,
    /// Its first moment.
    pub first: Millis,
    /// The moment after its last.
    pub last: Millis,
    /// Which rollups are meant; none: other rows.
    pub level: Option<Level>,
}

/// Rollups that make up a span without being counted twice.
#[derive(Clone, Copy)]
pub(super) struct Level {
    /// The cube.
    pub cube: RollupCube,
    /// The grain.
    pub grain: RollupGrain,
    /// The generation.
    pub generation: i64,
}

impl Level {
    /// Whether rollups are those that their span means; only within [`of_each`].
    pub(super) fn is_meant() -> Condition {
        use usage_rollup::Column as C;
        Condition::all()
            .add(C::Cube.into_expr().eq(of_part("cube")))
            .add(C::Grain.into_expr().eq(of_part("grain")))
            .add(C::Generation.into_expr().eq(of_part("generation")))
    }
}

/// A column of the list of spans.
fn of_part(column: &'static str) -> Expr {
    Expr::col((Alias::new("part"), Alias::new(column)))
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
        .map(|span| {
            let place = i64::try_from(span.place).unwrap_or(i64::MAX);
            let (first, last) = (span.first.0, span.last.0);
            match span.level {
                Some(Level {
                    cube,
                    grain,
                    generation,
                }) => json!([
                    place,
                    first,
                    last,
                    cube.to_value(),
                    grain.to_value(),
                    generation
                ]),
                None => json!([place, first, last]),
            }
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
        .expr_as(Expr::cust("listed.value->>3"), "cube")
        .expr_as(Expr::cust("listed.value->>4"), "grain")
        .expr_as(Expr::cust("CAST(listed.value->>5 AS BIGINT)"), "generation")
        .from_function(each, "listed")
        .to_owned()
}

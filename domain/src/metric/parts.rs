//! Rows of many spans of time, or of many keys, in one statement.

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

impl Part {
    /// Its span.
    pub(super) fn placed(&self, level: Option<Level>) -> Placed {
        Placed {
            place: self.interval,
            first: self.piece.start,
            last: self.piece.end,
            level,
        }
    }
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
    /// Whether rollups are those that their part means; only within [`each`] and [`of_each`].
    pub(super) fn is_meant() -> Condition {
        use usage_rollup::Column as C;
        Condition::all()
            .add(C::Cube.into_expr().eq(of_part("cube")))
            .add(C::Grain.into_expr().eq(of_part("grain")))
            .add(C::Generation.into_expr().eq(of_part("generation")))
    }
}

/// A column of the list of parts.
pub(super) fn of_part(column: &'static str) -> Expr {
    Expr::col((Alias::new("part"), Alias::new(column)))
}

/// The rows of each span, with its `place`: of a table by the `time` of its rows, joined with what `joins` adds; `rows` says what
/// of them.
pub(super) fn of_each(
    backend: DbBackend,
    spans: impl Iterator<Item = Placed>,
    (table, time): (impl IntoTableRef, Expr),
    (mut rows, kind): (SelectStatement, Rows),
    joins: impl FnOnce(&mut SelectStatement),
) -> SelectStatement {
    rows.and_where(time.clone().gte(of_part("first")))
        .and_where(time.lt(of_part("last")));
    each(
        backend,
        spans_listed(backend, spans),
        table,
        (rows, kind),
        joins,
    )
}

/// The rows of each part of a list, with its `place`: of a table that is joined with what `joins` adds; `rows` says what of them, and
/// which they are by columns [`of_part`].
///
/// Both databases are made to go from part to part, and find the rows of each by an index: neither knows how many there are, and
/// goes through all of them for each part otherwise.
pub(super) fn each(
    backend: DbBackend,
    list: SelectStatement,
    table: impl IntoTableRef,
    (mut rows, kind): (SelectStatement, Rows),
    joins: impl FnOnce(&mut SelectStatement),
) -> SelectStatement {
    let part = Alias::new("part");
    let list = CommonTableExpression::new()
        .table_name(part.clone())
        .query(list)
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

/// The spans as rows.
fn spans_listed(backend: DbBackend, spans: impl Iterator<Item = Placed>) -> SelectStatement {
    let list = spans.map(|span| {
        let (first, last) = (span.first.0, span.last.0);
        match span.level {
            Some(Level {
                cube,
                grain,
                generation,
            }) => json!([
                span.place,
                cube.to_value(),
                grain.to_value(),
                generation,
                first,
                last
            ]),
            None => json!([span.place, null, null, null, first, last]),
        }
    });
    let mut list = listed(backend, list);
    list.expr_as(whole_number(4), "first")
        .expr_as(whole_number(5), "last");
    list
}

/// Parts as rows, of one value: the text of the statement stays the same however many there are. Each is a list of its place, cube,
/// grain and generation, and of what the caller makes further columns of.
pub(super) fn listed(
    backend: DbBackend,
    parts: impl Iterator<Item = serde_json::Value>,
) -> SelectStatement {
    let list = Expr::val(parts.collect::<serde_json::Value>().to_string());
    let each = match backend {
        DbBackend::Sqlite => Func::cust("json_each").arg(list),
        _ => Func::cust("json_array_elements").arg(list.cast_as("JSON")),
    };
    Query::select()
        .expr_as(whole_number(0), "place")
        .expr_as(text(1), "cube")
        .expr_as(text(2), "grain")
        .expr_as(whole_number(3), "generation")
        .from_function(each, "listed")
        .to_owned()
}

/// What stands at a place of a part that is [`listed`], as a whole number.
pub(super) fn whole_number(place: usize) -> Expr {
    text(place).cast_as("BIGINT")
}

/// See [`whole_number`].
pub(super) fn text(place: usize) -> Expr {
    Expr::cust(format!("(listed.value->>{place})"))
}

//! Rollups' rows of many parts of a span, in one statement.

use entity::usage_rollup;
use sea_orm::sea_query::{
    Alias, Asterisk, CommonTableExpression, Expr, ExprTrait as _, Func, JoinType, Query,
    SelectStatement,
};
use sea_orm::{ColumnTrait as _, Condition, DbBackend};

use super::cover::Piece;

/// A piece of one of the intervals.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// The place of the interval.
    pub interval: usize,
    /// The piece.
    pub piece: Piece,
}

/// What a statement gives of a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// The sums of its groups, by which it is grouped.
    Summed,
    /// Each row.
    Each,
}

/// The rows of each part, with the `place` of its interval: `rows` says what of [`usage_rollup`], apart from their time.
///
/// Both databases are made to go from part to part, and find the rows of each by the whole of the key: neither knows how many
/// there are, and goes through all of a grain for each part otherwise.
pub(super) fn of_each(
    backend: DbBackend,
    parts: &[Part],
    mut rows: SelectStatement,
    kind: Rows,
) -> SelectStatement {
    let part = Alias::new("part");
    let of_part = |column: &'static str| Expr::col((Alias::new("part"), Alias::new(column)));
    let bucket = || usage_rollup::Column::Bucket.into_expr();
    rows.and_where(bucket().gte(of_part("first")))
        .and_where(bucket().lt(of_part("last")));
    let list = CommonTableExpression::new()
        .table_name(part.clone())
        .query(listed(backend, parts))
        // Once: within the join, the list would be read anew for each row.
        .materialized(true)
        .to_owned();
    match backend {
        DbBackend::Sqlite => {
            rows.with_cte(list)
                .expr_as(of_part("place"), "place")
                .from(part)
                // Unlike other joins, this one is done in the order in which it is written.
                .join(JoinType::CrossJoin, usage_rollup::Entity, Condition::all());
            if kind == Rows::Summed {
                rows.add_group_by([of_part("place")]);
            }
            rows
        }
        _ => {
            let found = Alias::new("found");
            rows.from(usage_rollup::Entity);
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

/// The parts as rows, of one value: the text of the statement stays the same however many there are.
fn listed(backend: DbBackend, parts: &[Part]) -> SelectStatement {
    let list: Vec<_> = parts
        .iter()
        .map(|part| {
            [
                i64::try_from(part.interval).unwrap_or(i64::MAX),
                part.piece.start.0,
                part.piece.end.0,
            ]
        })
        .collect();
    let list = Expr::val(
        serde_json::Value::from(list.iter().map(|row| row.to_vec()).collect::<Vec<_>>())
            .to_string(),
    );
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

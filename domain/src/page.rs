//! Pages of lists by keyset: page 10,000 costs what page 1 does.
//!
//! A cursor carries the order key of its row and a checksum under the workspace's own key, over the
//! key and the list that it belongs to. One from another workspace, another list or another order is
//! refused, so a cursor is useless for reading what its holder may not see.

mod cursor;
mod moment;

use sea_orm::sea_query::{Asterisk, Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{
    Condition, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

pub(crate) use moment::by_moment;

/// The page size where none is asked for.
pub const DEFAULT: u64 = 50;
/// The largest page.
pub const MAX: u64 = 100;

/// Which way to sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    Asc,
    /// Largest first.
    Desc,
}

impl Direction {
    const fn turned(self, turn: bool) -> Self {
        match (self, turn) {
            (Self::Asc, false) | (Self::Desc, true) => Self::Asc,
            (Self::Desc, false) | (Self::Asc, true) => Self::Desc,
        }
    }
}

/// The value of an order key in one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyValue {
    /// A number, or a moment in milliseconds.
    #[serde(rename = "n")]
    Int(i64),
    /// An id.
    #[serde(rename = "u")]
    Id(Uuid),
    /// A text.
    #[serde(rename = "t")]
    Text(String),
}

impl From<KeyValue> for Expr {
    fn from(value: KeyValue) -> Self {
        match value {
            KeyValue::Int(value) => Expr::val(value),
            KeyValue::Id(value) => Expr::val(value),
            KeyValue::Text(value) => Expr::val(value),
        }
    }
}

/// What rows of `E` can be sorted by. No key is ever null: where a column may be, the expression and
/// the value put something in its place.
pub trait Key<E: EntityTrait>: Copy + Send + Sync {
    /// A unique key: what decides between rows that are otherwise equal.
    const TIE: Self;
    /// Its name within cursors.
    fn name(self) -> &'static str;
    /// Whether no two rows of a list share a value.
    fn is_unique(self) -> bool;
    /// The key in SQL.
    fn expr(self) -> Expr;
    /// The key of a row; equal to what [`Key::expr`] gives for it.
    fn value(self, row: &E::Model) -> KeyValue;
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    backward: bool,
    limit: u64,
    after: Option<String>,
    before: Option<String>,
}

impl Slice {
    /// The part that `first`, `after`, `last` and `before` name, as Relay has them.
    ///
    /// # Errors
    /// `PAGE_TOO_LARGE` above [`MAX`]; `BAD_USER_INPUT` for a negative size, or both sizes at once.
    pub fn new(
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Self> {
        let (backward, field, size) = match (first, last) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(
                    "last",
                    "BAD_USER_INPUT",
                    "give `first` or `last`, not both",
                ));
            }
            (None, None) => {
                return Ok(Self {
                    backward: false,
                    limit: DEFAULT,
                    after,
                    before,
                });
            }
            (Some(first), None) => (false, "first", i64::from(first)),
            (None, Some(last)) => (true, "last", i64::from(last)),
        };
        let limit = u64::try_from(size).map_err(|_| {
            Error::invalid(
                field,
                "BAD_USER_INPUT",
                format!("`{field}` is {size}: give 0 to {MAX}"),
            )
        })?;
        if limit > MAX {
            return Err(Error::invalid(
                field,
                "PAGE_TOO_LARGE",
                format!("`{field}` is {size}, and a page has at most {MAX}"),
            ));
        }
        Ok(Self {
            backward,
            limit,
            after,
            before,
        })
    }

    /// The same part of the list without its items: only the count is wanted.
    #[must_use]
    pub fn only_count(self) -> Self {
        Self { limit: 0, ..self }
    }
}

/// Which list a cursor belongs to.
#[derive(Clone, Debug)]
pub struct List {
    /// The workspace's secret for checksums.
    pub cursor_key: Vec<u8>,
    /// Its name, with the id of what it hangs on: `request.notes:…`.
    pub name: String,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<M> {
    /// The rows with their cursors.
    pub edges: Vec<(String, M)>,
    /// Whether the list goes on after them.
    pub has_next: bool,
    /// Whether the list has something before them.
    pub has_previous: bool,
    /// Counts the whole list.
    pub total: Total,
}

/// How to count a whole list; nothing is counted before it is asked for.
#[derive(Clone, Debug)]
pub struct Total(SelectStatement);

impl Total {
    /// Counts the rows of `select`.
    pub fn of<E: EntityTrait>(select: &Select<E>) -> Self {
        let mut inner = select.clone().into_query();
        inner.clear_selects().clear_order_by().expr(Expr::val(1));
        let counted = Query::select()
            .expr(Expr::col(Asterisk).count())
            .from_subquery(inner, "list")
            .take();
        Self(counted)
    }

    /// Counts.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn count<C: ConnectionTrait>(&self, db: &C) -> Result<i64> {
        let row = db
            .query_one(&self.0)
            .await?
            .ok_or_else(|| Error::internal("a count came back empty"))?;
        Ok(row.try_get_by_index::<i64>(0)?)
    }
}

/// Reads one page of `select` in `order`; ties are decided by [`Key::TIE`].
///
/// # Errors
/// `INVALID_CURSOR` for a cursor that is not of this list in this order.
pub async fn page<C, E, K>(
    db: &C,
    list: &List,
    select: Select<E>,
    order: &[(K, Direction)],
    slice: &Slice,
) -> Result<Page<E::Model>>
where
    C: ConnectionTrait,
    E: EntityTrait,
    K: Key<E>,
{
    let order = with_tie::<E, K>(order);
    let tag = tag::<E, K>(list, &order);
    let total = Total::of(&select);
    let mut select = select;
    for (text, field, from) in [
        (&slice.after, "after", true),
        (&slice.before, "before", false),
    ] {
        if let Some(text) = text {
            let values =
                cursor::open(list, &tag, text, order.len()).ok_or_else(|| refused(field))?;
            select = select.filter(beyond::<E, K>(&order, values, from));
        }
    }
    if slice.limit == 0 {
        return Ok(Page {
            edges: Vec::new(),
            has_next: false,
            has_previous: false,
            total,
        });
    }
    for (key, direction) in &order {
        let direction = match direction.turned(slice.backward) {
            Direction::Asc => Order::Asc,
            Direction::Desc => Order::Desc,
        };
        select = select.order_by(key.expr(), direction);
    }
    let mut rows = select.limit(slice.limit + 1).all(db).await?;
    let more = rows.len() as u64 > slice.limit;
    rows.truncate(usize::try_from(slice.limit).unwrap_or(usize::MAX));
    if slice.backward {
        rows.reverse();
    }
    let edges = rows
        .into_iter()
        .map(|row| {
            let values: Vec<KeyValue> = order.iter().map(|(key, _)| key.value(&row)).collect();
            (cursor::seal(list, &tag, &values), row)
        })
        .collect();
    // The row that a cursor was made from lies on its other side.
    let (has_next, has_previous) = if slice.backward {
        (slice.before.is_some(), more)
    } else {
        (more, slice.after.is_some())
    };
    Ok(Page {
        edges,
        has_next,
        has_previous,
        total,
    })
}

fn with_tie<E: EntityTrait, K: Key<E>>(order: &[(K, Direction)]) -> Vec<(K, Direction)> {
    let mut all: Vec<(K, Direction)> = Vec::with_capacity(order.len() + 1);
    for &(key, direction) in order {
        if all.iter().all(|(earlier, _)| earlier.name() != key.name()) {
            all.push((key, direction));
        }
        if key.is_unique() {
            return all;
        }
    }
    let last = all
        .last()
        .map_or(Direction::Asc, |(_, direction)| *direction);
    all.push((K::TIE, last));
    all
}

/// The rows after (or before) the row with these keys: `a > x OR (a = x AND (b > y OR …))`, with
/// `a >= x` in front, because that is what an index can serve.
fn beyond<E: EntityTrait, K: Key<E>>(
    order: &[(K, Direction)],
    values: Vec<KeyValue>,
    after: bool,
) -> Condition {
    let mut inner: Option<Condition> = None;
    for ((key, direction), value) in order.iter().zip(values).rev() {
        let value = Expr::from(value);
        let upward = matches!(direction.turned(!after), Direction::Asc);
        let strict = if upward {
            key.expr().gt(value.clone())
        } else {
            key.expr().lt(value.clone())
        };
        inner = Some(match inner {
            None => Condition::all().add(strict),
            Some(rest) => {
                let bound = if upward {
                    key.expr().gte(value.clone())
                } else {
                    key.expr().lte(value.clone())
                };
                let tied = Condition::all().add(key.expr().eq(value)).add(rest);
                Condition::all()
                    .add(bound)
                    .add(Condition::any().add(strict).add(tied))
            }
        });
    }
    inner.unwrap_or_else(Condition::all)
}

fn tag<E: EntityTrait, K: Key<E>>(list: &List, order: &[(K, Direction)]) -> String {
    let mut tag = list.name.clone();
    for (key, direction) in order {
        tag.push(match direction {
            Direction::Asc => '+',
            Direction::Desc => '-',
        });
        tag.push_str(key.name());
    }
    tag
}

fn refused(field: &'static str) -> Error {
    let message = format!(
        "`{field}` is not a cursor of this list in this order: take it from an edge or from pageInfo of the same list"
    );
    Error::invalid(field, "INVALID_CURSOR", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_sizes_have_bounds() {
        assert_eq!(
            Slice::new(None, None, None, None)
                .expect("the default")
                .limit,
            DEFAULT
        );
        assert_eq!(
            Slice::new(Some(0), None, None, None)
                .expect("only the count")
                .limit,
            0
        );
        assert_eq!(
            Slice::new(Some(101), None, None, None)
                .expect_err("too large")
                .code(),
            "PAGE_TOO_LARGE"
        );
        assert_eq!(
            Slice::new(Some(-1), None, None, None)
                .expect_err("negative")
                .code(),
            "BAD_USER_INPUT"
        );
        assert_eq!(
            Slice::new(Some(1), None, Some(1), None)
                .expect_err("both")
                .code(),
            "BAD_USER_INPUT"
        );
        assert!(
            Slice::new(None, None, Some(100), None)
                .expect("backward")
                .backward
        );
    }
}

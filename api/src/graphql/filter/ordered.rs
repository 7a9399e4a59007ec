//! The comparators of what has an order: numbers, money, moments.

use async_graphql::InputObject;
use domain::error::Result;
use sea_orm::sea_query::Expr;

use super::{Comparator, Op, Where};
use crate::graphql::scalar::{DateTimeOrDuration, Decimal, Int64};

/// Compares a whole number. Comparators given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct IntComparator {
    /// Is this.
    pub eq: Option<i32>,
    /// Is not this.
    pub neq: Option<i32>,
    /// Is one of these, at most 100.
    pub r#in: Option<Vec<i32>>,
    /// Is none of these, at most 100.
    pub nin: Option<Vec<i32>>,
    /// Is less than this.
    pub lt: Option<i32>,
    /// Is at most this.
    pub lte: Option<i32>,
    /// Is more than this.
    pub gt: Option<i32>,
    /// Is at least this.
    pub gte: Option<i32>,
}

/// Bound as 64 bits, as keys of cursors are: the driver keeps a prepared statement by its text alone, so
/// the same text must always come with the same types.
impl Comparator for IntComparator {
    fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
        let Self {
            eq,
            neq,
            r#in,
            nin,
            lt,
            lte,
            gt,
            gte,
        } = self;
        for (op, value) in [
            (Op::Eq, eq),
            (Op::Neq, neq),
            (Op::Lt, lt),
            (Op::Lte, lte),
            (Op::Gt, gt),
            (Op::Gte, gte),
        ] {
            to.op(column, false, op, value.map(i64::from))?;
        }
        for (list, inside) in [(r#in, true), (nin, false)] {
            let values = list
                .as_ref()
                .map(|list| list.iter().copied().map(i64::from).collect());
            to.among::<i64>(column, false, inside, values)?;
        }
        Ok(())
    }
}

/// Compares a whole number that outgrows Int. Comparators given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct Int64Comparator {
    /// Is this.
    pub eq: Option<Int64>,
    /// Is not this.
    pub neq: Option<Int64>,
    /// Is one of these, at most 100.
    pub r#in: Option<Vec<Int64>>,
    /// Is none of these, at most 100.
    pub nin: Option<Vec<Int64>>,
    /// Is less than this.
    pub lt: Option<Int64>,
    /// Is at most this.
    pub lte: Option<Int64>,
    /// Is more than this.
    pub gt: Option<Int64>,
    /// Is at least this.
    pub gte: Option<Int64>,
}

impl Comparator for Int64Comparator {
    fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
        let Self {
            eq,
            neq,
            r#in,
            nin,
            lt,
            lte,
            gt,
            gte,
        } = self;
        for (op, value) in [
            (Op::Eq, eq),
            (Op::Neq, neq),
            (Op::Lt, lt),
            (Op::Lte, lte),
            (Op::Gt, gt),
            (Op::Gte, gte),
        ] {
            to.op(column, false, op, value.map(|value| value.0))?;
        }
        for (list, inside) in [(r#in, true), (nin, false)] {
            let values = list
                .as_ref()
                .map(|list| list.iter().map(|value| value.0).collect());
            to.among::<i64>(column, false, inside, values)?;
        }
        Ok(())
    }
}

/// Compares an amount of money. Comparators given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct DecimalComparator {
    /// Is this.
    pub eq: Option<Decimal>,
    /// Is not this.
    pub neq: Option<Decimal>,
    /// Is less than this.
    pub lt: Option<Decimal>,
    /// Is at most this.
    pub lte: Option<Decimal>,
    /// Is more than this.
    pub gt: Option<Decimal>,
    /// Is at least this.
    pub gte: Option<Decimal>,
}

impl Comparator for DecimalComparator {
    fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
        let Self {
            eq,
            neq,
            lt,
            lte,
            gt,
            gte,
        } = self;
        for (op, value) in [
            (Op::Eq, eq),
            (Op::Neq, neq),
            (Op::Lt, lt),
            (Op::Lte, lte),
            (Op::Gt, gt),
            (Op::Gte, gte),
        ] {
            to.op(column, false, op, value.map(|value| value.0))?;
        }
        Ok(())
    }
}

/// Compares a moment. Comparators given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct DateTimeComparator {
    /// Is this moment, to the millisecond.
    pub eq: Option<DateTimeOrDuration>,
    /// Is not this moment.
    pub neq: Option<DateTimeOrDuration>,
    /// Is before this.
    pub lt: Option<DateTimeOrDuration>,
    /// Is before this, or at it.
    pub lte: Option<DateTimeOrDuration>,
    /// Is after this.
    pub gt: Option<DateTimeOrDuration>,
    /// Is after this, or at it.
    pub gte: Option<DateTimeOrDuration>,
}

impl Comparator for DateTimeComparator {
    fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
        let Self {
            eq,
            neq,
            lt,
            lte,
            gt,
            gte,
        } = self;
        let now = to.now();
        for (op, value) in [
            (Op::Eq, eq),
            (Op::Neq, neq),
            (Op::Lt, lt),
            (Op::Lte, lte),
            (Op::Gt, gt),
            (Op::Gte, gte),
        ] {
            to.op(column, false, op, value.map(|value| value.resolve(now).0))?;
        }
        Ok(())
    }
}

/// Compares a moment that may be missing. Comparators given together must all hold; a missing moment is neither before nor after another.
#[derive(InputObject, Clone, Debug)]
pub struct NullableDateTimeComparator {
    /// Is this moment, to the millisecond.
    pub eq: Option<DateTimeOrDuration>,
    /// Is not this moment, or is missing.
    pub neq: Option<DateTimeOrDuration>,
    /// Is before this.
    pub lt: Option<DateTimeOrDuration>,
    /// Is before this, or at it.
    pub lte: Option<DateTimeOrDuration>,
    /// Is after this.
    pub gt: Option<DateTimeOrDuration>,
    /// Is after this, or at it.
    pub gte: Option<DateTimeOrDuration>,
    /// Is missing (true), or is there (false).
    pub null: Option<bool>,
}

impl Comparator for NullableDateTimeComparator {
    fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
        let Self {
            eq,
            neq,
            lt,
            lte,
            gt,
            gte,
            null,
        } = self;
        let now = to.now();
        for (op, value) in [
            (Op::Eq, eq),
            (Op::Neq, neq),
            (Op::Lt, lt),
            (Op::Lte, lte),
            (Op::Gt, gt),
            (Op::Gte, gte),
        ] {
            to.op(column, true, op, value.map(|value| value.resolve(now).0))?;
        }
        to.null(column, *null)
    }
}

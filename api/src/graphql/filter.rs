//! Filters of the contract, turned into SQL conditions.
//!
//! Every condition is true or false, never unknown, so that `not` means what it says also where a
//! column is null. The number of terms is bounded, because the database's parser is.

pub mod comparator;
pub mod ordered;

use async_graphql::ID;
use domain::error::{Error, Result};
use entity::Millis;
use sea_orm::sea_query::{BinOper, Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, Condition, Value};

pub use comparator::*;
pub use ordered::*;

use super::node::{self, GlobalId};

/// How many comparisons one filter may hold.
const TERMS: usize = 200;
/// How many values one comparison may list.
const VALUES: usize = 100;

/// What a filter is read with: the present moment, and how many comparisons it may still hold.
#[derive(Clone, Debug)]
pub struct Terms {
    now: Millis,
    left: usize,
}

impl Terms {
    /// The terms of one filter, read at `now`.
    pub fn at(now: Millis) -> Self {
        Self { now, left: TERMS }
    }

    /// The present moment.
    pub fn now(&self) -> Millis {
        self.now
    }

    fn spend(&mut self, terms: usize) -> Result<()> {
        self.left = self.left.checked_sub(terms).ok_or_else(|| {
            Error::invalid(
                "filter",
                "BAD_USER_INPUT",
                format!("the filter holds more than {TERMS} comparisons"),
            )
        })?;
        Ok(())
    }
}

/// Something that a row meets or not.
pub trait Filter: Sized {
    /// The condition in SQL.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`: an id of another type, a list that is too long, too many comparisons.
    fn condition(&self, terms: &mut Terms) -> Result<Condition>;
}

/// The condition of a filter; all rows without one.
///
/// # Errors
/// As [`Filter::condition`].
pub fn condition<F: Filter>(filter: Option<&F>, now: Millis) -> Result<Condition> {
    filter.map_or_else(
        || Ok(Condition::all()),
        |filter| filter.condition(&mut Terms::at(now)),
    )
}

/// A comparator of one type of column.
pub trait Comparator {
    /// Adds its comparisons with `column`.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()>;
}

/// A condition while it is put together: all of its parts must hold.
pub struct Where<'a> {
    terms: &'a mut Terms,
    all: Condition,
}

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Equal.
    Eq,
    /// Not equal, or missing.
    Neq,
    /// Less.
    Lt,
    /// At most.
    Lte,
    /// More.
    Gt,
    /// At least.
    Gte,
}

impl<'a> Where<'a> {
    /// A condition without parts.
    pub fn new(terms: &'a mut Terms) -> Self {
        Self {
            terms,
            all: Condition::all(),
        }
    }

    /// The condition.
    pub fn done(self) -> Condition {
        self.all
    }

    /// The present moment.
    pub fn now(&self) -> Millis {
        self.terms.now
    }

    /// Adds what a comparator asks of a column, if there is one.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn by<C: Comparator>(
        &mut self,
        comparator: &Option<C>,
        column: impl ColumnTrait,
    ) -> Result<()> {
        comparator.as_ref().map_or(Ok(()), |comparator| {
            comparator.compare(&column.into_expr(), self)
        })
    }

    /// Adds what an id comparator asks of a column that holds ids of the type `T`.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn by_id<T: GlobalId>(
        &mut self,
        ids: &Option<IdComparator>,
        column: impl ColumnTrait,
    ) -> Result<()> {
        let Some(IdComparator { eq, neq, r#in, nin }) = ids else {
            return Ok(());
        };
        self.ids(&column.into_expr(), false, [eq, neq], [r#in, nin], |id| {
            node::parse::<T>(id).map(T::uuid)
        })
    }

    /// Adds what an id comparator asks of a column that holds ids of actors of any kind.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn by_actor(&mut self, ids: &Option<IdComparator>, column: impl ColumnTrait) -> Result<()> {
        let Some(IdComparator { eq, neq, r#in, nin }) = ids else {
            return Ok(());
        };
        self.ids(&column.into_expr(), false, [eq, neq], [r#in, nin], |id| {
            Ok(node::parse_actor(id)?.1)
        })
    }

    /// As [`Where::by_actor`], for a column that may be null.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn by_nullable_actor(
        &mut self,
        ids: &Option<NullableIdComparator>,
        column: impl ColumnTrait,
    ) -> Result<()> {
        let Some(NullableIdComparator {
            eq,
            neq,
            r#in,
            nin,
            null,
        }) = ids
        else {
            return Ok(());
        };
        let column = column.into_expr();
        self.null(&column, *null)?;
        self.ids(&column, true, [eq, neq], [r#in, nin], |id| {
            Ok(node::parse_actor(id)?.1)
        })
    }

    fn ids(
        &mut self,
        column: &Expr,
        nullable: bool,
        [eq, neq]: [&Option<ID>; 2],
        [inside, outside]: [&Option<Vec<ID>>; 2],
        parse: impl Fn(&ID) -> Result<uuid::Uuid>,
    ) -> Result<()> {
        self.op(
            column,
            nullable,
            Op::Eq,
            eq.as_ref().map(&parse).transpose()?,
        )?;
        self.op(
            column,
            nullable,
            Op::Neq,
            neq.as_ref().map(&parse).transpose()?,
        )?;
        for (list, among) in [(inside, true), (outside, false)] {
            let Some(ids) = list else { continue };
            let values = ids.iter().map(&parse).collect::<Result<Vec<_>>>()?;
            self.among(column, nullable, among, Some(values))?;
        }
        Ok(())
    }

    /// Adds `column op value`, if there is a value.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn op<V: Into<Value>>(
        &mut self,
        column: &Expr,
        nullable: bool,
        op: Op,
        value: Option<V>,
    ) -> Result<()> {
        let Some(value) = value else { return Ok(()) };
        self.terms.spend(1)?;
        let (column, value) = (column.clone(), Expr::val(value));
        let there = column.clone().is_not_null();
        let term = match op {
            Op::Eq => column.clone().eq(value),
            Op::Neq => column.clone().ne(value),
            Op::Lt => column.clone().lt(value),
            Op::Lte => column.clone().lte(value),
            Op::Gt => column.clone().gt(value),
            Op::Gte => column.clone().gte(value),
        };
        self.add(match (nullable, op) {
            (false, _) => term,
            (true, Op::Neq) => column.is_null().or(term),
            (true, Op::Eq | Op::Lt | Op::Lte | Op::Gt | Op::Gte) => there.and(term),
        });
        Ok(())
    }

    /// Adds that `column` is (or is not) one of the values, if there is a list of them.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn among<V: Into<Value>>(
        &mut self,
        column: &Expr,
        nullable: bool,
        inside: bool,
        values: Option<Vec<V>>,
    ) -> Result<()> {
        let Some(values) = values else { return Ok(()) };
        bounded(values.len())?;
        self.terms.spend(1)?;
        let column = column.clone();
        self.add(match (inside, nullable) {
            (true, false) => column.is_in(values),
            (true, true) => column.clone().is_not_null().and(column.is_in(values)),
            (false, false) => column.is_not_in(values),
            (false, true) => column.clone().is_null().or(column.is_not_in(values)),
        });
        Ok(())
    }

    /// Adds that `column` is missing (or there).
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn null(&mut self, column: &Expr, null: Option<bool>) -> Result<()> {
        let Some(null) = null else { return Ok(()) };
        self.terms.spend(1)?;
        let column = column.clone();
        self.add(if null {
            column.is_null()
        } else {
            column.is_not_null()
        });
        Ok(())
    }

    /// Adds that `column` contains (or starts with) a text, whatever the case of A–Z.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn like(&mut self, column: &Expr, text: Option<&str>, anywhere: bool) -> Result<()> {
        let Some(text) = text else { return Ok(()) };
        self.terms.spend(1)?;
        self.add(like(column.clone(), &escaped(text), anywhere));
        Ok(())
    }

    /// Adds a condition of the caller's own making that counts as `terms` comparisons.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn add_all(&mut self, terms: usize, condition: Condition) -> Result<()> {
        self.terms.spend(terms)?;
        self.all = std::mem::replace(&mut self.all, Condition::all()).add(condition);
        Ok(())
    }

    /// Adds `and`, `or` and `not`. An empty `or` holds for nothing.
    ///
    /// # Errors
    /// As [`Filter::condition`].
    pub fn branches<F: Filter>(
        &mut self,
        and: &Option<Vec<F>>,
        or: &Option<Vec<F>>,
        not: &Option<Box<F>>,
    ) -> Result<()> {
        for filter in and.iter().flatten() {
            let part = self.branch(filter)?;
            self.add_all(0, part)?;
        }
        if let Some(filters) = or {
            let mut any = Condition::any().add(Expr::val(1).eq(0));
            for filter in filters {
                any = any.add(self.branch(filter)?);
            }
            self.add_all(0, any)?;
        }
        if let Some(filter) = not {
            let part = self.branch(&**filter)?;
            self.add_all(0, part.not())?;
        }
        Ok(())
    }

    /// A filter without comparisons still costs a term: nothing that nests is free.
    fn branch<F: Filter>(&mut self, filter: &F) -> Result<Condition> {
        self.terms.spend(1)?;
        Ok(Condition::all()
            .add(Expr::val(1).eq(1))
            .add(filter.condition(self.terms)?))
    }

    fn add(&mut self, term: Expr) {
        self.all = std::mem::replace(&mut self.all, Condition::all()).add(term);
    }
}

/// Refuses lists that are too long.
///
/// # Errors
/// `BAD_USER_INPUT`.
pub fn bounded(values: usize) -> Result<()> {
    if values <= VALUES {
        return Ok(());
    }
    let message =
        format!("a list in the filter has {values} values, and at most {VALUES} are allowed");
    Err(Error::invalid("filter", "BAD_USER_INPUT", message))
}

/// `LOWER(column) LIKE LOWER(pattern) ESCAPE '!'`: the same function on both sides, whatever letters it knows.
fn like(column: Expr, escaped: &str, anywhere: bool) -> Expr {
    let pattern = if anywhere {
        format!("%{escaped}%")
    } else {
        format!("{escaped}%")
    };
    let pattern = Expr::from(Func::lower(Expr::val(pattern)))
        .binary(BinOper::Escape, Expr::Constant('!'.into()));
    Expr::from(Func::lower(column)).binary(BinOper::Like, pattern)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '!') {
            escaped.push('!');
        }
        escaped.push(letter);
    }
    escaped
}

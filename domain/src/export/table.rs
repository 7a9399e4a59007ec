//! Tables: their columns, and the values of a row.

use entity::Millis;

use crate::metric::zone::Interval;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing is known, or there is nothing.
    Nothing,
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// A moment.
    Time(Millis),
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Texts.
    Text,
    /// Whole numbers of 64 bits.
    Int,
    /// Yes or no.
    Bool,
    /// Moments, to the millisecond.
    Time,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its values are; any may be missing.
    pub kind: Kind,
    /// What they mean, in a sentence.
    pub about: &'static str,
}

pub(super) const fn column(name: &'static str, kind: Kind, about: &'static str) -> Column {
    Column { name, kind, about }
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Figures: a row for each interval and group in which there was anything.
    Metrics(Interval),
    /// A row for each run that ended in the span.
    Runs,
    /// A row for each model call that ended in the span.
    Calls,
}

impl Table {
    /// Its columns, in their order.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Metrics(_) => &super::figures::COLUMNS,
            Self::Runs => &super::runs::COLUMNS,
            Self::Calls => &super::calls::COLUMNS,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for Cell {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<bool> for Cell {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<Millis> for Cell {
    fn from(at: Millis) -> Self {
        Self::Time(at)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

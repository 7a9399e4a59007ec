//! The comparators of ids, texts, yes and no, and closed sets.

use async_graphql::{ID, InputObject};
use domain::error::{Error, Result};
use sea_orm::Condition;
use sea_orm::sea_query::{Expr, ExprTrait};

use super::{Comparator, Op, Where, bounded};
use crate::graphql::kind;

/// Compares a global id. Comparators given together must all hold.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "IDComparator")]
pub struct IdComparator {
    /// Is this one.
    pub eq: Option<ID>,
    /// Is not this one.
    pub neq: Option<ID>,
    /// Is one of these, at most 100.
    pub r#in: Option<Vec<ID>>,
    /// Is none of these, at most 100.
    pub nin: Option<Vec<ID>>,
}

impl IdComparator {
    /// Lets one id through.
    pub fn one(id: ID) -> Self {
        Self {
            eq: Some(id),
            neq: None,
            r#in: None,
            nin: None,
        }
    }
}

/// Compares a global id that may be missing. Comparators given together must all hold.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "NullableIDComparator")]
pub struct NullableIdComparator {
    /// Is this one.
    pub eq: Option<ID>,
    /// Is not this one, or is missing.
    pub neq: Option<ID>,
    /// Is one of these, at most 100.
    pub r#in: Option<Vec<ID>>,
    /// Is none of these, at most 100, or is missing.
    pub nin: Option<Vec<ID>>,
    /// Is missing (true), or is there (false).
    pub null: Option<bool>,
}

/// Compares a text. Comparators given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct StringComparator {
    /// Is exactly this.
    pub eq: Option<String>,
    /// Is not exactly this.
    pub neq: Option<String>,
    /// Is exactly one of these, at most 100.
    pub r#in: Option<Vec<String>>,
    /// Is exactly none of these, at most 100.
    pub nin: Option<Vec<String>>,
    /// Contains this; A–Z and a–z count as the same.
    pub contains: Option<String>,
    /// Starts with this; A–Z and a–z count as the same.
    pub starts_with: Option<String>,
}

impl Comparator for StringComparator {
    fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
        let Self {
            eq,
            neq,
            r#in,
            nin,
            contains,
            starts_with,
        } = self;
        let lists = [r#in, nin].into_iter().flatten().flatten();
        let texts = [eq, neq, contains, starts_with].into_iter().flatten();
        texts.chain(lists).try_for_each(|text| plain(text))?;
        to.op(column, false, Op::Eq, eq.clone())?;
        to.op(column, false, Op::Neq, neq.clone())?;
        to.among(column, false, true, r#in.clone())?;
        to.among(column, false, false, nin.clone())?;
        to.like(column, contains.as_deref(), true)?;
        to.like(column, starts_with.as_deref(), false)
    }
}

/// Refuses what no text in a database can hold: one of the two takes it for a text's end.
fn plain(text: &str) -> Result<()> {
    if text.contains('\0') {
        let message = "a text of the filter holds a NUL character; remove it";
        return Err(Error::invalid("filter", "BAD_USER_INPUT", message));
    }
    Ok(())
}

/// Compares a list of texts. Comparators given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct StringListComparator {
    /// Holds exactly this.
    pub has: Option<String>,
    /// Holds at least one of these, at most 100.
    pub has_some: Option<Vec<String>>,
    /// Holds every one of these, at most 100.
    pub has_every: Option<Vec<String>>,
    /// Is empty (true), or is not (false).
    pub is_empty: Option<bool>,
}

/// For columns that hold the list as a JSON array, written without spaces.
impl Comparator for StringListComparator {
    fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
        let Self {
            has,
            has_some,
            has_every,
            is_empty,
        } = self;
        // A quote within a text is escaped, so the text in its quotes occurs only as a whole element.
        let holds = |text: &String| {
            let element = serde_json::to_string(text).expect("a text is JSON");
            let without = sea_orm::sea_query::Func::cust("replace").args([
                column.clone(),
                Expr::val(element),
                Expr::val(""),
            ]);
            Expr::from(without).ne(column.clone())
        };
        let lists = [has_some, has_every].into_iter().flatten().flatten();
        has.iter().chain(lists).try_for_each(|text| plain(text))?;
        if let Some(text) = has {
            to.add_all(1, Condition::all().add(holds(text)))?;
        }
        for text in has_every.iter().flatten() {
            to.add_all(1, Condition::all().add(holds(text)))?;
        }
        if let Some(texts) = has_some {
            bounded(texts.len())?;
            let none = Condition::any().add(Expr::val(1).eq(0));
            to.add_all(
                texts.len(),
                texts.iter().fold(none, |any, text| any.add(holds(text))),
            )?;
        }
        match is_empty {
            Some(true) => to.op(column, false, Op::Eq, Some("[]")),
            Some(false) => to.op(column, false, Op::Neq, Some("[]")),
            None => Ok(()),
        }
    }
}

/// Compares yes and no.
#[derive(InputObject, Clone, Debug)]
pub struct BooleanComparator {
    /// Is this.
    pub eq: Option<bool>,
    /// Is not this.
    pub neq: Option<bool>,
}

impl Comparator for BooleanComparator {
    fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
        to.op(column, false, Op::Eq, self.eq)?;
        to.op(column, false, Op::Neq, self.neq)
    }
}

macro_rules! closed_set {
    ($($doc:literal $name:ident of $set:ident,)+) => {$(
        #[doc = $doc]
        #[derive(InputObject, Clone, Debug)]
        pub struct $name {
            /// Is this.
            pub eq: Option<kind::$set>,
            /// Is not this.
            pub neq: Option<kind::$set>,
            /// Is one of these.
            pub r#in: Option<Vec<kind::$set>>,
            /// Is none of these.
            pub nin: Option<Vec<kind::$set>>,
        }

        impl Comparator for $name {
            fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
                let Self { eq, neq, r#in, nin } = self;
                to.op(column, false, Op::Eq, eq.map(kind::$set::word))?;
                to.op(column, false, Op::Neq, neq.map(kind::$set::word))?;
                to.among(column, false, true, r#in.as_ref().map(|all| all.iter().map(|one| one.word()).collect()))?;
                to.among(column, false, false, nin.as_ref().map(|all| all.iter().map(|one| one.word()).collect()))
            }
        }
    )+};
}

macro_rules! nullable_closed_set {
    ($($doc:literal $name:ident of $set:ident,)+) => {$(
        #[doc = $doc]
        #[derive(InputObject, Clone, Debug)]
        pub struct $name {
            /// Is this.
            pub eq: Option<kind::$set>,
            /// Is not this, or is missing.
            pub neq: Option<kind::$set>,
            /// Is one of these.
            pub r#in: Option<Vec<kind::$set>>,
            /// Is none of these, or is missing.
            pub nin: Option<Vec<kind::$set>>,
            /// Is missing (true), or is there (false).
            pub null: Option<bool>,
        }

        impl Comparator for $name {
            fn compare(&self, column: &Expr, to: &mut Where<'_>) -> Result<()> {
                let Self { eq, neq, r#in, nin, null } = self;
                to.op(column, true, Op::Eq, eq.map(kind::$set::word))?;
                to.op(column, true, Op::Neq, neq.map(kind::$set::word))?;
                to.among(column, true, true, r#in.as_ref().map(|all| all.iter().map(|one| one.word()).collect()))?;
                to.among(column, true, false, nin.as_ref().map(|all| all.iter().map(|one| one.word()).collect()))?;
                to.null(column, *null)
            }
        }
    )+};
}

closed_set! {
    "Compares a request's status. Comparators given together must all hold." RequestStatusComparator of RequestStatus,
    "Compares an urgency. Comparators given together must all hold." PriorityComparator of Priority,
    "Compares where a request came from. Comparators given together must all hold." RequestSourceComparator of RequestSource,
    "Compares who may read a note. Comparators given together must all hold." NoteVisibilityComparator of NoteVisibility,
    "Compares where a coworker stands. Comparators given together must all hold." CoworkerStateComparator of CoworkerState,
    "Compares where an approval stands. Comparators given together must all hold." ApprovalStateComparator of ApprovalState,
    "Compares a run's status. Comparators given together must all hold." RunStatusComparator of RunStatus,
    "Compares what started a run. Comparators given together must all hold." TriggerComparator of Trigger,
    "Compares a kind of step. Comparators given together must all hold." StepKindComparator of StepKind,
    "Compares what became of a delivery. Comparators given together must all hold." WebhookOutcomeComparator of WebhookOutcome,
    "Compares what an alert tells of. Comparators given together must all hold." AlertKindComparator of AlertKind,
    "Compares where the delivery of an alert stands. Comparators given together must all hold." AlertStateComparator of AlertState,
}

nullable_closed_set! {
    "Compares a kind of actor. Comparators given together must all hold." ActorKindComparator of ActorKind,
    "Compares a run's outcome. Comparators given together must all hold." RunOutcomeComparator of RunOutcome,
    "Compares a run's failure code. Comparators given together must all hold." RunFailureCodeComparator of RunFailureCode,
}

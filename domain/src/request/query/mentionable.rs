//! Whom a note can mention: the completions of a text field.

use entity::{CoworkerState, coworker, person};
use sea_orm::sea_query::{BinOper, Expr, ExprTrait, Func};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::access::{Action, Actor};
use crate::error::{Error, Result};

/// The most that are answered at once.
const MOST: i32 = 50;
/// The most characters of a prefix: no handle or name is longer.
const LONGEST: usize = 100;

/// The published coworkers, then the people, whose handle or name begins with `prefix`, each kind by name;
/// `first` in all. Nobody for actors whose notes mention nobody, or who may not see coworkers.
///
/// # Errors
/// [`Error::Invalid`] for a `first` or a prefix out of bounds, else what the database answers.
pub async fn mentionables<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    prefix: &str,
    first: i32,
) -> Result<(Vec<coworker::Model>, Vec<person::Model>)> {
    if !(1..=MOST).contains(&first) {
        let message = format!("`first` is {first}; it must be from 1 to {MOST}");
        return Err(Error::invalid("first", "PAGE_TOO_LARGE", message));
    }
    let prefix = prefix.strip_prefix('@').unwrap_or(prefix);
    if prefix.chars().count() > LONGEST || prefix.contains('\0') {
        let message = format!("`prefix` may have at most {LONGEST} characters, none of them NUL");
        return Err(Error::invalid("prefix", "BAD_USER_INPUT", message));
    }
    let writes = actor.may(Action::NotePublic) || actor.may(Action::NotePrivate);
    if !(writes && actor.principal.is_person() && actor.may(Action::CoworkerRead)) {
        return Ok((Vec::new(), Vec::new()));
    }
    let first = u64::try_from(first).unwrap_or(0);
    let begins = |column: Expr| begins(column, prefix);
    let coworkers = crate::coworker::query::visible(actor)
        .filter(coworker::Column::State.eq(CoworkerState::Published))
        .filter(
            Condition::any()
                .add(begins(coworker::Column::Handle.into_expr()))
                .add(begins(coworker::Column::Name.into_expr())),
        )
        .order_by_asc(coworker::Column::Name)
        .order_by_asc(coworker::Column::Handle)
        .limit(first)
        .all(db)
        .await?;
    let left = first.saturating_sub(coworkers.len() as u64);
    let people = crate::key::query::visible_people(actor)
        .filter(begins(person::Column::Name.into_expr()))
        .order_by_asc(person::Column::Name)
        .order_by_asc(person::Column::Id)
        .limit(left)
        .all(db)
        .await?;
    Ok((coworkers, people))
}

/// `LOWER(column) LIKE LOWER(prefix%) ESCAPE '!'`.
fn begins(column: Expr, prefix: &str) -> Expr {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for letter in prefix.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    let pattern = Expr::from(Func::lower(Expr::val(pattern)))
        .binary(BinOper::Escape, Expr::Constant('!'.into()));
    Expr::from(Func::lower(column)).binary(BinOper::Like, pattern)
}

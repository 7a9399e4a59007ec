//! Which coworkers, and in which order.

use async_graphql::{InputObject, OneofObject};
use domain::coworker::query::CoworkerKey;
use domain::page::Direction;
use entity::{CoworkerId, coworker};
use sea_orm::Condition;

use crate::graphql::filter::{
    BooleanComparator, CoworkerStateComparator, DateTimeComparator, Filter, IdComparator,
    StringComparator, Terms, Where,
};
use crate::graphql::kind::OrderDirection;

/// Which coworkers. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct CoworkerFilter {
    /// By global id.
    pub id: Option<IdComparator>,
    /// By name.
    pub name: Option<StringComparator>,
    /// By handle.
    pub handle: Option<StringComparator>,
    /// By where it stands.
    pub state: Option<CoworkerStateComparator>,
    /// By whether it is the Triage coworker.
    pub is_triage: Option<BooleanComparator>,
    /// By when it was made.
    pub created_at: Option<DateTimeComparator>,
    /// By when it last changed.
    pub updated_at: Option<DateTimeComparator>,
    /// All of these must hold.
    pub and: Option<Vec<CoworkerFilter>>,
    /// At least one of these must hold.
    pub or: Option<Vec<CoworkerFilter>>,
    /// This must not hold.
    pub not: Option<Box<CoworkerFilter>>,
}

impl Filter for CoworkerFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use coworker::Column as C;
        let mut all = Where::new(terms);
        all.by_id::<CoworkerId>(&self.id, C::Id)?;
        all.by(&self.name, C::Name)?;
        all.by(&self.handle, C::Handle)?;
        all.by(&self.state, C::State)?;
        all.by(&self.is_triage, C::IsTriage)?;
        all.by(&self.created_at, C::CreatedAt)?;
        all.by(&self.updated_at, C::UpdatedAt)?;
        all.branches(&self.and, &self.or, &self.not)?;
        Ok(all.done())
    }
}

/// One thing to sort coworkers by.
#[derive(OneofObject, Clone, Copy, Debug)]
pub enum CoworkerOrder {
    /// By name.
    Name(OrderDirection),
    /// By handle.
    Handle(OrderDirection),
    /// By when it was made.
    CreatedAt(OrderDirection),
    /// By when it last changed.
    UpdatedAt(OrderDirection),
}

impl CoworkerOrder {
    /// The key and its direction.
    pub fn key(self) -> (CoworkerKey, Direction) {
        match self {
            Self::Name(direction) => (CoworkerKey::Name, direction.into()),
            Self::Handle(direction) => (CoworkerKey::Handle, direction.into()),
            Self::CreatedAt(direction) => (CoworkerKey::CreatedAt, direction.into()),
            Self::UpdatedAt(direction) => (CoworkerKey::UpdatedAt, direction.into()),
        }
    }
}

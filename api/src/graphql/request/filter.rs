//! Which requests and notes, and in which order.

use async_graphql::{InputObject, OneofObject};
use domain::page::Direction;
use domain::request::query::{NoteKey, RequestKey};
use entity::{NoteId, RequestId, note, request};
use sea_orm::Condition;

use crate::graphql::filter::{
    ActorKindComparator, BooleanComparator, DateTimeComparator, Filter, IdComparator,
    IntComparator, NoteVisibilityComparator, NullableDateTimeComparator, NullableIdComparator,
    PriorityComparator, RequestSourceComparator, RequestStatusComparator, StringComparator,
    StringListComparator, Terms, Where,
};
use crate::graphql::kind::OrderDirection;

/// Which requests. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct RequestFilter {
    /// By global id.
    pub id: Option<IdComparator>,
    /// By number.
    pub number: Option<IntComparator>,
    /// By title.
    pub title: Option<StringComparator>,
    /// By text.
    pub description: Option<StringComparator>,
    /// By status.
    pub status: Option<RequestStatusComparator>,
    /// By urgency.
    pub priority: Option<PriorityComparator>,
    /// By where it came from.
    pub source: Option<RequestSourceComparator>,
    /// By the global id of the actor who made it.
    pub requester: Option<IdComparator>,
    /// By the global id of the actor who works on it.
    pub assignee: Option<NullableIdComparator>,
    /// By the kind of actor who works on it.
    pub assignee_kind: Option<ActorKindComparator>,
    /// By labels.
    pub labels: Option<StringListComparator>,
    /// By whether a person must look.
    pub needs_person: Option<BooleanComparator>,
    /// By when it was made.
    pub created_at: Option<DateTimeComparator>,
    /// By when it last changed.
    pub updated_at: Option<DateTimeComparator>,
    /// By when it was resolved.
    pub resolved_at: Option<NullableDateTimeComparator>,
    /// All of these must hold.
    pub and: Option<Vec<RequestFilter>>,
    /// At least one of these must hold.
    pub or: Option<Vec<RequestFilter>>,
    /// This must not hold.
    pub not: Option<Box<RequestFilter>>,
}

impl Filter for RequestFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use request::Column as C;
        let mut all = Where::new(terms);
        all.by_id::<RequestId>(&self.id, C::Id)?;
        all.by(&self.number, C::Number)?;
        all.by(&self.title, C::Title)?;
        all.by(&self.description, C::Description)?;
        all.by(&self.status, C::Status)?;
        all.by(&self.priority, C::Priority)?;
        all.by(&self.source, C::Source)?;
        all.by_actor(&self.requester, C::RequesterId)?;
        all.by_nullable_actor(&self.assignee, C::AssigneeId)?;
        all.by(&self.assignee_kind, C::AssigneeKind)?;
        all.by(&self.labels, C::Labels)?;
        all.by(&self.needs_person, C::NeedsPerson)?;
        all.by(&self.created_at, C::CreatedAt)?;
        all.by(&self.updated_at, C::UpdatedAt)?;
        all.by(&self.resolved_at, C::ResolvedAt)?;
        all.branches(&self.and, &self.or, &self.not)?;
        Ok(all.done())
    }
}

/// One thing to sort requests by.
#[derive(OneofObject, Clone, Copy, Debug)]
pub enum RequestOrder {
    /// By number, which is also the order in which they were made.
    Number(OrderDirection),
    /// By title.
    Title(OrderDirection),
    /// By urgency: LOW, NORMAL, HIGH, URGENT.
    Priority(OrderDirection),
    /// By when it was made.
    CreatedAt(OrderDirection),
    /// By when it last changed.
    UpdatedAt(OrderDirection),
}

impl RequestOrder {
    /// The key and its direction.
    pub fn key(self) -> (RequestKey, Direction) {
        match self {
            Self::Number(direction) => (RequestKey::Number, direction.into()),
            Self::Title(direction) => (RequestKey::Title, direction.into()),
            Self::Priority(direction) => (RequestKey::Priority, direction.into()),
            Self::CreatedAt(direction) => (RequestKey::CreatedAt, direction.into()),
            Self::UpdatedAt(direction) => (RequestKey::UpdatedAt, direction.into()),
        }
    }
}

/// Which notes. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct NoteFilter {
    /// By global id.
    pub id: Option<IdComparator>,
    /// By the global id of the actor who wrote it.
    pub author: Option<IdComparator>,
    /// By the kind of actor who wrote it.
    pub author_kind: Option<ActorKindComparator>,
    /// By who may read it.
    pub visibility: Option<NoteVisibilityComparator>,
    /// By text.
    pub body: Option<StringComparator>,
    /// By when it was posted.
    pub created_at: Option<DateTimeComparator>,
    /// All of these must hold.
    pub and: Option<Vec<NoteFilter>>,
    /// At least one of these must hold.
    pub or: Option<Vec<NoteFilter>>,
    /// This must not hold.
    pub not: Option<Box<NoteFilter>>,
}

impl Filter for NoteFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use note::Column as C;
        let mut all = Where::new(terms);
        all.by_id::<NoteId>(&self.id, C::Id)?;
        all.by_actor(&self.author, C::AuthorId)?;
        all.by(&self.author_kind, C::AuthorKind)?;
        all.by(&self.visibility, C::Visibility)?;
        all.by(&self.body, C::Body)?;
        all.by(&self.created_at, C::CreatedAt)?;
        all.branches(&self.and, &self.or, &self.not)?;
        Ok(all.done())
    }
}

/// One thing to sort notes by.
#[derive(OneofObject, Clone, Copy, Debug)]
pub enum NoteOrder {
    /// By when it was posted.
    CreatedAt(OrderDirection),
}

impl NoteOrder {
    /// The key and its direction.
    pub fn key(self) -> (NoteKey, Direction) {
        match self {
            Self::CreatedAt(direction) => (NoteKey::CreatedAt, direction.into()),
        }
    }
}

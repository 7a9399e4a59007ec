//! Which approvals.

use async_graphql::InputObject;
use entity::{ApprovalId, CoworkerId, RequestId, RunId, approval};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, Condition};

use crate::graphql::filter::{
    ApprovalStateComparator, DateTimeComparator, Filter, IdComparator, StringComparator, Terms,
    Where,
};
use crate::graphql::kind::ApprovalState;

/// Which approvals. Fields given together must all hold.
#[derive(InputObject, Clone, Debug)]
pub struct ApprovalFilter {
    /// By global id.
    pub id: Option<IdComparator>,
    /// By where it stands.
    pub state: Option<ApprovalStateComparator>,
    /// By the global id of the run.
    pub run: Option<IdComparator>,
    /// By the global id of the request.
    pub request: Option<IdComparator>,
    /// By the global id of the coworker.
    pub coworker: Option<IdComparator>,
    /// By the tool.
    pub tool: Option<StringComparator>,
    /// By when it was asked for.
    pub requested_at: Option<DateTimeComparator>,
    /// By when it expires.
    pub expires_at: Option<DateTimeComparator>,
    /// All of these must hold.
    pub and: Option<Vec<ApprovalFilter>>,
    /// At least one of these must hold.
    pub or: Option<Vec<ApprovalFilter>>,
    /// This must not hold.
    pub not: Option<Box<ApprovalFilter>>,
}

impl Filter for ApprovalFilter {
    fn condition(&self, terms: &mut Terms) -> domain::Result<Condition> {
        use approval::Column as C;
        let mut all = Where::new(terms);
        all.by_id::<ApprovalId>(&self.id, C::Id)?;
        all.by(&self.state, C::State)?;
        all.by_id::<RunId>(&self.run, C::RunId)?;
        all.by_id::<RequestId>(&self.request, C::RequestId)?;
        all.by_id::<CoworkerId>(&self.coworker, C::CoworkerId)?;
        all.by(&self.tool, C::Tool)?;
        all.by(&self.requested_at, C::RequestedAt)?;
        all.by(&self.expires_at, C::ExpiresAt)?;
        all.branches(&self.and, &self.or, &self.not)?;
        Ok(all.done())
    }
}

/// Those that stand like this. Written into the statement: only so the planner takes the partial index of those that wait.
pub(super) fn in_state(state: ApprovalState) -> Expr {
    let word = Expr::Constant(state.word().into());
    approval::Column::State.into_expr().eq(word)
}

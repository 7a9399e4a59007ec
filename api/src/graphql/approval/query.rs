//! Queries for approvals.

use async_graphql::{Context, Object};

use super::{ApprovalConnection, ApprovalFilter};
use crate::graphql::context::slice;
use crate::graphql::error::Result;
use crate::graphql::kind::ApprovalState;
use crate::graphql::page::page_points;

/// Queries for approvals.
#[derive(Default)]
pub struct ApprovalQuery;

#[Object]
impl ApprovalQuery {
    /// The calls that people were asked to approve, newest first; none for callers with the role REQUESTER. One of them is read by `node`.
    #[graphql(
        complexity = "page_points!(__ctx, __variables_definition, __field, child_complexity)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the contract's own arguments")]
    async fn approvals(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that stand like this; PENDING for what waits for a person.")]
        state: Option<ApprovalState>,
        #[graphql(desc = "Which approvals; all without it.")] filter: Option<ApprovalFilter>,
        #[graphql(
            desc = "How many from the start of the list: 0 to 100, 50 when neither `first` nor `last` is given."
        )]
        first: Option<i32>,
        #[graphql(desc = "Only what follows this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end of the list: 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only what precedes this cursor.")] before: Option<String>,
    ) -> Result<ApprovalConnection> {
        let slice = slice(ctx, first, after, last, before)?;
        ApprovalConnection::of(ctx, None, state, filter, slice).await
    }
}

//! Deciding about approvals.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::run::approval::DecideApproval;

use super::Approval;
use crate::graphql::actor;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::kind::ApprovalDecision;
use crate::graphql::node;

/// What to decide about which call.
#[derive(InputObject, Clone, Debug)]
pub struct ApprovalDecideInput {
    /// The approval's global id.
    pub approval_id: ID,
    /// Whether the call may be made.
    pub decision: ApprovalDecision,
    /// Why, at most 1,000 characters. A coworker whose call is denied is told, so say what it shall do instead.
    pub reason: Option<String>,
    /// The same key with the same input returns the approval already decided, for 24 hours; with other input it is refused.
    pub idempotency_key: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `approvalDecide`.
#[derive(SimpleObject)]
pub struct ApprovalDecidePayload {
    /// The approval as it is now. Its run goes on; watch `runEvents` for what becomes of the call. Null if it was refused.
    pub approval: Option<Approval>,
    /// Why it was refused: for example APPROVAL_EXPIRED, APPROVAL_DECIDED by somebody else, APPROVAL_VOID because the run has ended. Empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Deciding about approvals.
#[derive(Default)]
pub struct ApprovalMutation;

#[Object]
impl ApprovalMutation {
    /// Approves or denies a call that waits; its run goes on before new work is begun. An approval permits exactly the call that is shown, once.
    /// Of several decisions the first one counts. A denied call is not made: the coworker is told so, with the reason, and goes on.
    async fn approval_decide(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to decide about which call.")] input: ApprovalDecideInput,
    ) -> Result<ApprovalDecidePayload> {
        let ApprovalDecideInput {
            approval_id,
            decision,
            reason,
            idempotency_key,
            client_mutation_id,
        } = input;
        let answer = async {
            let actor = ctx.actor().clone();
            let name = actor::name(ctx, actor.principal).await?;
            ctx.store()
                .write(DecideApproval {
                    actor,
                    name,
                    approval: node::parse_field(&approval_id, "approvalId")?,
                    decision: decision.into(),
                    reason,
                    idempotency_key,
                })
                .await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(ApprovalDecidePayload {
            approval: row.map(Approval),
            user_errors,
            client_mutation_id,
        })
    }
}

//! Changing runs.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use domain::run::StopRun;

use super::Run;
use crate::graphql::actor;
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Result, UserError, settle};
use crate::graphql::node;

/// What run to stop.
#[derive(InputObject, Clone, Debug)]
pub struct RunStopInput {
    /// The run's global id.
    pub id: ID,
    /// Why, for the run's log; at most 1,000 characters.
    pub reason: Option<String>,
    /// Comes back in the payload, untouched.
    pub client_mutation_id: Option<String>,
}

/// What became of `runStop`.
#[derive(SimpleObject)]
pub struct RunStopPayload {
    /// The run as it is now. A stopped run may still be RUNNING here for a moment; watch `runEvents` for its end. Null if it was refused.
    pub run: Option<Run>,
    /// Why it was refused; empty if it was not.
    pub user_errors: Vec<UserError>,
    /// As it was sent.
    pub client_mutation_id: Option<String>,
}

/// Changing runs.
#[derive(Default)]
pub struct RunMutation;

#[Object]
impl RunMutation {
    /// Asks a run to stop. It records the result of an open tool call first, then ends as FAILED with the code STOPPED. One that is paused ends
    /// at once, and its approval becomes VOID.
    async fn run_stop(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to stop.")] input: RunStopInput,
    ) -> Result<RunStopPayload> {
        let RunStopInput {
            id,
            reason,
            client_mutation_id,
        } = input;
        let answer = async {
            let actor = ctx.actor().clone();
            let name = actor::name(ctx, actor.principal).await?;
            ctx.store()
                .write(StopRun {
                    actor,
                    name,
                    run: node::parse(&id)?,
                    reason,
                })
                .await
        };
        let (row, user_errors) = settle(answer.await)?;
        Ok(RunStopPayload {
            run: row.map(Run),
            user_errors,
            client_mutation_id,
        })
    }
}

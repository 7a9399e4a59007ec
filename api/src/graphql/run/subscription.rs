//! Runs, live.

use std::sync::Arc;

use async_graphql::{Context, ID, SimpleObject, Subscription};
use domain::access::Action;
use domain::run::delta;
use domain::run::log::Logged;
use domain::run::tail::{self, Tail};
use futures_util::stream::{self, Stream, StreamExt as _};

use super::board::Board;
use super::{Run, RunDelta, RunEvent, RunFilter, Step};
use crate::graphql::context::ContextExt as _;
use crate::graphql::error::{Error, Result};
use crate::graphql::node;
use crate::graphql::scalar::int;

/// Runs, live.
#[derive(Default)]
pub struct RunSubscription;

#[Subscription]
impl RunSubscription {
    /// A run as people read it: one item per event that touches a step, with the step as it stood after that event. First what already happened after the cursor, then live; completes after the run's end.
    async fn run_steps(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's global id.")] run_id: ID,
        #[graphql(
            desc = "The cursor of the last item that the caller has; 0 for all.",
            default = 0
        )]
        after: i32,
    ) -> Result<impl Stream<Item = Result<StepChange>> + use<>> {
        let tail = tail::steps(
            ctx.store(),
            ctx.actor(),
            node::parse_field(&run_id, "runId")?,
            after.into(),
        )
        .await?;
        Ok(follow(tail).filter_map(async |item| item.map(StepChange::of).transpose()))
    }

    /// A run's raw log: first what already happened after the cursor, then live; completes after the run's end.
    async fn run_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's global id.")] run_id: ID,
        #[graphql(
            desc = "The sequence of the last event that the caller has; 0 for all.",
            default = 0
        )]
        after: i32,
    ) -> Result<impl Stream<Item = Result<RunEvent>> + use<>> {
        let tail = tail::events(
            ctx.store(),
            ctx.actor(),
            node::parse_field(&run_id, "runId")?,
            after.into(),
        )
        .await?;
        Ok(follow(tail).map(|item| item.map(RunEvent::Shared)))
    }

    /// What the run's model writes, while it writes it: thinking, text and the arguments of tool calls, from now on, at most some twenty items a second. Best effort: an item may be missed (`gap` says so), nothing is repeated, and a failed try begins anew under the next `attempt`. Where several nodes serve the API, they tell each other over Redis; without it only the node that executes the run has it, and the others give nothing. What counts is the event `model.completed`, which has it whole. Completes after the run's end.
    async fn run_deltas(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The run's global id.")] run_id: ID,
    ) -> Result<impl Stream<Item = Result<RunDelta>> + use<>> {
        let run = node::parse_field(&run_id, "runId")?;
        let tail = delta::deltas(ctx.store(), ctx.actor(), run).await?;
        Ok(stream::unfold(Some(tail), async |tail| {
            let mut tail = tail?;
            match tail.next().await {
                Ok(Some(written)) => Some((Ok(RunDelta::from(written)), Some(tail))),
                Ok(None) => None,
                Err(error) => Some((Err(Error::from(error)), None)),
            }
        }))
    }

    /// A board of runs: at the start every run under way that matches, then each run that matches or did, whenever it changes. Changes of
    /// one run are merged into at most one item per 250 ms, with its latest state. Items may repeat and there is no cursor: after a
    /// reconnect, query again.
    async fn run_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which runs; all without it.")] filter: Option<RunFilter>,
    ) -> Result<impl Stream<Item = Result<RunChange>> + use<>> {
        ctx.actor().authorize(Action::RunRead)?;
        let mut board = Board::new(ctx.store().clone(), ctx.actor().clone(), filter);
        // Read once before the stream stands, so that a wrong filter is refused at once.
        let first = board.under_way().await?;
        let changes = stream::unfold(Some(board), async |board| {
            let mut board = board?;
            match board.changes().await {
                Ok(Some(changes)) => Some((Ok(changes), Some(board))),
                Ok(None) => None,
                Err(error) => Some((Err(Error::from(error)), None)),
            }
        });
        let changes = stream::once(async { Ok(first) }).chain(changes);
        Ok(changes.flat_map(|batch| match batch {
            Ok(changes) => stream::iter(changes.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        }))
    }
}

/// A tail as a stream. It ends with the run, or with one error that names the last cursor.
fn follow(tail: Tail) -> impl Stream<Item = Result<Arc<Logged>>> + use<> {
    stream::unfold(Some(tail), async |tail| {
        let mut tail = tail?;
        match tail.next().await {
            Ok(Some(item)) => Some((Ok(item), Some(tail))),
            Ok(None) => None,
            Err(error) => Some((Err(Error::from(error).at(tail.cursor())), None)),
        }
    })
}

/// A step that an event of its run touched.
#[derive(SimpleObject)]
pub struct StepChange {
    /// The sequence of the event: what `runSteps` takes to go on from here.
    pub cursor: i32,
    /// The step as it stood after that event.
    pub step: Step,
}

impl StepChange {
    fn of(item: Arc<Logged>) -> Option<Self> {
        Some(Self {
            cursor: int(item.event.seq),
            step: item.step.clone()?.into(),
        })
    }
}

/// A run that changed, for boards.
#[derive(SimpleObject)]
pub struct RunChange {
    /// The run as it is now.
    pub run: Run,
    /// Whether it matches the filter; false: it did and no longer does, so take it off the board.
    pub matches: bool,
}

//! What lanes carry: appends and commands, each with the caller who waits for it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use super::append::{Append, Applied};
use super::fetch::Needs;
use super::tx::{Command, Tx};
use crate::error::{Error, Result};

/// One job of a lane.
pub(super) enum Job {
    Append(Box<Append>, oneshot::Sender<Result<Applied>>),
    Command(Box<dyn Erased>),
}

/// A command whose type is forgotten, with the place for its output.
#[async_trait]
pub(super) trait Erased: Send + Sync {
    async fn run(&mut self, tx: &Tx) -> Result<()>;
    fn needs(&self) -> Needs;
    fn repeatable(&self) -> bool;
    fn reply(self: Box<Self>, failed: Option<Error>);
}

/// A command that waits, and where its caller waits.
pub(super) struct Pending<C: Command> {
    command: Arc<C>,
    output: Option<C::Output>,
    reply: oneshot::Sender<Result<C::Output>>,
    /// Where the caller waits; what the command makes belongs to the same trace.
    span: Span,
}

impl<C: Command> Pending<C> {
    pub(super) fn new(command: C, reply: oneshot::Sender<Result<C::Output>>) -> Self {
        Self {
            command: Arc::new(command),
            output: None,
            reply,
            span: Span::current(),
        }
    }
}

#[async_trait]
impl<C: Command> Erased for Pending<C> {
    async fn run(&mut self, tx: &Tx) -> Result<()> {
        self.output = None;
        let command = self.command.clone();
        let run = AssertUnwindSafe(command.run(tx).instrument(self.span.clone())).catch_unwind();
        self.output = Some(run.await.unwrap_or_else(|panic| Err(panicked(&*panic)))?);
        Ok(())
    }

    fn needs(&self) -> Needs {
        self.command.needs()
    }

    fn repeatable(&self) -> bool {
        self.command.repeatable()
    }

    fn reply(self: Box<Self>, failed: Option<Error>) {
        let answer = match (failed, self.output) {
            (Some(err), _) => Err(err),
            (None, Some(output)) => Ok(output),
            (None, None) => Err(Error::internal("a command ended without output")),
        };
        // A caller who has gone away needs no answer.
        self.reply.send(answer).ok();
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let what = panic.downcast_ref::<&str>().map(ToString::to_string);
    let what = what
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    tracing::error!(what, "a command panicked; its transaction was rolled back");
    Error::internal(format!("a command panicked: {what}"))
}

/// What a job has come to before the commit.
pub(super) enum Verdict {
    Applied(Applied),
    Done,
    Refused(Error),
    /// It is not done yet: it must be run alone.
    Missed,
}

impl Job {
    /// What it says beforehand, if it is a command.
    pub(super) fn needs(&self) -> Option<Needs> {
        match self {
            Self::Append(..) => None,
            Self::Command(command) => Some(command.needs()),
        }
    }

    /// Tells its caller.
    pub(super) fn answer(self, verdict: Result<Verdict>) {
        match (self, verdict) {
            (Self::Append(_, reply), verdict) => {
                let answer = match verdict {
                    Ok(Verdict::Applied(applied)) => Ok(applied),
                    Ok(Verdict::Refused(err)) | Err(err) => Err(err),
                    Ok(Verdict::Done | Verdict::Missed) => {
                        Err(Error::internal("an append ended as a command"))
                    }
                };
                reply.send(answer).ok();
            }
            (Self::Command(job), verdict) => job.reply(match verdict {
                Ok(Verdict::Refused(err)) | Err(err) => Some(err),
                Ok(Verdict::Missed) => Some(Error::internal("a command was not run")),
                Ok(Verdict::Applied(_) | Verdict::Done) => None,
            }),
        }
    }
}

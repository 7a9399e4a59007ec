//! What a run needs of the ranking: worked out before its transaction, in which nobody shall wait for it.

use entity::{FailureCode, Outcome};

use super::driver::Driver;
use crate::error::{Error, Result};
use crate::request::route::{Routing, candidates, decide, gives_up, routes};
use crate::tool::Builtin;

/// What the ranking says of a request.
#[derive(Clone, Debug)]
pub enum Ranked {
    /// Nobody asked.
    Nothing,
    /// Whom it fits, as the model reads it.
    Candidates(String),
    /// To whom it goes if Triage gives it up.
    Routing(Routing),
}

impl Ranked {
    /// To whom it goes if Triage gives it up.
    pub(super) fn routing(&self) -> Option<&Routing> {
        match self {
            Self::Routing(routing) => Some(routing),
            Self::Nothing | Self::Candidates(_) => None,
        }
    }

    /// Whom it fits.
    ///
    /// # Errors
    /// [`Error::Internal`] if that was not asked.
    pub(super) fn candidates(&self) -> Result<String> {
        match self {
            Self::Candidates(text) => Ok(text.clone()),
            Self::Nothing | Self::Routing(_) => Err(Error::internal("candidates were not listed")),
        }
    }
}

impl Driver {
    /// What a call needs of the ranking.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn ranked(&self, builtin: &Builtin) -> Result<Ranked> {
        Ok(match builtin {
            Builtin::ListCandidates(_) => {
                let request = self.request().await?;
                Ranked::Candidates(candidates(self.shared.store.read(), &request).await?)
            }
            Builtin::Finish(finish) => {
                let limit = self.state().limit.as_ref();
                let how = limit.map_or(Ok(finish.outcome), |limit| Err(limit.limit));
                let routing = self.routing(how).await?;
                routing.map_or(Ranked::Nothing, Ranked::Routing)
            }
            Builtin::PostNote(_)
            | Builtin::SetStatus(_)
            | Builtin::Reassign(_)
            | Builtin::AskRequester(_) => Ranked::Nothing,
        })
    }

    /// To whom the ranking gives the request if this run ends like that: Triage may have given it up.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn routing(
        &self,
        how: std::result::Result<Outcome, FailureCode>,
    ) -> Result<Option<Routing>> {
        if !routes(&self.log) || !gives_up(how) {
            return Ok(None);
        }
        let request = self.request().await?;
        decide(self.shared.store.read(), &request).await.map(Some)
    }
}

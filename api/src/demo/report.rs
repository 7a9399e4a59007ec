//! What came of the story, and whether it ended as it is told.

use anyhow::{bail, ensure};
use domain::access::Actor;
use domain::money::print_decimal;
use domain::store::Store;
use entity::{Millis, Outcome, RequestId, RequestStatus, coworker, request, run};
use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use super::text::{between, words};
use super::{Cast, REQUESTER};

/// The story as it is told: who runs, and how each run ends.
const TOLD: [(&str, Outcome); 4] = [
    ("triage", Outcome::HandedOff),
    ("hardware-specialist", Outcome::HandedOff),
    ("aws-engineer", Outcome::HandedOff),
    ("hardware-specialist", Outcome::Resolved),
];

/// A request and its runs.
pub struct Report {
    /// The request as it is now.
    pub request: request::Model,
    /// Its runs, in their order.
    pub runs: Vec<run::Model>,
    /// The coworkers, in the order of their appearance.
    pub coworkers: Vec<coworker::Model>,
}

impl Report {
    /// Reads a request and its runs.
    ///
    /// # Errors
    /// What the database said.
    pub async fn read(
        store: &Store,
        watcher: &Actor,
        cast: &Cast,
        request: RequestId,
    ) -> domain::Result<Self> {
        let runs = domain::run::query::visible(watcher)
            .filter(run::Column::RequestId.eq(request))
            .order_by_asc(run::Column::Number)
            .all(store.read())
            .await?;
        let request = domain::request::query::get(store.read(), watcher, request).await?;
        Ok(Self {
            request,
            runs,
            coworkers: cast.coworkers.clone(),
        })
    }

    /// The place of a run's coworker among the coworkers, and who it is.
    pub fn coworker(&self, run: &run::Model) -> Option<(usize, &coworker::Model)> {
        let mut all = self.coworkers.iter().enumerate();
        all.find(|(_, coworker)| coworker.id == run.coworker_id)
    }

    /// What became of the request, in one sentence.
    pub fn sentence(&self) -> String {
        let request::Model {
            number,
            status,
            created_at,
            resolved_at,
            ..
        } = &self.request;
        let status = words(status.as_str());
        match resolved_at {
            Some(at) => format!(
                "REQ-{number} is {status}, {} after {REQUESTER} asked.",
                between(*created_at, *at)
            ),
            None => format!("REQ-{number} is {status}."),
        }
    }

    /// Says where the story went another way than it is told.
    ///
    /// # Errors
    /// One sentence that names the run, or the request.
    pub fn check(&self) -> anyhow::Result<()> {
        for (run, (handle, outcome)) in self.runs.iter().zip(TOLD) {
            let own = self
                .coworker(run)
                .map_or("another coworker", |(_, coworker)| &coworker.handle);
            let reason = run.reason.as_deref().unwrap_or("it has not ended");
            if own != handle || run.outcome != Some(outcome) {
                bail!(
                    "the story went another way: Run-{} was to end as {} by {handle}, but is {} by {own} ({reason})",
                    run.number,
                    outcome.as_str(),
                    how(run),
                );
            }
        }
        let (found, told) = (self.runs.len(), TOLD.len());
        ensure!(
            found == told,
            "the story went another way: it has {found} runs, not {told}"
        );
        let status = self.request.status;
        ensure!(
            status == RequestStatus::Resolved,
            "the story went another way: the request is {}, not RESOLVED",
            status.as_str()
        );
        Ok(())
    }

    /// The runs as data, with the names that the API has for them.
    pub fn json(&self) -> Value {
        let runs = self.runs.iter().map(|run| {
            json!({
                "number": run.number,
                "identifier": format!("Run-{}", run.number),
                "coworker": self.coworker(run).map(|(_, coworker)| &coworker.handle),
                "status": run.status.as_str(),
                "outcome": run.outcome.map(Outcome::as_str),
                "failureCode": run.failure_code.map(entity::FailureCode::as_str),
                "stepCount": run.step_count,
                "toolCallCount": run.tool_call_count,
                "inputTokens": run.input_tokens,
                "outputTokens": run.output_tokens,
                "cachedTokens": run.cached_tokens,
                "cost": print_decimal(run.cost_nano),
                "durationMs": lasted(run),
            })
        });
        let request = json!({
            "identifier": format!("REQ-{}", self.request.number),
            "title": self.request.title,
            "status": self.request.status.as_str(),
        });
        json!({ "request": request, "runs": runs.collect::<Value>() })
    }
}

/// How a run ended, or where it stands.
pub fn how(run: &run::Model) -> &'static str {
    let ended = run
        .outcome
        .map(Outcome::as_str)
        .or(run.failure_code.map(entity::FailureCode::as_str));
    ended.unwrap_or(run.status.as_str())
}

/// How long a run took, milliseconds; none while it goes on.
pub fn lasted(run: &run::Model) -> Option<i64> {
    run.ended_at.map(|end: Millis| end.since(run.started_at))
}

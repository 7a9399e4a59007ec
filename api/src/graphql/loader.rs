//! Rows by id, in batches: one set of loaders per operation, so that a batch never mixes tenants.
//!
//! They batch and remember nothing, so that a subscription reads each item's rows anew.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::runtime::{TokioSpawner, TokioTimer};
use domain::access::Actor;
use domain::error::{Error, Result};
use domain::metric::query::Totals;
use domain::store::Store;
use entity::{
    AlertDeliveryId, AlertEndpointId, ApiKeyId, ApprovalId, AssignmentId, CoworkerId,
    CoworkerVersionId, DispatchId, NoteId, PersonId, RequestId, RunId, SkillId, SkillVersionId,
    WebhookEndpointId, alert_attempt, alert_endpoint, api_key, approval, assignment, coworker,
    coworker_version, dispatch, note, person, request, run, run_event, skill, skill_version,
    webhook_endpoint,
};
use sea_orm::{ColumnTrait, QueryFilter};

/// How long a batch waits for more keys: the least that the timer can measure.
const WAIT: Duration = Duration::from_millis(1);

/// The loaders of one operation.
pub struct Loaders(DataLoader<Rows>);

/// What the loaders read with.
pub struct Rows {
    store: Store,
    actor: Actor,
}

impl Loaders {
    /// Loaders that see what `actor` may see.
    pub fn new(store: Store, actor: Actor) -> Self {
        let rows = Rows { store, actor };
        Self(DataLoader::new(rows, TokioSpawner::current(), TokioTimer::default()).delay(WAIT))
    }

    /// The row with this id, if there is one and the caller may see it.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn row<K>(&self, id: K) -> Result<Option<<Rows as Loader<K>>::Value>>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        Rows: Loader<K, Error = Error>,
    {
        self.0.load_one(id).await
    }

    /// The rows with these ids that the caller may see, at once: it does not wait for more of them.
    ///
    /// # Errors
    /// What the database answers.
    pub async fn rows<K>(&self, ids: &[K]) -> Result<HashMap<K, <Rows as Loader<K>>::Value>>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        Rows: Loader<K, Error = Error>,
    {
        self.0.loader().load(ids).await
    }

    /// The row with this id, which another row refers to.
    ///
    /// # Errors
    /// [`Error::Internal`] if it is not there: references are kept by the database.
    pub async fn referred<K>(&self, id: K) -> Result<<Rows as Loader<K>>::Value>
    where
        K: Send + Sync + Hash + Eq + Copy + std::fmt::Debug + 'static,
        Rows: Loader<K, Error = Error>,
    {
        let row = self.row(id).await?;
        row.ok_or_else(|| Error::internal(format!("{id:?} is referred to and not there")))
    }
}

impl std::fmt::Debug for Loaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loaders")
    }
}

macro_rules! loads {
    ($($id:ident $table:ident from $visible:path),+ $(,)?) => {$(
        impl Loader<$id> for Rows {
            type Value = $table::Model;
            type Error = Error;

            async fn load(&self, ids: &[$id]) -> Result<HashMap<$id, $table::Model>> {
                let rows = $visible(&self.actor)
                    .filter($table::Column::Id.is_in(ids.iter().copied()))
                    .all(self.store.read())
                    .await?;
                Ok(rows.into_iter().map(|row| (row.id, row)).collect())
            }
        }
    )+};
}

/// The events of a run from one sequence to another: what a step is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The run.
    pub run: RunId,
    /// The first sequence.
    pub first: i64,
    /// The last sequence.
    pub last: i64,
}

/// One query per run, whatever the number of its steps; the runs themselves must be visible.
impl Loader<Span> for Rows {
    type Value = Vec<run_event::Model>;
    type Error = Error;

    async fn load(&self, spans: &[Span]) -> Result<HashMap<Span, Vec<run_event::Model>>> {
        let mut by_run: HashMap<RunId, Vec<Span>> = HashMap::new();
        for span in spans {
            by_run.entry(span.run).or_default().push(*span);
        }
        let mut found = HashMap::with_capacity(spans.len());
        for (run, spans) in by_run {
            let ranges: Vec<_> = spans.iter().map(|span| (span.first, span.last)).collect();
            let rows = domain::run::query::events_between(self.store.read(), run, &ranges).await?;
            for span in spans {
                let own = rows
                    .iter()
                    .filter(|row| (span.first..=span.last).contains(&row.seq));
                found.insert(span, own.cloned().collect());
            }
        }
        Ok(found)
    }
}

/// The totals of a request's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TotalsOf(pub RequestId);

impl Loader<TotalsOf> for Rows {
    type Value = Totals;
    type Error = Error;

    async fn load(&self, keys: &[TotalsOf]) -> Result<HashMap<TotalsOf, Totals>> {
        let requests: Vec<_> = keys.iter().map(|key| key.0).collect();
        let found =
            domain::metric::query::totals_of_requests(self.store.read(), &self.actor, &requests)
                .await?;
        Ok(found
            .into_iter()
            .map(|(request, totals)| (TotalsOf(request), totals))
            .collect())
    }
}

/// The newest tries of an alert's delivery, which must be visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TriesOf(pub AlertDeliveryId);

impl Loader<TriesOf> for Rows {
    type Value = Vec<alert_attempt::Model>;
    type Error = Error;

    async fn load(&self, keys: &[TriesOf]) -> Result<HashMap<TriesOf, Self::Value>> {
        let deliveries: Vec<_> = keys.iter().map(|key| key.0).collect();
        let found = domain::alert::query::tries(self.store.read(), &deliveries).await?;
        Ok(found
            .into_iter()
            .map(|(delivery, tries)| (TriesOf(delivery), tries))
            .collect())
    }
}

loads! {
    RequestId request from domain::request::query::visible,
    NoteId note from domain::request::query::visible_notes,
    AssignmentId assignment from domain::request::query::visible_assignments,
    DispatchId dispatch from domain::request::query::visible_dispatches,
    CoworkerId coworker from domain::coworker::query::named,
    CoworkerVersionId coworker_version from domain::coworker::query::visible_versions,
    SkillId skill from domain::skill::query::visible,
    SkillVersionId skill_version from domain::skill::query::visible_versions,
    RunId run from domain::run::query::visible,
    ApprovalId approval from domain::run::approval::query::visible,
    PersonId person from domain::key::query::visible_people,
    ApiKeyId api_key from domain::key::query::named,
    AlertEndpointId alert_endpoint from domain::alert::query::visible,
    WebhookEndpointId webhook_endpoint from domain::hook::query::named,
}

//! What no transaction causes: budgets that are nearly used, and costs that climb. Every node looks; each endpoint is told
//! once, because what it is told of is unique.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use entity::{AlertEndpointId, AlertKind, WorkspaceId, alert_delivery};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use tokio_util::sync::CancellationToken;

use super::occasion::{Climb, Occasion, of_budget};
use super::outbox::plan;
use crate::access::Actor;
use crate::budget;
use crate::error::Result;
use crate::metric::group::{Dimension, Which};
use crate::metric::measure::Measure;
use crate::metric::rollup::zone_of;
use crate::metric::series::{Series, Span, Wanted, series};
use crate::metric::zone::Interval;
use crate::store::{Command, Store, Tx};

/// How many weeks this one is compared with.
pub(super) const WEEKS: i64 = 4;
/// The fewest runs of this week, and of the weeks before together, that say something.
const RUNS: i64 = 10;
/// A day, milliseconds.
const DAY: i64 = 86_400_000;

/// Looks for budgets that are nearly used, again and again, and for costs that climb, once a day (UTC) and at the start.
pub async fn keep_watching(store: Store, every: Duration, stop: CancellationToken) {
    let mut climbs_of: Option<i64> = None;
    while stop
        .run_until_cancelled(tokio::time::sleep(every))
        .await
        .is_some()
    {
        for workspace in store.listening().workspaces(AlertKind::BudgetNearing) {
            if let Err(err) = nearing(&store, workspace).await {
                tracing::warn!(%err, workspace.id = %workspace, "budgets that are nearly used could not be looked for; trying again");
            }
        }
        let today = store.now().0.div_euclid(DAY);
        if climbs_of != Some(today) && climbing_anywhere(&store).await {
            climbs_of = Some(today);
        }
    }
}

/// Looks for costs that climb in every workspace that wants to know; gives whether that is done for today. What fails in one
/// workspace keeps no other waiting.
async fn climbing_anywhere(store: &Store) -> bool {
    let mut done = true;
    for workspace in store.listening().workspaces(AlertKind::CostClimbing) {
        if let Err(err) = climbing(store, workspace).await {
            tracing::warn!(%err, workspace.id = %workspace, "costs that climb could not be looked for");
            done &= err.is_fault_of_its_own();
        }
    }
    done
}

/// Tells of budgets that are nearly used.
async fn nearing(store: &Store, workspace: WorkspaceId) -> Result<()> {
    let (now, stint) = (store.now(), Actor::stint(workspace));
    let mut occasions = Vec::new();
    for (key, _) in budget::limits(store, workspace).await? {
        let standing = budget::standing(store.read(), &stint, key, now).await?;
        if let Some(standing) = standing {
            let (limit, spent) = (standing.limit, standing.spent);
            let kind = AlertKind::BudgetNearing;
            occasions.push(of_budget(kind, workspace, key, limit, spent, now));
        }
    }
    raise(store, occasions).await
}

/// Tells of coworkers whose runs cost more this week than in the weeks before.
async fn climbing(store: &Store, workspace: WorkspaceId) -> Result<()> {
    let now = store.now();
    let climbs = climbs(store, workspace).await?;
    let told = climbs
        .iter()
        .filter_map(|climb| climb.occasion(workspace, now));
    raise(store, told.collect()).await
}

async fn climbs(store: &Store, workspace: WorkspaceId) -> Result<Vec<Climb>> {
    let zone = zone_of(store.read(), workspace).await?;
    let now = store.now();
    let week = Interval::Week.start(zone, now);
    let first = (0..WEEKS).fold(week, |start, _| Interval::Week.start(zone, start.plus(-1)));
    let span = Span {
        start: first,
        end: now.plus(1),
        zone,
        which: Arc::new(Which::default()),
    };
    let wanted = Wanted {
        measures: vec![Measure::Runs, Measure::Cost],
        durations: false,
    };
    let by = [Dimension::Coworker];
    let stint = Actor::stint(workspace);
    let all = series(store, &stint, &span, Interval::Week, &by, wanted).await?;
    let climb = |one: &Series| {
        let figures = |now: bool| {
            let points = one
                .points
                .iter()
                .filter(|point| (point.start >= week) == now);
            points.fold((0_i64, 0_i64), |(runs, cost), point| {
                let sums = &point.fact.sums;
                (runs + sums[Measure::Runs], cost + sums[Measure::Cost])
            })
        };
        let climb = Climb {
            coworker: one.group.coworker?,
            week,
            now: figures(true),
            before: figures(false),
        };
        (climb.now.0 >= RUNS && climb.before.0 >= RUNS).then_some(climb)
    };
    Ok(all.iter().filter_map(climb).collect())
}

/// Tells whoever wants to know and was not told yet. Where that is nobody, nothing is written.
async fn raise(store: &Store, occasions: Vec<Occasion>) -> Result<()> {
    if occasions.is_empty() {
        return Ok(());
    }
    let rows = plan(store.read(), &occasions).await?;
    if rows.is_empty() {
        return Ok(());
    }
    let endpoints: HashSet<AlertEndpointId> = rows.iter().map(|row| row.endpoint_id).collect();
    let facts: HashSet<&str> = rows.iter().map(|row| row.fact.as_str()).collect();
    use alert_delivery::Column as C;
    let told: HashSet<(AlertEndpointId, String)> = alert_delivery::Entity::find()
        .select_only()
        .columns([C::EndpointId, C::Fact])
        .filter(C::EndpointId.is_in(endpoints))
        .filter(C::Fact.is_in(facts))
        .into_tuple()
        .all(store.read())
        .await?
        .into_iter()
        .collect();
    let new = |row: &alert_delivery::Model| !told.contains(&(row.endpoint_id, row.fact.clone()));
    if rows.iter().any(new) {
        store.write(Raise { occasions }).await?;
    }
    Ok(())
}

/// Tells of what was found.
#[derive(Clone, Debug)]
struct Raise {
    occasions: Vec<Occasion>,
}

impl Command for Raise {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        for occasion in &self.occasions {
            tx.alert(occasion.workspace, occasion.kind, || occasion.clone());
        }
        Ok(())
    }

    fn repeatable(&self) -> bool {
        true
    }
}

//! Which budgets have a limit, as a worker knows it: as it was a moment ago at the most.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entity::{CoworkerId, WorkspaceId};
use parking_lot::Mutex;
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

use super::{Key, Scope};
use crate::error::Result;
use crate::store::{Store, statement};

/// How long it is taken as known which budgets have a limit.
const KNOWN: Duration = Duration::from_secs(1);
/// The most workspaces whose budgets are kept in mind.
const WORKSPACES: usize = 1_000;

/// A budget, and what may be spent of it, nano-USD.
pub(super) type Limited = (Key, i64);

/// What has a limit, and when it was read.
type Read = (Instant, Arc<Vec<Limited>>);

/// The budgets that have a limit, by workspace.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<WorkspaceId, Read>>);

impl Known {
    /// The budgets of a workspace and its coworkers that have a limit.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn limited(
        &self,
        store: &Store,
        workspace: WorkspaceId,
    ) -> Result<Arc<Vec<Limited>>> {
        if let Some((read_at, keys)) = self.0.lock().get(&workspace)
            && read_at.elapsed() < KNOWN
        {
            return Ok(keys.clone());
        }
        let read_at = Instant::now();
        let keys = Arc::new(limits(store, workspace).await?);
        let mut known = self.0.lock();
        if known.len() >= WORKSPACES {
            known.clear();
        }
        known.insert(workspace, (read_at, keys.clone()));
        Ok(keys)
    }
}

/// The budgets of a workspace and its coworkers that have a limit, each with its limit, nano-USD.
///
/// # Errors
/// What the database said.
pub async fn limits(store: &Store, workspace: WorkspaceId) -> Result<Vec<(Key, i64)>> {
    let sql = "SELECT id, daily_budget_nano, monthly_budget_nano, 1 AS one FROM coworker \
               WHERE workspace_id = ? AND (daily_budget_nano IS NOT NULL OR monthly_budget_nano IS NOT NULL) \
               UNION ALL SELECT id, daily_budget_nano, monthly_budget_nano, 0 FROM workspace \
               WHERE id = ? AND (daily_budget_nano IS NOT NULL OR monthly_budget_nano IS NOT NULL)";
    let values = [workspace.into(), workspace.into()];
    let rows = store
        .read()
        .query_all_raw(statement(store.backend(), sql, values))
        .await?;
    let mut keys = Vec::new();
    for row in rows {
        keys.extend(limited(&row)?);
    }
    Ok(keys)
}

fn limited(row: &QueryResult) -> Result<impl Iterator<Item = Limited>> {
    let id: Uuid = row.try_get("", "id")?;
    let one: i32 = row.try_get("", "one")?;
    let scope = if one == 1 {
        Scope::Coworker(CoworkerId(id))
    } else {
        Scope::Workspace(WorkspaceId(id))
    };
    let daily = row.try_get("", "daily_budget_nano")?;
    let monthly = row.try_get("", "monthly_budget_nano")?;
    Ok(Key::limited(scope, daily, monthly))
}

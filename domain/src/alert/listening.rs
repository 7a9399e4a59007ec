//! Who wants to be told of what, in memory: where nobody does, what happens costs not one statement more.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use entity::{AlertKind, WorkspaceId, alert_endpoint};
use parking_lot::RwLock;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::error::Result;

/// The workspaces with endpoints that are told of something, and of what. It is at most a look behind: which endpoint gets
/// what is decided in the transaction, from the rows.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    known: Arc<RwLock<HashMap<WorkspaceId, BTreeSet<AlertKind>>>>,
    /// One look at a time: an older one never overwrites what a newer one found.
    looking: Arc<tokio::sync::Mutex<()>>,
}

impl Listening {
    /// Whether any endpoint of a workspace may want to know of this.
    pub(crate) fn wants(&self, workspace: WorkspaceId, kind: AlertKind) -> bool {
        let known = self.known.read();
        known
            .get(&workspace)
            .is_some_and(|kinds| kinds.contains(&kind))
    }

    /// The workspaces that want to know of this.
    pub(crate) fn workspaces(&self, kind: AlertKind) -> Vec<WorkspaceId> {
        let known = self.known.read();
        let wanting = known.iter().filter(|(_, kinds)| kinds.contains(&kind));
        wanting.map(|(workspace, _)| *workspace).collect()
    }

    /// Reads who wants to be told of what now.
    ///
    /// # Errors
    /// What the database said.
    pub async fn look<C: ConnectionTrait>(&self, db: &C) -> Result<()> {
        let looking = self.looking.lock().await;
        let rows: Vec<(WorkspaceId, String)> = alert_endpoint::Entity::find()
            .select_only()
            .columns([
                alert_endpoint::Column::WorkspaceId,
                alert_endpoint::Column::Kinds,
            ])
            .filter(alert_endpoint::Column::Enabled.eq(true))
            .into_tuple()
            .all(db)
            .await?;
        let mut found: HashMap<WorkspaceId, BTreeSet<AlertKind>> = HashMap::new();
        for (workspace, kinds) in rows {
            let kinds = super::wishes::kinds_of(&kinds)?;
            found.entry(workspace).or_default().extend(kinds);
        }
        *self.known.write() = found;
        drop(looking);
        Ok(())
    }
}

//! The published coworkers of a workspace, read from the database and ready to be ranked.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use entity::{
    CoworkerId, CoworkerState, CoworkerVersionId, WorkspaceId, coworker, coworker_version,
};
use parking_lot::Mutex;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect,
};

use crate::coworker::Config;
use crate::coworker::route::{Profile, Roster};
use crate::error::Result;

/// The most coworkers that are ranked: the first ones by when they were made.
const MOST: u64 = 500;
/// Rosters that are kept in memory.
const ROSTERS: usize = 1_000;

/// Who takes work in a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Published {
    /// The workspace's Triage coworker, if it is published.
    pub(super) triage: Option<CoworkerId>,
    /// The others.
    members: Vec<Member>,
}

/// What a roster is made of: a version never changes, so the same members make the same roster.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
struct Member {
    id: CoworkerId,
    handle: String,
    version_id: CoworkerVersionId,
    is_triage: bool,
}

/// Rosters by workspace.
static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
type Known = HashMap<WorkspaceId, (Vec<Member>, Arc<Roster>)>;

impl Published {
    /// Reads who takes work: one statement.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn read<C: ConnectionTrait>(conn: &C, workspace: WorkspaceId) -> Result<Self> {
        use coworker::Column as C;
        let found = coworker::Entity::find()
            .select_only()
            .columns([C::Id, C::Handle, C::VersionId, C::IsTriage])
            .filter(C::WorkspaceId.eq(workspace))
            .filter(C::State.eq(CoworkerState::Published))
            .filter(C::VersionId.is_not_null())
            // Triage first: it counts whatever the number of the others.
            .order_by_desc(C::IsTriage)
            .order_by_asc(C::Id)
            .limit(MOST + 1)
            .into_model::<Member>();
        let (triage, mut members): (Vec<_>, Vec<_>) = found
            .all(conn)
            .await?
            .into_iter()
            .partition(|m| m.is_triage);
        members.truncate(usize::try_from(MOST).unwrap_or(usize::MAX));
        Ok(Self {
            triage: triage.first().map(|triage| triage.id),
            members,
        })
    }

    /// Their roster, kept in memory. It takes the connection for reading: what a transaction has written and may take
    /// back is never kept.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn roster(
        self,
        read: &DatabaseConnection,
        workspace: WorkspaceId,
    ) -> Result<Arc<Roster>> {
        if let Some((members, roster)) = KNOWN.lock().get(&workspace)
            && *members == self.members
        {
            return Ok(roster.clone());
        }
        let roster = Arc::new(self.made(read).await?);
        let mut known = KNOWN.lock();
        if known.len() >= ROSTERS {
            known.clear();
        }
        known.insert(workspace, (self.members, roster.clone()));
        Ok(roster)
    }

    /// Their roster, made anew.
    ///
    /// # Errors
    /// What the database said.
    pub(super) async fn made<C: ConnectionTrait>(&self, conn: &C) -> Result<Roster> {
        let ids = self.members.iter().map(|member| member.version_id);
        let versions = coworker_version::Entity::find()
            .filter(coworker_version::Column::Id.is_in(ids))
            .all(conn)
            .await?;
        let mut configs: HashMap<_, _> = versions
            .into_iter()
            .map(|row| (row.id, row.config))
            .collect();
        let profile = |member: &Member| {
            let config = configs.remove(&member.version_id)?;
            match Config::from_row(&config) {
                Ok(config) => Some(Profile {
                    coworker: member.id,
                    version: member.version_id,
                    handle: member.handle.clone(),
                    identity: config.identity,
                    routes: config.goal.out_of_scope,
                }),
                // A run's end must not fail for it.
                Err(err) => {
                    tracing::error!(coworker.id = %member.id, ?err, "a version can't be read; it is not ranked");
                    None
                }
            }
        };
        Ok(Roster::new(
            self.members.iter().filter_map(profile).collect(),
        ))
    }
}

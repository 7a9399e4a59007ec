//! Where jobs are run that can't be run in their lane.

use std::sync::Arc;

use sea_orm::DatabaseConnection;
use tokio::sync::Semaphore;

/// Connections for jobs that are run apart from their lane.
#[derive(Clone)]
pub(super) struct Side {
    pub(super) conn: DatabaseConnection,
    /// As many at once as there are connections.
    pub(super) room: Arc<Semaphore>,
}

impl Side {
    pub(super) fn new(conn: DatabaseConnection, connections: usize) -> Self {
        Self {
            conn,
            room: Arc::new(Semaphore::new(connections)),
        }
    }
}

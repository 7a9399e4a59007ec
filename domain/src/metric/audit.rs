//! Whether the rollups hold what was folded into them: each bucket is compared with the rows themselves, and made anew if that is
//! wanted.
//!
//! It goes through time by the day, or by the week where weeks are kept, each in a transaction of its own, so that it needs little
//! memory, runs beside a compactor, and keeps nobody waiting for long. Figures are as exact at each moment as they were before.

mod row;
mod slice;
mod stray;

use entity::{Millis, WorkspaceId};
use slice::{Part, Slice};
use stray::Strays;

use crate::error::Result;
use crate::store::Store;

/// What came of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// How many rows there are, or should be.
    pub rows: usize,
    /// How many of them differ.
    pub different: usize,
    /// The first of these, a sentence each.
    pub named: Vec<String>,
}

impl Audit {
    /// Names more differences, at most so many of all.
    fn add(&mut self, most: usize, differences: impl IntoIterator<Item = String>) {
        let room = most.saturating_sub(self.named.len());
        self.named.extend(differences.into_iter().take(room));
    }
}

/// Compares all rollups of a workspace with the rows that were folded; names at most so many differences. `seen` is told of the
/// rows so far.
///
/// # Errors
/// What the database said.
pub async fn audit(
    store: &Store,
    workspace: WorkspaceId,
    most: usize,
    seen: impl Fn(usize),
) -> Result<Audit> {
    walk(store, workspace, most, seen, Doing::Comparing).await
}

/// As [`audit`], and puts what was folded in the place of what differs.
///
/// # Errors
/// As [`Store::write`].
pub async fn mend(
    store: &Store,
    workspace: WorkspaceId,
    most: usize,
    seen: impl Fn(usize),
) -> Result<Audit> {
    walk(store, workspace, most, seen, Doing::Mending).await
}

/// What is done with what differs.
#[derive(Clone, Copy)]
enum Doing {
    Comparing,
    Mending,
}

async fn walk(
    store: &Store,
    workspace: WorkspaceId,
    most: usize,
    seen: impl Fn(usize),
    doing: Doing,
) -> Result<Audit> {
    let mut audit = Audit::default();
    let strayed = match doing {
        Doing::Comparing => store.snapshot(Strays { workspace }).await?,
        Doing::Mending => store.write(Strays { workspace }).await?,
    };
    for (count, told) in strayed.told() {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        audit.rows += count;
        audit.different += count;
        audit.add(most, [told]);
    }
    for part in [Part::Fine, Part::Days, Part::Weeks] {
        let mut from = Millis(i64::MIN);
        loop {
            let slice = Slice {
                workspace,
                part,
                from,
            };
            let found = match doing {
                Doing::Comparing => store.snapshot(slice).await?,
                Doing::Mending => store.write(slice).await?,
            };
            let Some(found) = found else {
                break;
            };
            audit.rows += found.rows;
            audit.different += found.differences.len();
            audit.add(most, found.differences);
            from = found.next;
            seen(audit.rows);
        }
    }
    Ok(audit)
}

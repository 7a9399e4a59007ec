//! Months of the log on PostgreSQL: `run_event` is partitioned by range of run id, and UUIDv7 begins
//! with the time.

use std::time::Duration;

use entity::Millis;
use sea_orm::{ConnectionTrait, DbBackend};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Command, Store, Tx};
use crate::error::Result;

/// Months that exist ahead; what comes later goes to the default partition until they are made.
const AHEAD: i32 = 3;
/// How often a running node looks whether the next months exist.
const LOOK: Duration = Duration::from_hours(12);

/// Makes the partitions of the months to come, as long as the process runs.
pub async fn keep_partitions(store: Store, stop: CancellationToken) {
    if store.backend() == DbBackend::Sqlite {
        return;
    }
    while stop
        .run_until_cancelled(tokio::time::sleep(LOOK))
        .await
        .is_some()
    {
        if let Err(err) = store.write(MakePartitions).await {
            tracing::warn!(%err, "the log's next months could not be made; trying again");
        }
    }
}

/// Makes the log's next months, on PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct MakePartitions;

impl Command for MakePartitions {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        if tx.backend() == DbBackend::Sqlite {
            return Ok(());
        }
        ensure(tx.writing().await?, tx.at()).await
    }

    fn repeatable(&self) -> bool {
        true
    }
}

/// Makes the partitions of this month and the next ones; what exists stays as it is.
///
/// # Errors
/// What the database said. Another node that makes the same partition at the same time is no error.
pub(super) async fn ensure<C: ConnectionTrait>(conn: &C, now: Millis) -> Result<()> {
    for ahead in 0..=AHEAD {
        let Some((year, month, from, to)) = month(now, ahead) else {
            continue;
        };
        let name = format!("run_event_{year:04}_{month:02}");
        let ddl = format!(
            "DO $$ BEGIN IF to_regclass('{name}') IS NULL THEN \
             CREATE TABLE {name} PARTITION OF run_event FOR VALUES FROM ('{}') TO ('{}'); \
             CREATE TRIGGER append_only_too BEFORE TRUNCATE ON {name} EXECUTE FUNCTION stint_append_only(); \
             END IF; EXCEPTION WHEN duplicate_table OR unique_violation OR check_violation THEN NULL; END $$",
            lowest(from),
            lowest(to)
        );
        conn.execute_unprepared(&ddl).await?;
    }
    Ok(())
}

/// The lowest UUIDv7 of a moment.
fn lowest(at: Millis) -> Uuid {
    Uuid::from_u128(u128::try_from(at.0.max(0)).unwrap_or(0) << 80)
}

/// Year, month, first moment and first moment after, of the month `ahead` of `now`.
fn month(now: Millis, ahead: i32) -> Option<(i32, u32, Millis, Millis)> {
    use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
    let day = DateTime::<Utc>::from_timestamp_millis(now.0)?.date_naive();
    let first = NaiveDate::from_ymd_opt(day.year(), day.month(), 1)?;
    let first = first.checked_add_months(Months::new(u32::try_from(ahead).ok()?))?;
    let next = first.checked_add_months(Months::new(1))?;
    let start = |d: NaiveDate| {
        d.and_hms_opt(0, 0, 0)
            .map(|t| Millis(t.and_utc().timestamp_millis()))
    };
    Some((first.year(), first.month(), start(first)?, start(next)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_a_month_lies_in_its_partition() {
        let (year, month, from, to) = month(Millis(1_795_350_000_000), 1).unwrap();
        assert_eq!((year, month), (2026, 12));
        assert!(lowest(from) < lowest(to));
        assert_eq!(lowest(from).as_u128() >> 80, from.0 as u128);
    }
}

//! What became of a try: into the log, and what follows from it.

use std::time::Duration;

use entity::{
    AlertDisabled, AlertEndpointId, AlertState, Millis, alert_attempt, alert_delivery,
    alert_endpoint,
};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, ConnectionTrait, EntityTrait};

use super::post::Answer;
use crate::error::Result;
use crate::store::{Command, Tx, insert_all};

/// A day, milliseconds.
const DAY: i64 = 86_400_000;
/// How long whatever is sent to an endpoint may fail before it is disabled, milliseconds: three days.
const FAILING: i64 = 3 * DAY;
/// On how many days of that, in UTC, something must have failed: of a day without a try nobody knows.
const DAYS: i64 = 3;
/// The fewest failed tries in that time.
const TRIES: i64 = 10;

/// Writes down what became of a try. Whoever lost the claim meanwhile writes nothing.
#[derive(Clone, Debug)]
pub(super) struct Settle {
    /// The delivery as it was claimed.
    pub(super) delivery: alert_delivery::Model,
    /// Where it was sent to.
    pub(super) url: String,
    /// When it was sent.
    pub(super) at: Millis,
    /// How long it took, milliseconds.
    pub(super) took_ms: i64,
    /// What came back.
    pub(super) answer: Answer,
    /// How long after this try the next one is due, if there is one.
    pub(super) pause: Option<Duration>,
}

/// How long after a failed try the next one is due: a tenth more or less than the schedule has it, so that those that failed
/// together do not come back together, and never before the receiver asks for it. None: it was the last.
pub(super) fn pause(
    retries: &[Duration],
    tries: i32,
    chance: u8,
    rest: Option<Duration>,
) -> Option<Duration> {
    let place = usize::try_from(tries).ok()?;
    let pause = retries.get(place)?;
    let tenths = 0.9 + 0.2 * f64::from(chance) / 255.0;
    let pause = pause.mul_f64(tenths);
    Some(rest.map_or(pause, |rest| rest.max(pause)))
}

impl Command for Settle {
    type Output = ();

    async fn run(&self, tx: &Tx) -> Result<()> {
        let Self {
            delivery,
            url: _,
            at,
            took_ms,
            answer,
            pause,
        } = self;
        let found = alert_delivery::Entity::find_by_id(delivery.id);
        let found = tx.lock_one(found, LockType::NoKeyUpdate).await?;
        let held = |row: &alert_delivery::Model| {
            row.claims == delivery.claims && row.state == AlertState::Waiting
        };
        let Some(row) = found.filter(held) else {
            return Ok(());
        };
        let now = tx.now().await?;
        let (state, due_at) = match pause {
            _ if answer.is_taken() => (AlertState::Delivered, now),
            _ if answer.is_gone() => (AlertState::Dropped, now),
            Some(pause) => (AlertState::Waiting, now.plus(millis(*pause))),
            None => (AlertState::GivenUp, now),
        };
        let tried = alert_attempt::Model {
            delivery_id: row.id,
            number: row.attempts + 1,
            at: *at,
            duration_ms: *took_ms,
            status: answer.status.map(i32::from),
            error: answer.error.clone(),
            response: answer.response.clone(),
        };
        let conn = tx.writing().await?;
        insert_all(conn, vec![tried], None).await?;
        // It was replayed while it was sent: it begins anew, at once, unless it has arrived.
        let replayed = state != AlertState::Delivered && row.due_at != delivery.due_at;
        let change = alert_delivery::ActiveModel {
            id: ActiveValue::Unchanged(row.id),
            state: ActiveValue::Set(if replayed { AlertState::Waiting } else { state }),
            attempts: ActiveValue::Set(row.attempts + 1),
            round: ActiveValue::Set(if replayed { 0 } else { row.round + 1 }),
            due_at: ActiveValue::Set(if replayed { row.due_at } else { due_at }),
            lease_until: ActiveValue::Set(None),
            settled_at: ActiveValue::Set(
                (!replayed && state != AlertState::Waiting).then_some(now),
            ),
            ..Default::default()
        };
        alert_delivery::Entity::update(change).exec(conn).await?;
        self.endpoint(tx, row.endpoint_id, now).await
    }
}

impl Settle {
    /// Whether it is well, fails, or is gone.
    async fn endpoint(&self, tx: &Tx, id: AlertEndpointId, now: Millis) -> Result<()> {
        // Others settle what was sent to the same endpoint, in whatever order.
        let row = alert_endpoint::Entity::find_by_id(id);
        let row = tx.lock_one(row, LockType::NoKeyUpdate).await?;
        let conn = tx.writing().await?;
        if self.answer.is_taken() {
            if row.is_none_or(|row| row.failing_since.is_none()) {
                return Ok(());
            }
            let sql = "UPDATE alert_endpoint SET failing_since = NULL WHERE id = ? AND failing_since IS NOT NULL";
            conn.execute_raw(tx.sql(sql, [id.into()])).await?;
            return Ok(());
        }
        // What another address said is no word about this one.
        let Some(endpoint) = row.filter(|row| row.url == self.url) else {
            return Ok(());
        };
        let since = endpoint.failing_since.unwrap_or(now);
        let rest = self.answer.rest.map(|rest| now.plus(millis(rest)));
        let sql = "UPDATE alert_endpoint SET failing_since = ?, rests_until = ? WHERE id = ?";
        let values = [
            since.into(),
            rest.max(endpoint.rests_until).into(),
            id.into(),
        ];
        conn.execute_raw(tx.sql(sql, values)).await?;
        if !endpoint.enabled {
            return Ok(());
        }
        let days = now.since(since) >= FAILING && failed_for_days(tx, id, since).await?;
        let why = match (self.answer.is_gone(), days) {
            (true, _) => AlertDisabled::Gone,
            (false, true) => AlertDisabled::Failing,
            (false, false) => return Ok(()),
        };
        tracing::warn!(alert.endpoint = %id, why = why.as_str(), "an alert endpoint is disabled");
        let sql = "UPDATE alert_endpoint SET enabled = FALSE, disabled = ?, disabled_at = ?, updated_at = ? WHERE id = ? AND enabled";
        let values = [why.as_str().into(), now.into(), now.into(), id.into()];
        conn.execute_raw(tx.sql(sql, values)).await?;
        Ok(())
    }
}

/// Whether enough was tried since then to say that it failed for days: the log knows.
async fn failed_for_days(tx: &Tx, id: AlertEndpointId, since: Millis) -> Result<bool> {
    let sql = format!(
        "SELECT COUNT(*) AS tries, COUNT(DISTINCT a.at / {DAY}) AS days FROM alert_attempt a \
         JOIN alert_delivery d ON d.id = a.delivery_id WHERE d.endpoint_id = ? AND a.at >= ?"
    );
    let statement = tx.sql(&sql, [id.into(), since.into()]);
    let Some(row) = tx.conn().query_one_raw(statement).await? else {
        return Ok(false);
    };
    let (tries, days): (i64, i64) = (row.try_get("", "tries")?, row.try_get("", "days")?);
    Ok(tries >= TRIES && days >= DAYS)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_try_comes_when_the_schedule_says_give_or_take_a_tenth() {
        let retries = [5, 300].map(Duration::from_secs);
        let by = |tries, chance| pause(&retries, tries, chance, None);
        assert_eq!(by(0, 0), Some(Duration::from_millis(4_500)));
        assert_eq!(by(0, 255), Some(Duration::from_millis(5_500)));
        assert_eq!(by(1, 0), Some(Duration::from_secs(270)));
        assert_eq!(by(2, 0), None);
        assert_eq!(pause(&[], 0, 0, None), None);
    }

    #[test]
    fn a_receiver_that_asks_to_be_left_alone_is() {
        let retries = [5, 300].map(Duration::from_secs);
        let rest = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(pause(&retries, 0, 0, rest(60)), rest(60));
        assert_eq!(pause(&retries, 1, 0, rest(60)), rest(270));
        assert_eq!(pause(&retries, 2, 0, rest(60)), None);
    }
}

//! Taking slices of budgets: the one place that decides whether money is there.

use entity::{AlertKind, Millis, WorkspaceId};
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use uuid::Uuid;

use super::query::Use;
use super::rows::{columns, hold_accounts, keep};
use super::{Key, Scope, starts};
use crate::alert;
use crate::error::Result;
use crate::executor::working_money;
use crate::store::{Command, Needs, Tx};

/// The part of a budget that a worker takes at a time, so that most of its calls need no transaction.
const SLICES: i64 = 100;

/// Takes slices of every budget that a model call needs, or of none.
#[derive(Clone, Debug)]
pub struct TakeSlices {
    /// Who takes them.
    pub worker: Uuid,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The budgets, in their order.
    pub asks: Vec<Ask>,
    /// What the call may cost at the most.
    pub want: i64,
    /// What it may cost at the most if it is cut as short as is sensible.
    pub least: i64,
    /// Whether it is a closing turn: for it there is a reserve.
    pub closing: bool,
    /// Whether to wait for calls under way that may give back what they do not use.
    pub patient: bool,
    /// How long slices count, milliseconds.
    pub lease_ms: i64,
    /// Its number among the takes of the worker: one that is committed after a later one must change nothing.
    pub seq: i64,
}

/// What a worker has of a budget.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The budget.
    pub key: Key,
    /// What of it is at hand for this call.
    pub free: i64,
    /// That, and all else that the worker may still write down as reserved.
    pub held: i64,
}

/// What became of it.
#[derive(Clone, Debug)]
pub enum Taken {
    /// The call may cost so much.
    Granted(Granted),
    /// Not now: calls under way hold what is left.
    Busy,
    /// What is left is not enough.
    Refused(Refusal),
}

/// What a worker got.
#[derive(Clone, Debug)]
pub struct Granted {
    /// What the call may cost; less than was wanted where no more is left.
    pub amount: i64,
    /// What was added to each slice.
    pub grants: Vec<i64>,
    /// When the slices were taken.
    pub at: Millis,
}

/// Why a call may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The budget that is used up.
    pub key: Key,
    /// What of it is used or held, nano-USD.
    pub used: i64,
    /// All of it.
    pub limit: i64,
    /// Whether it will not be enough soon, whatever calls under way give back.
    pub lasting: bool,
}

/// What one budget says to a call.
enum Says {
    Yes {
        reach: i64,
        available: i64,
        slice: i64,
    },
    Wait,
    No {
        used: i64,
        limit: i64,
        exhausted: bool,
        recorded: i64,
        lasting: bool,
    },
}

impl Command for TakeSlices {
    type Output = Taken;

    async fn run(&self, tx: &Tx) -> Result<Taken> {
        let conn = tx.writing().await?;
        let now = tx.now().await?;
        let keys: Vec<Key> = self.asks.iter().map(|ask| ask.key).collect();
        hold_accounts(tx, conn, self.workspace, &keys).await?;
        // After the locks: each sum sees all that was committed before they were had.
        let mut said = Vec::with_capacity(self.asks.len());
        for ask in &self.asks {
            let at_work = Use::of(conn, self.workspace, ask.key, now, self.worker).await?;
            said.push(self.ask(ask, &at_work));
        }
        for (ask, says) in self.asks.iter().zip(&said) {
            if let Says::No {
                used,
                limit,
                exhausted,
                recorded,
                lasting,
            } = *says
            {
                let key = ask.key;
                if exhausted && !self.closing {
                    self.mark(tx, conn, (key, limit), recorded, now).await?;
                }
                self.report(tx, conn, None, now).await?;
                return Ok(Taken::Refused(Refusal {
                    key,
                    used,
                    limit,
                    lasting,
                }));
            }
        }
        if said.iter().any(|says| matches!(says, Says::Wait)) {
            self.report(tx, conn, None, now).await?;
            return Ok(Taken::Busy);
        }
        let reaches = said.iter().filter_map(|says| match says {
            Says::Yes { reach, .. } => Some(*reach),
            Says::Wait | Says::No { .. } => None,
        });
        let amount = reaches.fold(self.want, i64::min);
        let grants = self.asks.iter().zip(&said).map(|(ask, says)| match says {
            Says::Yes {
                available, slice, ..
            } if ask.free < amount => {
                // The reserve is for closing turns alone: they take no more than they need.
                let slice = if self.closing { 0 } else { *slice };
                (amount - ask.free).max(slice).min(*available)
            }
            Says::Yes { .. } | Says::Wait | Says::No { .. } => 0,
        });
        let grants: Vec<i64> = grants.collect();
        self.report(tx, conn, Some(&grants), now).await?;
        Ok(Taken::Granted(Granted {
            amount,
            grants,
            at: now,
        }))
    }

    fn repeatable(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        // The budgets' rows are locked after those that other commands of a batch would lock.
        Needs::ALONE
    }
}

impl TakeSlices {
    fn ask(&self, ask: &Ask, at_work: &Use) -> Says {
        let Use {
            most,
            recorded,
            reserved,
            others,
            gone,
            exhausted: _,
        } = *at_work;
        let Some(limit) = most else {
            // The limit was lifted a moment ago.
            return Says::Yes {
                reach: i64::MAX,
                available: (self.want - ask.free).max(0),
                slice: 0,
            };
        };
        let until = if self.closing {
            limit
        } else {
            working_money(limit)
        };
        let available = until - recorded - reserved - others - ask.held;
        let reach = ask.free + available.max(0);
        let later = until - recorded - gone;
        if reach >= self.want || (reach >= self.least && !(self.patient && later >= self.want)) {
            Says::Yes {
                reach,
                available: available.max(0),
                slice: limit / SLICES,
            }
        } else if self.patient && later >= self.least {
            Says::Wait
        } else {
            Says::No {
                used: limit.min(recorded + reserved + others + ask.held - ask.free),
                limit,
                exhausted: match ask.key.scope {
                    Scope::Coworker(_) => until.saturating_sub(recorded) < self.least,
                    // One call that is too dear must not end the work of all while there is much left.
                    Scope::Workspace(_) => {
                        let left = until.saturating_sub(recorded);
                        left < self.least && left < limit / 4
                    }
                },
                recorded,
                lasting: later < self.least,
            }
        }
    }

    /// Marks a budget as used up, and tells of it if it was not.
    async fn mark(
        &self,
        tx: &Tx,
        conn: &DatabaseTransaction,
        (key, limit): (Key, i64),
        recorded: i64,
        now: Millis,
    ) -> Result<()> {
        let sql = "UPDATE budget_account SET exhausted = ? WHERE scope_id = ? AND period = ? \
                   AND (exhausted IS NULL OR exhausted <> ?)";
        let (scope, period) = columns(key);
        let begun = starts(key.period, now);
        let values = [begun.into(), scope, period, begun.into()];
        let done = conn.execute_raw(tx.sql(sql, values)).await?;
        if done.rows_affected() > 0 {
            tx.alert(self.workspace, AlertKind::BudgetExhausted, || {
                alert::used_up(self.workspace, key, limit, recorded, now)
            });
        }
        Ok(())
    }

    /// Writes what the worker has now; what others left behind is gone. Who got nothing gives back what was at hand:
    /// workers that wait for each other's remainders would wait in vain.
    async fn report(
        &self,
        tx: &Tx,
        conn: &DatabaseTransaction,
        grants: Option<&[i64]>,
        now: Millis,
    ) -> Result<()> {
        let over =
            "DELETE FROM budget_slice WHERE scope_id = ? AND period = ? AND lease_until <= ?";
        for ask in &self.asks {
            let (scope, period) = columns(ask.key);
            conn.execute_raw(tx.sql(over, [scope, period, now.into()]))
                .await?;
        }
        let slices: Vec<_> = match grants {
            Some(grants) => {
                let slices = self.asks.iter().zip(grants);
                slices
                    .map(|(ask, grant)| (ask.key, ask.held + grant))
                    .collect()
            }
            None => {
                let slices = self.asks.iter();
                slices.map(|ask| (ask.key, ask.held - ask.free)).collect()
            }
        };
        keep(
            tx,
            conn,
            self.worker,
            &slices,
            now.plus(self.lease_ms),
            self.seq,
        )
        .await
    }
}

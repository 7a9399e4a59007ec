//! One budget in a worker's memory, and what is reserved of it: held until the log says so, spent until the call has
//! ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use entity::Millis;

use super::purse::Purse;
use super::take::{Ask, Granted};
use super::{Key, starts};

/// What is there of a budget.
#[derive(Clone, Debug)]
pub(super) struct Account {
    /// When the day or month began.
    pub(super) starts_at: Millis,
    /// May be reserved.
    pub(super) free: i64,
    /// Reserved, and perhaps not written down yet.
    pub(super) pending: i64,
    /// Given up in the middle: until when it may still come to be written down.
    pub(super) lost: Vec<(Instant, i64)>,
    /// What the slice's row says.
    pub(super) reported: i64,
    /// Until when the slice is used, by both clocks.
    pub(super) until: (Instant, Millis),
    /// Until when what is reserved out of it may be written down, by the database's clock.
    pub(super) not_after: Millis,
    /// A take is under way: what it reports must not grow.
    pub(super) taking: bool,
}

impl Account {
    pub(super) fn new() -> Self {
        Self {
            starts_at: Millis(i64::MIN),
            free: 0,
            pending: 0,
            lost: Vec::new(),
            reported: 0,
            until: (Instant::now(), Millis(i64::MIN)),
            not_after: Millis(i64::MIN),
            taking: false,
        }
    }

    /// Whether the slice may be used.
    pub(super) fn counts(&self, key: Key, now: Millis) -> bool {
        self.starts_at == starts(key.period, now)
            && Instant::now() < self.until.0
            && now < self.until.1
    }

    /// Whether it still says anything.
    pub(super) fn is_used(&mut self) -> bool {
        self.taking || Instant::now() < self.until.0 || self.held() != 0
    }

    /// What may still be written down besides what is free.
    pub(super) fn held(&mut self) -> i64 {
        let now = Instant::now();
        self.lost.retain(|(until, _)| now < *until);
        self.pending + self.lost.iter().map(|(_, nano)| nano).sum::<i64>()
    }
}

/// A reservation that is not written down yet.
#[derive(Debug)]
pub struct Hold {
    pub(super) purse: Arc<Purse>,
    pub(super) keys: Vec<Key>,
    pub(super) amount: i64,
    /// Out of the reserve: what is left over goes back there.
    pub(super) closing: bool,
    pub(super) written: bool,
    /// Until when it may be written down: later, others may have what it holds.
    pub(super) not_after: Millis,
}

impl Hold {
    pub(super) fn new(
        purse: &Arc<Purse>,
        keys: Vec<Key>,
        amount: i64,
        closing: bool,
        not_after: Millis,
    ) -> Self {
        Self {
            purse: purse.clone(),
            keys,
            amount,
            closing,
            written: false,
            not_after,
        }
    }

    /// Until when it may be written down, by the database's clock.
    pub fn not_after(&self) -> Millis {
        self.not_after
    }

    /// Nobody ever had it, and it will never stand in the log: it may be reserved again.
    pub fn unused(mut self) {
        self.written = true;
        let mut accounts = self.purse.accounts.lock();
        for key in &self.keys {
            if let Some(account) = accounts.get_mut(key) {
                account.pending -= self.amount;
                // A take that is under way has counted it; and what came out of the reserve is for closing turns.
                if !account.taking && !self.closing {
                    account.free += self.amount;
                }
            }
        }
    }

    /// What the call may cost.
    pub fn amount(&self) -> i64 {
        self.amount
    }

    /// It stands in the log.
    pub fn written(mut self) -> Spent {
        self.written = true;
        let mut accounts = self.purse.accounts.lock();
        for key in &self.keys {
            if let Some(account) = accounts.get_mut(key) {
                account.pending -= self.amount;
            }
        }
        drop(accounts);
        Spent {
            purse: self.purse.clone(),
            keys: self.keys.clone(),
            amount: self.amount,
            closing: self.closing,
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.written {
            return;
        }
        // It may still be written: until no slice of this time counts any more.
        let until = Instant::now() + self.purse.lease;
        let mut accounts = self.purse.accounts.lock();
        for key in &self.keys {
            if let Some(account) = accounts.get_mut(key) {
                account.pending -= self.amount;
                account.lost.push((until, self.amount));
            }
        }
    }
}

/// A reservation that stands in the log until its call has ended.
#[derive(Debug)]
pub struct Spent {
    purse: Arc<Purse>,
    keys: Vec<Key>,
    amount: i64,
    closing: bool,
}

impl Spent {
    /// The call has ended, and the log says what it is charged at: the rest may be reserved again.
    pub fn settle(self, charged: i64, now: Millis) {
        let rest = self.amount - charged;
        let mut accounts = self.purse.accounts.lock();
        for key in self.keys.iter().filter(|_| rest > 0 && !self.closing) {
            if let Some(account) = accounts.get_mut(key)
                && account.counts(*key, now)
                && !account.taking
            {
                // Never more than the row says: what is beyond, others may have taken already.
                let most = account.reported - account.held();
                account.free = (account.free + rest).min(most).max(account.free);
            }
        }
        drop(accounts);
        self.purse.settled.notify_waiters();
    }
}

/// What is in the hands of a take: unless it is granted, nothing of it is at hand any more, for its row may say so.
pub(super) struct Taking<'a> {
    pub(super) purse: &'a Purse,
    pub(super) asks: Vec<Ask>,
}

impl Taking<'_> {
    /// The slices were taken: what the call needs is pending, the rest is free. Gives until when that may be written
    /// down. A slice is used for half of its time, and written down within the next eighth. The rest, 22 s at the least,
    /// is for the commit: what may pass between the look at the clock and the commit is less by a good deal
    /// ([`Append::not_after`](crate::store::Append::not_after)), so that it is committed while the slice still counts.
    pub(super) fn finish(mut self, granted: &Granted, taken_at: Instant) -> Millis {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let half = self.purse.lease / 2;
        let not_after = granted.at.plus(ms(half + half / 4));
        let mut accounts = self.purse.accounts.lock();
        for (ask, grant) in std::mem::take(&mut self.asks).iter().zip(&granted.grants) {
            if let Some(account) = accounts.get_mut(&ask.key) {
                account.starts_at = starts(ask.key.period, granted.at);
                account.reported = ask.held + grant;
                account.pending += granted.amount - ask.free;
                account.free = ask.free + grant - granted.amount;
                account.until = (taken_at + half, granted.at.plus(ms(half)));
                account.not_after = not_after;
                account.taking = false;
            }
        }
        drop(accounts);
        not_after
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        let mut accounts = self.purse.accounts.lock();
        for ask in &self.asks {
            if let Some(account) = accounts.get_mut(&ask.key) {
                account.pending -= ask.free;
                account.reported = ask.held - ask.free;
                account.taking = false;
            }
        }
    }
}

//! Following what a run's model writes, until the run ends. Best effort: the log has the whole.

use std::collections::VecDeque;
use std::time::Duration;

use entity::{RunId, run};
use sea_orm::{ColumnTrait, QueryFilter};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::tail::{self, Tail};
use crate::access::Actor;
use crate::bus::Bus;
use crate::bus::delta::{Delta, Watch};
use crate::error::{Error, Result};
use crate::store::Store;

/// Pieces within this time become one item.
const PACE: Duration = Duration::from_millis(50);
/// The most bytes that wait for a slow watcher.
const WAITING: usize = 64 * 1024;

/// How long the last pieces may take to come from another process, where its log may be seen to have ended before.
const LATE: Duration = Duration::from_millis(250);

/// Some of what a model wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What, and where it belongs; its text is only the first piece.
    pub delta: Delta,
    /// The text, all pieces.
    pub text: String,
    /// Whether something before it was missed.
    pub gap: bool,
}

/// Follows what a run's model writes.
#[derive(Debug)]
pub struct DeltaTail {
    watch: Watch,
    /// Tells of the run's end.
    log: Tail,
    waiting: VecDeque<Written>,
    bytes: usize,
    missed: bool,
    /// When the next item may be given.
    next_at: Instant,
    /// How long pieces may come after the run's end.
    late: Duration,
    /// The run has ended: until when pieces are waited for.
    until: Option<Instant>,
}

/// Follows what the model of a run writes from now on.
///
/// # Errors
/// [`Error::NotFound`] for a run that the actor may not see.
pub async fn deltas(store: &Store, actor: &Actor, run: RunId) -> Result<DeltaTail> {
    // Registered before looking: what is written from here on is heard.
    let watch = store.bus().here().deltas().watch(run);
    let row = super::query::visible(actor)
        .filter(run::Column::Id.eq(run))
        .one(store.read())
        .await?;
    let row = row.ok_or(Error::NotFound { what: "Run" })?;
    Ok(DeltaTail {
        watch,
        log: tail::events(store, actor, run, row.last_seq).await?,
        waiting: VecDeque::new(),
        bytes: 0,
        missed: false,
        next_at: Instant::now(),
        late: match store.bus() {
            Bus::Local(_) => Duration::ZERO,
            Bus::Redis(_) => LATE,
        },
        until: None,
    })
}

impl DeltaTail {
    /// The next item, at most one per [`PACE`]; none after the run's end.
    ///
    /// # Errors
    /// As [`Tail::next`].
    pub async fn next(&mut self) -> Result<Option<Written>> {
        loop {
            if let Some(until) = self.until {
                self.rest();
                if let Some(written) = self.given() {
                    return Ok(Some(written));
                }
                match timeout_at(until, self.watch.heard.recv()).await {
                    Ok(Ok(delta)) => self.take(delta),
                    Ok(Err(RecvError::Lagged(_))) => self.missed = true,
                    Ok(Err(RecvError::Closed)) | Err(_) => return Ok(None),
                }
                continue;
            }
            let due = !self.waiting.is_empty();
            tokio::select! {
                heard = self.watch.heard.recv() => match heard {
                    Ok(delta) => self.take(delta),
                    // The channel lives as long as this watcher does.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => self.missed = true,
                },
                () = sleep_until(self.next_at), if due => {
                    self.next_at = Instant::now() + PACE;
                    return Ok(self.given());
                }
                event = self.log.next() => if event?.is_none() {
                    self.until = Some(Instant::now() + self.late);
                },
            }
        }
    }

    /// Takes out the first item that waits.
    fn given(&mut self) -> Option<Written> {
        let written = self.waiting.pop_front()?;
        self.bytes -= written.text.len();
        Some(written)
    }

    /// What was written before the run ended, and not heard yet.
    fn rest(&mut self) {
        loop {
            match self.watch.heard.try_recv() {
                Ok(delta) => self.take(delta),
                Err(TryRecvError::Lagged(_)) => self.missed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// Pieces of one text that wait are one item.
    fn take(&mut self, delta: Delta) {
        if self.bytes + delta.text.len() > WAITING {
            self.missed = true;
            return;
        }
        self.bytes += delta.text.len();
        self.missed |= delta.gap;
        let same = |known: &&mut Written| {
            let known = &known.delta;
            (known.turn, known.attempt, known.kind, &known.call)
                == (delta.turn, delta.attempt, delta.kind, &delta.call)
        };
        let gap = std::mem::take(&mut self.missed);
        match self.waiting.iter_mut().find(same).filter(|_| !gap) {
            Some(known) => known.text.push_str(&delta.text),
            None => self.waiting.push_back(Written {
                text: delta.text.to_string(),
                delta,
                gap,
            }),
        }
    }
}

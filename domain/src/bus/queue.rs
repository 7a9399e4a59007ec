//! What waits to be told to other processes. Bounded: who can't be told soon enough is not told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use entity::RunId;
use tokio::sync::mpsc;

use super::Signal;
use super::delta::Delta;

/// How much may wait.
const MOST: usize = 8 * 1024;
/// How many bytes of texts may wait.
const BYTES: usize = 4 * 1024 * 1024;

/// Something that other processes are told.
#[derive(Clone, Debug)]
pub(super) enum Sent {
    Signal(Signal),
    /// A piece of what a run's model writes, and its number.
    Delta(RunId, u64, Delta),
}

impl Sent {
    fn bytes(&self) -> usize {
        match self {
            Self::Signal(_) => 0,
            Self::Delta(_, _, delta) => delta.text.len(),
        }
    }
}

/// The end that is written to.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    into: mpsc::Sender<Sent>,
    bytes: Arc<AtomicUsize>,
}

/// The end that is read.
#[derive(Debug)]
pub(super) struct Waiting {
    from: mpsc::Receiver<Sent>,
    bytes: Arc<AtomicUsize>,
}

/// A queue, both its ends.
pub(super) fn queue() -> (Queue, Waiting) {
    let (into, from) = mpsc::channel(MOST);
    let bytes = Arc::<AtomicUsize>::default();
    let waiting = Waiting {
        from,
        bytes: bytes.clone(),
    };
    (Queue { into, bytes }, waiting)
}

impl Queue {
    /// Adds something, if there is room. It never waits.
    pub(super) fn push(&self, sent: Sent) {
        let size = sent.bytes();
        if self.bytes.load(Ordering::Relaxed) + size > BYTES {
            return;
        }
        self.bytes.fetch_add(size, Ordering::Relaxed);
        if self.into.try_send(sent).is_err() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }
}

impl Waiting {
    /// Waits for something, and takes at most `most` of what is there.
    pub(super) async fn take(&mut self, most: usize) -> Vec<Sent> {
        let mut taken = Vec::new();
        // It ends with the queue, which lives as long as its bus does.
        self.from.recv_many(&mut taken, most).await;
        self.freed(&taken);
        taken
    }

    /// Throws away what waits: it is too late for it.
    pub(super) fn clear(&mut self) {
        while let Ok(sent) = self.from.try_recv() {
            self.freed(&[sent]);
        }
    }

    fn freed(&self, taken: &[Sent]) {
        let size = taken.iter().map(Sent::bytes).sum();
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use entity::WorkspaceId;
    use uuid::Uuid;

    use super::*;
    use crate::bus::delta::DeltaKind;

    fn piece(number: u64, size: usize) -> Sent {
        let delta = Delta {
            turn: 1,
            attempt: 1,
            kind: DeltaKind::Text,
            call: None,
            text: "x".repeat(size).into(),
            gap: false,
        };
        Sent::Delta(RunId(Uuid::nil()), number, delta)
    }

    #[tokio::test]
    async fn what_finds_no_room_is_left_out_and_room_comes_back() {
        let (queue, mut waiting) = queue();
        for number in 0..100 {
            queue.push(piece(number, 100 * 1024));
        }
        // 41 pieces of 100 KiB are what 4 MiB hold less than; a signal has no size.
        queue.push(Sent::Signal(Signal::Prices(WorkspaceId(Uuid::nil()))));
        let taken = waiting.take(1_000).await;
        let numbers = taken.iter().filter_map(|sent| match sent {
            Sent::Delta(_, number, _) => Some(*number),
            Sent::Signal(_) => None,
        });
        assert_eq!(numbers.collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
        assert_eq!(taken.len(), 41);
        for number in 0..10 {
            queue.push(piece(number, 100 * 1024));
        }
        waiting.clear();
        queue.push(piece(7, BYTES));
        assert_eq!(waiting.take(1_000).await.len(), 1);
        for _ in 0..2 * MOST {
            queue.push(Sent::Signal(Signal::Work));
        }
        assert_eq!(waiting.take(2 * MOST).await.len(), MOST);
    }
}

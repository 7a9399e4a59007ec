//! The playbooks that were read already.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::model::playbook::{Playbook, PlaybookError};

/// How many playbooks are kept; the one that was not asked for longest makes room.
pub(super) const PLACES: usize = 256;

/// A bounded cache, by the playbook's whole text: equal texts are one playbook, whoever has them.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    books: RwLock<HashMap<Arc<str>, Kept>>,
    /// Counts the lookups, to tell which was last.
    lookups: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    book: Arc<Playbook>,
    asked: AtomicU64,
}

impl Shelf {
    /// The playbook with this text, read at most once while it is kept.
    pub(super) fn get(&self, text: &str) -> Result<Arc<Playbook>, PlaybookError> {
        let now = self.lookups.fetch_add(1, Ordering::Relaxed);
        if let Some(kept) = self.books.read().get(text) {
            kept.asked.store(now, Ordering::Relaxed);
            return Ok(Arc::clone(&kept.book));
        }
        let book = Arc::new(Playbook::parse(text)?);
        let mut books = self.books.write();
        if books.len() >= PLACES && !books.contains_key(text) {
            let oldest = books
                .iter()
                .min_by_key(|(_, kept)| kept.asked.load(Ordering::Relaxed))
                .map(|(text, _)| Arc::clone(text));
            if let Some(oldest) = oldest {
                books.remove(&oldest);
            }
        }
        books.insert(
            text.into(),
            Kept {
                book: Arc::clone(&book),
                asked: AtomicU64::new(now),
            },
        );
        Ok(book)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.books.read().len()
    }
}

//! A streamed answer, piece by piece, until its end marker.

use crate::model::sse::{Event, Reader};
use crate::model::{ModelError, ModelErrorClass};

/// The most bytes of an answer.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// Puts an answer together from what a provider sends.
pub(in crate::model) trait Assemble {
    /// Takes in one event of the stream; whether it was the end marker.
    ///
    /// # Errors
    /// What the provider says went wrong, or that the event can't be read.
    fn event(&mut self, event: &Event) -> Result<bool, ModelError>;

    /// Whether the answer is whole if the stream ends here though no end marker has come: in protocols that have none, it
    /// is once a chunk said why it ends.
    fn is_whole(&self) -> bool {
        false
    }

    /// Takes in an answer that came in one piece, from servers that do not stream.
    ///
    /// # Errors
    /// As [`Assemble::event`].
    fn whole(&mut self, body: &str) -> Result<(), ModelError>;
}

/// A streamed answer as it comes in.
pub(in crate::model) struct Stream<'a, A> {
    provider: &'a str,
    assemble: &'a mut A,
    reader: Reader,
    /// The bytes so far.
    pub(super) size: usize,
}

impl<'a, A: Assemble> Stream<'a, A> {
    /// Nothing yet.
    pub(in crate::model) fn new(provider: &'a str, assemble: &'a mut A) -> Self {
        Self {
            provider,
            assemble,
            reader: Reader::default(),
            size: 0,
        }
    }

    /// Takes in a piece; whether the answer is whole.
    ///
    /// # Errors
    /// As [`Assemble::event`], or too much was said.
    pub(in crate::model) fn take(&mut self, piece: &[u8]) -> Result<bool, ModelError> {
        self.size += piece.len();
        if self.size > LARGEST {
            return Err(too_large(self.provider));
        }
        for event in self.reader.feed(piece) {
            if self.assemble.event(&event)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the answer is whole if nothing more comes.
    pub(super) fn is_whole(&self) -> bool {
        self.assemble.is_whole()
    }

    /// The stream has ended before the answer was whole, unless only the last line's end is missing.
    ///
    /// # Errors
    /// That it broke off, or what its last words say went wrong.
    pub(in crate::model) fn end(mut self) -> Result<(), ModelError> {
        match self.reader.end().map(|event| self.assemble.event(&event)) {
            Some(Ok(true)) => Ok(()),
            // Cut in the middle, the last event can't be read: then the stream broke off, and nothing else is wrong.
            Some(Err(error)) if error.class != ModelErrorClass::Malformed => Err(error),
            Some(Ok(false)) | None if self.assemble.is_whole() => Ok(()),
            Some(Ok(false) | Err(_)) | None => Err(broke_off(self.provider)),
        }
    }
}

/// An answer that ended before it was whole.
pub(in crate::model) fn broke_off(provider: &str) -> ModelError {
    let message = format!("the answer of {provider} broke off");
    ModelError::new(ModelErrorClass::Truncated, message)
}

pub(super) fn too_large(provider: &str) -> ModelError {
    let message = format!("{provider} answered more than {LARGEST} bytes");
    ModelError::new(ModelErrorClass::Malformed, message)
}

//! Memory to read into, lent for as long as one chunk is searched.
//!
//! A hundred items on one log, polled at once, would otherwise hold half a megabyte each while they wait for one another.

use crate::chunk::CHUNK_BYTES;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Kept for whoever reads next; others are freed when they come back.
const SPARE_BUFFERS: usize = 4;

/// Buffers that nobody uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// Lends a buffer; it may be empty, and may hold what somebody else has read.
    pub(crate) fn lend<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut buffer = self.spare().pop().unwrap_or_default();
        let result = work(&mut buffer);
        let mut spare = self.spare();
        if spare.len() < SPARE_BUFFERS {
            spare.push(buffer);
        }
        result
    }

    /// Frees large ones: they are for bursts.
    pub(crate) fn tidy(&self) {
        self.spare().retain(|buffer| buffer.len() < CHUNK_BYTES);
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_and_a_large_one_does_not_stay() {
        let buffers = Buffers::default();
        buffers.lend(|buffer| buffer.resize(10, 0));
        buffers.lend(|first| {
            assert_eq!(first.len(), 10);
            buffers.lend(|second| second.resize(CHUNK_BYTES, 0));
        });
        assert_eq!(buffers.spare().len(), 2);
        buffers.tidy();
        assert_eq!(buffers.spare().len(), 1);
    }
}

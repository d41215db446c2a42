//! Read buffers, lent while one chunk is searched.
//!
//! Without sharing, a hundred items on one log that are polled at once would hold half a megabyte each while they wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::chunk::CHUNK_BYTES;

/// Buffers that are kept for the next reader. Further ones are freed when they are returned.
const SPARE_BUFFERS: usize = 4;

/// Buffers that are not in use.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// Lends a buffer. It may be empty or hold data of an earlier reader.
    pub(crate) fn lend<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut buffer = self.spare().pop().unwrap_or_default();
        let result = work(&mut buffer);
        let mut spare = self.spare();
        if spare.len() < SPARE_BUFFERS {
            spare.push(buffer);
        }
        result
    }

    /// Frees large buffers, which are only needed for bursts.
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
    fn buffer_is_reused_and_a_large_one_is_freed() {
        let buffers = Buffers::default();
        buffers.lend(|buffer| buffer.resize(10, 0));
        buffers.lend(|first| {
            assert_eq!(first.len(), 10);
            buffers.lend(|second| second.resize(CHUNK_BYTES, 0));
        });
        assert_eq!(buffers.spare().len(), 2);
        buffers.tidy();
        assert_eq!(buffers.spare().len(), 1);
        buffers.lend(|buffer| assert_eq!(buffer.len(), 10, "the small one is kept"));
    }
}

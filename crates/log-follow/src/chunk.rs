//! The pieces in which files are read.

/// A line is matched, and shown, up to here; the rest of it is skipped. The agent's own limit.
pub(crate) const MAX_LINE_BYTES: usize = 256 * 1024;
/// Bytes read at a time. Twice the longest line, so that a whole one always fits; small enough for the L2 cache.
pub(crate) const CHUNK_BYTES: usize = 2 * MAX_LINE_BYTES;

/// What a scan did, beside moving the position.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) read_bytes: u64,
    pub(crate) lines_over_step_limit: u64,
}

/// A NUL in a line counts as a question checkpoint, as in the agent. A search for it costs next to nothing.
pub(crate) fn replace_nul(chunk: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memchr(0, &chunk[at..]) {
        at += found;
        let run = chunk[at..].iter().take_while(|b| **b == 0).count();
        chunk[at..at + run].fill(b'?');
        at += run;
    }
}

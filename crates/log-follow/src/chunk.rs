//! The pieces in which files are read.

/// A line is matched and delivered up to this length; the rest is skipped. The agent has the same limit.
pub(crate) const MAX_LINE_BYTES: usize = 256 * 1024;
/// Bytes per read: twice the longest line, so that a complete line always fits, and small enough for the L2 cache.
pub(crate) const CHUNK_BYTES: usize = 2 * MAX_LINE_BYTES;

/// Counters of a scan.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) read_bytes: u64,
    pub(crate) lines_over_step_limit: u64,
}

/// Replaces NUL bytes by question marks, as the agent does. The search for them costs almost nothing.
pub(crate) fn replace_nul(chunk: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr::memchr(0, &chunk[at..]) {
        at += found;
        let run = chunk[at..].iter().take_while(|b| **b == 0).count();
        chunk[at..at + run].fill(b'?');
        at += run;
    }
}

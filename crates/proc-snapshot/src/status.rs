//! `/proc/PID/status`.

/// A line of `status` that holds an amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    Absent,
    Bytes(u64),
    Garbled,
}

/// What `status` says of a process.
#[derive(Debug)]
pub struct Status {}

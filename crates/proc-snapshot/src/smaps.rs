//! `/proc/PID/smaps_rollup` and its ancestor `smaps`.

/// Memory shares of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Smaps {
    /// Proportional set size: each page divided by the number of processes that map it.
    pub pss_bytes: u64,
    /// Unique set size: pages that only this process maps, which its end would free.
    pub uss_bytes: u64,
    /// The sum that the built-in `proc.get` calls pss: 512 bytes more for every mapping (once for `smaps_rollup`), with
    /// huge pages of hugetlbfs.
    pub builtin_pss_bytes: i64,
}

//! `proc.mem`: kinds of memory and their sums.

use std::time::Instant;

use crate::error::ProcError;
use crate::select::Selector;
use crate::snapshot::{Needs, Snapshot};

/// A kind of memory. All but [`MemType::Pmem`] are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemType {
    /// `vsize`: virtual memory (`VmSize`).
    Vsize,
    /// `rss`: resident memory (`VmRSS`).
    Rss,
    /// `pmem`: resident memory as a percentage of the machine's.
    Pmem,
    /// `size`: data, stack and code (`VmData` + `VmStk` + `VmExe`).
    Size,
    /// `peak`: highest virtual memory (`VmPeak`).
    Peak,
    /// `swap`: swapped out (`VmSwap`).
    Swap,
    /// `lib`: shared libraries (`VmLib`).
    Lib,
    /// `lck`: locked (`VmLck`).
    Lck,
    /// `pin`: pinned (`VmPin`).
    Pin,
    /// `hwm`: highest resident memory (`VmHWM`).
    Hwm,
    /// `data`: data segment (`VmData`).
    Data,
    /// `stk`: stack (`VmStk`).
    Stk,
    /// `exe`: code (`VmExe`).
    Exe,
    /// `pte`: page tables (`VmPTE`).
    Pte,
    /// `pss`: proportional set size. The built-in `proc.mem` has none.
    Pss,
    /// `uss`: unique set size. The built-in `proc.mem` has none.
    Uss,
}

impl MemType {
    /// By the word of the item key; the empty word is `vsize`. `None` for any other word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        unimplemented!()
    }

    /// What a walk should read if nearly all processes are asked about; a selector that picks few needs nothing more.
    #[must_use]
    pub fn needs_for_all(self) -> Needs {
        unimplemented!()
    }
}

/// Sum, smallest and largest over the processes that have the kind of memory at all.
///
/// Counted in 64-bit floating point, as the built-in key does. Print a sum of bytes as an integer (`as u64`), a
/// percentage or an average as it is. With a count of 0 the built-in answers 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MemSummary {
    /// How many processes had a value.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest, 0 if there is none.
    pub min: f64,
    /// The largest, 0 if there is none.
    pub max: f64,
}

impl MemSummary {
    /// Takes in one process's value.
    pub fn add(&mut self, value: f64) {
        unimplemented!()
    }

    /// The mean, `None` if there were no values.
    #[must_use]
    pub fn avg(&self) -> Option<f64> {
        unimplemented!()
    }
}

impl Snapshot {
    /// How many processes the selector picks (`proc.num`).
    #[must_use]
    pub fn count(&self, selector: &Selector) -> usize {
        unimplemented!()
    }

    /// Memory of the processes that the selector picks (`proc.mem`). Kernel threads and zombies have none and are not
    /// counted; neither are processes that vanished since the walk.
    ///
    /// # Errors
    ///
    /// [`ProcError::StatusField`] for an unusable line, [`ProcError::NoTotalMemory`] and
    /// [`ProcError::ZeroTotalMemory`] for [`MemType::Pmem`], [`ProcError::Deadline`].
    pub fn memory(
        &self,
        selector: &Selector,
        kind: MemType,
        deadline: Instant,
    ) -> Result<MemSummary, ProcError> {
        unimplemented!()
    }
}

//! `proc.mem`: kinds of memory and their sums.

use std::time::Instant;

use crate::error::ProcError;
use crate::select::Selector;
use crate::snapshot::{Needs, Process, Snapshot};
use crate::text::Amount;

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
    /// Words of the item key and their values, the default first.
    pub const WORDS: [(&'static str, Self); 16] = [
        ("vsize", Self::Vsize),
        ("rss", Self::Rss),
        ("pmem", Self::Pmem),
        ("size", Self::Size),
        ("peak", Self::Peak),
        ("swap", Self::Swap),
        ("lib", Self::Lib),
        ("lck", Self::Lck),
        ("pin", Self::Pin),
        ("hwm", Self::Hwm),
        ("data", Self::Data),
        ("stk", Self::Stk),
        ("exe", Self::Exe),
        ("pte", Self::Pte),
        ("pss", Self::Pss),
        ("uss", Self::Uss),
    ];

    /// Returns the value of a word of the item key.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(name, _)| *name == word).map(|&(_, value)| value)
    }

    /// Returns the needs of a walk if nearly all processes are selected. If few are, no further files are needed.
    #[must_use]
    pub fn needs_for_all(self) -> Needs {
        match self {
            Self::Vsize | Self::Pss | Self::Uss => Needs::empty(),
            _ => Needs::STATUS,
        }
    }

    /// The lines of `status` that are added up, in the order of the built-in key.
    fn lines(self) -> &'static [&'static str] {
        match self {
            Self::Rss | Self::Pmem => &["VmRSS"],
            Self::Size => &["VmData", "VmStk", "VmExe"],
            Self::Peak => &["VmPeak"],
            Self::Swap => &["VmSwap"],
            Self::Lib => &["VmLib"],
            Self::Lck => &["VmLck"],
            Self::Pin => &["VmPin"],
            Self::Hwm => &["VmHWM"],
            Self::Data => &["VmData"],
            Self::Stk => &["VmStk"],
            Self::Exe => &["VmExe"],
            Self::Pte => &["VmPTE"],
            Self::Vsize | Self::Pss | Self::Uss => &[],
        }
    }
}

/// Sum, smallest and largest over the processes that have the kind of memory at all.
///
/// Counted in 64-bit floating point, as the built-in key does. Print a sum of bytes as an integer (`as u64`), a
/// percentage or an average as it is. With a count of 0 the built-in key returns 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MemSummary {
    /// Number of processes with a value.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest, 0 if there is none.
    pub min: f64,
    /// The largest, 0 if there is none.
    pub max: f64,
    /// Number of selected processes whose memory of this kind could not be read: with [`MemType::Pss`] and
    /// [`MemType::Uss`] those of other users, unless this user has ptrace permission.
    pub unreadable: u64,
}

impl MemSummary {
    /// Adds the value of one process.
    ///
    /// ```
    /// let mut summary = proc_snapshot::MemSummary::default();
    /// summary.add(10.0);
    /// summary.add(30.0);
    /// assert_eq!((summary.sum, summary.min, summary.max, summary.avg()), (40.0, 10.0, 30.0, Some(20.0)));
    /// ```
    pub fn add(&mut self, value: f64) {
        if self.count == 0 {
            (self.min, self.max) = (value, value);
        }
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    /// Returns the mean, `None` without values.
    #[must_use]
    pub fn avg(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / to_float(self.count))
    }
}

/// As the built-in key counts: sums above 2^53 bytes lose their last digits there too.
#[expect(clippy::cast_precision_loss, reason = "as in the built-in key")]
pub(crate) fn to_float(number: u64) -> f64 {
    number as f64
}

/// Memory of one kind of one process.
pub(crate) enum Reading {
    Bytes(u64),
    /// The process has no memory, or is gone.
    Nothing,
    /// The process has memory, but this kind cannot be read.
    Unreadable,
}

impl Process<'_> {
    pub(crate) fn memory(&self, kind: MemType, deadline: Instant) -> Result<Reading, ProcError> {
        match kind {
            // stat's number is VmSize: both are the kernel's total_vm. It saves reading status.
            MemType::Vsize if self.vsize_bytes() == 0 => Ok(Reading::Nothing),
            MemType::Vsize => Ok(Reading::Bytes(self.vsize_bytes())),
            MemType::Pss | MemType::Uss => self.shares(kind, deadline),
            _ => self.lines_of_status(kind),
        }
    }

    fn shares(&self, kind: MemType, deadline: Instant) -> Result<Reading, ProcError> {
        if self.vsize_bytes() == 0 {
            return Ok(Reading::Nothing);
        }
        Ok(match self.smaps(deadline)? {
            Some(smaps) if kind == MemType::Pss => Reading::Bytes(smaps.pss_bytes),
            Some(smaps) => Reading::Bytes(smaps.uss_bytes),
            None if self.reopen()?.is_none() => Reading::Nothing,
            None => Reading::Unreadable,
        })
    }

    fn lines_of_status(&self, kind: MemType) -> Result<Reading, ProcError> {
        let Some(status) = self.status()? else { return Ok(Reading::Nothing) };
        let mut sum = 0_u64;
        for &field in kind.lines() {
            match status.amount(field) {
                Amount::Bytes(bytes) => sum = sum.saturating_add(bytes),
                Amount::Absent => return Ok(Reading::Nothing),
                Amount::Garbled => return Err(ProcError::StatusField { field, pid: self.pid() }),
            }
        }
        Ok(Reading::Bytes(sum))
    }
}

impl Snapshot {
    /// Returns the number of selected processes (`proc.num`).
    ///
    /// # Errors
    ///
    /// [`ProcError::Deadline`]
    pub fn count(&self, selector: &Selector, deadline: Instant) -> Result<usize, ProcError> {
        let mut count = 0;
        for process in self.processes() {
            process.check(deadline)?;
            count += usize::from(selector.matches(&process));
        }
        Ok(count)
    }

    /// Returns the memory of the selected processes (`proc.mem`). Kernel threads and zombies have none and are not counted,
    /// and neither are processes that vanished since the walk.
    ///
    /// # Errors
    ///
    /// [`ProcError::StatusField`] for an unusable line, [`ProcError::NoTotalMemory`] and
    /// [`ProcError::ZeroTotalMemory`] for [`MemType::Pmem`], [`ProcError::Shortage`], [`ProcError::Deadline`].
    pub fn memory(
        &self,
        selector: &Selector,
        kind: MemType,
        deadline: Instant,
    ) -> Result<MemSummary, ProcError> {
        let scale = Scale::new(self, kind)?;
        let mut summary = MemSummary::default();
        for process in self.processes() {
            process.check(deadline)?;
            if !selector.matches(&process) {
                continue;
            }
            match process.memory(kind, deadline)? {
                Reading::Bytes(bytes) => summary.add(scale.apply(bytes)),
                Reading::Nothing => {}
                Reading::Unreadable => summary.unreadable += 1,
            }
        }
        Ok(summary)
    }
}

/// Bytes as they are, or as a percentage of the machine's memory.
#[derive(Debug, Clone, Copy)]
enum Scale {
    Bytes,
    PercentOf(f64),
}

impl Scale {
    fn new(snapshot: &Snapshot, kind: MemType) -> Result<Self, ProcError> {
        if kind != MemType::Pmem {
            return Ok(Self::Bytes);
        }
        match snapshot.root().total_memory()? {
            0 => Err(ProcError::ZeroTotalMemory),
            total => Ok(Self::PercentOf(to_float(total))),
        }
    }

    fn apply(self, bytes: u64) -> f64 {
        match self {
            Self::Bytes => to_float(bytes),
            Self::PercentOf(total) => to_float(bytes) / total * 100.0,
        }
    }
}

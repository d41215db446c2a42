//! Kills that are remembered after their report.

use crate::line_context::LineContext;
use crate::report::{Killer, Victim};
use crate::time::CoarseTime;

/// A report that no line has touched for this many bytes of text is finished.
pub(crate) const GAP_BYTES: u64 = 1 << 20;
/// Two lines further apart belong to different events. A table of thousands of rows takes minutes over a serial
/// console, but each row is near the one before it.
pub(crate) const GAP_SECONDS: u64 = 600;

/// A process that was killed earlier in the text.
#[derive(Debug)]
pub(crate) struct RecentKill {
    pid: u32,
    name: Option<Box<[u8]>>,
    total_vm_bytes: Option<u64>,
    pub(crate) killer: Killer,
    offset: u64,
    time: CoarseTime,
}

impl RecentKill {
    pub(crate) fn new(killer: Killer, victim: &Victim, context: LineContext<'_>) -> Self {
        let Victim { pid, total_vm_bytes, .. } = *victim;
        Self {
            pid,
            name: victim.name.clone(),
            total_vm_bytes,
            killer,
            offset: context.offset,
            time: context.stamp.coarse(),
        }
    }

    pub(crate) fn is_near(&self, offset: u64, time: CoarseTime) -> bool {
        offset - self.offset <= GAP_BYTES && !self.time.is_far_from(time, GAP_SECONDS)
    }

    pub(crate) fn is(&self, killer: Killer, victim: &Victim, offset: u64, time: CoarseTime) -> bool {
        self.pid == victim.pid
            && self.killer == killer
            && self.name == victim.name
            && is_same_size(self.total_vm_bytes, victim.total_vm_bytes)
            && self.is_near(offset, time)
    }
}

/// A process that is slow to die keeps its virtual size; a later process with the same id has another.
pub(crate) fn is_same_size(known: Option<u64>, reported: Option<u64>) -> bool {
    known.zip(reported).is_none_or(|(known, reported)| known == reported)
}

//! Whether what was seen is all there is.

use crate::root::ProcRoot;
use crate::snapshot::Snapshot;

/// How much of the machine's processes this user may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visibility {
    /// The `hidepid` option of the mount: 0 (off), 1 (`noaccess`), 2 (`invisible`), 4 (`ptraceable`). `None` if the
    /// mount options could not be read.
    pub hidepid: Option<u8>,
    /// Whether processes of other users can be seen and read.
    pub others_visible: bool,
    /// Process directories that were listed but could not be read.
    pub unreadable: usize,
}

impl Visibility {
    /// Judges by the mount options and by what the walk could read.
    #[must_use]
    pub fn of(root: &ProcRoot, snapshot: &Snapshot) -> Self {
        unimplemented!()
    }

    /// Whether an answer may leave processes out, so that a 0 would say nothing.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.others_visible || self.unreadable > 0
    }
}

//! Kills of each boot, as the kernel and the sources counted them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use oom_evidence::{describe_io_error, short_path};
use serde::{Deserialize, Serialize};

use crate::source::OomSource;

/// Counted kills of one boot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BootCount {
    pub(crate) id: String,
    /// The kernel's count when it was last read.
    pub kernel: Option<u64>,
    /// Kills in the reports of each source that was read in this boot.
    pub by_source: BTreeMap<OomSource, u64>,
}

impl BootCount {
    /// Returns the kills in reports: of the sources that cannot be forged, else of those that exist.
    #[must_use]
    pub fn reported(&self) -> u64 {
        self.in_text().or_else(|| self.of_source(OomSource::Systemd)).unwrap_or_default()
    }

    fn of_source(&self, source: OomSource) -> Option<u64> {
        self.by_source.get(&source).copied()
    }

    /// None if no source of the kernel's text was ever read in this boot.
    fn in_text(&self) -> Option<u64> {
        let of = |source| self.of_source(source);
        of(OomSource::Kmsg).max(of(OomSource::Journal)).or_else(|| of(OomSource::File))
    }

    /// Whether the kernel's count equals the number of kills in its text. Equal counts agree even if no text is readable
    /// now; different counts mean nothing then.
    #[must_use]
    pub fn agree(&self, is_text_readable: bool) -> Option<bool> {
        let is_equal = self.kernel? == self.in_text()?;
        (is_equal || is_text_readable).then_some(is_equal)
    }

    /// Returns the count of a boot that has ended. There may have been kills after the kernel's count was last read.
    pub(crate) fn closed(&self) -> u64 {
        self.kernel.unwrap_or_default().max(self.reported())
    }

    /// Notes that the source was read in this boot.
    pub(crate) fn note_read(&mut self, source: OomSource) {
        self.by_source.entry(source).or_default();
    }
}

/// Reads the id of this boot; empty if the machine has none.
///
/// # Errors
/// If the id exists and cannot be read now, such as without a free file descriptor: then it is not known whether positions
/// and counts belong to this boot.
pub(crate) fn read_boot_id(host_root: &Path) -> io::Result<String> {
    let path = host_root.join("proc/sys/kernel/random/boot_id");
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().chars().take(64).collect()),
        Err(error) if is_permanent(&error) => Ok(String::new()),
        Err(error) => {
            let reason = describe_io_error(&error);
            Err(io::Error::new(
                error.kind(),
                format!("cannot read the id of this boot ({}): {reason}", short_path(&path)),
            ))
        }
    }
}

fn is_permanent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied | InvalidData)
}

/// Converts a boot id of the journal, which has no hyphens, to the kernel's form.
pub(crate) fn boot_id_of_journal(id: &[u8]) -> String {
    let id = String::from_utf8_lossy(id);
    if id.len() != 32 || !id.is_ascii() {
        return id.into_owned();
    }
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_ids_of_the_journal_get_hyphens() {
        let id = boot_id_of_journal(b"11111111222233334444555555555555");
        assert_eq!(id, "11111111-2222-3333-4444-555555555555");
        assert_eq!(boot_id_of_journal(b"x"), "x");
    }

    #[test]
    fn larger_count_is_the_count_of_a_closed_boot() {
        let count = |kernel, kmsg, journal| BootCount {
            id: String::new(),
            kernel,
            by_source: [(OomSource::Kmsg, kmsg), (OomSource::Journal, journal)].into(),
        };
        assert_eq!(count(Some(3), 2, 1).closed(), 3);
        assert_eq!(count(Some(3), 4, 1).closed(), 4);
        assert_eq!(count(None, 1, 2).closed(), 2);
        assert_eq!(count(None, 2, 1).closed(), 2);
    }

    #[test]
    fn equal_counts_agree_and_unread_text_says_nothing() {
        let count = |kernel, by_source: &[(OomSource, u64)]| BootCount {
            id: String::new(),
            kernel,
            by_source: by_source.iter().copied().collect(),
        };
        let agree =
            |kernel, by_source: &[_]| [true, false].map(|readable| count(kernel, by_source).agree(readable));
        let journal = |kills| (OomSource::Journal, kills);
        let systemd = |kills| (OomSource::Systemd, kills);
        assert_eq!(agree(Some(3), &[journal(3)]), [Some(true); 2]);
        assert_eq!(agree(Some(3), &[journal(2), systemd(3)]), [Some(false), None]);
        assert_eq!(agree(Some(3), &[systemd(3)]), [None; 2], "systemd counts services, not processes");
        assert_eq!(agree(None, &[journal(3)]), [None; 2]);
    }
}

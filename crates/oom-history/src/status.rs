//! Whether a source can be read, and what would make it readable.

use std::fmt;
use std::io;

use oom_evidence::{JournalError, describe_io_error, is_out_of_descriptors, short_reason};

/// State of a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceState {
    /// The source was read.
    #[default]
    Readable,
    /// The machine has no such source.
    Absent,
    /// This user must not read the source.
    Forbidden,
    /// The source should be readable, and is not.
    Failed,
    /// The source is switched off.
    Off,
}

impl SourceState {
    /// The name of the state: `readable`, `absent`, `forbidden`, `failed` or `off`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Readable => "readable",
            Self::Absent => "absent",
            Self::Forbidden => "forbidden",
            Self::Failed => "failed",
            Self::Off => "off",
        }
    }

    pub(crate) fn from_io_error(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            _ => Self::Failed,
        }
    }

    pub(crate) fn from_journal_error(error: &JournalError) -> Self {
        match error {
            JournalError::Absent => Self::Absent,
            JournalError::Refused(_) | JournalError::Empty => Self::Forbidden,
            _ => Self::Failed,
        }
    }

    /// Whether a permission or a repair may make the source readable. It does not help if the source is absent.
    fn is_repairable(self) -> bool {
        matches!(self, Self::Forbidden | Self::Failed)
    }
}

/// What would make a source readable. The caller has the words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Permission to read `/dev/kmsg`.
    ReadKmsg,
    /// Permission to read the journal.
    ReadJournal,
    /// Permission to read the log files.
    ReadLogFiles,
    /// A bus that can be reached.
    ReachBus,
    /// A running systemd-oomd.
    StartOomd,
}

/// State of a source, the reason if it is not readable, and the remedy if there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// The state.
    pub state: SourceState,
    /// Why the source was not read; none if it was, or if it is switched off.
    pub reason: Option<String>,
    /// What would make it readable; none if nothing helps.
    pub remedy: Option<Remedy>,
}

impl SourceStatus {
    /// Whether the source was read.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.state == SourceState::Readable
    }

    pub(crate) fn is_off(&self) -> bool {
        self.state == SourceState::Off
    }

    /// The caller switched the source off, so it knows the reason.
    pub(crate) fn off() -> Self {
        Self { state: SourceState::Off, ..Self::default() }
    }

    pub(crate) fn unreadable(state: SourceState, reason: &dyn fmt::Display) -> Self {
        Self { state, reason: Some(short_reason(&reason.to_string())), remedy: None }
    }

    /// The status after an error of the system. `reason` has more words than the error. A lack of file descriptors says
    /// nothing about the source, so no permission is advised.
    pub(crate) fn of_io_error(error: &io::Error, reason: &dyn fmt::Display, remedy: Remedy) -> Self {
        if is_out_of_descriptors(error) {
            return Self::unreadable(SourceState::Failed, &describe_io_error(error));
        }
        Self::repairable(SourceState::from_io_error(error), reason, remedy)
    }

    /// With the remedy, unless the state is one that it cannot change.
    pub(crate) fn repairable(state: SourceState, reason: &dyn fmt::Display, remedy: Remedy) -> Self {
        let remedy = state.is_repairable().then_some(remedy);
        Self { remedy, ..Self::unreadable(state, reason) }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn errors_become_states() {
        let of = |kind: io::ErrorKind| SourceState::from_io_error(&kind.into());
        assert_eq!(of(io::ErrorKind::NotFound), SourceState::Absent);
        assert_eq!(of(io::ErrorKind::PermissionDenied), SourceState::Forbidden);
        assert_eq!(of(io::ErrorKind::InvalidInput), SourceState::Failed);
        let of = |error| SourceState::from_journal_error(&error);
        assert_eq!(of(JournalError::Absent), SourceState::Absent);
        assert_eq!(of(JournalError::Refused(String::new())), SourceState::Forbidden);
        assert_eq!(of(JournalError::Empty), SourceState::Forbidden);
        assert_eq!(of(JournalError::Late), SourceState::Failed);
    }

    #[test]
    fn remedies_are_for_sources_that_exist() {
        let remedy = |state| SourceStatus::repairable(state, &"x", Remedy::ReadKmsg).remedy;
        assert_eq!(remedy(SourceState::Forbidden), Some(Remedy::ReadKmsg));
        assert_eq!(remedy(SourceState::Failed), Some(Remedy::ReadKmsg));
        assert_eq!(remedy(SourceState::Absent), None);
    }

    #[test]
    fn missing_descriptor_is_neither_a_missing_permission_nor_an_absent_source() {
        for errno in [Errno::MFILE, Errno::NFILE] {
            let error = io::Error::from(errno);
            let status = SourceStatus::of_io_error(&error, &"cannot read /dev/kmsg", Remedy::ReadKmsg);
            assert_eq!((status.state, status.remedy), (SourceState::Failed, None));
            let reason = status.reason.unwrap();
            assert!(reason.starts_with("too many open files"), "{reason}");
        }
        let error = io::Error::from(Errno::ACCESS);
        let status = SourceStatus::of_io_error(&error, &"cannot read /dev/kmsg", Remedy::ReadKmsg);
        assert_eq!((status.state, status.remedy), (SourceState::Forbidden, Some(Remedy::ReadKmsg)));
    }

    #[test]
    fn reasons_are_short() {
        let status = SourceStatus::unreadable(SourceState::Failed, &"x\n".repeat(5000));
        let reason = status.reason.unwrap();
        assert!(reason.chars().count() < 300 && !reason.contains('\n'));
    }

    #[test]
    fn only_a_read_source_is_readable() {
        assert!(SourceStatus::default().is_readable() && !SourceStatus::default().is_off());
        assert!(SourceStatus::off().is_off() && !SourceStatus::off().is_readable());
        let names = [
            SourceState::Readable,
            SourceState::Absent,
            SourceState::Forbidden,
            SourceState::Failed,
            SourceState::Off,
        ];
        let names = names.map(SourceState::name);
        assert_eq!(names, ["readable", "absent", "forbidden", "failed", "off"]);
    }
}

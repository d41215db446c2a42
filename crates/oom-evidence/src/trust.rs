//! How far a report is trusted.

use serde::{Deserialize, Serialize};

/// Where the bytes come from. The parser cannot detect it, so the caller passes it for each source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// Raw records of /dev/kmsg. Records of other writers have another facility. The parser skips them, and
    /// everything that is not a record.
    KernelRing,
    /// Entries of the journal with `_TRANSPORT=kernel`, which only journald itself sets, and with
    /// `SYSLOG_FACILITY=0`. Messages that root writes to /dev/kmsg have that transport as well, but another facility.
    JournalKernel,
    /// Text of a log file, or of unknown origin: any local user can write such lines with `logger`.
    Text,
}

impl Origin {
    /// Returns the trust that follows from the origin.
    ///
    /// ```
    /// use oom_evidence::{Origin, Trust};
    ///
    /// assert_eq!(Origin::JournalKernel.trust(), Trust::High);
    /// assert_eq!(Origin::Text.trust(), Trust::Low);
    /// ```
    #[must_use]
    pub fn trust(self) -> Trust {
        match self {
            Self::KernelRing | Self::JournalKernel => Trust::High,
            Self::Text => Trust::Low,
        }
    }
}

/// Whether an ordinary user of the machine could have written a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Any local user could have.
    Low,
    /// Only the kernel, or root, could have.
    High,
}

impl Trust {
    /// The name: `low` or `high`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
        }
    }
}

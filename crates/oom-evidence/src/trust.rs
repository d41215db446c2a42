//! How far a report is to be believed.

use serde::{Deserialize, Serialize};

/// Where the bytes come from. The parser cannot know: the caller says it once for each source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// Raw records of /dev/kmsg. Writers other than the kernel carry another facility, and the parser passes them over,
    /// as it does whatever is no record.
    KernelRing,
    /// The journal's entries with `_TRANSPORT=kernel`, a field that only journald itself sets, and with
    /// `SYSLOG_FACILITY=0`: what root writes to /dev/kmsg has that transport, too, but another facility.
    JournalKernel,
    /// Text of a log file, or of unknown descent: any local user can have a line written there with `logger`.
    Text,
}

impl Origin {
    /// The judgement that follows from the origin.
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

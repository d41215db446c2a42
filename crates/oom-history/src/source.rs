//! The sources of OOM kills.

use serde::{Deserialize, Serialize};

/// A source of OOM kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OomSource {
    /// The kernel's ring buffer, `/dev/kmsg`.
    Kmsg,
    /// The kernel's messages in systemd's journal.
    Journal,
    /// The kernel's messages in the log files of a log daemon.
    File,
    /// systemd's manager, over D-Bus: services that ended in a kill.
    Systemd,
    /// systemd-oomd, over D-Bus: cgroups that it killed.
    SystemdOomd,
}

impl OomSource {
    /// All sources, in the order in which they are listed.
    pub const ALL: [Self; 5] = [Self::Kmsg, Self::Journal, Self::File, Self::Systemd, Self::SystemdOomd];

    /// Returns the source with this name.
    ///
    /// ```
    /// use oom_history::OomSource;
    ///
    /// assert_eq!(OomSource::from_name("systemd-oomd"), Some(OomSource::SystemdOomd));
    /// assert_eq!(OomSource::from_name("syslog"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.name() == name)
    }

    /// The name of the source, as it stands in the state file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kmsg => "kmsg",
            Self::Journal => "journal",
            Self::File => "file",
            Self::Systemd => "systemd",
            Self::SystemdOomd => "systemd-oomd",
        }
    }

    /// Whether the source carries the kernel's own reports. systemd and systemd-oomd report only what they noticed.
    #[must_use]
    pub fn is_kernel_text(self) -> bool {
        matches!(self, Self::Kmsg | Self::Journal | Self::File)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_state_file() {
        for source in OomSource::ALL {
            assert_eq!(serde_json::to_value(source).unwrap(), source.name());
            assert_eq!(OomSource::from_name(source.name()), Some(source));
        }
    }
}

//! Limits of one read. Each is far above what a real server has; together they bound the memory to less than 64 MiB.

use std::path::{Path, PathBuf};

use crate::text::short_path;

const MIB: u64 = 1 << 20;

/// A limit of one read of a configuration with all its included files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Bytes of all files, of names in listed directories, and of expanded variables and macros.
    TotalBytes,
    /// Bytes of one file.
    FileBytes,
    /// Bytes of the files that are being read at the same time, because they include each other.
    NestedBytes,
    /// Bytes of one line after joining continued lines and expanding variables.
    LineBytes,
    /// Bytes of names, values, paths and macros that stay in memory, with a fixed cost for each.
    KeptBytes,
    /// Files.
    Files,
    /// Entries of listed directories.
    Entries,
    /// Lines, including comments and lines of macros.
    Lines,
    /// Settings and directives that apply.
    Settings,
    /// Pools of php-fpm.
    Pools,
    /// Sections that are open at the same time.
    Sections,
}

impl Limit {
    pub(crate) const COUNT: usize = Self::Sections as usize + 1;

    /// The largest allowed number.
    #[must_use]
    pub const fn max(self) -> u64 {
        match self {
            Self::TotalBytes => 32 * MIB,
            Self::FileBytes | Self::KeptBytes => 8 * MIB,
            Self::NestedBytes => 16 * MIB,
            Self::LineBytes => MIB,
            Self::Files | Self::Pools => 10_000,
            Self::Entries => 32_768,
            Self::Lines => 1_000_000,
            Self::Settings => 500_000,
            Self::Sections => 1_000,
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::TotalBytes => "MiB in all files together",
            Self::FileBytes => "MiB in one file",
            Self::NestedBytes => "MiB in files that include each other",
            Self::LineBytes => "MiB in one line",
            Self::KeptBytes => "MiB of names, values and paths",
            Self::Files => "files",
            Self::Entries => "entries in the listed directories",
            Self::Lines => "lines",
            Self::Settings => "settings",
            Self::Pools => "pools",
            Self::Sections => "sections within each other",
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let max = if self.unit().starts_with("MiB") { self.max() / MIB } else { self.max() };
        write!(f, "{max} {}", self.unit())
    }
}

/// The reason why a read was stopped before its end. Nothing more is read after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// The configuration exceeds a limit.
    #[error(
        "{}: the configuration has more than {limit} and is not read further: look for a wrong file name, or files that include \
         each other",
        short_path(path)
    )]
    Exceeded {
        /// The file that exceeds the limit.
        path: PathBuf,
        /// The limit.
        limit: Limit,
    },
    /// The deadline has passed.
    #[error(
        "{}: the time for this item ended while it was read: raise Timeout, or reduce the included files",
        short_path(path)
    )]
    Late {
        /// The file that was being read.
        path: PathBuf,
    },
}

impl BudgetError {
    pub(crate) fn exceeded(path: &Path, limit: Limit) -> Self {
        Self::Exceeded { path: path.to_owned(), limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file_and_the_limit_in_300_characters() {
        let long = PathBuf::from(format!("/etc/{}/my.cnf", "directory/".repeat(400)));
        for limit in [Limit::TotalBytes, Limit::NestedBytes, Limit::KeptBytes, Limit::Entries, Limit::Pools] {
            let text = BudgetError::exceeded(&long, limit).to_string();
            assert!(text.chars().count() <= 300 && text.contains("/my.cnf: "), "{text}");
            assert!(text.contains(&format!(" has more than {limit} ")), "{text}");
        }
        assert_eq!(Limit::TotalBytes.to_string(), "32 MiB in all files together");
        assert_eq!(Limit::Pools.to_string(), "10000 pools");
        let late = BudgetError::Late { path: long }.to_string();
        assert!(late.chars().count() <= 300, "{late}");
    }
}

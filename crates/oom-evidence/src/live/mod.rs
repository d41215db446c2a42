//! What a running machine tells of OOM kills. Everything that opens a file or starts a program is here; the parser
//! and the decoders stay pure.

mod cgroups;
mod counter;
mod journal;
mod limit;
mod memory;
mod ring;
mod systemd;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use cgroups::{Cgroup, CgroupError, CgroupKills, CgroupVersion, Cgroups};
pub use counter::oom_kills;
pub use journal::{Journal, JournalError, JournalRead};
pub use limit::{CgroupLimit, HiddenCgroup};
pub use memory::{Candidate, Memory, Pressure, candidates};
pub use ring::{KernelRing, RingError, RingStats};
pub use systemd::{Link, News, OomdKill, Service, ServiceKill, ServiceQuery, Services, Systemd};

/// Why a source of the running machine has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// A file cannot be opened or read: the kernel has no such file, or this user may not.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The kernel does not count OOM kills.
    #[error("{} has no line oom_kill: kernels before 4.13 do not count OOM kills", path.display())]
    NoCounter {
        /// `proc/vmstat` of the machine.
        path: PathBuf,
    },
    /// A file that the kernel writes has not the form that it should have.
    #[error("{} has no valid {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is missing in it.
        what: &'static str,
    },
}

impl LiveError {
    fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}

/// No file of `/proc` and of cgroups that is read here comes near.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A small file as a whole, of which at most 1 MiB is read.
fn read_file(path: &Path) -> Result<Vec<u8>, LiveError> {
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(LiveError::read(path))?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(LiveError::read(path))?;
    Ok(text)
}

/// The number behind `name` in lines of `name value` or `name: value kB`; the unit is not looked at.
fn value_of(text: &[u8], name: &[u8]) -> Option<u64> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = rest.strip_prefix(b":").unwrap_or(rest);
        let value = crate::scan::skip_blanks(rest);
        if value.len() == rest.len() {
            return None;
        }
        crate::scan::number(value).map(|(value, _)| value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = b"MemTotal:  4096 kB\nMemAvailable: 12 kB\noom_kill_x 3\noom_kill 7\nbad x\n";
        let of = |name: &str| value_of(text, name.as_bytes());
        assert_eq!([of("MemTotal"), of("oom_kill"), of("Mem"), of("bad")], [Some(4096), Some(7), None, None]);
    }
}

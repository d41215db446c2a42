//! Files of the running machine, or of one that is mounted in a directory.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;

use super::{FileError, FileKind, Files};
use crate::Limit;

/// A larger file is a log or a disk image that a pattern matched.
const FILE_BYTES_MAX: u64 = Limit::FileBytes.max();
/// More entries than any directory of configuration files has.
const ENTRIES_MAX: u64 = Limit::Entries.max();
/// The kernel's own limit of links in one path.
const LINKS_MAX: usize = 40;

/// The files below a directory, as a machine with that root sees them. Symbolic links do not leave it: an absolute one begins
/// at the directory, and `..` ends there.
///
/// ```
/// use std::path::Path;
/// use pool_capacity::{Files, HostFiles};
///
/// let files = HostFiles::below(Path::new("/"));
/// assert!(!files.read(Path::new("/proc/self/comm")).unwrap().is_empty());
/// ```
#[derive(Debug, Clone)]
pub struct HostFiles {
    root: PathBuf,
}

impl HostFiles {
    /// The files of the machine whose `/` is `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Returns the path by which this process reaches a file of the machine, with resolved links.
    fn reach(&self, path: &Path) -> io::Result<PathBuf> {
        if self.root == Path::new("/") {
            return Ok(path.to_owned());
        }
        Resolution { root: &self.root, done: PathBuf::new(), left: LINKS_MAX }.resolve(path, |_, _| Ok(()))
    }

    /// Calls `visit` with every directory and link on the way to a path and with the file itself, until it returns an error.
    /// The paths are as the machine sees them.
    pub(super) fn walk(
        &self,
        path: &Path,
        mut visit: impl FnMut(&Path, &Metadata) -> io::Result<()>,
    ) -> io::Result<()> {
        let resolution = Resolution { root: &self.root, done: PathBuf::new(), left: LINKS_MAX };
        let steps = resolution.resolve(path, |done, step| {
            let seen = Path::new("/").join(done).join(step);
            visit(&seen, &fs::symlink_metadata(self.root.join(done).join(step))?)
        });
        steps.map(drop)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        // Opening a FIFO without a writer must not block.
        let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        if self.root != Path::new("/") {
            // The links are resolved, so a link here has replaced a file since.
            flags |= OFlags::NOFOLLOW;
        }
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        OpenOptions::new().read(true).custom_flags(flags).open(self.reach(path)?)
    }
}

impl Files for HostFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        if self.kind(path).is_some_and(|kind| kind != FileKind::File) {
            return Err(FileError::NotRegular { path: path.to_owned() });
        }
        let attach = |source| FileError::read(path, source);
        let file = self.open(path).map_err(attach)?;
        let metadata = file.metadata().map_err(attach)?;
        if !metadata.is_file() {
            return Err(FileError::NotRegular { path: path.to_owned() });
        }
        let too_large = || FileError::TooLarge { path: path.to_owned(), limit_bytes: FILE_BYTES_MAX };
        // The size of a file below /proc is 0, and a file may grow.
        let expected = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        if metadata.len() > FILE_BYTES_MAX {
            return Err(too_large());
        }
        let mut content = Vec::with_capacity(expected.saturating_add(1));
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(attach)?;
        if content.len() as u64 > FILE_BYTES_MAX { Err(too_large()) } else { Ok(content) }
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, FileError> {
        let attach = |source| FileError::read(directory, source);
        let mut names = Vec::new();
        for entry in self.reach(directory).and_then(fs::read_dir).map_err(attach)? {
            if names.len() as u64 == ENTRIES_MAX {
                return Err(FileError::TooMany { path: directory.to_owned(), limit: ENTRIES_MAX });
            }
            names.push(entry.map_err(attach)?.file_name());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn kind(&self, path: &Path) -> Option<FileKind> {
        let metadata = self.reach(path).and_then(fs::metadata).ok()?;
        Some(match () {
            () if metadata.is_file() => FileKind::File,
            () if metadata.is_dir() => FileKind::Directory,
            () => FileKind::Other,
        })
    }

    fn is_link(&self, path: &Path) -> bool {
        let Some((parent, name)) = path.parent().zip(path.file_name()) else { return false };
        self.reach(parent).is_ok_and(|parent| parent.join(name).is_symlink())
    }
}

/// Resolves a path inside a root. The kernel's `openat2` does this as well, but the kernels of Red Hat 7 and 8 do not have it.
struct Resolution<'a> {
    root: &'a Path,
    /// The resolved part, relative to the root.
    done: PathBuf,
    /// The remaining number of links.
    left: usize,
}

impl Resolution<'_> {
    /// Calls `visit` before each step with the path up to it and its name.
    fn resolve(
        mut self,
        path: &Path,
        mut visit: impl FnMut(&Path, &OsStr) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        let mut steps: VecDeque<OsString> = steps(path).collect();
        while let Some(step) = steps.pop_front() {
            if step == ".." {
                self.done.pop();
                continue;
            }
            visit(&self.done, &step)?;
            match self.link(&step) {
                Some(target) => self.follow(&target, &mut steps)?,
                None => self.done.push(step),
            }
        }
        Ok(self.root.join(self.done))
    }

    fn link(&self, step: &OsStr) -> Option<PathBuf> {
        fs::read_link(self.root.join(&self.done).join(step)).ok()
    }

    fn follow(&mut self, target: &Path, steps_left: &mut VecDeque<OsString>) -> io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or(rustix::io::Errno::LOOP)?;
        if target.is_absolute() {
            self.done.clear();
        }
        for step in steps(target).collect::<Vec<_>>().into_iter().rev() {
            steps_left.push_front(step);
        }
        Ok(())
    }
}

fn steps(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("etc/alternatives")).unwrap();
        fs::create_dir_all(at("etc/mysql")).unwrap();
        fs::write(at("etc/mysql/mariadb.cnf"), "real").unwrap();
        symlink("/etc/alternatives/my.cnf", at("etc/mysql/my.cnf")).unwrap();
        symlink("../../../../../etc/mysql/mariadb.cnf", at("etc/alternatives/my.cnf")).unwrap();
        symlink("/etc/mysql", at("conf")).unwrap();
        symlink("b", at("a")).unwrap();
        symlink("a", at("b")).unwrap();

        let files = HostFiles::below(root.path());
        assert_eq!(files.read(Path::new("/conf/my.cnf")).unwrap(), b"real");
        assert_eq!(files.list(Path::new("/conf")).unwrap(), ["mariadb.cnf", "my.cnf"]);
        let error = files.read(Path::new("/a")).unwrap_err();
        let looped = rustix::io::Errno::LOOP.raw_os_error();
        assert!(matches!(error, FileError::Read { reason, .. } if reason.raw_os_error() == Some(looped)));
        assert!(files.read(Path::new("/etc/passwd")).unwrap_err().is_absent());
    }

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        File::create(root.path().join("huge")).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();

        let files = HostFiles::below(root.path());
        assert!(matches!(files.read(Path::new("/fifo")), Err(FileError::NotRegular { .. })));
        assert!(matches!(files.read(Path::new("/")), Err(FileError::NotRegular { .. })));
        assert!(matches!(files.read(Path::new("/huge")), Err(FileError::TooLarge { .. })));
        let machine = HostFiles::below(Path::new("/"));
        assert!(matches!(machine.read(Path::new("/dev/zero")), Err(FileError::NotRegular { .. })));
        assert_eq!(files.kind(Path::new("/fifo")), Some(FileKind::Other));
    }
}

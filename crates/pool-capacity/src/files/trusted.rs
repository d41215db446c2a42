//! The files of a machine, without those that an ordinary user may change.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{FileError, FileKind, Files, HostFiles};
use crate::trust::{FileFacts, TrustedOwners, UnsafeFile};

/// More files are only counted.
const LEFT_OUT_MAX: usize = 20;

/// The files below a directory, as [`HostFiles`] reads them. A file that an ordinary user may change is not opened, and reads as
/// empty: the server includes it, but its author must not decide which files and addresses are used next. [`left_out`] lists
/// these files.
///
/// [`left_out`]: Self::left_out
#[derive(Debug)]
pub struct TrustedFiles {
    files: HostFiles,
    owners: TrustedOwners,
    /// A file that the operator has named, which may belong to any user.
    named: Option<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    left_out: Vec<UnsafeFile>,
    /// The first file that not every user may read.
    private: Option<PathBuf>,
}

impl TrustedFiles {
    /// The files of a machine whose owners are trusted, and the one that the operator has named.
    #[must_use]
    pub fn new(files: HostFiles, owners: TrustedOwners, named: Option<PathBuf>) -> Self {
        Self { files, owners, named, seen: Mutex::default() }
    }

    /// Checks a file, and every directory and link on the way to it. A file that does not exist is safe.
    ///
    /// # Errors
    ///
    /// [`UnsafeFile`] if an ordinary user may change it.
    pub fn check(&self, path: &Path) -> Result<(), UnsafeFile> {
        self.checked(path).map(drop)
    }

    /// The files that were not read because an ordinary user may change them. At most 20 are listed.
    #[must_use]
    pub fn left_out(&self) -> Vec<UnsafeFile> {
        self.seen().left_out.clone()
    }

    /// The first file that was read although not every user may read it. Texts for other users must not quote such a file.
    #[must_use]
    pub fn private(&self) -> Option<PathBuf> {
        self.seen().private.clone()
    }

    /// Returns whether every user may read the file.
    fn checked(&self, path: &Path) -> Result<bool, UnsafeFile> {
        let (mut fault, mut is_public) = (None, true);
        let is_named = self.named.as_deref() == Some(path);
        let walked = self.files.walk(path, |seen, metadata| {
            let facts = facts(metadata);
            let every_user_may = if facts.is_directory { 0o001 } else { 0o004 };
            is_public &= facts.is_link || facts.mode & every_user_may != 0;
            match self.owners.check(seen, facts) {
                Err(found) if !is_named => {
                    fault = Some(found);
                    Err(io::ErrorKind::PermissionDenied.into())
                }
                _ => Ok(()),
            }
        });
        // If the walk ends early for another reason, reading the file fails and reports that reason.
        let is_public = is_public && walked.is_ok();
        fault.map_or(Ok(is_public), Err)
    }

    /// Returns whether every user may read the file; absent if it is left out.
    fn admit(&self, path: &Path) -> Option<bool> {
        let fault = match self.checked(path) {
            Ok(is_public) => return Some(is_public),
            Err(fault) => fault,
        };
        let left_out = &mut self.seen().left_out;
        if left_out.len() < LEFT_OUT_MAX && !left_out.contains(&fault) {
            left_out.push(fault);
        }
        None
    }

    fn is_safe(&self, path: &Path) -> bool {
        self.admit(path).is_some()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn facts(metadata: &Metadata) -> FileFacts {
    FileFacts {
        uid: metadata.uid(),
        gid: metadata.gid(),
        mode: metadata.mode() & 0o7777,
        is_directory: metadata.is_dir(),
        is_link: metadata.is_symlink(),
    }
}

impl Files for TrustedFiles {
    fn read(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        let Some(is_public) = self.admit(path) else { return Ok(Vec::new()) };
        let content = self.files.read(path)?;
        if !is_public {
            self.seen().private.get_or_insert_with(|| path.to_owned());
        }
        Ok(content)
    }

    fn list(&self, directory: &Path) -> Result<Vec<OsString>, FileError> {
        if self.is_safe(directory) { self.files.list(directory) } else { Ok(Vec::new()) }
    }

    /// A file that an ordinary user may change counts as a regular file, so that reading it records that it is left out.
    fn kind(&self, path: &Path) -> Option<FileKind> {
        if self.is_safe(path) { self.files.kind(path) } else { Some(FileKind::File) }
    }

    fn is_link(&self, path: &Path) -> bool {
        self.is_safe(path) && self.files.is_link(path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;
    use crate::trust::SystemAccounts;

    const USER: u32 = 54_398;

    /// A machine with a file of root and one of a user.
    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for directory in ["etc", "home"] {
            fs::create_dir(root.path().join(directory)).unwrap();
            fs::set_permissions(root.path().join(directory), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for (name, mode) in [("etc/a.conf", 0o644), ("etc/secret.conf", 0o600), ("home/b.conf", 0o644)] {
            fs::write(root.path().join(name), name).unwrap();
            fs::set_permissions(root.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        root
    }

    fn trusted(root: &tempfile::TempDir, named: Option<&str>) -> TrustedFiles {
        let owners = TrustedOwners::of_server(SystemAccounts::default(), [0]);
        TrustedFiles::new(HostFiles::below(root.path()), owners, named.map(PathBuf::from))
    }

    fn given_to_user(root: &tempfile::TempDir, path: &str) {
        chown(root.path().join(path), Some(USER), Some(USER)).unwrap();
    }

    #[test]
    fn file_of_a_user_is_left_out_unless_the_operator_has_named_it() {
        let root = machine();
        given_to_user(&root, "home/b.conf");
        let path = Path::new("/home/b.conf");
        let files = trusted(&root, None);
        assert_eq!((files.read(path).unwrap(), files.kind(path)), (Vec::new(), Some(FileKind::File)));
        let left_out: Vec<String> = files.left_out().iter().map(ToString::to_string).collect();
        assert!(
            matches!(&*left_out, [one] if one.starts_with("/home/b.conf belongs to uid 54398")),
            "{left_out:?}"
        );
        assert_eq!(files.read(Path::new("/etc/a.conf")).unwrap(), b"etc/a.conf");
        assert_eq!(trusted(&root, Some("/home/b.conf")).read(path).unwrap(), b"home/b.conf");
    }

    #[test]
    fn file_in_a_directory_or_behind_a_link_of_a_user_is_left_out() {
        let root = machine();
        given_to_user(&root, "home");
        symlink("/etc", root.path().join("etc/link")).unwrap();
        rustix::fs::chownat(
            rustix::fs::CWD,
            root.path().join("etc/link"),
            Some(rustix::fs::Uid::from_raw(USER)),
            None,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        symlink("/etc", root.path().join("etc/fine")).unwrap();
        let files = trusted(&root, None);
        for (path, content) in
            [("/home/b.conf", &b""[..]), ("/etc/link/a.conf", b""), ("/etc/fine/a.conf", b"etc/a.conf")]
        {
            assert_eq!(files.read(Path::new(path)).unwrap(), content, "{path}");
        }
        assert_eq!((files.list(Path::new("/home")).unwrap().len(), files.left_out().len()), (0, 2));
    }

    #[test]
    fn missing_file_is_an_error_as_before() {
        let files = trusted(&machine(), None);
        assert!(files.read(Path::new("/etc/none.conf")).unwrap_err().is_absent());
        assert_eq!((files.kind(Path::new("/etc/none.conf")), files.left_out()), (None, vec![]));
        assert_eq!(files.private(), None);
    }

    #[test]
    fn file_that_not_every_user_may_read_is_reported_as_private() {
        let root = machine();
        let files = trusted(&root, None);
        files.read(Path::new("/etc/a.conf")).unwrap();
        assert_eq!(files.private(), None);
        files.read(Path::new("/etc/secret.conf")).unwrap();
        assert_eq!(files.private().as_deref(), Some(Path::new("/etc/secret.conf")));
        fs::set_permissions(root.path().join("etc"), fs::Permissions::from_mode(0o700)).unwrap();
        let files = trusted(&root, None);
        files.read(Path::new("/etc/a.conf")).unwrap();
        assert_eq!(files.private().as_deref(), Some(Path::new("/etc/a.conf")));
    }
}

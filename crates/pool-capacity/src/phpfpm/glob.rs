//! `glob(3)` over [`Files`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{FileError, FileKind, Reading, fnmatch};

/// The longest pattern that the system's paths allow.
const PATTERN_BYTES_MAX: usize = 4096;

/// Returns the paths that a pattern matches, in the order of their names, directories included.
///
/// # Errors
///
/// Returns an error if a directory cannot be listed.
pub(crate) fn glob(reading: &Reading<'_>, pattern: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = vec![PathBuf::from("/")];
    let mut chosen = false;
    if pattern.as_os_str().len() >= PATTERN_BYTES_MAX {
        return Ok(Vec::new());
    }
    for component in pattern.iter().filter(|component| *component != "/") {
        let mut next = Vec::new();
        for directory in found {
            below(reading, &directory, component, &mut next)?;
        }
        // A path below one of several directories may be missing in some of them.
        chosen |= is_wild(component);
        next.retain(|path| !chosen || reading.kind(path).is_some());
        found = next;
    }
    found.retain(|path| reading.kind(path).is_some());
    reading.check(pattern)?;
    Ok(found)
}

fn below(
    reading: &Reading<'_>,
    directory: &Path,
    component: &OsStr,
    found: &mut Vec<PathBuf>,
) -> Result<(), FileError> {
    let pattern = component.as_bytes();
    if !is_wild(component) {
        return Ok(reading.keep_path(directory.join(component), found)?);
    }
    if reading.kind(directory) == Some(FileKind::File) {
        return Ok(());
    }
    for name in reading.list(directory)? {
        reading.step(directory)?;
        if fnmatch::matches(pattern, name.as_bytes()) {
            reading.keep_path(directory.join(name), found)?;
        }
    }
    Ok(())
}

fn is_wild(component: &OsStr) -> bool {
    component.as_bytes().iter().any(|byte| b"*?[\\".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    #[test]
    fn paths_are_found_in_order() {
        let tree = Tree::new()
            .with("/etc/php/8.2/fpm/b.conf", "")
            .with("/etc/php/7.4/fpm/a.conf", "")
            .with("/etc/php/x", "");
        let reading = Reading::new(&tree);
        let found = |pattern: &str| glob(&reading, Path::new(pattern)).unwrap();
        assert_eq!(
            found("/etc/php/*/fpm/*.conf"),
            [Path::new("/etc/php/7.4/fpm/a.conf"), Path::new("/etc/php/8.2/fpm/b.conf")]
        );
        assert_eq!(found("/etc/php/8.2/fpm/b.conf").len(), 1);
        assert!(found("/etc/php/8.2/fpm/none.conf").is_empty());
        assert!(glob(&reading, Path::new("/nowhere/*.conf")).unwrap_err().is_absent());
    }
}

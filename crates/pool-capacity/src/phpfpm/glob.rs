//! `glob(3)` over [`Files`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{FileError, FileKind, Files, fnmatch};

/// Returns the paths that a pattern matches, in the order of their names, directories included.
///
/// # Errors
///
/// Returns an error if a directory cannot be listed.
pub(crate) fn glob(files: &dyn Files, pattern: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = vec![PathBuf::from("/")];
    let mut chosen = false;
    for component in pattern.iter().filter(|component| *component != "/") {
        let mut next = Vec::new();
        for directory in found {
            below(files, &directory, component, &mut next)?;
        }
        // A path below one of several directories may be missing in some of them.
        chosen |= is_wild(component);
        next.retain(|path| !chosen || files.kind(path).is_some());
        found = next;
    }
    Ok(found.into_iter().filter(|path| files.kind(path).is_some()).collect())
}

fn below(
    files: &dyn Files,
    directory: &Path,
    component: &OsStr,
    found: &mut Vec<PathBuf>,
) -> Result<(), FileError> {
    let pattern = component.as_bytes();
    if !is_wild(component) {
        found.push(directory.join(component));
        return Ok(());
    }
    if files.kind(directory) == Some(FileKind::File) {
        return Ok(());
    }
    let names = files.list(directory)?;
    found.extend(
        names
            .iter()
            .filter(|name| fnmatch::matches(pattern, name.as_bytes()))
            .map(|name| directory.join(name)),
    );
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
        let found = |pattern: &str| glob(&tree, Path::new(pattern)).unwrap();
        assert_eq!(
            found("/etc/php/*/fpm/*.conf"),
            [Path::new("/etc/php/7.4/fpm/a.conf"), Path::new("/etc/php/8.2/fpm/b.conf")]
        );
        assert_eq!(found("/etc/php/8.2/fpm/b.conf").len(), 1);
        assert!(found("/etc/php/8.2/fpm/none.conf").is_empty());
        assert!(glob(&tree, Path::new("/nowhere/*.conf")).unwrap_err().is_absent());
    }
}

//! `glob(3)` over [`Files`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{FileError, FileKind, Files};

/// The paths that a pattern matches, in the order of their names; directories are not left out.
///
/// # Errors
///
/// When a directory that has to be listed cannot be.
pub(crate) fn glob(files: &dyn Files, pattern: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = vec![PathBuf::from("/")];
    let mut chosen = false;
    for component in pattern.iter().filter(|component| *component != "/") {
        let mut next = Vec::new();
        for directory in found {
            below(files, &directory, component, &mut next)?;
        }
        // What lies below one of several directories may be missing in some of them.
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
        names.iter().filter(|name| matches(pattern, name.as_bytes())).map(|name| directory.join(name)),
    );
    Ok(())
}

fn is_wild(component: &OsStr) -> bool {
    component.as_bytes().iter().any(|byte| b"*?[\\".contains(byte))
}

/// A name that begins with a dot is only matched by a pattern that does.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    (name.first() != Some(&b'.') || pattern.first() == Some(&b'.')) && wild(pattern, name)
}

/// Goes back to the last star only, so that the time is the product of the lengths at most.
fn wild(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], name[n]) {
            p += length;
            n += 1;
        } else if let Some((after, from)) = star {
            star = Some((after, from + 1));
            (p, n) = (after, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// How much of the pattern stands for this byte, if its beginning does.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        b'[' => match set(pattern, byte) {
            Some((length, inside)) => inside.then_some(length),
            None => (byte == b'[').then_some(1),
        },
        other => (other == byte).then_some(1),
    }
}

/// The length of a set such as `[a-z]` or `[!.]`, and whether the byte is in it.
fn set(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|&b| b == b']')?;
    let mut inside = false;
    let mut rest = &pattern[start..end];
    while let Some((&first, after)) = rest.split_first() {
        (inside, rest) = match after {
            [b'-', last, more @ ..] => (inside || (first..=*last).contains(&byte), more),
            _ => (inside || first == byte, after),
        };
    }
    Some((end + 1, inside != negated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    #[test]
    fn names_match_as_a_shell_matches_them() {
        for (pattern, name) in [
            ("*.conf", "www.conf"),
            ("*", "x"),
            ("a*b*c", "aXbYbc"),
            ("w?w", "www"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("[]]", "]"),
            ("[", "["),
            (r"\*", "*"),
            (".*", ".x"),
        ] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.conf", "www.conf.bak"),
            ("*.conf", ".conf"),
            ("[a-c]x", "dx"),
            ("[!a]x", "ax"),
            ("?", ""),
            (r"\*", "x"),
        ] {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        // Exponential where every star is gone back to.
        assert!(!matches("*a".repeat(30).as_bytes(), "a".repeat(29).as_bytes()));
    }

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

//! The names of rotated files, and their order.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};

use crate::checkpoint::FileCheckpoint;
use crate::file::{Examination, Stat};
use crate::{Error, Pattern};

/// A file of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// From the directory entry, without a `stat`.
    pub(crate) ino: u64,
}

/// Lists the files of the directory of `path` that are wanted. There may be millions of others.
pub(crate) fn list(
    path: &Path,
    files: &Examination<'_>,
    is_wanted: impl Fn(&Entry) -> bool,
) -> Result<Vec<Entry>, Error> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let error = |source| Error::Directory { path: directory.into(), source };
    let entries = match std::fs::read_dir(directory) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(error)?,
    };
    let mut wanted = Vec::new();
    for entry in entries {
        let entry = entry.map_err(error)?;
        let entry = Entry { ino: entry.ino(), path: entry.path() };
        files.count(&entry.path)?;
        if is_wanted(&entry) {
            wanted.push(entry);
        }
    }
    Ok(wanted)
}

/// The files of a directory whose names match a pattern.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    /// Regular files.
    pub(crate) files: Vec<(PathBuf, Stat)>,
    /// Names whose files cannot be examined now, with the error.
    pub(crate) hidden: Vec<(PathBuf, Error)>,
}

/// Lists the files in `directory` whose names match. Files that are removed meanwhile are left out.
pub(crate) fn matching(directory: &Path, name: &Pattern, files: &Examination<'_>) -> Result<Matching, Error> {
    let error = |source| Error::Directory { path: directory.into(), source };
    let mut matching = Matching::default();
    for entry in std::fs::read_dir(directory).map_err(error)? {
        let entry = entry.map_err(error)?;
        files.count(directory)?;
        if !name.matches_name(entry.file_name().as_bytes()) {
            continue;
        }
        let path = entry.path();
        match Stat::of(&path) {
            Ok(stat) => matching.files.push((path, stat)),
            Err(Error::Missing { .. } | Error::NotRegular { .. }) => {}
            Err(error) => matching.hidden.push((path, error)),
        }
    }
    Ok(matching)
}

/// The part of a name that rotation added.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Stamp {
    /// `.1`, `.2`: a larger number is older.
    Number(u32),
    /// A date, a time or `.old`: ordered as text.
    Text(Vec<u8>),
}

impl Stamp {
    fn is_written_like(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Text(a), Self::Text(b)) if a.len() == b.len())
    }
}

/// Returns the stamp in `messages.1`, `messages-20240101`, `messages.2024-01-01T00:00`, `messages.old`, and with an extension
/// `access.1.log`, `access-20240101.log`.
fn stamp(base: &OsStr, name: &OsStr) -> Option<Stamp> {
    let (base, name) = (base.as_bytes(), name.as_bytes());
    let appended = name.strip_prefix(base).and_then(parse_stamp);
    appended.or_else(|| {
        let dot = memchr::memrchr(b'.', base).filter(|at| *at > 0)?;
        let (stem, extension) = base.split_at(dot);
        name.strip_prefix(stem)?.strip_suffix(extension).and_then(parse_stamp)
    })
}

fn parse_stamp(suffix: &[u8]) -> Option<Stamp> {
    let (first, stamp) = suffix.split_first()?;
    if !matches!(first, b'.' | b'-' | b'_') {
        return None;
    }
    if stamp == b"old" || stamp == b"bak" || stamp == b"prev" {
        return Some(Stamp::Text(stamp.to_vec()));
    }
    let text = std::str::from_utf8(stamp).ok()?;
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match text.parse::<u32>() {
        Ok(number) if text.len() <= 4 => Some(Stamp::Number(number)),
        _ => {
            let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || "-_.:T+Z".contains(c));
            rest.is_empty().then(|| Stamp::Text(stamp.to_vec()))
        }
    }
}

/// The entries with rotated names of `path`.
pub(crate) fn rotated<'e>(path: &'e Path, listing: &'e [Entry]) -> impl Iterator<Item = &'e Entry> {
    listing.iter().filter(move |entry| is_rotated(path, &entry.path))
}

/// Returns whether a name is a rotated name of `path`.
pub(crate) fn is_rotated(path: &Path, other: &Path) -> bool {
    let base = path.file_name().unwrap_or_default();
    other.file_name().is_some_and(|name| stamp(base, name).is_some())
}

/// Returns the files that were rotated after `found` (the last poll's file under its new name), the oldest first. If it was not
/// found: the file with its inode, and those that did not change before it. Equal times are common, because the clock of a file
/// system ticks every few milliseconds.
pub(crate) fn after<'e>(
    path: &'e Path,
    listing: &'e [Entry],
    found: Option<&Path>,
    last: &FileCheckpoint,
) -> Vec<&'e Entry> {
    let base = path.file_name().unwrap_or_default();
    let stamp_of = |path: &Path| path.file_name().and_then(|name| stamp(base, name));
    let found = found.map(stamp_of);
    let mut entries: Vec<_> = rotated(path, listing)
        .filter_map(|entry| Some((stamp_of(&entry.path)?, Stat::of(&entry.path).ok()?.mtime, entry)))
        .filter(|(stamp, changed, entry)| match (&found, stamp) {
            (Some(Some(Stamp::Number(found))), Stamp::Number(number)) => number < found,
            (Some(Some(Stamp::Text(found))), Stamp::Text(text)) => text > found,
            _ => *changed >= last.mtime || entry.ino == last.ino,
        })
        .collect();
    // Numbers give the order. Dates give it if they have the same form. A mixture is ordered by time.
    entries.sort_by(|a, b| (a.1, &a.2.path).cmp(&(b.1, &b.2.path)));
    if entries.iter().all(|(stamp, ..)| matches!(stamp, Stamp::Number(_))) {
        entries.sort_by(|(a, ..), (b, ..)| b.cmp(a));
    } else if entries.windows(2).all(|w| w[0].0.is_written_like(&w[1].0)) {
        entries.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    }
    entries.into_iter().map(|(_, _, entry)| entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_names_are_distinguished_from_other_logs() {
        let stamp = |base: &str, name: &str| stamp(OsStr::new(base), OsStr::new(name));
        let text = |t: &str| Some(Stamp::Text(t.as_bytes().to_vec()));
        assert_eq!(stamp("messages", "messages.1"), Some(Stamp::Number(1)));
        assert_eq!(stamp("messages", "messages-20240101"), text("20240101"));
        assert_eq!(stamp("messages", "messages-20240101-1704067200"), text("20240101-1704067200"));
        assert_eq!(stamp("messages", "messages.2024-01-01T00:00:00"), text("2024-01-01T00:00:00"));
        assert_eq!(stamp("messages", "messages.old"), text("old"));
        assert_eq!(stamp("access.log", "access.log.12"), Some(Stamp::Number(12)));
        assert_eq!(stamp("access.log", "access.1.log"), Some(Stamp::Number(1)));
        assert_eq!(stamp("access.log", "access-20240101.log"), text("20240101"));
        for other in
            ["messages", "messages.gz", "messages.1.gz", "messages-extra", "messages2", "mess", "messages."]
        {
            assert_eq!(stamp("messages", other), None, "{other}");
        }
        assert_eq!(stamp("error", "error_log"), None);
    }
}

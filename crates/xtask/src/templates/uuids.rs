//! The UUIDs of the templates' parts. They never change, because servers recognise imported objects by them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The table of names and UUIDs in a file of the repository, one pair per line.
#[derive(Debug)]
pub(crate) struct Uuids {
    path: PathBuf,
    table: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
}

impl Uuids {
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        let table = pairs.map(|(name, uuid)| (name.to_owned(), uuid.to_owned())).collect();
        Ok(Self { path: path.to_owned(), table, used: BTreeMap::new() })
    }

    /// Returns the UUID of a name. Creates it if the table has none.
    pub(crate) fn uuid_of(&mut self, name: &str) -> io::Result<String> {
        let uuid = match self.table.get(name) {
            Some(uuid) => uuid.clone(),
            None => new_uuid()?,
        };
        self.table.insert(name.to_owned(), uuid.clone());
        self.used.insert(name.to_owned(), uuid.clone());
        Ok(uuid)
    }

    /// Returns the path of the table and its new content: only names that are in use.
    pub(crate) fn file(&self) -> (PathBuf, String) {
        let lines = self.used.iter().map(|(name, uuid)| format!("{name} {uuid}\n")).collect();
        (self.path.clone(), lines)
    }
}

/// Returns a UUID of version 4 from the kernel, without hyphens as in Zabbix.
fn new_uuid() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().replace('-', ""))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    fn is_v4(uuid: &str) -> bool {
        uuid.len() == 32
            && uuid.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            && uuid.as_bytes()[12] == b'4'
            && b"89ab".contains(&uuid.as_bytes()[16])
    }

    #[test]
    fn every_uuid_is_of_version_4_and_unique() {
        let lines = include_str!("uuids.txt").lines();
        let uuids: Vec<_> = lines.map(|line| line.split_once(' ').unwrap().1).collect();
        assert!(!uuids.is_empty());
        for uuid in &uuids {
            assert!(is_v4(uuid), "{uuid}");
        }
        assert_eq!(uuids.iter().collect::<BTreeSet<_>>().len(), uuids.len());
    }
}

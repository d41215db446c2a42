//! Which UUID each part of the templates has, for ever: servers know what they imported by it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The table of names and UUIDs, one a line, in a file that is checked in.
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

    /// The UUID of that name, made now if there is none yet.
    pub(crate) fn of(&mut self, name: &str) -> io::Result<String> {
        let uuid = match self.table.get(name) {
            Some(uuid) => uuid.clone(),
            None => fresh()?,
        };
        self.table.insert(name.to_owned(), uuid.clone());
        self.used.insert(name.to_owned(), uuid.clone());
        Ok(uuid)
    }

    /// The table's file and what must stand in it. Names that are no longer used go: their parts are gone, too.
    pub(crate) fn file(&self) -> (PathBuf, String) {
        let lines = self.used.iter().map(|(name, uuid)| format!("{name} {uuid}\n")).collect();
        (self.path.clone(), lines)
    }
}

/// The kernel makes UUIDs of version 4; Zabbix writes them without hyphens.
fn fresh() -> io::Result<String> {
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

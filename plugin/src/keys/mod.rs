//! The table of item keys, one module for each family.
//!
//! Adding a key takes one entry in its family's module and one handler. Registration, parameter checks, `--help` and
//! the key reference are derived from the entry.

mod capacity;
mod key;
mod log;
mod oom;
mod plugin;
mod proc;
mod systemd;

pub use key::{Field, Key, Returns};

/// The keys of one family.
#[derive(Debug)]
pub(crate) struct Family {
    /// The heading in the key reference.
    pub(crate) title: &'static str,
    pub(crate) keys: &'static [Key],
}

/// All families, in the order of the key reference.
pub(crate) const FAMILIES: &[Family] = &[
    Family { title: "Processes", keys: proc::KEYS },
    Family { title: "Logs", keys: log::KEYS },
    Family { title: "OOM kills and memory", keys: oom::KEYS },
    Family { title: "systemd", keys: systemd::KEYS },
    Family { title: "Worker pools", keys: capacity::KEYS },
    Family { title: "The plugin", keys: plugin::KEYS },
];

const COUNT: usize = {
    let mut count = 0;
    let mut family = 0;
    while family < FAMILIES.len() {
        count += FAMILIES[family].keys.len();
        family += 1;
    }
    count
};

static ALL: [Key; COUNT] = {
    let mut all = [FAMILIES[0].keys[0]; COUNT];
    let (mut next, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let keys = FAMILIES[family].keys;
        let mut index = 0;
        while index < keys.len() {
            all[next] = keys[index];
            next += 1;
            index += 1;
        }
        family += 1;
    }
    all
};

/// All item keys.
pub static KEYS: &[Key] = &ALL;

/// Returns the key with this name, with or without the prefix.
#[must_use]
pub fn find_key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name || key.short_name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_text::KeyText;
    use crate::parameters::ORDINALS;

    #[test]
    fn no_key_has_more_parameters_than_there_are_ordinals() {
        assert!(KEYS.iter().all(|key| key.parameters.len() <= ORDINALS.len()));
    }

    #[test]
    fn every_entry_is_complete() {
        for key in KEYS {
            assert!(key.name.starts_with("oomwatch."), "{}", key.name);
            assert!(key.summary.ends_with('.') && !key.source.is_empty(), "{}", key.name);
            let summary = key.returns.summary();
            let has_fields = !key.returns.fields().is_empty();
            assert!(summary.ends_with('.') || (summary.is_empty() && has_fields), "{}", key.name);
            assert_eq!(matches!(key.returns, Returns::Text(_)), !has_fields, "{}", key.name);
            let example = KeyText::parse(key.example).unwrap();
            assert_eq!(example.name, key.name);
            assert!(example.parameters.len() <= key.parameters.len(), "{}", key.example);
        }
    }

    #[test]
    fn names_and_field_paths_are_unique() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{}", key.name);
            let fields = key.returns.fields();
            for (index, field) in fields.iter().enumerate() {
                let is_new = fields[..index].iter().all(|other| other.path != field.path);
                assert!(is_new && !field.meaning.is_empty(), "{}: {}", key.name, field.path);
            }
        }
    }

    #[test]
    fn key_is_found_with_and_without_its_prefix() {
        assert_eq!(find_key("proc.num").unwrap().signature(), "oomwatch.proc.num[name,user,state,cmdline]");
        assert_eq!(find_key("oomwatch.self").unwrap().signature(), "oomwatch.self");
        assert!(find_key("proc.nothing").is_none());
    }
}

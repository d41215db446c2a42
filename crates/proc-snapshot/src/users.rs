//! Users and groups by name and by number, through the system's name service (NSS).

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Group, Uid, User};

use crate::error::ProcError;
use crate::shortage::ResourceShortage;

/// How long the name of an id is cached: `proc.get` needs the same few names for every process.
const NAME_AGE: Duration = Duration::from_secs(30);
/// No user has a longer name (`LOGIN_NAME_MAX`). The name service must not see one: systemd's module (`nss-systemd`) aborts
/// the process that asks for a name of megabytes.
const NAME_BYTES_MAX: usize = 255;
/// Limit for cached names.
const NAMES_KEPT: usize = 4096;

/// The user database, with a short-lived cache for the names of ids.
///
/// Names go through NSS, so users of a directory service (SSSD) are found, as with the built-in keys of agent 7.0.
#[derive(Debug, Default)]
pub struct Users {
    users: Mutex<Names>,
    groups: Mutex<Names>,
}

#[derive(Debug, Default)]
struct Names {
    by_id: HashMap<u32, Option<String>>,
    since: Option<Instant>,
}

impl Names {
    /// Returns the cached answer: a name, or that the id has none.
    fn get(&mut self, id: u32) -> Option<Option<String>> {
        let fresh = self.since.is_some_and(|since| since.elapsed() < NAME_AGE);
        if !fresh || self.by_id.len() >= NAMES_KEPT {
            self.by_id.clear();
            self.since = Some(Instant::now());
        }
        self.by_id.get(&id).cloned()
    }
}

/// Returns the name of an id, or the id in digits if it has none. The lock is not held during the lookup, because a directory
/// service may take minutes to answer.
fn name_of(
    names: &Mutex<Names>,
    id: u32,
    lookup: impl FnOnce(u32) -> nix::Result<Option<String>>,
) -> Result<String, ProcError> {
    let lock = || names.lock().unwrap_or_else(PoisonError::into_inner);
    let cached = lock().get(id);
    let name = match cached {
        Some(name) => name,
        None => {
            let name = match lookup(id).map_err(io::Error::from) {
                Ok(name) => name,
                // Any other failure leaves the id without a name.
                Err(error) => ResourceShortage::from_io(&error).map_or(Ok(None), Err)?,
            };
            lock().by_id.insert(id, name.clone());
            name
        }
    };
    Ok(name.unwrap_or_else(|| id.to_string()))
}

impl Users {
    /// Creates a user database with an empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the id of a user, `None` if there is no such user. A name of digits is a name, not an id.
    ///
    /// ```
    /// let users = proc_snapshot::Users::new();
    /// assert_eq!(users.uid("root").unwrap(), Some(0));
    /// assert_eq!(users.uid("0").unwrap(), None);
    /// ```
    ///
    /// # Errors
    ///
    /// [`ProcError::UserLookup`] if the name service fails, [`ProcError::Shortage`].
    pub fn uid(&self, name: &str) -> Result<Option<u32>, ProcError> {
        if name.contains('\0') || name.len() > NAME_BYTES_MAX {
            return Ok(None);
        }
        match User::from_name(name) {
            Ok(user) => Ok(user.map(|user| user.uid.as_raw())),
            Err(errno) => {
                let source = io::Error::from(errno);
                Err(match ResourceShortage::from_io(&source) {
                    Some(shortage) => shortage.into(),
                    None => ProcError::UserLookup { name: name.to_owned(), source },
                })
            }
        }
    }

    /// Returns the name of a user, or the id in digits if it has none.
    ///
    /// # Errors
    ///
    /// [`ProcError::Shortage`]
    pub fn user_name(&self, uid: u32) -> Result<String, ProcError> {
        name_of(&self.users, uid, |uid| Ok(User::from_uid(Uid::from_raw(uid))?.map(|user| user.name)))
    }

    /// Returns the name of a group, or the id in digits if it has none.
    ///
    /// # Errors
    ///
    /// [`ProcError::Shortage`]
    pub fn group_name(&self, gid: u32) -> Result<String, ProcError> {
        name_of(&self.groups, gid, |gid| Ok(Group::from_gid(Gid::from_raw(gid))?.map(|group| group.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_megabytes_is_unknown_and_does_not_end_the_process() {
        let users = Users::new();
        for length in [255, 256, 10 << 20] {
            assert_eq!(users.uid(&"x".repeat(length)).unwrap(), None);
        }
    }

    #[test]
    fn name_cache_is_cleared_at_its_limit() {
        let names = Mutex::default();
        let limit = u32::try_from(NAMES_KEPT).unwrap();
        for id in 0..limit {
            name_of(&names, id, |id| Ok(Some(id.to_string()))).unwrap();
        }
        assert_eq!(names.lock().unwrap().by_id.len(), 4096);
        assert_eq!(name_of(&names, limit, |_| Ok(None)).unwrap(), "4096");
        assert_eq!(names.lock().unwrap().by_id.len(), 1);
    }

    #[test]
    fn names_are_cached_for_30_seconds() {
        let names = Mutex::default();
        let name = |now: &str| name_of(&names, 1, |_| Ok(Some(now.to_owned()))).unwrap();
        let read_before = |seconds| {
            names.lock().unwrap().since = Instant::now().checked_sub(Duration::from_secs(seconds));
        };
        assert_eq!(name("old"), "old");
        assert_eq!(name("new"), "old");
        read_before(29);
        assert_eq!(name("new"), "old");
        read_before(30);
        assert_eq!(name("new"), "new");
    }

    #[test]
    fn failed_lookup_leaves_the_number_and_a_shortage_is_an_error() {
        let names = Mutex::default();
        let failed = |errno| name_of(&names, 7, |_| Err(errno));
        assert!(matches!(failed(nix::errno::Errno::EMFILE), Err(ProcError::Shortage(_))));
        assert_eq!(failed(nix::errno::Errno::EIO).unwrap(), "7");
    }
}

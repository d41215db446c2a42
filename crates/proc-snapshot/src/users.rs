//! Users and groups by name and by number, through the system's name service (NSS).

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Group, Uid, User};

use crate::error::ProcError;

/// How long the name of an id is cached: `proc.get` needs the same few names for every process.
const NAME_AGE: Duration = Duration::from_secs(30);
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
    fn get(&mut self, id: u32, lookup: impl FnOnce(u32) -> Option<String>) -> Option<String> {
        let fresh = self.since.is_some_and(|since| since.elapsed() < NAME_AGE);
        if !fresh || self.by_id.len() >= NAMES_KEPT {
            self.by_id.clear();
            self.since = Some(Instant::now());
        }
        self.by_id.entry(id).or_insert_with(|| lookup(id)).clone()
    }
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
    /// [`ProcError::UserLookup`] if the name service fails.
    pub fn uid(&self, name: &str) -> Result<Option<u32>, ProcError> {
        if name.contains('\0') {
            return Ok(None);
        }
        match User::from_name(name) {
            Ok(user) => Ok(user.map(|user| user.uid.as_raw())),
            Err(errno) => {
                Err(ProcError::UserLookup { name: name.to_owned(), source: io::Error::from(errno) })
            }
        }
    }

    /// Returns the name of a user, or the id in digits if it has none.
    #[must_use]
    pub fn user_name(&self, uid: u32) -> String {
        let mut names = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let name =
            names.get(uid, |uid| User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name));
        name.unwrap_or_else(|| uid.to_string())
    }

    /// Returns the name of a group, or the id in digits if it has none.
    #[must_use]
    pub fn group_name(&self, gid: u32) -> String {
        let mut names = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let name =
            names.get(gid, |gid| Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name));
        name.unwrap_or_else(|| gid.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_cache_is_cleared_at_its_limit() {
        let mut names = Names::default();
        let limit = u32::try_from(NAMES_KEPT).unwrap();
        for id in 0..limit {
            names.get(id, |id| Some(id.to_string()));
        }
        assert_eq!(names.by_id.len(), 4096);
        assert_eq!(names.get(limit, |_| None), None);
        assert_eq!(names.by_id.len(), 1);
    }

    #[test]
    fn names_are_cached_for_30_seconds() {
        let mut names = Names::default();
        names.get(1, |_| Some("old".to_owned()));
        assert_eq!(names.get(1, |_| Some("new".to_owned())).as_deref(), Some("old"));
        names.since = Instant::now().checked_sub(Duration::from_secs(29));
        assert_eq!(names.get(1, |_| Some("new".to_owned())).as_deref(), Some("old"));
        names.since = Instant::now().checked_sub(Duration::from_secs(30));
        assert_eq!(names.get(1, |_| Some("new".to_owned())).as_deref(), Some("new"));
    }
}

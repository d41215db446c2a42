//! Decides which processes count as servers, and which files may steer the reading of a configuration.
//!
//! Any user may start a process with the name or the title of a server. Such a process must neither hide the real server nor make
//! the caller open a file. The decision uses facts that a user cannot choose: the real uid, the cgroup, the login and the owners
//! of files. The caller reads the facts; this module does no I/O.
//!
//! ```
//! use pool_capacity::trust::{Distrust, Owner, Standing, SystemAccounts};
//!
//! let accounts = SystemAccounts::from_login_defs("UID_MIN 1000\n");
//! let root = Owner { uid: Some(0), cgroup: b"0::/system.slice/apache2.service\n", login: None };
//! assert_eq!(root.standing(accounts), Ok(Standing::System));
//! let user = Owner { uid: Some(1000), cgroup: b"0::/user.slice/user-1000.slice/session-2.scope\n", login: Some(1000) };
//! assert_eq!(user.standing(accounts), Err(Distrust::Account));
//! ```

use std::path::{Path, PathBuf};

/// The account `nobody`, which unrelated programs share.
const NOBODY: u32 = 65_534;
/// The largest uid of a system account if login.defs(5) does not set it.
const SYS_UID_MAX: u32 = 999;
/// The value of `/proc/PID/loginuid` without a login.
const NO_LOGIN: u32 = u32::MAX;

/// The range of accounts that belong to the system and its services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemAccounts {
    max: u32,
}

impl Default for SystemAccounts {
    fn default() -> Self {
        Self { max: SYS_UID_MAX }
    }
}

impl SystemAccounts {
    /// Reads `SYS_UID_MAX` of login.defs(5), else `UID_MIN` less 1, else assumes 999.
    #[must_use]
    pub fn from_login_defs(text: &str) -> Self {
        let number = |name: &str| {
            let value =
                |line: &str| line.trim_start().strip_prefix(name)?.split_whitespace().next()?.parse().ok();
            text.lines().filter_map(value).next_back()
        };
        let below_users = || number("UID_MIN").and_then(|first: u32| first.checked_sub(1));
        Self { max: number("SYS_UID_MAX").or_else(below_users).unwrap_or(SYS_UID_MAX) }
    }

    /// Returns whether an account is root or belongs to a system service. `nobody` does not.
    #[must_use]
    pub fn contains(self, uid: u32) -> bool {
        uid <= self.max && uid != NOBODY
    }
}

/// The facts that show who runs a process.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The real uid. A set-uid program has the real uid of the user who started it.
    pub uid: Option<u32>,
    /// The content of `/proc/PID/cgroup`; empty if it cannot be read.
    pub cgroup: &'a [u8],
    /// The content of `/proc/PID/loginuid`: set by a login, by cron and by at; not by a service manager.
    pub login: Option<u32>,
}

/// How far a process counts as a server. Lesser values come first in every choice between servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Root or a system account runs it, outside of the login session of a user.
    System,
    /// An ordinary account runs it, as a system service.
    Service,
    /// Root or a system account runs it in the login session of a user, as after sudo(8). It counts only if no other server of
    /// its kind runs, because sudo waits for a password under any name that its user chooses.
    Session,
}

/// The reason why a process does not count as a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// The process has ended, or its owner is hidden.
    #[error("its owner is not known")]
    UnknownOwner,
    /// An ordinary user runs it, and no system service.
    #[error("it belongs to a user and runs in no system service")]
    Account,
    /// A server that runs as a service is preferred.
    #[error("it runs in a login session, and another server runs outside of one")]
    Session,
    /// It names a file that an ordinary user may change.
    #[error("it names a file that is not safe: {0}")]
    File(#[from] UnsafeFile),
}

impl Owner<'_> {
    /// Decides whether a process counts as a server.
    ///
    /// # Errors
    ///
    /// [`Distrust`] if the process does not count.
    pub fn standing(&self, accounts: SystemAccounts) -> Result<Standing, Distrust> {
        let uid = self.uid.ok_or(Distrust::UnknownOwner)?;
        let unit = Unit::of(self.cgroup);
        if accounts.contains(uid) {
            return Ok(if unit == Unit::Session { Standing::Session } else { Standing::System });
        }
        let has_login = self.login.is_some_and(|login| login != NO_LOGIN);
        if uid != NOBODY && unit == Unit::Service && !has_login {
            return Ok(Standing::Service);
        }
        Err(Distrust::Account)
    }
}

/// The kind of cgroup in which a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// A login session of an ordinary user, or a service of that user's own manager.
    Session,
    /// A system service, or a container that a system service runs.
    Service,
    /// Neither: a host without systemd, a container with its own cgroup namespace, or root's own session.
    Other,
}

impl Unit {
    fn of(cgroup: &[u8]) -> Self {
        let lines = cgroup.split(|&byte| byte == b'\n');
        let paths = lines.filter_map(|line| line.splitn(3, |&byte| byte == b':').nth(2));
        let mut unit = Self::Other;
        for path in paths {
            // Of a cgroup outside of this process's cgroup namespace, the path begins with `/..`.
            let mut parts =
                path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b"..");
            // The first part decides: below it, a user who manages a subtree may choose any name.
            match parts.next() {
                Some(b"user.slice") if parts.next() == Some(b"user-0.slice") => {}
                Some(b"user.slice") => return Self::Session,
                Some(first) if is_of_containers(first) || parts.any(is_of_service) => unit = Self::Service,
                _ => {}
            }
        }
        unit
    }
}

/// Returns whether a top-level cgroup holds containers: those of Docker, Podman, LXC, Kubernetes and systemd-machined.
fn is_of_containers(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 4] = [b"docker", b"lxc", b"libpod_parent", b"machine.slice"];
    const STARTS: [&[u8]; 3] = [b"lxc.payload", b"kubepods", b"machine-"];
    NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start))
}

/// Returns whether a cgroup is a service's or a container's: `httpd.service`, `docker-ID.scope`, `libpod-ID.scope`.
fn is_of_service(name: &[u8]) -> bool {
    const STARTS: [&[u8]; 4] = [b"docker-", b"libpod-", b"crio-", b"cri-containerd-"];
    name.ends_with(b".service")
        || (name.ends_with(b".scope") && STARTS.iter().any(|start| name.starts_with(start)))
}

/// The owner, group and mode of a file, a directory or a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The permission bits with the sticky bit.
    pub mode: u32,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether it is a symbolic link, which has no permissions of its own.
    pub is_link: bool,
}

/// A file that an ordinary user may change or replace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {problem}", path.display())]
pub struct UnsafeFile {
    /// The file, or a directory or link on the way to it.
    pub path: PathBuf,
    problem: String,
}

/// The accounts whose files may steer the reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedOwners {
    accounts: SystemAccounts,
    /// The accounts of one server; without them every system account.
    only: Option<Vec<u32>>,
}

impl TrustedOwners {
    /// Root and every system account: for files at the usual paths while no server runs.
    #[must_use]
    pub fn of_system(accounts: SystemAccounts) -> Self {
        Self { accounts, only: None }
    }

    /// Root and the system accounts among those of one server's processes.
    #[must_use]
    pub fn of_server(accounts: SystemAccounts, uids: impl IntoIterator<Item = u32>) -> Self {
        let mut only: Vec<u32> = uids.into_iter().filter(|uid| accounts.contains(*uid)).collect();
        only.sort_unstable();
        only.dedup();
        Self { accounts, only: Some(only) }
    }

    /// Checks the owner and the mode of a file, or of a directory or link on the way to it.
    ///
    /// # Errors
    ///
    /// [`UnsafeFile`] if another account owns it, if every user may write to it, or if a group of users may. In a directory with
    /// the sticky bit, users cannot replace the files of others.
    pub fn check(&self, path: &Path, facts: FileFacts) -> Result<(), UnsafeFile> {
        let fault = |problem: String| Err(UnsafeFile { path: path.to_owned(), problem });
        let is_known = match &self.only {
            Some(only) => facts.uid == 0 || only.contains(&facts.uid),
            None => self.accounts.contains(facts.uid),
        };
        if !is_known {
            return fault(format!(
                "belongs to uid {}, which is neither root nor the server's account",
                facts.uid
            ));
        }
        let is_sticky = facts.is_directory && facts.mode & 0o1000 != 0;
        if facts.is_link || is_sticky {
            return Ok(());
        }
        if facts.mode & 0o002 != 0 {
            return fault("may be written by every user".to_owned());
        }
        if facts.mode & 0o020 != 0 && !self.accounts.contains(facts.gid) {
            return fault(format!("may be written by group {}, which is not a system group", facts.gid));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: SystemAccounts = SystemAccounts { max: 999 };
    const SERVICE: &[u8] = b"0::/system.slice/php8.2-fpm.service\n";
    const V1_SERVICE: &[u8] =
        b"4:memory:/system.slice/httpd.service\n1:name=systemd:/system.slice/httpd.service\n";
    const SESSION: &[u8] = b"0::/user.slice/user-1000.slice/session-2.scope\n";
    const V1_SESSION: &[u8] = b"4:memory:/\n1:name=systemd:/user.slice/user-1000.slice/session-2.scope\n";
    const NO_SYSTEMD: &[u8] = b"4:memory:/\n0::/\n";

    fn standing(uid: u32, cgroup: &[u8], login: Option<u32>) -> Result<Standing, Distrust> {
        Owner { uid: Some(uid), cgroup, login }.standing(ACCOUNTS)
    }

    #[test]
    fn root_and_system_accounts_count_in_services_and_without_systemd() {
        for cgroup in [
            SERVICE,
            V1_SERVICE,
            NO_SYSTEMD,
            b"",
            b"0::/init.scope\n",
            b"0::/../../x\n",
            b"0::/../system.slice/x.service\n",
        ] {
            for uid in [0, 33, 999] {
                assert_eq!(standing(uid, cgroup, None), Ok(Standing::System), "{uid} {cgroup:?}");
            }
        }
    }

    #[test]
    fn login_of_the_administrator_who_restarted_a_service_changes_nothing() {
        assert_eq!(standing(0, NO_SYSTEMD, Some(1000)), Ok(Standing::System));
    }

    #[test]
    fn ordinary_user_counts_only_in_a_system_service_without_a_login() {
        for cgroup in [SERVICE, V1_SERVICE] {
            assert_eq!(standing(1000, cgroup, Some(NO_LOGIN)), Ok(Standing::Service));
            assert_eq!(standing(1000, cgroup, None), Ok(Standing::Service));
        }
        // cron and at set the login of their user.
        assert_eq!(standing(1000, b"0::/system.slice/cron.service\n", Some(1000)), Err(Distrust::Account));
        let outside = b"0::/../user.slice/user-1000.slice/x.service\n";
        for cgroup in [SESSION, V1_SESSION, NO_SYSTEMD, b"", b"0::/init.scope\n", outside] {
            assert_eq!(standing(1000, cgroup, None), Err(Distrust::Account), "{cgroup:?}");
        }
    }

    #[test]
    fn nobody_never_counts() {
        for cgroup in [SERVICE, NO_SYSTEMD, b"0::/docker/f00\n"] {
            assert_eq!(standing(65_534, cgroup, None), Err(Distrust::Account));
        }
        assert_eq!(
            Owner { uid: None, cgroup: SERVICE, login: None }.standing(ACCOUNTS),
            Err(Distrust::UnknownOwner)
        );
    }

    #[test]
    fn names_below_a_users_own_manager_are_of_that_user() {
        let of_manager = b"0::/user.slice/user-1000.slice/user@1000.service/app.slice/apache2.service\n";
        let rootless = b"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-f00.scope/x\n";
        let hidden = b"0::/user.slice/user-1000.slice/user@1000.service/user-0.slice/docker-f00.scope\n";
        for cgroup in [&of_manager[..], rootless, hidden] {
            assert_eq!(standing(1000, cgroup, None), Err(Distrust::Account), "{cgroup:?}");
            assert_eq!(standing(0, cgroup, None), Ok(Standing::Session), "{cgroup:?}");
        }
    }

    #[test]
    fn root_in_the_session_of_a_user_comes_last() {
        assert_eq!(
            [SESSION, V1_SESSION].map(|cgroup| standing(0, cgroup, Some(1000))),
            [const { Ok(Standing::Session) }; 2]
        );
        assert_eq!(
            standing(0, b"0::/user.slice/user-0.slice/session-1.scope\n", Some(0)),
            Ok(Standing::System)
        );
        assert!(Standing::System < Standing::Service && Standing::Service < Standing::Session);
    }

    #[test]
    fn containers_of_the_system_are_services() {
        for cgroup in [
            "0::/system.slice/docker-f00.scope",
            "4:memory:/docker/f00",
            "0::/machine.slice/libpod-f00.scope/container",
            "0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-f00.scope",
            "4:memory:/lxc/web/x",
            "0::/lxc.payload.web/x",
        ] {
            assert_eq!(standing(100_033, cgroup.as_bytes(), None), Ok(Standing::Service), "{cgroup}");
        }
    }

    #[test]
    fn limit_of_system_accounts_is_that_of_login_defs() {
        let max = |text: &str| SystemAccounts::from_login_defs(text).max;
        assert_eq!(max("#SYS_UID_MAX\t\t 499\nUID_MIN\t\t\t 1000\n"), 999);
        assert_eq!(max("UID_MIN 500\n"), 499);
        assert_eq!(max("UID_MIN 1000\nSYS_UID_MAX 201\n"), 201);
        assert_eq!([max(""), max("UID_MIN x\nSYS_UID_MAX -1\n"), max("UID_MIN 0\n")], [999; 3]);
        assert!(!SystemAccounts { max: 70_000 }.contains(NOBODY));
    }

    fn file(uid: u32, gid: u32, mode: u32) -> FileFacts {
        FileFacts { uid, gid, mode, is_directory: false, is_link: false }
    }

    fn is_safe(owners: &TrustedOwners, facts: FileFacts) -> bool {
        owners.check(Path::new("/etc/x.conf"), facts).is_ok()
    }

    #[test]
    fn files_are_of_root_or_of_the_servers_account() {
        let owners = TrustedOwners::of_server(ACCOUNTS, [0, 33, 1000, 33]);
        assert!(is_safe(&owners, file(0, 0, 0o644)) && is_safe(&owners, file(33, 1000, 0o640)));
        for uid in [27, 1000, 65_534] {
            assert!(!is_safe(&owners, file(uid, 0, 0o644)), "{uid}");
        }
        let system = TrustedOwners::of_system(ACCOUNTS);
        assert!(is_safe(&system, file(27, 27, 0o644)) && !is_safe(&system, file(1000, 0, 0o644)));
    }

    #[test]
    fn files_that_users_may_write_are_not_safe() {
        let owners = TrustedOwners::of_server(ACCOUNTS, [0]);
        assert!(is_safe(&owners, file(0, 4, 0o664)));
        assert!(!is_safe(&owners, file(0, 1000, 0o664)) && !is_safe(&owners, file(0, 0, 0o646)));
        let link = FileFacts { is_link: true, ..file(0, 0, 0o777) };
        let tmp = FileFacts { is_directory: true, ..file(0, 0, 0o1777) };
        let open = FileFacts { mode: 0o777, ..tmp };
        assert!(is_safe(&owners, link) && is_safe(&owners, tmp) && !is_safe(&owners, open));
        let error = owners.check(Path::new("/home/a/x.conf"), file(1000, 0, 0o644)).unwrap_err();
        assert!(error.to_string().starts_with("/home/a/x.conf belongs to uid 1000, "), "{error}");
    }
}

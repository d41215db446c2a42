//! Zabbix agents, tools for comparison and servers from Debian's archive, unpacked and not installed.
//!
//! [`agent`] and [`program_of`] unpack one package each; [`Packages`] unpacks packages with all their dependencies.
//!
//! apt does the work, with a private configuration: one suite, its own lists and cache, and no installed packages.
//! The archive's address comes from the machine's configuration, so the tests use the machine's mirror or proxy.
//! apt checks signatures as usual.

mod root;

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use crate::binaries::target_dir;
use crate::error::run;
use crate::{Error, Generation};

pub use root::{Packages, Root};

pub use crate::error::MIRROR;

const PACKAGE: &str = "zabbix-agent2";
/// The agents are linked with the libraries of this suite, including those from backports.
const LIBRARY_SUITE: &str = "bookworm";
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// An agent's executable.
#[derive(Debug, Clone)]
pub struct AgentFiles {
    /// The path of `zabbix_agent2`.
    pub program: PathBuf,
    /// The value for `LD_LIBRARY_PATH`; absent if the machine has the libraries itself.
    pub library_path: Option<OsString>,
}

/// Returns the agent of a generation. Downloads and unpacks it below the target directory at first use.
///
/// Several processes may call this at once: one works and the others wait.
///
/// # Errors
///
/// Returns an error with the failing command if apt knows no Debian archive or the package is not available.
pub fn agent(generation: Generation) -> Result<AgentFiles, Error> {
    let base = target_dir().join("agents");
    fs::create_dir_all(&base).map_err(Error::file(&base))?;
    let _lock = Lock::take(&base.join("lock"))?;
    let home = base.join(generation.name());
    // Written last: a directory without it is an interrupted download.
    let stamp = home.join("complete");
    if !stamp.exists() {
        let _ = fs::remove_dir_all(&home);
        unpack(generation, &home)?;
        fs::write(&stamp, "").map_err(Error::file(&stamp))?;
    }
    Ok(AgentFiles { program: program(&home), library_path: library_path(&home) })
}

/// Returns a program from a package of Debian 12. Downloads and unpacks it below the target directory at first use.
/// `path` is the program's path in the package, such as `usr/bin/rg`. It uses the machine's own libraries.
///
/// # Errors
///
/// Returns an error with the failing command if apt knows no Debian archive or the package is not available.
pub fn program_of(package: &'static str, path: &str) -> Result<PathBuf, Error> {
    let home = target_dir().join("tools").join(package);
    fs::create_dir_all(&home).map_err(Error::file(&home))?;
    let _lock = Lock::take(&home.join("lock"))?;
    let (stamp, root) = (home.join("complete"), home.join("root"));
    if !stamp.exists() {
        let _ = fs::remove_dir_all(&root);
        Archive::serving(LIBRARY_SUITE, package, &home)?.unpack(package, &root)?;
        fs::write(&stamp, "").map_err(Error::file(&stamp))?;
    }
    Ok(root.join(path))
}

/// A lock that is released when the value is dropped, and by the kernel when the process dies.
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl Lock {
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::file(path))?;
        flock(&file, FlockOperation::LockExclusive).map_err(|source| Error::file(path)(source.into()))?;
        Ok(Self(file))
    }
}

fn program(home: &Path) -> PathBuf {
    home.join("root/usr/sbin/zabbix_agent2")
}

fn unpack(generation: Generation, home: &Path) -> Result<(), Error> {
    let suite = generation.suite();
    let archive = Archive::serving(suite, PACKAGE, home)?;
    archive.unpack(PACKAGE, &home.join("root"))?;
    if !misses_libraries(&program(home))? {
        return Ok(());
    }
    let wanted = archive.libraries_of(PACKAGE)?;
    let archive = Archive::serving(LIBRARY_SUITE, PACKAGE, home)?;
    wanted.iter().try_for_each(|library| archive.unpack(library, &home.join("libraries")))
}

fn misses_libraries(program: &Path) -> Result<bool, Error> {
    Ok(run(Command::new("ldd").arg(program))?.contains("not found"))
}

fn library_path(home: &Path) -> Option<OsString> {
    let roots = ["usr/lib", "lib"].map(|part| home.join("libraries").join(part));
    let directories = roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten();
    let triplets: Vec<_> = directories.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    if triplets.is_empty() { None } else { env::join_paths(triplets).ok() }
}

/// One suite of one archive, with its package lists.
struct Archive {
    configuration: PathBuf,
    downloads: PathBuf,
}

impl Archive {
    /// Opens the first archive in apt's configuration that serves the suite.
    fn serving(suite: &'static str, package: &'static str, home: &Path) -> Result<Self, Error> {
        let mut last = Error::NoArchive;
        for address in addresses(suite)? {
            match Self::open(&address, suite, &home.join(format!("apt-{suite}"))) {
                Ok(archive) => return Ok(archive),
                Err(error) => last = error,
            }
        }
        match last {
            Error::NoArchive => Err(last),
            last => Err(Error::NoPackage { package, suite, last: Box::new(last) }),
        }
    }

    fn open(address: &str, suite: &str, room: &Path) -> Result<Self, Error> {
        let _ = fs::remove_dir_all(room);
        for part in ["lists/partial", "cache/archives/partial", "downloads"] {
            let path = room.join(part);
            fs::create_dir_all(&path).map_err(Error::file(&path))?;
        }
        // An empty status file: no package counts as installed. apt's locks are created beside it.
        let status = room.join("status");
        fs::write(&status, "").map_err(Error::file(&status))?;
        let sources = room.join("sources.list");
        fs::write(&sources, source_line(address, suite)).map_err(Error::file(&sources))?;
        let configuration = room.join("apt.conf");
        fs::write(&configuration, configuration_text(room)).map_err(Error::file(&configuration))?;
        let archive = Self { configuration, downloads: room.join("downloads") };
        // By default apt reports errors of single indexes as warnings only.
        run(archive.apt("apt-get").args(["update", "--error-on=any"]))?;
        Ok(archive)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").current_dir(&self.downloads).arg("-qq").arg("-c").arg(&self.configuration);
        command
    }

    fn unpack(&self, package: &str, root: &Path) -> Result<(), Error> {
        run(self.apt("apt-get").args(["download", package]))?;
        let file = self.downloaded(package)?;
        run(Command::new("dpkg").arg("-x").arg(file).arg(root)).map(drop)
    }

    fn downloaded(&self, package: &str) -> Result<PathBuf, Error> {
        let entries = fs::read_dir(&self.downloads).map_err(Error::file(&self.downloads))?;
        let start = format!("{package}_");
        let mut paths = entries.flatten().map(|entry| entry.path());
        let wanted =
            |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&start));
        paths
            .find(wanted)
            .ok_or_else(|| Error::file(self.downloads.join(start))(std::io::ErrorKind::NotFound.into()))
    }

    /// The libraries among a downloaded package's dependencies. The machine's own libc is used.
    fn libraries_of(&self, package: &str) -> Result<Vec<String>, Error> {
        let file = self.downloaded(package)?;
        let depends = run(Command::new("dpkg-deb").arg("-f").arg(file).arg("Depends"))?;
        let names = depends.split(',').filter_map(|clause| clause.split_whitespace().next());
        let library = |name: &&str| (name.starts_with("lib") && *name != "libc6") || *name == "zlib1g";
        Ok(names.filter(library).map(ToOwned::to_owned).collect())
    }
}

fn source_line(address: &str, suite: &str) -> String {
    let keyring = KEYRINGS.iter().find(|path| Path::new(path).exists());
    let signed = keyring.map(|path| format!("[signed-by={path}] ")).unwrap_or_default();
    format!("deb {signed}{address} {suite} main\n")
}

/// The machine's proxy settings apply. Its sources, pins, hooks and installed packages do not.
fn configuration_text(room: &Path) -> String {
    let room = room.display();
    format!(
        r#"Dir::Etc::sourcelist "{room}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "{room}/lists";
Dir::State::status "{room}/status";
Dir::State::extended_states "{room}/extended_states";
Dir::Cache "{room}/cache";
Dir::Log "{room}/log";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"#
    )
}

/// Returns the archives to try for a suite, the most likely first.
/// # Errors
///
/// Returns an error if apt cannot list its sources.
pub fn addresses(suite: &str) -> Result<Vec<String>, Error> {
    if let Ok(given) = env::var(MIRROR) {
        return Ok(vec![given]);
    }
    let format = "$(REPO_URI) $(RELEASE)";
    let listed =
        run(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    Ok(rank(&listed, &codename(), suite))
}

/// The release of this machine as its sources name it.
fn codename() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    value.unwrap_or_default().trim_matches('"').to_owned()
}

/// Third parties use Debian's release names for their own archives. Debian's own archive has a directory named `debian`
/// and also serves `RELEASE-updates`.
fn rank(listed: &str, codename: &str, suite: &str) -> Vec<String> {
    let targets: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    let serves = |address: &str, release: &str| targets.contains(&(address, release));
    let score = |address: &str| {
        let named = address.trim_end_matches('/').ends_with("/debian");
        8 * u8::from(serves(address, suite))
            + 4 * u8::from(named)
            + 2 * u8::from(serves(address, &format!("{codename}-updates")))
            + u8::from(serves(address, codename))
    };
    let security = |address: &str| address.trim_end_matches('/').ends_with("security");
    let mut addresses: Vec<&str> = targets.iter().map(|target| target.0).filter(|a| !security(a)).collect();
    addresses.sort_by(|a, b| score(b).cmp(&score(a)).then(a.cmp(b)));
    addresses.dedup();
    addresses.into_iter().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_of_the_machines_release_comes_first() {
        let listed = "https://third.example/debian/ trixie\n\
                      http://mirror.example/debian/ trixie\n\
                      http://mirror.example/debian/ trixie-updates\n\
                      http://mirror.example/debian-security/ trixie-security\n\
                      https://other.example/apt/ stable\n";
        let ranked = rank(listed, "trixie", "bookworm");
        assert_eq!(ranked[0], "http://mirror.example/debian/");
        assert!(!ranked.iter().any(|address| address.contains("security")));
        assert_eq!(ranked.len(), 3);
    }

    #[test]
    fn archive_that_serves_the_suite_comes_first() {
        let listed =
            "http://mirror.example/debian/ bookworm\nhttp://backports.example/debian/ bookworm-backports\n";
        assert_eq!(rank(listed, "bookworm", "bookworm-backports")[0], "http://backports.example/debian/");
    }

    #[test]
    fn no_archive_is_an_error() {
        assert!(rank("", "bookworm", "bookworm").is_empty());
    }
}

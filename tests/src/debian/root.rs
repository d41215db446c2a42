//! Programs from Debian's archive with all their dependencies, unpacked into one directory and run from there.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Archive, Lock};
use crate::Error;
use crate::binaries::target_dir;
use crate::error::run;

/// The machine's own C library is used, because the machine's loader loads it.
const HOST_LIBRARIES: [&str; 1] = ["libc6"];

/// Packages that are unpacked together.
///
/// ```no_run
/// use oomwatch_tests::debian::Packages;
///
/// let apache = Packages::new("bookworm", &["apache2"]).unpacked("apache")?;
/// let version = apache.command("usr/sbin/apache2").arg("-v").output();
/// # Ok::<(), oomwatch_tests::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Packages {
    suite: &'static str,
    names: Vec<&'static str>,
    separate: Vec<SeparatePackage>,
}

/// A package without its dependencies, in a directory of its own below the root.
#[derive(Debug, Clone, Copy)]
struct SeparatePackage {
    suite: &'static str,
    package: &'static str,
    directory: &'static str,
}

impl Packages {
    /// Names packages of one suite. Their dependencies are added, their recommendations are not.
    pub fn new(suite: &'static str, names: &[&'static str]) -> Self {
        Self { suite, names: names.to_vec(), separate: Vec::new() }
    }

    /// Adds one package from any suite, without its dependencies, unpacked into `directory` below the root. This allows two
    /// versions of one program beside each other.
    pub fn and_separately(
        mut self,
        suite: &'static str,
        package: &'static str,
        directory: &'static str,
    ) -> Self {
        self.separate.push(SeparatePackage { suite, package, directory });
        self
    }

    /// Downloads and unpacks the packages into `target/roots/NAME` at first use. Nothing is installed and no maintainer
    /// script runs, so users, `/etc/passwd` and generated configuration are missing.
    ///
    /// Several processes may call this at once: one works and the others wait.
    ///
    /// # Errors
    ///
    /// Returns an error with the failing command if apt knows no Debian archive or a package is not available.
    pub fn unpacked(&self, name: &str) -> Result<Root, Error> {
        let home = target_dir().join("roots").join(name);
        fs::create_dir_all(&home).map_err(Error::file(&home))?;
        let _lock = Lock::take(&home.join("lock"))?;
        // Written last, with the list of packages: an interrupted download or another list is not mistaken for this one.
        let (stamp, wanted) = (home.join("complete"), format!("{self:?}"));
        if fs::read_to_string(&stamp).ok().as_ref() != Some(&wanted) {
            let root = home.join("root");
            let _ = (fs::remove_file(&stamp), fs::remove_dir_all(&root));
            let _ = ["libraries", "cache"].map(|part| fs::remove_dir_all(home.join(part)));
            self.unpack(&home, &root)?;
            fs::write(&stamp, &wanted).map_err(Error::file(&stamp))?;
        }
        Ok(Root { home })
    }

    fn unpack(&self, home: &Path, root: &Path) -> Result<(), Error> {
        let archive = Archive::serving(self.suite, self.names[0], home)?;
        let files = archive.with_dependencies(&self.names)?;
        files.iter().try_for_each(|file| extract(file, root))?;
        link_libraries(&files, home)?;
        for alone in &self.separate {
            let archive = Archive::serving(alone.suite, alone.package, home)?;
            let directory = root.join(alone.directory);
            fs::create_dir_all(&directory).map_err(Error::file(&directory))?;
            archive.unpack(alone.package, &directory)?;
        }
        let rooms = fs::read_dir(home).map_err(Error::file(home))?.flatten().map(|entry| entry.path());
        let apt = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("apt-"));
        rooms.filter(apt).try_for_each(|room| fs::remove_dir_all(&room).map_err(Error::file(&room)))
    }
}

/// Unpacked packages.
#[derive(Debug, Clone)]
pub struct Root {
    home: PathBuf,
}

impl Root {
    /// The directory that replaces `/` for the packages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.home.join("root")
    }

    /// A directory with the lifetime of the unpacked packages, for files that are generated from them once. The caller
    /// prevents two processes from generating the same file.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.home.join("cache")
    }

    /// Returns a command for a program, by its path in its package, such as `usr/sbin/apache2`. It runs with the root's
    /// libraries and the machine's own files. The caller passes the paths of its configuration and modules (an option, an
    /// environment variable). It is an ordinary process under its own name and needs no privilege.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.path().join(program));
        command.env("LD_LIBRARY_PATH", self.libraries());
        command
    }

    /// The value of `LD_LIBRARY_PATH` in [`command`](Self::command), for programs that are started in another way.
    #[must_use]
    pub fn libraries(&self) -> OsString {
        self.home.join("libraries").into()
    }
}

impl Archive {
    /// Downloads packages and all their dependencies, and returns their files.
    fn with_dependencies(&self, packages: &[&str]) -> Result<Vec<PathBuf>, Error> {
        let mut apt = self.apt("apt-get");
        apt.args(["install", "--download-only", "--yes", "--no-install-recommends"]);
        run(apt.args(packages))?;
        let archives = self.configuration.with_file_name("cache").join("archives");
        let entries = fs::read_dir(&archives).map_err(Error::file(&archives))?;
        let files = entries.flatten().map(|entry| entry.path());
        Ok(files.filter(|path| path.extension() == Some(OsStr::new("deb"))).collect())
    }
}

fn extract(file: &Path, root: &Path) -> Result<(), Error> {
    run(Command::new("dpkg").arg("-x").arg(file).arg(root)).map(drop)
}

/// One directory with a link to each library, so that the loader does not search the directory of the C library. The
/// links are relative, because the target directory may be moved.
fn link_libraries(files: &[PathBuf], home: &Path) -> Result<(), Error> {
    let libraries = home.join("libraries");
    fs::create_dir_all(&libraries).map_err(Error::file(&libraries))?;
    let host_libraries = files_of(files, &HOST_LIBRARIES)?;
    for directory in library_directories(home) {
        let there = home.join(&directory);
        for entry in fs::read_dir(&there).map_err(Error::file(&there))?.flatten() {
            let name = entry.file_name();
            let is_library = name.to_string_lossy().contains(".so");
            if is_library && !host_libraries.contains(&name) && !libraries.join(&name).is_symlink() {
                let library = Path::new("..").join(&directory).join(&name);
                symlink(library, libraries.join(&name)).map_err(Error::file(&libraries))?;
            }
        }
    }
    Ok(())
}

/// Packages use `lib/TRIPLET` or `usr/lib/TRIPLET`; libpulse has a subdirectory for one library. The paths are relative
/// to the root.
fn library_directories(home: &Path) -> Vec<PathBuf> {
    let triplet = format!("{}-linux-gnu", env::consts::ARCH);
    let [merged, own] = ["usr/lib", "lib"].map(|part| Path::new("root").join(part).join(&triplet));
    let of_pulse = merged.join("pulseaudio");
    [merged, own, of_pulse].into_iter().filter(|path| home.join(path).is_dir()).collect()
}

/// The names of the packages' downloaded files.
fn files_of(files: &[PathBuf], packages: &[&str]) -> Result<Vec<OsString>, Error> {
    let mut names = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if packages.iter().any(|package| name.starts_with(&format!("{package}_"))) {
            let listed = run(Command::new("dpkg-deb").arg("-c").arg(file))?;
            let paths = listed.lines().filter_map(|line| line.split(" -> ").next()?.split(' ').next_back());
            names.extend(paths.filter_map(|path| Some(Path::new(path).file_name()?.to_owned())));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_where_the_target_directory_was_moved_to() {
        let scratch = tempfile::tempdir().unwrap();
        let [before, after] = ["before", "after"].map(|name| scratch.path().join(name));
        let directory = before.join("root/usr/lib").join(format!("{}-linux-gnu", env::consts::ARCH));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("libx.so.1"), "x").unwrap();
        fs::write(directory.join("readme"), "").unwrap();
        link_libraries(&[], &before).unwrap();
        fs::rename(&before, &after).unwrap();
        let links = fs::read_dir(after.join("libraries")).unwrap().count();
        assert_eq!((links, fs::read(after.join("libraries/libx.so.1")).unwrap()), (1, b"x".to_vec()));
    }
}

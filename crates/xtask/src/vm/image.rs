//! The image of the machine's disk, made once and kept until its recipe changes.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oomwatch_tests::binaries::{target_dir, workspace};
use oomwatch_tests::debian;

use crate::output::{Done, say};
use crate::steps::command;

const SCRIPT: &str = include_str!("guest/image.sh");
/// Sparse: unused space takes no room on the disk.
const DISK_SIZE: &str = "2G";
const SHARE_SIZE: &str = "64M";
const SUITE: &str = "trixie";
/// Programs and the packages that have them.
const NEEDED: [(&str, &str); 4] = [
    ("debootstrap", "debootstrap"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mkfs.ext4", "e2fsprogs"),
    ("unshare", "util-linux"),
];

/// The parts that a machine is started from.
pub(super) struct Image {
    dir: PathBuf,
}

impl Image {
    /// The image, made now if there is none or if the one that is there was made by another recipe.
    pub(super) fn ready() -> Result<Self, Box<dyn Error>> {
        install_what_is_missing()?;
        let image = Self { dir: target_dir().join("vm") };
        let stamp = image.dir.join("recipe");
        if fs::read_to_string(&stamp).is_ok_and(|made| made == recipe()) {
            return Ok(image);
        }
        let _ = fs::remove_file(&stamp);
        image.make()?;
        // Written last: an image without it was left half made.
        fs::write(&stamp, recipe())?;
        Ok(image)
    }

    pub(super) fn kernel(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    pub(super) fn initrd(&self) -> PathBuf {
        self.dir.join("initrd.img")
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.dir.join("disk.img")
    }

    pub(super) fn share(&self) -> PathBuf {
        self.dir.join("share.img")
    }

    pub(super) fn console(&self) -> PathBuf {
        self.dir.join("console.log")
    }

    fn make(&self) -> Done {
        if !is_root()? {
            return Err("making the virtual machine's disk needs root, for debootstrap and chroot".into());
        }
        let root = self.dir.join("root");
        fs::create_dir_all(&self.dir)?;
        bootstrap(&root)?;
        fs::copy(root.join("vmlinuz"), self.kernel())?;
        fs::copy(root.join("initrd.img"), self.initrd())?;
        file_system(&root, &self.disk(), "root", DISK_SIZE)?;
        fs::remove_dir_all(root)?;
        Ok(())
    }

    /// Puts this workspace's files onto a second disk: the guest's end of the command channel, the plugin and its packaging.
    pub(super) fn pack(&self, plugin: &Path) -> Done {
        let scratch = tempfile::tempdir_in(&self.dir)?;
        let dir = scratch.path();
        fs::copy(plugin, dir.join("plugin"))?;
        let here = workspace().join("crates/xtask/src/vm/guest/session.sh");
        fs::copy(here, dir.join("session.sh"))?;
        command(Command::new("cp").arg("--recursive").arg(workspace().join("plugin/packaging")).arg(dir))?;
        file_system(dir, &self.share(), "oomwatch", SHARE_SIZE)
    }
}

/// What the image depends on. The packages' versions are the archive's of the day.
fn recipe() -> String {
    format!("{DISK_SIZE}\n{SCRIPT}")
}

/// From the first archive that serves the suite.
fn bootstrap(root: &Path) -> Done {
    let mut failure: Box<dyn Error> = "apt names no archive of Debian".into();
    for address in debian::addresses(SUITE)? {
        let _ = fs::remove_dir_all(root);
        say(&format!("Debian {SUITE} from {address} ..."));
        let log = root.with_extension("log");
        let Err(error) = command(&mut in_own_mounts(root, &address, &File::create(&log)?)?) else {
            return Ok(());
        };
        failure = format!("{error}: see {}", log.display()).into();
    }
    Err(failure)
}

/// The script's mounts vanish with it, however it ends.
fn in_own_mounts(root: &Path, address: &str, log: &File) -> io::Result<Command> {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "image.sh"])
        .arg(root)
        .arg(address);
    command.stdout(log.try_clone()?).stderr(log.try_clone()?).env("LC_ALL", "C");
    Ok(command)
}

fn file_system(from: &Path, to: &Path, label: &str, size: &str) -> Done {
    let _ = fs::remove_file(to);
    command(
        Command::new("mkfs.ext4")
            .args(["-q", "-L", label, "-d"])
            .arg(from)
            .arg(to)
            .arg(size)
            .stdout(Stdio::null()),
    )
}

fn install_what_is_missing() -> Done {
    let missing: Vec<_> =
        NEEDED.iter().filter(|(program, _)| !is_installed(program)).map(|need| need.1).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !is_root()? {
        return Err(
            format!("the virtual machine needs: apt-get install --no-install-recommends {packages}").into()
        );
    }
    say(&format!("Installing {packages} ..."));
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.args(["install", "--yes", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]);
    command(apt.args(missing).stdout(Stdio::null()))
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Not every user's path has the directories of administrators' programs, where mkfs.ext4 is.
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).is_file())
}

fn is_root() -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_names_no_archive_and_has_what_the_scenes_need() {
        assert!(!recipe().contains("http"), "the machine's own apt says where its archive is");
        let packages = [
            "systemd-oomd",
            "rsyslog",
            "dbus",
            "zabbix-agent2",
            "apache2",
            "php-fpm",
            "linux-image-cloud-amd64",
        ];
        for package in packages {
            assert!(recipe().contains(package), "{package}");
        }
    }

    #[test]
    fn the_session_outlives_the_killer_and_the_scripts_are_shell() {
        assert!(SCRIPT.contains("OOMScoreAdjust=-1000"));
        for (shell, script) in [("sh", SCRIPT), ("bash", include_str!("guest/session.sh"))] {
            let status = Command::new(shell).args(["-n", "-c", script]).status().unwrap();
            assert!(status.success());
        }
    }
}

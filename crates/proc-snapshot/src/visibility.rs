//! Whether a snapshot contains all processes of the machine.

use crate::error::ProcError;
use crate::root::ProcRoot;
use crate::shortage::ResourceShortage;
use crate::snapshot::Snapshot;

/// Which processes of the machine this user may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visibility {
    /// The `hidepid` option of the mount: 0 (off), 1 (`noaccess`), 2 (`invisible`), 4 (`ptraceable`). `None` if the
    /// mount options could not be read.
    pub hidepid: Option<u8>,
    /// Whether processes of other users can be seen and read.
    pub others_visible: bool,
    /// Process directories that were listed but could not be read.
    pub unreadable: usize,
}

impl Visibility {
    /// Determines visibility from the mount options and the files that the walk could read.
    ///
    /// # Errors
    ///
    /// [`ProcError::Shortage`]: without the mount options an exhausted resource could be taken for `hidepid`.
    pub fn new(root: &ProcRoot, snapshot: &Snapshot) -> Result<Self, ProcError> {
        let hidepid = root.proc_mount_options()?.map(|options| parse_hidepid(&options));
        // Process 1 belongs to root in every PID namespace: if it is readable, processes of other users are.
        let first_readable =
            snapshot.processes().any(|process| process.pid() == 1 && process.comm().is_some());
        let others_visible = hidepid == Some(0) || first_readable;
        Ok(Self { hidepid, others_visible, unreadable: snapshot.unreadable() })
    }

    /// Returns whether processes may be missing, so that a count of 0 proves nothing.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.others_visible || self.unreadable > 0
    }
}

/// Parses the `hidepid` option: Linux before 5.8 writes a number, later a word.
fn parse_hidepid(options: &str) -> u8 {
    let value = options.split(',').find_map(|option| option.strip_prefix("hidepid="));
    match value {
        Some("1" | "noaccess") => 1,
        Some("2" | "invisible") => 2,
        Some("4" | "ptraceable") => 4,
        _ => 0,
    }
}

impl ProcRoot {
    /// Returns the options of the mount of this directory, those of the file system included.
    fn proc_mount_options(&self) -> Result<Option<String>, ResourceShortage> {
        let own = rustix::fs::fstat(self.dir())
            .ok()
            .map(|stat| format!("{}:{}", rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev)));
        let from_mountinfo = self.read_whole(c"self/mountinfo")?.and_then(|data| {
            let text = String::from_utf8_lossy(&data);
            let mounts: Vec<Mount<'_>> = text.lines().filter_map(Mount::from_mountinfo).collect();
            own_mount(&mounts, own.as_deref())
        });
        if from_mountinfo.is_some() {
            return Ok(from_mountinfo);
        }
        Ok(self.read_whole(c"mounts")?.and_then(|data| {
            let text = String::from_utf8_lossy(&data);
            let mounts: Vec<Mount<'_>> = text.lines().filter_map(Mount::from_mounts).collect();
            own_mount(&mounts, None)
        }))
    }
}

/// A mounted proc file system.
#[derive(Debug)]
struct Mount<'a> {
    device: Option<&'a str>,
    point: &'a str,
    options: String,
}

impl<'a> Mount<'a> {
    /// Parses a line of `mountinfo`: the file system's type and options follow a single hyphen.
    fn from_mountinfo(line: &'a str) -> Option<Self> {
        let (mount, system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(2);
        let (device, point, flags) = (mount.next()?, mount.nth(1)?, mount.next()?);
        let mut system = system.split(' ');
        let is_proc = system.next() == Some("proc");
        let options = format!("{flags},{}", system.nth(1)?);
        is_proc.then_some(Self { device: Some(device), point, options })
    }

    /// Parses a line of `mounts`.
    fn from_mounts(line: &'a str) -> Option<Self> {
        let mut fields = line.split(' ').skip(1);
        let (point, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "proc").then(|| Self { device: None, point, options: options.to_owned() })
    }
}

/// Finds the mount of the directory: by its device, else the last one on `/proc` (it hides earlier ones), else the last.
fn own_mount(mounts: &[Mount<'_>], device: Option<&str>) -> Option<String> {
    let by_device = mounts.iter().rfind(|mount| device.is_some() && mount.device == device);
    let by_point = || mounts.iter().rfind(|mount| mount.point == "/proc");
    by_device.or_else(by_point).or(mounts.last()).map(|mount| mount.options.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
        22 21 0:20 / /proc rw,nosuid shared:13 - proc proc rw\n\
        23 21 0:41 / /host/proc rw,nosuid master:2 - proc proc rw,gid=5,hidepid=invisible\n";

    fn options(device: Option<&str>) -> String {
        let mounts: Vec<_> = MOUNTINFO.lines().filter_map(Mount::from_mountinfo).collect();
        own_mount(&mounts, device).unwrap()
    }

    #[test]
    fn mount_is_found_by_its_device() {
        assert_eq!(parse_hidepid(&options(Some("0:41"))), 2);
        assert_eq!(parse_hidepid(&options(Some("0:20"))), 0);
        assert_eq!(parse_hidepid(&options(Some("0:99"))), 0);
    }

    #[test]
    fn old_and_new_spellings_of_hidepid_are_parsed() {
        for (options, expected) in [
            ("rw", 0),
            ("rw,hidepid=0", 0),
            ("rw,hidepid=1", 1),
            ("rw,hidepid=noaccess,gid=1", 1),
            ("hidepid=2", 2),
            ("hidepid=ptraceable", 4),
            ("hidepid=off", 0),
        ] {
            assert_eq!(parse_hidepid(options), expected, "{options}");
        }
    }

    #[test]
    fn mounts_is_parsed_if_there_is_no_mountinfo() {
        let mount = Mount::from_mounts("proc /proc proc rw,nosuid,hidepid=1 0 0").unwrap();
        assert_eq!(parse_hidepid(&mount.options), 1);
        assert!(Mount::from_mounts("tmpfs /proc tmpfs rw 0 0").is_none());
        assert!(Mount::from_mounts("short").is_none());
    }
}

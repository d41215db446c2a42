//! A state directory under attack, removed, full and read-only. Some tests mount a file system or use another account, and need
//! root.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use state_files::{Durability, StateDir, StateError, StateOwner, read};

const NOBODY: u32 = 65_534;

struct Room {
    room: tempfile::TempDir,
    is_mounted: bool,
}

impl Room {
    fn new() -> Self {
        Self { room: tempfile::tempdir().unwrap(), is_mounted: false }
    }

    /// A file system of its own that can be full or read-only.
    fn with_file_system(bytes: u32) -> Self {
        let room = tempfile::tempdir().unwrap();
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(room.path()));
        Self { room, is_mounted: true }
    }

    fn remount(&self, access: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{access}")]).arg(self.room.path()));
    }

    fn state(&self) -> PathBuf {
        self.room.path().join("state")
    }

    fn owner(&self) -> StateOwner {
        StateOwner::new(self.state(), "lock")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.state())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.is_mounted {
            run(Command::new("umount").arg("--lazy").arg(self.room.path()));
        }
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "this test needs root and the right to mount: {command:?}");
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn stored(room: &Room, name: &str) -> Option<Vec<u8>> {
    read(&room.state(), name, 1024).unwrap()
}

#[test]
fn directory_and_files_are_private() {
    let room = Room::new();
    room.owner().replace("counts", b"1").unwrap();
    assert_eq!(mode(&room.state()), 0o750);
    assert_eq!((mode(&room.state().join("counts")), mode(&room.state().join("lock"))), (0o600, 0o600));
    assert_eq!(stored(&room, "counts").unwrap(), b"1");
    assert_eq!(room.names(), ["counts", "lock"]);
}

#[test]
fn directory_that_others_can_write_to_is_refused() {
    for wrong in [0o757, 0o770, 0o1777] {
        let room = Room::new();
        fs::create_dir(room.state()).unwrap();
        allow(&room.state(), wrong);
        fs::write(room.state().join("counts"), "forged").unwrap();
        let error = StateDir::open(&room.state(), "lock").unwrap_err();
        assert!(matches!(error, StateError::WritableByOthers { mode, .. } if mode == wrong), "{error}");
        assert!(error.to_string().contains("chmod go-w"), "{error}");
        assert!(read(&room.state(), "counts", 1024).is_err());
    }
}

#[test]
fn directory_of_another_account_is_refused_and_can_be_read() {
    let room = Room::new();
    room.owner().replace("counts", b"1").unwrap();
    chown(room.state(), Some(NOBODY), None).unwrap();
    let error = StateDir::open(&room.state(), "lock").unwrap_err();
    assert!(matches!(error, StateError::OtherOwner { owner: NOBODY, own: 0, .. }), "{error}");
    assert!(error.to_string().contains("chown"), "{error}");
    assert_eq!(stored(&room, "counts").unwrap(), b"1");
}

#[test]
fn symbolic_links_are_not_followed() {
    let room = Room::new();
    let elsewhere = room.room.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, room.state()).unwrap();
    let error = StateDir::open(&room.state(), "lock").unwrap_err();
    assert!(matches!(error, StateError::SymbolicLink(_)), "{error}");
    assert!(read(&room.state(), "counts", 1024).is_err());
    fs::remove_file(room.state()).unwrap();

    let victim = room.room.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::create_dir(room.state()).unwrap();
    symlink(&victim, room.state().join("lock")).unwrap();
    let error = StateDir::open(&room.state(), "lock").unwrap_err();
    assert!(matches!(error, StateError::NotRegular(_)), "{error}");
    fs::remove_file(room.state().join("lock")).unwrap();

    symlink(&victim, room.state().join("counts")).unwrap();
    let dir = StateDir::open(&room.state(), "lock").unwrap();
    assert!(matches!(dir.read("counts", 1024), Err(StateError::NotRegular(_))));
    dir.replace("counts", |file| file.write_all(b"1")).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(stored(&room, "counts").unwrap(), b"1");
}

#[test]
fn pipe_in_place_of_a_file_does_not_block() {
    let room = Room::new();
    fs::create_dir(room.state()).unwrap();
    run(Command::new("mkfifo").arg(room.state().join("counts")));
    assert!(matches!(read(&room.state(), "counts", 1024), Err(StateError::NotRegular(_))));
}

#[test]
fn larger_file_is_not_read() {
    let room = Room::new();
    room.owner().replace("counts", b"12345").unwrap();
    assert!(matches!(read(&room.state(), "counts", 4), Err(StateError::TooLarge { max: 4, .. })));
    assert!(read(&room.state(), "counts", 5).is_ok());
}

#[test]
fn one_process_owns_the_directory() {
    let room = Room::new();
    let mut first = room.owner();
    first.replace("counts", b"1").unwrap();
    let mut second = room.owner();
    assert!(second.replace("counts", b"2").unwrap_err().is_in_use());
    assert_eq!(
        (second.durability(), stored(&room, "counts").unwrap()),
        (&Durability::ReadOnly, b"1".to_vec())
    );
    drop(first);
    second.replace("counts", b"2").unwrap();
    assert_eq!(second.durability(), &Durability::Durable);
}

#[test]
fn temporary_files_of_a_process_that_died_are_removed() {
    let room = Room::new();
    let mut owner = room.owner();
    owner.replace("counts", b"1").unwrap();
    for name in [".counts.0123456789abcdef.tmp", ".other.0123456789abcdef.tmp", ".counts.tmp"] {
        fs::write(room.state().join(name), "torn").unwrap();
    }
    owner.replace("counts", b"2").unwrap();
    assert_eq!(room.names(), [".counts.tmp", ".other.0123456789abcdef.tmp", "counts", "lock"]);
}

#[test]
fn failed_replacement_leaves_the_old_file_and_no_temporary_one() {
    let room = Room::new();
    let dir = StateDir::open(&room.state(), "lock").unwrap();
    dir.replace("counts", |file| file.write_all(b"1")).unwrap();
    let failing = |file: &mut dyn std::io::Write| {
        file.write_all(b"2")?;
        Err(std::io::Error::other("no"))
    };
    assert!(dir.replace("counts", failing).is_err());
    assert_eq!(
        (stored(&room, "counts").unwrap(), room.names()),
        (b"1".to_vec(), vec!["counts".into(), "lock".into()])
    );
}

#[test]
fn directory_that_was_removed_is_created_by_the_next_write() {
    let room = Room::new();
    let mut owner = room.owner();
    owner.replace("counts", b"1").unwrap();
    fs::remove_dir_all(room.state()).unwrap();
    owner.replace("counts", b"2").unwrap();
    assert_eq!(stored(&room, "counts").unwrap(), b"2");
    // Moved aside, and another one in its place.
    fs::rename(room.state(), room.room.path().join("aside")).unwrap();
    fs::create_dir(room.state()).unwrap();
    owner.replace("counts", b"3").unwrap();
    assert_eq!(stored(&room, "counts").unwrap(), b"3");
    assert!(room.owner().acquire().unwrap_err().is_in_use());
}

#[test]
fn append_to_a_file_without_its_name_is_reported() {
    let by_file = |room: &Room| fs::remove_file(room.state().join("journal")).unwrap();
    let by_directory = |room: &Room| fs::remove_dir_all(room.state()).unwrap();
    let by_rename = |room: &Room| fs::rename(room.state(), room.room.path().join("aside")).unwrap();
    let by_lock = |room: &Room| fs::remove_file(room.state().join("lock")).unwrap();
    for remove in [by_file as fn(&Room), by_directory, by_rename, by_lock] {
        let room = Room::new();
        let dir = StateDir::open(&room.state(), "lock").unwrap();
        let mut journal = dir.replace("journal", |file| file.write_all(b"a\n")).unwrap();
        dir.append(&mut journal, b"b\n").unwrap();
        assert_eq!((stored(&room, "journal").unwrap(), journal.bytes()), (b"a\nb\n".to_vec(), 4));
        remove(&room);
        assert!(dir.append(&mut journal, b"c\n").unwrap_err().is_removal());
    }
}

#[test]
fn full_disk_is_reported_and_state_is_durable_again_when_it_has_space() {
    let room = Room::with_file_system(64 * 1024);
    let mut owner = room.owner();
    owner.replace("counts", b"1").unwrap();
    let ballast = room.room.path().join("ballast");
    assert!(fs::write(&ballast, vec![0; 128 * 1024]).is_err());
    for _ in 0..2 {
        let error = owner.replace("counts", &[b'2'; 8192]).unwrap_err().to_string();
        assert!(
            error.contains("No space left on device") && error.ends_with("free space on its file system"),
            "{error}"
        );
    }
    let since = owner.durability().not_durable_since().unwrap();
    assert!(owner.replace("counts", &[b'2'; 8192]).is_err());
    assert_eq!(owner.durability().not_durable_since(), Some(since));
    assert_eq!(
        (stored(&room, "counts").unwrap(), room.names()),
        (b"1".to_vec(), vec!["counts".into(), "lock".into()])
    );
    fs::remove_file(ballast).unwrap();
    owner.replace("counts", b"2").unwrap();
    assert_eq!(owner.durability(), &Durability::Durable);
}

#[test]
fn read_only_file_system_is_reported_and_state_is_durable_again_when_it_is_writable() {
    let room = Room::with_file_system(64 * 1024);
    let mut owner = room.owner();
    owner.replace("counts", b"1").unwrap();
    owner.release();
    room.remount("ro");
    let error = owner.replace("counts", b"2").unwrap_err().to_string();
    assert!(error.contains("Read-only file system") && error.ends_with("read-write"), "{error}");
    assert_eq!(owner.durability().name(), "memory");
    room.remount("rw");
    owner.replace("counts", b"2").unwrap();
    assert_eq!((owner.durability(), stored(&room, "counts").unwrap()), (&Durability::Durable, b"2".to_vec()));
}

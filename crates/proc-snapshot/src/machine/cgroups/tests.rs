//! Cgroups of both versions in a directory tree like the kernel's.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{CgroupError, CgroupKills, CgroupVersion, Cgroups};

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join("sys/fs/cgroup").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn group_v2(root: &Path, path: &str, current: &str, max: &str, kills: u64) {
    write(root, &format!("{path}/memory.current"), current);
    write(root, &format!("{path}/memory.max"), max);
    write(
        root,
        &format!("{path}/memory.events"),
        &format!("low 0\nmax 7\noom 3\noom_kill {kills}\noom_group_kill 0\n"),
    );
}

#[test]
fn v2_lists_limits_and_kills_largest_first() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "cgroup.controllers", "cpu memory pids\n");
    group_v2(root.path(), "a.slice", "50\n", "100\n", 0);
    group_v2(root.path(), "a.slice/b.service", "900\n", "max\n", 2);
    group_v2(root.path(), "c.slice", "5000\n", "max\n", 0);
    write(root.path(), "a.slice/memory.peak", "80\n");
    let cgroups = Cgroups::read(root.path(), soon()).unwrap();
    assert_eq!((cgroups.version, cgroups.scanned, cgroups.complete), (CgroupVersion::V2, 4, true));
    let [b, a] = &*cgroups.list else { panic!("{cgroups:?}") };
    assert_eq!(
        (&*b.path, b.max_bytes, b.oom, b.oom_kill),
        (&b"/a.slice/b.service"[..], None, Some(3), Some(2))
    );
    assert_eq!(
        (&*a.path, a.max_bytes, a.peak_bytes, a.current_bytes),
        (&b"/a.slice"[..], Some(100), Some(80), 50)
    );
}

#[test]
fn v1_is_read_if_v2_has_no_memory_controller() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "unified/cgroup.controllers", "pids\n");
    assert!(matches!(Cgroups::read(root.path(), soon()), Err(CgroupError::NoController { .. })));
    for (path, limit) in [("memory", "9223372036854771712\n"), ("memory/x", "1000\n")] {
        write(root.path(), &format!("{path}/memory.usage_in_bytes"), "500\n");
        write(root.path(), &format!("{path}/memory.limit_in_bytes"), limit);
        write(
            root.path(),
            &format!("{path}/memory.oom_control"),
            "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
        );
    }
    let cgroups = Cgroups::read(root.path(), soon()).unwrap();
    assert_eq!((cgroups.version, cgroups.scanned, cgroups.list.len()), (CgroupVersion::V1, 2, 1));
    let x = &cgroups.list[0];
    assert_eq!((&*x.path, x.max_bytes, x.oom, x.oom_kill), (&b"/x"[..], Some(1000), None, Some(0)));
}

#[test]
fn kills_of_one_cgroup_come_with_its_inode() {
    let root = tempfile::tempdir().unwrap();
    let read = |path: &str| CgroupKills::read(root.path(), path).unwrap();
    assert_eq!(read("/a.slice"), None);
    write(root.path(), "cgroup.controllers", "memory\n");
    group_v2(root.path(), "a.slice/b.service", "50\n", "max\n", 2);
    let b = read("/a.slice/b.service").unwrap();
    assert_eq!((b.oom_kill, b.inode > 0), (2, true));
    let none = ["/a.slice", "/no.slice", "/a.slice/../a.slice/b.service"];
    assert_eq!(none.map(read), [None; 3]);
    let v1 = tempfile::tempdir().unwrap();
    write(v1.path(), "memory/b/memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 4\n");
    write(v1.path(), "memory/memory.usage_in_bytes", "1\n");
    assert_eq!(CgroupKills::read(v1.path(), "/b").unwrap().map(|kills| kills.oom_kill), Some(4));
}

#[test]
fn passed_deadline_is_an_error_and_no_shorter_list() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "cgroup.controllers", "memory\n");
    let error = Cgroups::read(root.path(), Instant::now()).unwrap_err().to_string();
    assert!(error.starts_with("deadline passed after 0 cgroups were read, before "), "{error}");
}

#[test]
fn scan_stops_at_the_limit_of_directories() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "cgroup.controllers", "memory\n");
    for name in ["a.slice", "b.slice", "c.slice"] {
        group_v2(root.path(), name, "50\n", "100\n", 0);
    }
    let scanned = |limit| {
        let cgroups = Cgroups::read_up_to(limit, root.path(), soon()).unwrap();
        (cgroups.scanned, cgroups.complete)
    };
    assert_eq!([scanned(3), scanned(4)], [(3, false), (4, true)]);
}

//! Queries of a process that may not open a single further file.
//!
//! The only test of this file: the limit applies to the whole process.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proc_snapshot::{
    CgroupKills, CgroupLimit, Cgroups, CpuQuery, CpuSampler, CpuType, CpuWindow, MachineMemory, MemType,
    Needs, ProcRoot, Selector, SharedWalk, TopBy, Users, Visibility, oom_candidates, oom_kills,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn assert_short<T, E: Display>(what: &str, result: Result<T, E>) {
    let error = result.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(
        error.contains("too many open files: the plugin's limit is 4; raise LimitNOFILE="),
        "{what}: {error:?}"
    );
}

#[test]
fn exhausted_descriptors_are_an_error_and_no_smaller_value() {
    let (root, users, all) = (Path::new("/"), Users::new(), Selector::default());
    let walks = Arc::new(SharedWalk::new(Arc::new(ProcRoot::open(root).unwrap()), Duration::ZERO));
    let sampler = CpuSampler::new(Arc::clone(&walks), Arc::new(Users::new()));
    let snapshot = walks.snapshot(Needs::CMDLINE | Needs::OWNER, soon()).unwrap();
    let pid = std::process::id();

    let limit = getrlimit(Resource::Nofile);
    // Nothing below it is free: the standard streams and /proc are open.
    setrlimit(Resource::Nofile, Rlimit { current: Some(4), maximum: limit.maximum }).unwrap();
    let own = snapshot.processes().find(|process| process.pid() == pid).unwrap();
    assert_short("walk", walks.snapshot(Needs::empty(), soon()));
    assert_short("status", own.status());
    assert_short("smaps", own.smaps(soon()));
    assert_short("visibility", Visibility::new(walks.root(), &snapshot));
    assert_short("root", ProcRoot::open(root));
    assert_short("proc.mem rss", snapshot.memory(&all, MemType::Rss, soon()));
    assert_short("proc.mem pss", snapshot.memory(&all, MemType::Pss, soon()));
    assert_short("proc.mem pmem", snapshot.memory(&all, MemType::Pmem, soon()));
    assert_short("proc.top", snapshot.top(TopBy::Rss, soon()));
    assert_short("proc.get process", snapshot.process_details(&all, &users, soon()));
    assert_short("proc.get thread", snapshot.thread_details(&all, &users, soon()));
    assert_short("proc.get summary", snapshot.name_summaries(&all, &users, soon()));
    let query = CpuQuery::default();
    assert_short("cpu", sampler.utilization(&query, CpuType::Total, CpuWindow::Avg1, soon()));
    assert_short("cpu ranking", sampler.top(soon()));
    assert_short("user", users.uid("root"));
    assert_short("user name", users.user_name(0));
    assert_short("machine", MachineMemory::read(root));
    assert_short("oom kills", oom_kills(root));
    assert_short("candidates", oom_candidates(root, [pid], 1, soon()));
    assert_short("cgroups", Cgroups::read(root, soon()));
    assert_short("cgroup limit", CgroupLimit::of_process(root, pid));
    assert_short("cgroup kills", CgroupKills::read(root, "/"));

    setrlimit(Resource::Nofile, limit).unwrap();
    assert!(walks.snapshot(Needs::empty(), soon()).unwrap().count(&all, soon()).unwrap() > 0);
    assert!(sampler.utilization(&query, CpuType::Total, CpuWindow::Avg1, soon()).unwrap() >= 0.0);
}

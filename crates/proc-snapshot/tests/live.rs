//! The running machine's `/proc`, against the procfs crate's reading of it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proc_snapshot::{
    CpuQuery, CpuSampler, CpuType, CpuWindow, GoPattern, MemType, Needs, ProcRoot, Selector, SharedWalk,
    Snapshot, Users,
};

/// Sleeping processes of our own, told apart by their first argument.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn start(title: &str, count: usize) -> Self {
        let start = |_| Command::new("sleep").arg0(title).arg("600").stdin(Stdio::null()).spawn().unwrap();
        Self((0..count).map(start).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn snapshot(needs: Needs) -> Arc<Snapshot> {
    let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
    SharedWalk::new(root, Duration::ZERO).snapshot(needs, soon()).unwrap()
}

#[test]
fn sums_equal_those_of_the_procfs_crate() {
    let title = format!("live-sums-{}", std::process::id());
    let sleepers = Sleepers::start(&title, 3);
    let snapshot = snapshot(Needs::CMDLINE | Needs::OWNER);
    let selector = Selector::by_name(&title);
    assert_eq!(snapshot.count(&selector), 3);
    let theirs = |get: fn(&procfs::process::Status) -> Option<u64>| -> u64 {
        let status = |child: &Child| {
            let pid = i32::try_from(child.id()).unwrap();
            procfs::process::Process::new(pid).unwrap().status().unwrap()
        };
        sleepers.0.iter().map(|child| get(&status(child)).unwrap() * 1024).sum()
    };
    let ours = |kind| snapshot.memory(&selector, kind, soon()).unwrap().sum as u64;
    assert_eq!(ours(MemType::Vsize), theirs(|status| status.vmsize));
    assert_eq!(ours(MemType::Rss), theirs(|status| status.vmrss));
    assert_eq!(ours(MemType::Swap), theirs(|status| status.vmswap));
    assert_eq!(ours(MemType::Pte), theirs(|status| status.vmpte));
}

#[test]
fn vsize_of_stat_is_vmsize_of_status() {
    let snapshot = snapshot(Needs::STATUS);
    let mut compared = 0;
    for process in snapshot.processes() {
        let pid = i32::try_from(process.pid()).unwrap();
        let Ok(status) = procfs::process::Process::new(pid).and_then(|process| process.status()) else {
            continue;
        };
        // What changes between two looks is compared with itself only.
        if status.vmsize.unwrap_or(0) == status.vmpeak.unwrap_or(0) {
            compared += 1;
            assert_eq!(process.vsize_bytes() == 0, status.vmsize.is_none(), "process {pid}");
        }
    }
    assert!(compared > 0);
}

#[test]
fn our_own_process_is_seen_as_it_is() {
    let snapshot = snapshot(Needs::CMDLINE | Needs::OWNER);
    let own = snapshot.processes().find(|process| process.pid() == std::process::id()).unwrap();
    let theirs = procfs::process::Process::myself().unwrap();
    let stat = theirs.stat().unwrap();
    assert_eq!(own.comm(), Some(stat.comm.as_bytes()));
    assert_eq!((own.start_time_ticks(), i64::from(own.ppid())), (stat.starttime, stat.ppid.into()));
    assert_eq!(own.uid(), Some(theirs.uid().unwrap()));
    let cmdline = theirs.cmdline().unwrap().join(" ");
    assert_eq!(own.cmdline(), Some(cmdline.as_bytes()));
    assert!(own.smaps().unwrap().uss_bytes > 0);
    assert!(own.smaps().unwrap().pss_bytes >= own.smaps().unwrap().uss_bytes);
}

#[test]
fn a_pattern_finds_a_process_by_its_title() {
    let title = format!("live-title-{} with spaces", std::process::id());
    let _sleepers = Sleepers::start(&title, 2);
    let pattern = GoPattern::new(format!("^{title} 600$").as_bytes()).unwrap();
    let selector = Selector { cmdline: Some(pattern), ..Selector::default() };
    assert_eq!(snapshot(Needs::CMDLINE).count(&selector), 2);
}

#[test]
fn a_process_that_ends_between_walk_and_question_has_no_status() {
    let title = format!("live-ends-{}", std::process::id());
    let sleepers = Sleepers::start(&title, 1);
    let pid = sleepers.0[0].id();
    let snapshot = snapshot(Needs::CMDLINE);
    drop(sleepers);
    let process = snapshot.processes().find(|process| process.pid() == pid).unwrap();
    assert!(process.status().is_none());
    let memory = snapshot.memory(&Selector::by_name(&title), MemType::Rss, soon()).unwrap();
    assert_eq!((memory.count, memory.unreadable), (0, 0));
}

#[test]
fn a_busy_process_shows_in_utilization_and_ranking() {
    let title = format!("live-busy-{}", std::process::id());
    let busy = Command::new("sh").arg0(&title).args(["-c", "while :; do :; done"]).spawn().unwrap();
    let _busy = Sleepers(vec![busy]);
    let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
    let sampler = CpuSampler::new(root, Arc::new(Users::new()));
    let query = CpuQuery { name: title, ..CpuQuery::default() };
    let ask = || sampler.utilization(&query, CpuType::Total, CpuWindow::Avg1).unwrap();
    assert_eq!(ask(), None);
    let utilization = loop {
        match ask() {
            Some(utilization) if utilization > 0.0 => break utilization,
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    assert!(utilization <= 110.0, "{utilization}");
    let ranking = sampler.top(soon()).unwrap();
    assert!(ranking.names.iter().any(|total| total.sum > 0.0 && total.count > 0));
}

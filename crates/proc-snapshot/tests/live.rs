//! The running machine's `/proc`, against the procfs crate's reading of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proc_snapshot::{
    CpuQuery, CpuSampler, CpuType, CpuWindow, GoPattern, MemType, Needs, ProcRoot, Selector, SharedWalk,
    Snapshot, StateFilter, Users,
};

/// Sleeping child processes, distinguished by their first argument.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn start(title: &str, count: usize) -> Self {
        let start = |_| Command::new("sleep").arg0(title).arg("600").stdin(Stdio::null()).spawn().unwrap();
        let sleepers = Self((0..count).map(start).collect());
        let patience = soon();
        while !sleepers.all_asleep() {
            assert!(Instant::now() < patience, "they do not go to sleep");
            std::thread::sleep(Duration::from_millis(1));
        }
        sleepers
    }

    /// Asleep they have loaded their libraries, and their memory does not change any more.
    fn all_asleep(&self) -> bool {
        self.0.iter().all(|child| {
            let process = procfs::process::Process::new(i32::try_from(child.id()).unwrap()).unwrap();
            process.stat().unwrap().state == 'S'
        })
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
    let theirs = |get: fn(&procfs::process::Status) -> Option<u64>| -> f64 {
        let status = |child: &Child| {
            let pid = i32::try_from(child.id()).unwrap();
            procfs::process::Process::new(pid).unwrap().status().unwrap()
        };
        sleepers
            .0
            .iter()
            .map(|child| f64::from(u32::try_from(get(&status(child)).unwrap()).unwrap()) * 1024.0)
            .sum()
    };
    let ours = |kind| snapshot.memory(&selector, kind, soon()).unwrap().sum;
    assert_eq!(ours(MemType::Vsize), theirs(|status| status.vmsize));
    assert_eq!(ours(MemType::Rss), theirs(|status| status.vmrss));
    assert_eq!(ours(MemType::Swap), theirs(|status| status.vmswap));
    assert_eq!(ours(MemType::Pte), theirs(|status| status.vmpte));
}

#[test]
fn zombie_is_counted_but_has_no_memory() {
    let title = format!("zombie-{}", std::process::id() % 10_000_000);
    let mut child =
        Command::new("sh").args(["-c", "printf %s \"$0\" >/proc/$$/comm", &title]).spawn().unwrap();
    let pid = child.id();
    let patience = soon();
    let snapshot = loop {
        assert!(Instant::now() < patience, "it does not end");
        let snapshot = snapshot(Needs::CMDLINE);
        if snapshot.processes().any(|process| process.pid() == pid && process.state() == Some(b'Z')) {
            break snapshot;
        }
    };
    let selector = Selector { state: Some(StateFilter::Zombie), ..Selector::by_name(&title) };
    assert_eq!(snapshot.count(&selector), 1);
    for kind in [MemType::Vsize, MemType::Rss, MemType::Pss] {
        let memory = snapshot.memory(&selector, kind, soon()).unwrap();
        assert_eq!((memory.count, memory.unreadable), (0, 0), "{kind:?}");
    }
    child.wait().unwrap();
}

#[test]
fn own_process_is_read_correctly() {
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
fn pattern_matches_the_title_of_a_process() {
    let title = format!("live-title-{} with spaces", std::process::id());
    let _sleepers = Sleepers::start(&title, 2);
    let pattern = GoPattern::new(format!("^{title} 600$").as_bytes()).unwrap();
    let selector = Selector { cmdline: Some(pattern), ..Selector::default() };
    assert_eq!(snapshot(Needs::CMDLINE).count(&selector), 2);
}

#[test]
fn process_that_ended_after_the_walk_has_no_status() {
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
fn busy_process_is_in_utilization_and_ranking() {
    let title = format!("live-busy-{}", std::process::id());
    let busy = Command::new("sh").arg0(&title).args(["-c", "while :; do :; done"]).spawn().unwrap();
    let _busy = Sleepers(vec![busy]);
    let root = Arc::new(ProcRoot::open(Path::new("/")).unwrap());
    let sampler = CpuSampler::new(root, Arc::new(Users::new()));
    let query = CpuQuery { name: title, ..CpuQuery::default() };
    let ask = || sampler.utilization(&query, CpuType::Total, CpuWindow::Avg1).unwrap();
    assert_eq!(ask(), None);
    let patience = soon();
    let utilization = loop {
        assert!(Instant::now() < patience, "no utilization");
        match ask() {
            Some(utilization) if utilization > 0.0 => break utilization,
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    assert!(utilization < 500.0, "one shell cannot use {utilization} % of one CPU");
    let ranking = sampler.top(soon()).unwrap();
    assert!(ranking.names.iter().any(|total| total.sum > 0.0 && total.count > 0));
}

//! The running machine's `/proc`, against the procfs crate's reading of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proc_snapshot::{
    CpuQuery, CpuSampler, CpuType, CpuWindow, GoPattern, MemType, Needs, ProcError, ProcRoot, Selector,
    SharedWalk, Snapshot, StateFilter, Users,
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

fn walks() -> SharedWalk {
    SharedWalk::new(Arc::new(ProcRoot::open(Path::new("/")).unwrap()), Duration::from_secs(1))
}

fn sampler() -> CpuSampler {
    CpuSampler::new(Arc::new(walks()), Arc::new(Users::new()))
}

#[test]
fn sums_equal_those_of_the_procfs_crate() {
    let title = format!("live-sums-{}", std::process::id());
    let sleepers = Sleepers::start(&title, 3);
    let snapshot = snapshot(Needs::CMDLINE | Needs::OWNER);
    let selector = Selector::by_name(&title);
    assert_eq!(snapshot.count(&selector, soon()).unwrap(), 3);
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
    assert_eq!(snapshot.count(&selector, soon()).unwrap(), 1);
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
    let smaps = own.smaps(soon()).unwrap().unwrap();
    assert!(smaps.uss_bytes > 0 && smaps.pss_bytes >= smaps.uss_bytes);
}

#[test]
fn pattern_matches_the_title_of_a_process() {
    let title = format!("live-title-{} with spaces", std::process::id());
    let _sleepers = Sleepers::start(&title, 2);
    let pattern = GoPattern::new(format!("^{title} 600$").as_bytes()).unwrap();
    let selector = Selector { cmdline: Some(pattern), ..Selector::default() };
    assert_eq!(snapshot(Needs::CMDLINE).count(&selector, soon()).unwrap(), 2);
}

#[test]
fn process_that_ended_after_the_walk_has_no_status() {
    let title = format!("live-ends-{}", std::process::id());
    let sleepers = Sleepers::start(&title, 1);
    let pid = sleepers.0[0].id();
    let snapshot = snapshot(Needs::CMDLINE);
    drop(sleepers);
    let process = snapshot.processes().find(|process| process.pid() == pid).unwrap();
    assert!(process.status().unwrap().is_none());
    let memory = snapshot.memory(&Selector::by_name(&title), MemType::Rss, soon()).unwrap();
    assert_eq!((memory.count, memory.unreadable), (0, 0));
}

#[test]
fn busy_process_is_in_utilization_and_ranking() {
    let title = format!("live-busy-{}", std::process::id());
    let busy = Command::new("sh").arg0(&title).args(["-c", "while :; do :; done"]).spawn().unwrap();
    let _busy = Sleepers(vec![busy]);
    let sampler = sampler();
    let query = CpuQuery { name: title, ..CpuQuery::default() };
    let ask = || sampler.utilization(&query, CpuType::Total, CpuWindow::Avg1, soon()).unwrap();
    let first = ask();
    assert!(0.0 < first && first < 150.0, "one shell cannot use {first} % of one CPU");
    let patience = soon();
    while sampler.stats().samples < 4 {
        assert!(Instant::now() < patience, "no samples");
        std::thread::sleep(Duration::from_millis(50));
    }
    let sampled = ask();
    assert!(0.0 < sampled && sampled < 150.0, "one shell cannot use {sampled} % of one CPU");
    let ranking = sampler.top(soon()).unwrap();
    assert!(ranking.names.iter().any(|total| total.sum > 0.0 && total.count > 0));
}

/// Every first poll waits for the second sample, so one after the other they would take a hundred seconds.
#[test]
fn hundred_new_queries_share_two_walks() {
    let walks = Arc::new(walks());
    let sampler = CpuSampler::new(Arc::clone(&walks), Arc::new(Users::new()));
    let started = Instant::now();
    // As many threads as the plugin has workers.
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let sampler = &sampler;
            scope.spawn(move || {
                for number in (worker..100).step_by(8) {
                    let query = CpuQuery { name: format!("live-new-{number}"), ..CpuQuery::default() };
                    let percent = sampler.utilization(&query, CpuType::Total, CpuWindow::Avg1, soon());
                    assert_eq!(percent.unwrap(), 0.0);
                }
            });
        }
    });
    // A busy machine may take longer than the time for which a walk is shared.
    let walks_made = walks.stats().walks;
    assert!(walks_made <= 2 + started.elapsed().as_secs() * 2, "{walks_made} in {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(50), "{:?}", started.elapsed());
    assert_eq!(sampler.stats().queries, 100);
}

/// A shell that starts short-lived processes without end.
struct ForkStorm(Child);

impl ForkStorm {
    fn start() -> Self {
        let script = "while :; do /bin/true & /bin/true & /bin/true & wait; done";
        Self(Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for ForkStorm {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn two_thousand_processes_in_a_fork_storm_are_counted_exactly_or_not_at_all() {
    const COUNT: usize = 2000;
    let title = format!("live-storm-{}", std::process::id());
    let sleepers = Sleepers::start(&title, COUNT);
    let _storm = ForkStorm::start();
    let walks = SharedWalk::new(Arc::new(ProcRoot::open(Path::new("/")).unwrap()), Duration::ZERO);
    let pattern = GoPattern::new(format!("^{title} 600$").as_bytes()).unwrap();
    let selector = Selector { cmdline: Some(pattern), ..Selector::default() };
    let count = |deadline| {
        let snapshot = walks.snapshot(Needs::CMDLINE | Needs::OWNER, deadline)?;
        let memory = snapshot.memory(&selector, MemType::Rss, deadline)?;
        let details = snapshot.process_details(&selector, &Users::new(), deadline)?;
        let counts = [snapshot.count(&selector, deadline)?, details.len()];
        Ok::<_, ProcError>((counts, memory.count))
    };
    for _ in 0..2 {
        assert_eq!(count(soon()).unwrap(), ([COUNT; 2], 2000));
    }
    let mut late = 0;
    for millis in [1, 5, 20, 80] {
        match count(Instant::now() + Duration::from_millis(millis)) {
            Ok(counts) => assert_eq!(counts, ([COUNT; 2], 2000), "within {millis} ms"),
            Err(ProcError::Deadline { .. }) => late += 1,
            Err(error) => panic!("within {millis} ms: {error}"),
        }
    }
    assert!(late > 0, "no walk over {} processes takes a millisecond", sleepers.0.len());
}

//! A running server: its processes, its busy workers, its limit when it is reached, and its memory.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use oomwatch_tests::wait_until;
use pool_capacity::HostFiles;
use pool_capacity::apache::{Invocation, Pool, Running, Scoreboard, StatusError, parent_of, read};
use pool_capacity::sizing::{Demand, Footprint, Machine as Memories, Memory, Shares, Sizing, Source};

use crate::machine::{Machine, Materialised};
use crate::server::{PATIENCE, Server, half_open, packages};

const STATUS: &str = "LoadModule status_module /usr/lib/apache2/modules/mod_status.so\n\
                      <Location \"/server-status\">\nSetHandler server-status\n</Location>\n";
const THREADS: &str = "StartServers 1\nServerLimit 3\nThreadLimit 8\nThreadsPerChild 5\nMaxRequestWorkers 17\nMinSpareThreads 1\n\
                       MaxSpareThreads 100\n";

/// A server, and its configuration as it is found and read from its running processes.
struct Found {
    files: Materialised,
    server: Server,
    pool: Pool,
}

impl Found {
    fn start(mpm: &str, body: &str) -> Self {
        let apache = packages();
        let machine = Machine::small(mpm, &format!("{body}\n{STATUS}"));
        let (invocation, _) = machine.read(&apache);
        let files = machine.materialised(&apache);
        let server = Server::start(&files, &invocation, &[]);
        let pool = Self::read(&server, &files);
        Self { files, server, pool }
    }

    /// By the processes, as the plugin does it: the machine has nothing at the usual places.
    fn read(server: &Server, files: &Materialised) -> Pool {
        let machine = HostFiles::below(Path::new("/"));
        let processes = server.processes();
        let parent = parent_of(&machine, &processes, None).unwrap();
        let invocation = Invocation::on(&machine, None, Some(parent)).unwrap();
        assert_eq!(invocation.configuration, files.moved(Path::new("/etc/apache2/apache2.conf")));
        assert_eq!(invocation.build.program.as_deref(), Some(&*files.apache.path().join("usr/sbin/apache2")));
        read(&machine, &invocation).unwrap()
    }

    fn running(&self) -> Running {
        Running::find(&HostFiles::below(Path::new("/")), &self.pool, &self.server.processes()).unwrap()
    }

    fn scoreboard(&self) -> Result<Scoreboard, StatusError> {
        Scoreboard::ask(&self.pool, Instant::now() + Duration::from_secs(20))
    }

    fn half_open(&self, count: usize) -> Vec<TcpStream> {
        (0..count).map(|_| half_open(self.files.port())).collect()
    }
}

/// More connections than workers: the server starts all that it may and says that it is at its limit.
fn reaches_its_limit(mpm: &str, body: &str, limit: u32) {
    let found = Found::start(mpm, body);
    assert_eq!(found.pool.limit, limit);
    let _connections = found.half_open(limit as usize + 4);
    let told =
        wait_until(PATIENCE, || found.server.log().contains("server reached MaxRequestWorkers setting"));
    assert!(told, "{}", found.server.log());
    let all = wait_until(PATIENCE, || found.server.workers(mpm != "prefork") == limit as usize);
    assert!(all, "{} of {limit}", found.server.workers(mpm != "prefork"));
    let running = found.running();
    assert_eq!(running.workers(&found.pool), u64::from(limit));
    assert_eq!(running.children.len(), found.pool.processes as usize);
    let error = Scoreboard::ask(&found.pool, Instant::now() + Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, StatusError::NoAnswer { .. }), "{error}");
}

#[test]
fn prefork_reaches_its_limit() {
    reaches_its_limit(
        "prefork",
        "StartServers 1\nMinSpareServers 1\nMaxSpareServers 2\nServerLimit 9\nMaxClients 20",
        9,
    );
}

#[test]
fn worker_reaches_its_limit() {
    reaches_its_limit("worker", THREADS, 15);
}

#[test]
fn event_reaches_its_limit() {
    reaches_its_limit("event", THREADS, 15);
}

#[test]
fn mod_status_tells_the_busy_workers() {
    for (mpm, body) in [("prefork", "StartServers 6\nServerLimit 20"), ("worker", THREADS)] {
        let found = Found::start(mpm, body);
        let slots = u64::from(found.pool.server_limit * found.pool.threads_per_child);
        let idle = found.scoreboard().unwrap();
        assert_eq!((idle.busy, idle.slots), (1, slots), "{mpm}");
        let _connections = found.half_open(3);
        let busy = wait_until(PATIENCE, || found.scoreboard().is_ok_and(|board| board.busy == 4));
        assert!(busy, "{mpm}: {:?}", found.scoreboard());
        let counted = wait_until(PATIENCE, || {
            let board = found.scoreboard().unwrap();
            board.busy + board.idle == found.running().workers(&found.pool)
        });
        assert!(counted, "{mpm}: {:?} {:?}", found.scoreboard(), found.running());
    }
}

#[test]
fn the_daemon_of_mod_cgid_is_no_worker() {
    let cgid =
        "LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so\nScriptSock /var/run/apache2/cgisock\n";
    let found = Found::start("event", &format!("{cgid}StartServers 2\n"));
    let settled = wait_until(PATIENCE, || found.server.workers(true) >= 50);
    assert!(settled, "{:?}", found.running());
    let running = found.running();
    assert_eq!((running.children.len(), running.others.len()), (2, 1));
    assert_eq!(running.workers(&found.pool), 50);
}

/// Sums over all mappings of a process, kilobytes in the file.
fn sums(pid: u32, names: &[&str]) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let value = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        names.contains(&name).then(|| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())?
    };
    text.lines().filter_map(value).sum::<u64>() * 1024
}

fn footprint(pid: u32) -> Footprint {
    let shares = Shares {
        pss_bytes: sums(pid, &["Pss"]),
        uss_bytes: sums(pid, &["Private_Clean", "Private_Dirty"]),
        swap_pss_bytes: sums(pid, &["SwapPss"]),
    };
    Footprint { rss_bytes: sums(pid, &["Rss"]), shares: Some(shares), ..Footprint::default() }
}

fn memory(found: &Found) -> (Memory, u64, u64) {
    let running = found.running();
    let workers: Vec<Footprint> = running.children.iter().map(|pid| footprint(*pid)).collect();
    let parent = footprint(running.parent);
    let pss = |footprint: &Footprint| footprint.shares.unwrap().pss_bytes;
    let together = workers.iter().chain([&parent]).map(pss).sum();
    let resident = workers.iter().map(|worker| worker.rss_bytes).sum();
    (Memory::measured(&[parent], &workers, workers.len() as u64).unwrap(), together, resident)
}

fn differ_by_percent(left: u64, right: u64) -> u64 {
    left.abs_diff(right) * 100 / left.max(right)
}

/// What was computed from few workers is what many have: shared pages once, private ones for each. RSS would have said
/// several times as much.
#[test]
fn memory_of_few_workers_foretells_that_of_many() {
    let body = |workers: u32| {
        format!("StartServers {workers}\nMinSpareServers 1\nMaxSpareServers 100\nMaxRequestWorkers 40")
    };
    let few = Found::start("prefork", &body(5));
    let (of_few, together, _) = memory(&few);
    assert_eq!((of_few.source, few.running().children.len()), (Source::Pss, 5));
    let machine = Memories { mem_total_bytes: 4 << 30, mem_available_bytes: 4 << 30 };
    let need = |memory: &Memory, limit| {
        Sizing::new(memory, Demand { limit, workers_per_process: 1 }, machine).memory_at_limit_bytes
    };
    assert!(differ_by_percent(need(&of_few, 5), together) < 3, "{of_few:?} {together}");
    let many = Found::start("prefork", &body(40));
    let (_, together, resident) = memory(&many);
    assert_eq!(many.running().children.len(), 40);
    assert!(differ_by_percent(need(&of_few, 40), together) < 15, "{} {together}", need(&of_few, 40));
    assert!(resident > 2 * together, "{resident} {together}");
}

//! A running server: its processes, its busy workers, the state at its limit, and its memory.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use oomwatch_tests::wait_until;
use pool_capacity::apache::{Invocation, Pool, Running, Scoreboard, StatusError, parent_of, read};
use pool_capacity::sizing::{Demand, Footprint, Machine as Memories, Memory, Shares, Sizing, Source};
use pool_capacity::{HostFiles, Reading};
use serde_json::Value;

use crate::machine::{Machine, Materialised};
use crate::plugin::{self, capacity, capacity_for_a_stranger, capacity_through_an_agent, page};
use crate::server::{PATIENCE, Server, half_open, packages};

const STATUS: &str = "LoadModule status_module /usr/lib/apache2/modules/mod_status.so\n\
                      <Location \"/server-status\">\nSetHandler server-status\n</Location>\n";
const THREADS: &str = "StartServers 1\nServerLimit 3\nThreadLimit 8\nThreadsPerChild 5\nMaxRequestWorkers 17\nMinSpareThreads 1\n\
                       MaxSpareThreads 100\n";

/// A server with its configuration, which is found and read from its running processes.
struct Found {
    files: Materialised,
    server: Server,
    pool: Pool,
}

impl Found {
    fn start(mpm: &str, body: &str) -> Self {
        // The build takes so long that connections would time out, so it comes first.
        plugin::program();
        let apache = packages();
        let machine = Machine::small(mpm, &format!("{body}\n{STATUS}"));
        let (invocation, _) = machine.read(&apache);
        let files = machine.materialised(&apache);
        let server = Server::start(&files, &invocation, &[]);
        let pool = Self::read(&server, &files);
        Self { files, server, pool }
    }

    /// Finds the configuration by the processes, as the plugin does: the machine has no files at the usual paths.
    fn read(server: &Server, files: &Materialised) -> Pool {
        let host = HostFiles::below(Path::new("/"));
        let machine = Reading::new(&host);
        let processes = server.processes();
        let parent = parent_of(&machine, &processes, None).unwrap();
        let invocation = Invocation::find(&machine, None, Some(parent)).unwrap();
        assert_eq!(invocation.configuration, files.moved(Path::new("/etc/apache2/apache2.conf")));
        assert_eq!(invocation.build.program.as_deref(), Some(&*files.apache.path().join("usr/sbin/apache2")));
        read(&machine, &invocation).unwrap()
    }

    fn running(&self) -> Running {
        Running::find(&Reading::new(&HostFiles::below(Path::new("/"))), &self.pool, &self.server.processes())
            .unwrap()
    }

    fn scoreboard(&self) -> Result<Scoreboard, StatusError> {
        Scoreboard::ask(&self.pool, &|_| true, Instant::now() + Duration::from_secs(20))
    }

    fn half_open(&self, count: usize) -> Vec<TcpStream> {
        (0..count).map(|_| half_open(self.files.port())).collect()
    }
}

/// While the connections exist, all workers are busy.
struct Saturated {
    found: Found,
    connections: Vec<TcpStream>,
}

/// Checks the plugin's value for a server without an idle worker, which cannot answer a request for mod_status.
fn is_reported_at_its_limit(capacity_json: &Value, pool: &Pool) {
    let numbers =
        ["limit", "workers", "processes", "server_limit"].map(|name| capacity_json[name].as_u64().unwrap());
    let [limit, processes, servers] = [pool.limit, pool.processes, pool.server_limit].map(u64::from);
    assert_eq!(numbers, [limit, limit, processes, servers], "{capacity_json}");
    assert_eq!(
        (&capacity_json["mpm"], &capacity_json["running"]),
        (&pool.mpm.name().into(), &true.into()),
        "{capacity_json}"
    );
    assert_eq!(
        (&capacity_json["at_limit"], &capacity_json["usage_percent"]),
        (&true.into(), &100.0.into()),
        "{capacity_json}"
    );
    assert!(
        capacity_json["busy"].is_null()
            && capacity_json["notes"].to_string().contains("busy workers are not known"),
        "{capacity_json}"
    );
    assert!(
        capacity_json["fits"].is_boolean() && capacity_json["largest_limit"].as_u64() > Some(0),
        "{capacity_json}"
    );
}

/// More connections than workers: the server starts all allowed workers and logs that it is at its limit.
fn reaches_its_limit(mpm: &str, body: &str, limit: u32) -> Saturated {
    let found = Found::start(mpm, body);
    assert_eq!(found.pool.limit, limit);
    let connections = found.half_open(limit as usize + 4);
    let capacity_json =
        wait_until(PATIENCE, || found.server.log().contains("server reached MaxRequestWorkers setting"));
    assert!(capacity_json, "{}", found.server.log());
    let all = wait_until(PATIENCE, || found.server.workers(mpm != "prefork") == limit as usize);
    assert!(all, "{} of {limit}", found.server.workers(mpm != "prefork"));
    let running = found.running();
    assert_eq!(running.workers(&found.pool), u64::from(limit));
    assert_eq!(running.children.len(), found.pool.processes as usize);
    let error =
        Scoreboard::ask(&found.pool, &|_| true, Instant::now() + Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, StatusError::NoAnswer { .. }), "{error}");
    is_reported_at_its_limit(&capacity(&found.files), &found.pool);
    Saturated { found, connections }
}

#[test]
fn prefork_reaches_its_limit() {
    let body = "StartServers 1\nMinSpareServers 1\nMaxSpareServers 2\nServerLimit 9\nMaxClients 20";
    let saturated = reaches_its_limit("prefork", body, 9);
    let Found { files, pool, .. } = &saturated.found;
    is_reported_at_its_limit(&capacity_through_an_agent(files), pool);
    let page = page(files);
    for part in
        ["MaxRequestWorkers 9 (20 as written), ServerLimit 9, prefork", "9 workers, 100 %", "AT THE LIMIT"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn worker_reaches_its_limit() {
    reaches_its_limit("worker", THREADS, 15);
}

/// The server may keep more spare threads than it has: after the load all still run and are idle.
#[test]
fn event_reaches_its_limit_and_is_reported_below_it_when_its_workers_are_idle() {
    let Saturated { found, connections } = reaches_its_limit("event", THREADS, 15);
    assert!(found.pool.keeps_idle());
    drop(connections);
    let mut capacity_json = Value::Null;
    let idle = wait_until(PATIENCE, || {
        capacity_json = capacity(&found.files);
        capacity_json["busy"] == 1
    });
    assert!(idle, "{capacity_json}");
    assert_eq!(
        (&capacity_json["workers"], &capacity_json["at_limit"]),
        (&15.into(), &false.into()),
        "{capacity_json}"
    );
    assert_eq!(capacity_json["usage_percent"], 6.67, "{capacity_json}");
}

#[test]
fn mod_status_counts_the_busy_workers() {
    for (mpm, body) in [("prefork", "StartServers 6\nServerLimit 20"), ("worker", THREADS)] {
        let found = Found::start(mpm, body);
        let slots = u64::from(found.pool.server_limit * found.pool.threads_per_child);
        let idle = found.scoreboard().unwrap();
        assert_eq!((idle.busy, idle.slots), (1, slots), "{mpm}");
        let _connections = found.half_open(3);
        let busy = wait_until(PATIENCE, || found.scoreboard().is_ok_and(|board| board.busy == 4));
        assert!(busy, "{mpm}: {:?}", found.scoreboard());
        // The worker that answers the plugin is busy as well. A worker of the previous request may still be.
        let capacity_json = wait_until(PATIENCE, || capacity(&found.files)["busy"] == 4);
        assert!(capacity_json, "{mpm}: {}", capacity(&found.files));
        let counted = wait_until(PATIENCE, || {
            let board = found.scoreboard().unwrap();
            board.busy + board.idle == found.running().workers(&found.pool)
        });
        assert!(counted, "{mpm}: {:?} {:?}", found.scoreboard(), found.running());
    }
}

#[test]
fn daemon_of_mod_cgid_is_not_a_worker() {
    let cgid =
        "LoadModule cgid_module /usr/lib/apache2/modules/mod_cgid.so\nScriptSock /var/run/apache2/cgisock\n";
    let found = Found::start("event", &format!("{cgid}StartServers 2\n"));
    let settled = wait_until(PATIENCE, || found.server.workers(true) >= 50);
    assert!(settled, "{:?}", found.running());
    let running = found.running();
    assert_eq!((running.children.len(), running.others.len()), (2, 1));
    assert_eq!(running.workers(&found.pool), 50);
    let capacity_json = capacity(&found.files);
    assert_eq!(
        (&capacity_json["processes"], &capacity_json["workers"]),
        (&2.into(), &50.into()),
        "{capacity_json}"
    );
    is_of_these_maps(&found);
}

/// Sums over all mappings of a process; kilobytes in the file.
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

/// Averages from the maps of a server's processes: private, proportional and resident memory of a worker, all shared
/// memory, and the anonymous memory of a worker and of the parent.
fn of_maps(found: &Found) -> [u64; 6] {
    let running = found.running();
    let count = running.children.len() as u64;
    let workers: Vec<Footprint> = running.children.iter().map(|pid| footprint(*pid)).collect();
    let mean = |of: fn(&Footprint) -> u64| workers.iter().map(of).sum::<u64>() / count;
    let private = mean(|worker| worker.shares.unwrap().uss_bytes);
    let pss = mean(|worker| worker.shares.unwrap().pss_bytes);
    let shared = (pss - private) * count + footprint(running.parent).shares.unwrap().pss_bytes;
    let anon = running.children.iter().map(|pid| anon_bytes(*pid)).sum::<u64>() / count;
    [private, pss, mean(|worker| worker.rss_bytes), shared, anon, anon_bytes(running.parent)]
}

fn anon_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn are_close(left: u64, right: u64) -> bool {
    left.abs_diff(right) <= right / 20 + (16 << 10)
}

/// The plugin's figures equal those of the server's maps, as soon as no other process that maps the same libraries starts
/// or ends: the server of another test changes PSS.
fn is_of_these_maps(found: &Found) {
    let mut last = None;
    let same = wait_until(PATIENCE, || {
        let capacity_json = capacity(&found.files);
        let [private, pss, rss, shared, ..] = of_maps(found);
        let members =
            [("private_bytes", private), ("worker_bytes", pss), ("rss_bytes", rss), ("shared_bytes", shared)];
        // smaps rounds the PSS of each mapping down to kilobytes; smaps_rollup, which the plugin reads, does not.
        let is_rounded = |member: &str| ["worker_bytes", "shared_bytes"].contains(&member);
        let close = |(member, bytes): (&str, u64)| {
            let capacity_json = capacity_json["memory"][member].as_u64().unwrap();
            are_close(capacity_json, bytes)
                || (is_rounded(member) && capacity_json.abs_diff(bytes) <= bytes / 4)
        };
        let same = capacity_json["memory"]["source"] == "pss" && members.into_iter().all(close);
        last = Some((capacity_json, members));
        same
    });
    assert!(same, "{last:?}");
}

/// Without privileges the figure is the anonymous memory, and the figures of the maps lie within the reported error.
fn is_of_anonymous_memory(found: &Found) {
    let capacity_json = capacity_for_a_stranger(&found.files);
    let [.., anon, inherited] = of_maps(found);
    let children = found.running().children;
    let dirty =
        children.iter().map(|pid| sums(*pid, &["Private_Dirty"])).sum::<u64>() / children.len() as u64;
    let upper = capacity_json["memory"]["private_bytes"].as_u64().unwrap();
    assert_eq!(capacity_json["memory"]["source"], "rss_anon", "{capacity_json}");
    assert!(are_close(upper, anon), "{anon} {capacity_json}");
    assert!(
        upper.saturating_sub(inherited) <= dirty && dirty <= upper,
        "{inherited} {dirty} {capacity_json}"
    );
    let error = capacity_json["memory"]["accuracy"].as_str().unwrap();
    assert!(error.contains("each has between ") && error.contains("CAP_SYS_PTRACE"), "{error}");
}

/// A new child has not written to its memory yet.
fn has_settled(found: &Found, workers: u64) {
    let settled =
        wait_until(PATIENCE, || found.scoreboard().is_ok_and(|board| board.busy + board.idle == workers));
    assert!(settled, "{:?}", found.scoreboard());
}

fn differ_by_percent(left: u64, right: u64) -> u64 {
    left.abs_diff(right) * 100 / left.max(right)
}

/// The prediction from few workers equals the memory of many: shared pages once, private pages for each. RSS would give
/// several times as much.
#[test]
fn memory_of_few_workers_predicts_that_of_many() {
    let body = |workers: u32| {
        format!("StartServers {workers}\nMinSpareServers 1\nMaxSpareServers 100\nMaxRequestWorkers 40")
    };
    let few = Found::start("prefork", &body(5));
    has_settled(&few, 5);
    let (of_few, together, _) = memory(&few);
    assert_eq!((of_few.source, few.running().children.len()), (Source::Pss, 5));
    is_of_these_maps(&few);
    is_of_anonymous_memory(&few);
    let machine = Memories { mem_total_bytes: 4 << 30, mem_available_bytes: 4 << 30 };
    let need = |memory: &Memory, limit| {
        Sizing::new(memory, Demand { limit, workers_per_process: 1 }, machine).memory_at_limit_bytes
    };
    assert!(differ_by_percent(need(&of_few, 5), together) < 3, "{of_few:?} {together}");
    let many = Found::start("prefork", &body(40));
    has_settled(&many, 40);
    let (_, together, resident) = memory(&many);
    assert_eq!(many.running().children.len(), 40);
    assert!(differ_by_percent(need(&of_few, 40), together) < 15, "{} {together}", need(&of_few, 40));
    assert!(resident > 2 * together, "{resident} {together}");
}

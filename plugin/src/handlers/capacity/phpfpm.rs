//! php-fpm: all running versions, or the installed ones if none runs.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use agent2_plugin::ItemError;
use pool_capacity::phpfpm::{Config, Environment, Error, Master, Pool, find, masters, places};
use pool_capacity::sizing::{Demand, Footprint, Memory};
use pool_capacity::sockets::{Address, Connections};
use proc_snapshot::ProcError;

use super::context::Context;
use super::value::{Capacity, PoolJson, percent};
use crate::text::{label, printable};

pub(super) fn capacity(context: &Context<'_>, conf: Option<PathBuf>) -> Result<Capacity, ItemError> {
    let running = &context.running;
    let masters = masters(&context.processes);
    let confs = confs(context, conf, &masters)?;
    let (read, warnings) = read(context, &confs, &masters)?;
    let mut capacity = Capacity {
        pool: "php-fpm",
        conf: read.iter().map(|(config, _)| config.conf.display().to_string()).collect::<Vec<_>>().join(", "),
        limit_setting: "pm.max_children",
        limit_configured: Some(0),
        warnings,
        ..Capacity::default()
    };
    let lists = read.iter().map(|(config, _)| 1 + config.pools.len()).sum::<usize>();
    let lists = u32::try_from(lists).unwrap_or(u32::MAX);
    let mut readings = Readings { busy: Some(0), lists, ..Readings::default() };
    for (config, masters) in &read {
        readings.add(&mut capacity, context, config, masters)?;
    }
    capacity.running = running.is_running(!readings.masters.is_empty());
    readings.add_to(&mut capacity, context.plugin.host_root());
    Ok(capacity)
}

/// A configuration with its running masters.
type Read<'a> = (Config, Vec<&'a Master>);

/// If one of several configurations cannot be read, that is a warning: it may belong to a version that was removed while it
/// ran.
fn read<'a>(
    context: &Context<'_>,
    confs: &[PathBuf],
    masters: &'a [Master],
) -> Result<(Vec<Read<'a>>, Vec<String>), ItemError> {
    let (mut read, mut left_out) = (Vec::new(), Vec::new());
    let mut last = None;
    for conf in confs {
        let masters: Vec<&Master> = masters.iter().filter(|master| master.conf == *conf).collect();
        let error = match context.require_trusted(conf) {
            Err(error) => error,
            Ok(()) => match read_with_environment(context, conf, &masters) {
                Ok(config) => {
                    read.push((config, masters));
                    continue;
                }
                Err(error) if error.is_stop() => return Err(error.into()),
                Err(error) => error.into(),
            },
        };
        left_out.push(format!("{error}: left out"));
        last = Some(error);
    }
    match last {
        Some(error) if read.is_empty() => Err(error),
        _ => Ok((read, left_out)),
    }
}

/// Returns the given configuration, else those of running masters, else the installed ones.
fn confs(
    context: &Context<'_>,
    conf: Option<PathBuf>,
    masters: &[Master],
) -> Result<Vec<PathBuf>, ItemError> {
    if let Some(conf) = conf {
        return Ok(vec![conf]);
    }
    let mut confs: Vec<PathBuf> = masters.iter().map(|master| master.conf.clone()).collect();
    if confs.is_empty() {
        confs = find(&context.files)?;
    }
    confs.sort();
    confs.dedup();
    if confs.is_empty() {
        return Err(ItemError::new(format!("no php-fpm configuration found at {}", places().join(", "))));
    }
    Ok(confs)
}

/// Reads with the running master's environment. Only its user may read that: root, or a process with both `CAP_SYS_PTRACE` and
/// `CAP_DAC_READ_SEARCH`.
fn read_with_environment(context: &Context<'_>, conf: &Path, masters: &[&Master]) -> Result<Config, Error> {
    let environment = masters.first().and_then(|master| context.running.file(master.pid, c"environ"));
    let Some(environment) = environment else {
        return Config::read(&context.files, conf, Environment::Hidden);
    };
    let mut variables: HashMap<&[u8], &[u8]> = HashMap::new();
    for entry in environment.split(|&byte| byte == 0) {
        context.files.step(conf)?;
        if let Some(equals) = entry.iter().position(|&byte| byte == b'=') {
            // The first of several counts, as in getenv(3).
            variables.entry(&entry[..equals]).or_insert(&entry[equals + 1..]);
        }
    }
    let value = |name: &[u8]| variables.get(name).map(|value| value.to_vec());
    Config::read(&context.files, conf, Environment::Known(&value))
}

/// The sums over all configurations and their processes.
#[derive(Default)]
struct Readings {
    masters: Vec<u32>,
    /// The number of lists of processes whose memory is not read yet.
    lists: u32,
    parents: Vec<Footprint>,
    workers: Vec<Footprint>,
    live: u64,
    /// The private memory of a worker and the limit, for each pool with a worker.
    pools: Vec<(u64, u64)>,
    /// Workers in use and limits, for each pool with known numbers.
    known: (u64, u64),
    /// Busy workers of all pools, if each number is known.
    busy: Option<u64>,
    /// The names that are shown so far.
    names: HashSet<String>,
}

impl Readings {
    fn add(
        &mut self,
        capacity: &mut Capacity,
        context: &Context<'_>,
        config: &Config,
        masters: &[&Master],
    ) -> Result<(), ItemError> {
        capacity.limit += config.limit();
        *capacity.limit_configured.get_or_insert_default() += config.written();
        capacity.warnings.extend(config.warnings.iter().cloned());
        let pids: Vec<u32> = masters.iter().map(|master| master.pid).collect();
        self.masters.extend(&pids);
        let parents = self.footprints(context, &pids)?;
        self.parents.extend(parents);
        let known = context.running.is_running(!masters.is_empty()).is_some();
        let addresses = config.pools.iter().filter_map(|pool| Address::parse(&pool.listen));
        let counter = masters
            .first()
            .map(|master| context.running.connections(master.pid, addresses, None, &context.files))
            .transpose()?;
        for pool in &config.pools {
            context.files.check(&config.conf)?;
            let workers = workers_of(masters, &pool.name);
            let footprints = self.footprints(context, &workers)?;
            let live = workers.len() as u64;
            if let Some(memory) = Memory::measured(&[], &footprints, live) {
                self.pools.push((memory.private_bytes, pool.max_children.into()));
            }
            self.workers.extend(footprints);
            self.live += live;
            let connections =
                counter.as_ref().and_then(|counter| counter.connections(&Address::parse(&pool.listen)?));
            let name = self.distinct_name(config, pool, capacity.pools.len());
            let shown = PoolJson::of(config, pool, name, known.then_some(live), connections);
            self.busy = self.busy.zip(shown.busy).map(|(sum, busy)| sum + busy);
            if let Some(used) = shown.used() {
                self.known.0 += used;
                self.known.1 += shown.limit;
            }
            capacity.pools.push(shown);
        }
        Ok(())
    }

    /// Returns a name that no other pool has: installed versions all have a pool called www, and discovery needs distinct names.
    fn distinct_name(&mut self, config: &Config, pool: &Pool, others: usize) -> String {
        let mut name = label(&pool.name, others);
        if self.names.contains(&name) {
            name = label(&format!("{} ({})", pool.name, config.conf.display()), others);
        }
        self.names.insert(name.clone());
        name
    }

    fn footprints(&mut self, context: &Context<'_>, pids: &[u32]) -> Result<Vec<Footprint>, ProcError> {
        let footprints = context.running.footprints(pids, context.request, self.lists);
        self.lists = self.lists.saturating_sub(1);
        footprints
    }

    fn add_to(self, capacity: &mut Capacity, host_root: &Path) {
        let known = capacity.running.is_some();
        capacity.processes = known.then_some(self.live);
        capacity.workers = capacity.processes;
        capacity.busy = self.busy.filter(|_| !self.masters.is_empty());
        // All pools together may have no more than process.max.
        capacity.usage_percent = percent(self.known.0, self.known.1.min(capacity.limit));
        let states = capacity.pools.iter().filter_map(|pool| pool.at_limit);
        capacity.at_limit = states.reduce(|any, one| any || one);
        // All pools together reach process.max.
        let used: u64 = capacity.pools.iter().filter_map(PoolJson::used).sum();
        capacity.at_limit = capacity.at_limit.map(|any| any || used >= capacity.limit);
        let memory = Memory::measured(&self.parents, &self.workers, self.live)
            .map(|memory| memory.with_pools(&self.pools));
        let demand = Demand { limit: capacity.limit, workers_per_process: 1 };
        capacity.size(host_root, &self.masters, memory.as_ref(), demand);
    }
}

fn workers_of(masters: &[&Master], pool: &str) -> Vec<u32> {
    masters.iter().filter_map(|master| master.workers.get(pool)).flatten().copied().collect()
}

impl PoolJson {
    fn of(
        config: &Config,
        pool: &Pool,
        name: String,
        live: Option<u64>,
        connections: Option<Connections>,
    ) -> Self {
        let conf = config.conf.display().to_string();
        let mut shown = Self {
            name,
            conf: printable(conf.as_bytes()),
            pm: pool.manager.as_str(),
            limit: pool.max_children.into(),
            processes: live,
            workers: live,
            // A worker may have ended between the two reads.
            busy: live.zip(connections).map(|(live, connections)| connections.accepted.min(live)),
            queued: live.and(connections).map(|connections| connections.waiting),
            usage_percent: None,
            at_limit: None,
            user: pool.user.as_ref().map(|user| printable(user.as_bytes())),
            keeps_idle: pool.keeps_idle(),
        };
        shown.usage_percent = shown.used().and_then(|used| percent(used, shown.limit));
        shown.at_limit = shown.used().map(|used| used >= shown.limit);
        shown
    }

    /// Running workers; busy ones if all may run without load.
    fn used(&self) -> Option<u64> {
        if self.keeps_idle { self.busy } else { self.workers }
    }
}

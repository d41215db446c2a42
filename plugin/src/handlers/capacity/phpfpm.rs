//! php-fpm: all its versions that run, or that are installed where none runs.

use std::path::{Path, PathBuf};

use agent2_plugin::ItemError;
use pool_capacity::phpfpm::{Config, Environment, Error, Master, Pool, find, masters, places};
use pool_capacity::sizing::{Demand, Footprint, Memory};
use pool_capacity::sockets::{Address, Connections};

use super::context::Context;
use super::processes::Running;
use super::value::{Capacity, PoolJson, percent};

pub(super) fn capacity(context: &Context<'_>, conf: Option<PathBuf>) -> Result<Capacity, ItemError> {
    let running = Running::look(context.plugin, context.request)?;
    let mut masters = masters(&running.processes);
    masters.retain(|master| !context.is_contained(master.pid));
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
    let mut looked = Looked { busy: Some(0), lists, ..Looked::default() };
    for (config, masters) in &read {
        looked.add(&mut capacity, context, &running, config, masters);
    }
    capacity.running = running.is_running(!looked.masters.is_empty());
    looked.tell(&mut capacity, context.plugin.host_root());
    Ok(capacity)
}

/// A configuration with the masters that run it.
type Read<'a> = (Config, Vec<&'a Master>);

/// One of several configurations that cannot be read is a warning: it may be that of a version which was removed while it ran,
/// and anybody may call a process so.
fn read<'a>(
    context: &Context<'_>,
    confs: &[PathBuf],
    masters: &'a [Master],
) -> Result<(Vec<Read<'a>>, Vec<String>), ItemError> {
    let (mut read, mut left_out) = (Vec::new(), Vec::new());
    let mut last = None;
    for conf in confs {
        let masters: Vec<&Master> = masters.iter().filter(|master| master.conf == *conf).collect();
        match read_with_environment(context, conf, &masters) {
            Ok(config) => read.push((config, masters)),
            Err(error) => {
                left_out.push(format!("{error}: left out"));
                last = Some(error);
            }
        }
    }
    match last {
        Some(error) if read.is_empty() => Err(error.into()),
        _ => Ok((read, left_out)),
    }
}

/// What is named; else what runs; else what is installed.
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
        confs = find(&context.files);
    }
    confs.sort();
    confs.dedup();
    if confs.is_empty() {
        return Err(ItemError::new(format!(
            "no php-fpm configuration found: looked for {}",
            places().join(", ")
        )));
    }
    Ok(confs)
}

/// With the running master's environment, which is its user's alone to read: root may, and who has both `CAP_SYS_PTRACE` and
/// `CAP_DAC_READ_SEARCH`.
fn read_with_environment(context: &Context<'_>, conf: &Path, masters: &[&Master]) -> Result<Config, Error> {
    let environment = masters.first().and_then(|master| context.read_proc(master.pid, "environ"));
    let Some(environment) = environment else {
        return Config::read(&context.files, conf, Environment::Hidden);
    };
    let value = |name: &[u8]| {
        let of = |entry: &[u8]| entry.strip_prefix(name)?.strip_prefix(b"=").map(<[u8]>::to_vec);
        environment.split(|&byte| byte == 0).find_map(of)
    };
    Config::read(&context.files, conf, Environment::Known(&value))
}

/// What the configurations and their processes add up to.
#[derive(Default)]
struct Looked {
    masters: Vec<u32>,
    /// Lists of processes whose memory is still to be looked at.
    lists: u32,
    parents: Vec<Footprint>,
    workers: Vec<Footprint>,
    live: u64,
    /// The private memory of a worker of each pool that has one, and the pool's limit.
    pools: Vec<(u64, u64)>,
    /// Workers in use and limits, of the pools where they are known.
    known: (u64, u64),
    /// Busy workers of all pools, where they are known of each.
    busy: Option<u64>,
}

impl Looked {
    fn add(
        &mut self,
        capacity: &mut Capacity,
        context: &Context<'_>,
        running: &Running,
        config: &Config,
        masters: &[&Master],
    ) {
        capacity.limit += config.limit();
        *capacity.limit_configured.get_or_insert_default() += config.written();
        capacity.warnings.extend(config.warnings.iter().cloned());
        let pids: Vec<u32> = masters.iter().map(|master| master.pid).collect();
        self.masters.extend(&pids);
        let parents = self.footprints(running, context, &pids);
        self.parents.extend(parents);
        let known = running.is_running(!masters.is_empty()).is_some();
        for pool in &config.pools {
            let workers = workers_of(masters, &pool.name);
            let footprints = self.footprints(running, context, &workers);
            let live = workers.len() as u64;
            if let Some(memory) = Memory::measured(&[], &footprints, live) {
                self.pools.push((memory.private_bytes, pool.max_children.into()));
            }
            self.workers.extend(footprints);
            self.live += live;
            let connections = masters
                .first()
                .and_then(|master| context.connections(master.pid, &Address::parse(&pool.listen)?));
            let shown = PoolJson::of(config, pool, known.then_some(live), connections, &capacity.pools);
            self.busy = self.busy.zip(shown.busy).map(|(sum, busy)| sum + busy);
            if let Some(used) = shown.used() {
                self.known.0 += used;
                self.known.1 += shown.limit;
            }
            capacity.pools.push(shown);
        }
    }

    fn footprints(&mut self, running: &Running, context: &Context<'_>, pids: &[u32]) -> Vec<Footprint> {
        let footprints = running.footprints(pids, context.request, self.lists);
        self.lists = self.lists.saturating_sub(1);
        footprints
    }

    fn tell(self, capacity: &mut Capacity, host_root: &Path) {
        let known = capacity.running.is_some();
        capacity.processes = known.then_some(self.live);
        capacity.workers = capacity.processes;
        capacity.busy = self.busy.filter(|_| !self.masters.is_empty());
        // Together they may have no more than process.max.
        capacity.usage_percent = percent(self.known.0, self.known.1.min(capacity.limit));
        let states = capacity.pools.iter().filter_map(|pool| pool.at_limit);
        capacity.at_limit = states.reduce(|any, one| any || one);
        // process.max is reached by all pools together.
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
        live: Option<u64>,
        connections: Option<Connections>,
        others: &[Self],
    ) -> Self {
        let conf = config.conf.display().to_string();
        // Versions side by side all have a pool called www: discovery needs a name for each.
        let is_taken = others.iter().any(|other| other.name == pool.name);
        let mut shown = Self {
            name: if is_taken { format!("{} ({conf})", pool.name) } else { pool.name.clone() },
            conf,
            pm: pool.manager.as_str(),
            limit: pool.max_children.into(),
            processes: live,
            workers: live,
            // A worker may have ended between the two looks.
            busy: live.zip(connections).map(|(live, connections)| connections.accepted.min(live)),
            queued: live.and(connections).map(|connections| connections.waiting),
            usage_percent: None,
            at_limit: None,
            user: pool.user.clone(),
            keeps_idle: pool.keeps_idle(),
        };
        shown.usage_percent = shown.used().and_then(|used| percent(used, shown.limit));
        shown.at_limit = shown.used().map(|used| used >= shown.limit);
        shown
    }

    /// Workers that run, or are busy where all may run without any load.
    fn used(&self) -> Option<u64> {
        if self.keeps_idle { self.busy } else { self.workers }
    }
}

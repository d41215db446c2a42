//! php-fpm: all its versions that run, or that are installed where none runs.

use std::io::Read;
use std::path::{Path, PathBuf};

use agent2_plugin::ItemError;
use pool_capacity::phpfpm::{Config, Manager, Master, Pool, find, masters, places};
use pool_capacity::sizing::{Demand, Footprint, Memory};

use super::processes::Running;
use super::{Capacity, Context, PoolJson, percent};

/// An environment is not larger, by the kernel's own limit for arguments.
const ENVIRONMENT_BYTES_MAX: u64 = 6 << 20;

pub(super) fn capacity(context: &Context<'_>, conf: Option<PathBuf>) -> Result<Capacity, ItemError> {
    let running = Running::look(context.oomwatch, context.request)?;
    let masters = masters(&running.processes);
    let confs = confs(context, conf, &masters)?;
    let mut capacity = Capacity {
        pool: "php-fpm",
        conf: confs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
        limit_name: "pm.max_children",
        limit_written: Some(0),
        ..Capacity::default()
    };
    let mut looked = Looked::default();
    for conf in &confs {
        let masters: Vec<&Master> = masters.iter().filter(|master| master.conf == *conf).collect();
        let config = Config::read(&context.files, conf, &|name| variable(context, &masters, name))?;
        looked.add(&mut capacity, context, &running, &config, &masters);
    }
    capacity.running = running.is_running(looked.masters > 0);
    looked.tell(&mut capacity, context.oomwatch.host_root());
    Ok(capacity)
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

/// Of the running master's environment, which only root and those with the right to trace it may read.
fn variable(context: &Context<'_>, masters: &[&Master], name: &[u8]) -> Option<Vec<u8>> {
    let pid = masters.first()?.pid;
    let path = context.oomwatch.host_root().join(format!("proc/{pid}/environ"));
    let mut environment = Vec::new();
    std::fs::File::open(path).ok()?.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment).ok()?;
    let value = |entry: &[u8]| entry.strip_prefix(name)?.strip_prefix(b"=").map(<[u8]>::to_vec);
    environment.split(|&byte| byte == 0).find_map(value)
}

/// What the configurations and their processes add up to.
#[derive(Default)]
struct Looked {
    masters: usize,
    parents: Vec<Footprint>,
    workers: Vec<Footprint>,
    live: u64,
    /// The private memory of a worker of each pool that has one, and the pool's limit.
    pools: Vec<(u64, u64)>,
    /// Workers and limits of pools whose number of workers says how busy they are.
    elastic: (u64, u64),
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
        *capacity.limit_written.get_or_insert_default() += config.written();
        capacity.warnings.extend(config.warnings.iter().cloned());
        let pids: Vec<u32> = masters.iter().map(|master| master.pid).collect();
        self.masters += pids.len();
        self.parents.extend(running.footprints(&pids, context.request));
        let known = running.is_running(!masters.is_empty()).is_some();
        for pool in &config.pools {
            let workers = workers_of(masters, &pool.name);
            let footprints = running.footprints(&workers, context.request);
            let live = workers.len() as u64;
            if let Some(memory) = Memory::measured(&[], &footprints, live) {
                self.pools.push((memory.private_bytes, pool.max_children.into()));
            }
            self.workers.extend(footprints);
            self.live += live;
            let shown = PoolJson::of(config, pool, known.then_some(live), &capacity.pools);
            if shown.at_limit.is_some() {
                self.elastic.0 += live;
                self.elastic.1 += shown.limit;
            }
            capacity.pools.push(shown);
        }
    }

    fn tell(self, capacity: &mut Capacity, host_root: &Path) {
        let known = capacity.running.is_some();
        capacity.processes = known.then_some(self.live);
        capacity.workers = capacity.processes;
        capacity.usage_percent = percent(self.elastic.0, self.elastic.1);
        let states = capacity.pools.iter().filter_map(|pool| pool.at_limit);
        capacity.at_limit = states.reduce(|any, one| any || one);
        if self.elastic.1 > 0 && self.live >= capacity.limit {
            capacity.at_limit = Some(true);
        }
        let memory = Memory::measured(&self.parents, &self.workers, self.live)
            .map(|memory| memory.with_pools(&self.pools));
        let demand = Demand { limit: capacity.limit, workers_per_process: 1 };
        capacity.size(host_root, memory.as_ref(), demand);
    }
}

fn workers_of(masters: &[&Master], pool: &str) -> Vec<u32> {
    masters.iter().filter_map(|master| master.workers.get(pool)).flatten().copied().collect()
}

impl PoolJson {
    /// All workers of a static pool run all the time, so that their number does not say how busy it is.
    fn of(config: &Config, pool: &Pool, live: Option<u64>, others: &[Self]) -> Self {
        let limit = u64::from(pool.max_children);
        let elastic = live.filter(|_| pool.manager != Manager::Static);
        let conf = config.conf.display().to_string();
        // Versions side by side all have a pool called www: discovery needs a name for each.
        let is_taken = others.iter().any(|other| other.name == pool.name);
        Self {
            name: if is_taken { format!("{} ({conf})", pool.name) } else { pool.name.clone() },
            conf,
            pm: pool.manager.as_str(),
            limit,
            processes: live,
            workers: live,
            usage_percent: elastic.and_then(|live| percent(live, limit)),
            at_limit: elastic.map(|live| live >= limit),
            user: pool.user.clone(),
        }
    }
}

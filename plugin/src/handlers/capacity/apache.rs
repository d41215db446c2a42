//! Apache httpd.

use std::path::Path;
use std::time::{Duration, Instant};

use agent2_plugin::{ItemError, Request};
use pool_capacity::apache::{
    Invocation, Mpm, Pool, Running as Server, Scoreboard, StatusError, parent_of, read,
};
use pool_capacity::sizing::{Demand, Memory};
use proc_snapshot::ProcError;

use super::context::Context;
use super::listening::ServerSockets;
use super::processes::Running;
use super::value::{Capacity, percent};

/// The plugin waits this long for the server's own answer. A server at its limit does not answer.
const STATUS_TIME: Duration = Duration::from_secs(1);

pub(super) fn capacity(context: &Context<'_>, conf: Option<&Path>) -> Result<Capacity, ItemError> {
    let running = &context.running;
    let parent = parent_of(&context.files, &context.processes, conf);
    let invocation = Invocation::find(&context.files, conf, parent)?;
    context.require_trusted(&invocation.configuration)?;
    let pool = read(&context.files, &invocation)?;
    let server = Server::find(&context.files, &pool, &context.processes);
    let mut capacity = configured(&pool);
    capacity.running = running.is_running(server.is_some());
    if let Some(server) = &server {
        live(&mut capacity, context, &pool, server);
    } else if capacity.running == Some(false) {
        (capacity.processes, capacity.workers) = (Some(0), Some(0));
        (capacity.usage_percent, capacity.at_limit) = (Some(0.0), Some(false));
    }
    let parents: Vec<u32> = server.iter().map(|server| server.parent).collect();
    let memory = match &server {
        Some(server) => memory(running, context.request, server)?,
        None => None,
    };
    let demand =
        Demand { limit: pool.limit.into(), workers_per_process: pool.threads_per_child.max(1).into() };
    capacity.size(context.plugin.host_root(), &parents, memory.as_ref(), demand);
    Ok(capacity)
}

fn configured(pool: &Pool) -> Capacity {
    let has_threads = pool.mpm != Mpm::Prefork;
    Capacity {
        pool: "apache",
        conf: pool.conf.display().to_string(),
        mpm: Some(pool.mpm.name()),
        limit: pool.limit.into(),
        limit_configured: pool.limit_configured.and_then(|written| u64::try_from(written).ok()),
        limit_setting: pool.limit_setting,
        server_limit: Some(pool.server_limit.into()),
        threads_per_child: has_threads.then_some(pool.threads_per_child.into()),
        warnings: pool.warnings.iter().map(ToString::to_string).collect(),
        ..Capacity::default()
    }
}

fn live(capacity: &mut Capacity, context: &Context<'_>, pool: &Pool, server: &Server) {
    let (limit, workers) = (u64::from(pool.limit), server.workers(pool));
    capacity.processes = Some(server.children.len() as u64);
    capacity.workers = Some(workers);
    let answer = mod_status(context, pool, server.parent);
    capacity.busy = answer.as_ref().and_then(|answer| answer.as_ref().ok()).map(|board| board.busy);
    if let Some(Err(error)) = &answer {
        capacity.notes.push(format!("busy workers are not known: {error}"));
    }
    let used = used(pool, workers, answer.as_ref());
    if used.is_none() {
        let (name, idle) = (pool.max_spare_name(), pool.max_idle());
        capacity.notes.push(format!(
            "whether the limit is reached is not known: all workers may be idle ({name} {idle}), and only mod_status counts \
             the busy ones"
        ));
    }
    capacity.usage_percent = used.and_then(|used| percent(used, limit));
    capacity.at_limit = used.map(|used| used >= limit);
}

/// Returns the counts of mod_status; absent if it is not requested.
fn mod_status(context: &Context<'_>, pool: &Pool, parent: u32) -> Option<Result<Scoreboard, StatusError>> {
    // The loopback address of another root may belong to another machine.
    if pool.status.is_empty() || context.plugin.host_root() != Path::new("/") {
        return None;
    }
    let deadline = Instant::now() + STATUS_TIME.min(context.request.time_left() / 4);
    let server = context.processes.iter().find(|process| process.pid == parent)?;
    let sockets = ServerSockets::of(server, deadline);
    Some(Scoreboard::ask(pool, &|address| sockets.listen_at(address), deadline))
}

/// Returns the workers in use: the busy ones if they are known. A server whose workers are all busy does not answer. Otherwise
/// all running workers count, unless all may run without load.
fn used(pool: &Pool, workers: u64, answer: Option<&Result<Scoreboard, StatusError>>) -> Option<u64> {
    match answer {
        Some(Ok(board)) => Some(board.busy),
        Some(Err(error)) if error.is_late() => Some(workers),
        _ => (!pool.keeps_idle()).then_some(workers),
    }
}

fn memory(running: &Running, request: &Request, server: &Server) -> Result<Option<Memory>, ProcError> {
    let parents = running.footprints(&[server.parent], request, 2)?;
    let workers = running.footprints(&server.children, request, 1)?;
    Ok(Memory::measured(&parents, &workers, server.children.len() as u64))
}

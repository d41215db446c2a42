//! MySQL and MariaDB.

use std::path::{Path, PathBuf};

use agent2_plugin::ItemError;
use pool_capacity::mysql::{Buffer, Config, Server, is_server, usual_places};
use pool_capacity::sizing::{Demand, Memory};
use pool_capacity::sockets::Address;
use pool_capacity::{FileKind, ServerProcess};
use proc_snapshot::ProcError;

use super::context::Context;
use super::value::{Capacity, percent};
use crate::text::byte_size;

/// The default sockets: Debian, Red Hat, and builds from source.
const SOCKETS: [&str; 3] = ["/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"];
/// Variables that `SET PERSIST` has changed, as MySQL 8 stores them.
const PERSISTED: &str = "/var/lib/mysql/mysqld-auto.cnf";
pub(super) fn capacity(context: &Context<'_>, conf: Option<PathBuf>) -> Result<Capacity, ItemError> {
    let servers: Vec<&ServerProcess> =
        context.processes.iter().filter(|process| is_server(process)).collect();
    let (process, is_named) = (server_of(&servers, conf.as_deref()), conf.is_some());
    let paths = paths(context, conf, process)?;
    paths.iter().try_for_each(|path| context.require_trusted(path))?;
    let arguments = process.map(|process| process.arguments.as_slice()).unwrap_or_default();
    let (server, is_known) = server(context, process);
    let machine = proc_snapshot::MachineMemory::read(context.plugin.host_root()).ok();
    let mem_total_bytes = machine.map_or(0, |memory| memory.total_bytes);
    let mut config = Config::read(&context.files, &paths, server, arguments, mem_total_bytes)?;
    if let Some(open_files) = process.and_then(|process| open_files(context, process.pid)) {
        config = config.with_open_files(open_files);
    }
    let mut capacity = configured(&paths, &config);
    capacity.running = context.running.is_running(process.is_some());
    if let Some(process) = process {
        live(&mut capacity, context, &config, process)?;
    }
    if servers.len() > 1 && !is_named {
        capacity.warnings.push(format!(
            "{} servers run, and this is of the first: name its option file in the key",
            servers.len()
        ));
    }
    if !is_known {
        capacity
            .warnings
            .push(format!("the server's release is not known: defaults are those of {}", name(server)));
    }
    if context.files.kind(Path::new(PERSISTED)).is_some() {
        capacity
            .warnings
            .push(format!("{PERSISTED} is not read: values of SET PERSIST override the option files"));
    }
    let pool_now = match process {
        Some(process) => now(context, process)?,
        None => 0,
    };
    let memory = memory(&config).with_pool_now(pool_now);
    let demand = Demand { limit: config.max_connections, workers_per_process: 1 };
    let pids: Vec<u32> = process.iter().map(|process| process.pid).collect();
    capacity.size(context.plugin.host_root(), &pids, Some(&memory), demand);
    Ok(capacity)
}

fn configured(paths: &[PathBuf], config: &Config) -> Capacity {
    Capacity {
        pool: "mysql",
        conf: match paths {
            [] => "no option file".to_owned(),
            paths => paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
        },
        limit: config.max_connections,
        limit_configured: config.max_connections_configured,
        limit_setting: "max_connections",
        warnings: config.warnings.clone(),
        ..Capacity::default()
    }
}

/// Adds the kernel's facts about the running server.
fn live(
    capacity: &mut Capacity,
    context: &Context<'_>,
    config: &Config,
    process: &ServerProcess,
) -> Result<(), ItemError> {
    capacity.processes = Some(1);
    capacity.threads = Some(process.threads.into());
    let sockets = match &config.socket {
        Some(socket) => vec![socket.as_str()],
        None => SOCKETS.to_vec(),
    };
    let addresses = sockets.into_iter().filter_map(Address::parse).chain([Address::Port(config.port)]);
    let addresses: Vec<Address> = addresses.collect();
    let counter =
        context.running.connections(process.pid, addresses.iter().cloned(), process.uid, &context.files)?;
    let counts = addresses.iter().filter_map(|address| counter.connections(address));
    capacity.workers = counts.reduce(|one, other| one + other).map(|counts| counts.accepted);
    capacity.usage_percent = capacity.workers.and_then(|workers| percent(workers, config.max_connections));
    capacity.at_limit = capacity.workers.map(|workers| workers >= config.max_connections);
    Ok(())
}

/// Names the largest buffers, which are the ones to change.
fn memory(config: &Config) -> Memory {
    let mut memory = Memory::configured(config.per_connection_bytes(), config.global_bytes());
    memory.doubt = format!(
        "The most that the configuration allows, once: {}; for each connection: {}. Most connections use little of it; one \
         that makes temporary tables in memory takes up to {} more for each. What the server has besides, such as the \
         performance schema, is not counted.",
        listed(&config.global),
        listed(&config.per_connection),
        readable(config.temporary_table_bytes),
    );
    memory
}

fn listed(buffers: &[Buffer]) -> String {
    let one = |buffer: &Buffer| format!("{} {}", buffer.name, readable(buffer.bytes));
    buffers.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn readable(amount: u64) -> String {
    byte_size(amount as f64)
}

fn now(context: &Context<'_>, process: &ServerProcess) -> Result<u64, ProcError> {
    let footprints = context.running.untraced(&[process.pid], context.request)?;
    Ok(footprints.first().map_or(0, |footprint| footprint.anon_bytes.unwrap_or(footprint.rss_bytes)))
}

/// Returns the server that runs with a configuration: the one started with this option file, or one started without any.
/// Without a configuration, the first server.
fn server_of<'a>(servers: &[&'a ServerProcess], conf: Option<&Path>) -> Option<&'a ServerProcess> {
    let Some(conf) = conf else { return servers.first().copied() };
    let named = servers.iter().find(|server| defaults_file(server).as_deref() == Some(conf));
    named.or_else(|| servers.iter().find(|server| defaults_file(server).is_none())).copied()
}

/// With `--defaults-file=/etc/other.cnf` the server reads no other file.
fn defaults_file(process: &ServerProcess) -> Option<PathBuf> {
    path_after(process, b"--defaults-file=")
}

fn path_after(process: &ServerProcess, option: &[u8]) -> Option<PathBuf> {
    let path = process.arguments.iter().find_map(|argument| argument.strip_prefix(option))?;
    Some(PathBuf::from(String::from_utf8_lossy(path).into_owned()))
}

/// Applies the running server's arguments to the usual paths: they remove files or add some.
fn with_arguments(mut usual: Vec<PathBuf>, process: Option<&ServerProcess>) -> Vec<PathBuf> {
    let Some(process) = process else { return usual };
    if process.arguments.iter().any(|argument| argument == b"--no-defaults") {
        return Vec::new();
    }
    usual.extend(path_after(process, b"--defaults-extra-file="));
    usual
}

/// Returns the given file, else those of the running server's arguments, else the usual paths.
fn paths(
    context: &Context<'_>,
    conf: Option<PathBuf>,
    process: Option<&ServerProcess>,
) -> Result<Vec<PathBuf>, ItemError> {
    if let Some(path) = conf.or_else(|| process.and_then(defaults_file)) {
        return Ok(vec![path]);
    }
    let places = usual_places().iter().map(PathBuf::from);
    let found: Vec<PathBuf> =
        places.filter(|path| context.files.kind(path) == Some(FileKind::File)).collect();
    // A server needs no file: its arguments and defaults apply.
    if found.is_empty() && process.is_none() {
        return Err(ItemError::new(format!("no MySQL configuration found at {}", usual_places().join(", "))));
    }
    Ok(with_arguments(found, process))
}

/// Finds the flavour and release by the machine's packages, else by the installed program, else by the running process, which
/// only shows the flavour (`false`). The program of the running process is not executed, because any user may give a program
/// that name.
fn server(context: &Context<'_>, process: Option<&ServerProcess>) -> (Server, bool) {
    let (mut installed, is_known) = Server::installed(&context.files);
    if !is_known && process.is_some_and(|process| process.name == b"mariadbd") {
        installed = Server::UNKNOWN_MARIADB;
    }
    // Programs of another root belong to another machine.
    if is_known || context.plugin.host_root() != Path::new("/") {
        return (installed, is_known);
    }
    match context.plugin.mysql_version.installed() {
        Some(server) => (server, true),
        None => (installed, false),
    }
}

fn name(server: Server) -> String {
    format!("{:?} {}.{}", server.flavour, server.major, server.minor)
        .replace("MySql", "MySQL")
        .replace("Db", "DB")
}

/// The number of files that the running server may open, after its own changes.
fn open_files(context: &Context<'_>, pid: u32) -> Option<u64> {
    let limits = context.running.file(pid, c"limits")?;
    let limits = String::from_utf8_lossy(&limits);
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(pid: u32, arguments: &[&str]) -> ServerProcess {
        let arguments = std::iter::once(&"/usr/sbin/mariadbd").chain(arguments);
        ServerProcess {
            pid,
            ppid: 1,
            name: b"mariadbd".to_vec(),
            arguments: arguments.map(|argument| argument.as_bytes().to_vec()).collect(),
            threads: 8,
            uid: Some(27),
        }
    }

    #[test]
    fn a_configuration_is_of_the_server_that_reads_it() {
        let (other, usual) = (server(1, &["--defaults-file=/a.cnf"]), server(2, &[]));
        let of = |servers: &[&ServerProcess], conf: Option<&str>| {
            server_of(servers, conf.map(Path::new)).map(|server| server.pid)
        };
        assert_eq!(of(&[&other, &usual], Some("/a.cnf")), Some(1));
        assert_eq!(of(&[&other, &usual], Some("/etc/mysql/mariadb.cnf")), Some(2));
        assert_eq!(of(&[&other], Some("/b.cnf")), None);
        assert_eq!([of(&[&other, &usual], None), of(&[], None)], [Some(1), None]);
    }

    #[test]
    fn arguments_leave_and_add_files() {
        let paths =
            |arguments: &[&str]| with_arguments(vec!["/etc/my.cnf".into()], Some(&server(1, arguments)));
        assert_eq!(paths(&["--no-defaults"]), Vec::<PathBuf>::new());
        assert_eq!(paths(&["--defaults-extra-file=/x.cnf"]), ["/etc/my.cnf", "/x.cnf"].map(PathBuf::from));
        assert_eq!(with_arguments(vec!["/etc/my.cnf".into()], None), ["/etc/my.cnf"].map(PathBuf::from));
    }
}

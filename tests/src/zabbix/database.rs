//! PostgreSQL with a server's schema, copied from a directory that is filled once.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::geteuid;

use super::packages;
use crate::agent::free_port;
use crate::debian::{Lock, Root};
use crate::error::run;
use crate::supervised::Supervised;
use crate::{Error, Generation};

const BIN: &str = "usr/lib/postgresql/15/bin";
/// PostgreSQL refuses to run as root; this is Debian's `nobody`.
const NOBODY: u32 = 65534;
const START_LIMIT: Duration = Duration::from_secs(60);
/// The order matters.
const DUMPS: [&str; 3] = ["schema.sql.gz", "images.sql.gz", "data.sql.gz"];
/// The host of a new database has no agent here, so it is disabled.
const TWEAKS: &str = "update hosts set status = 1 where host = 'Zabbix server';";
/// Increased if a filled database has to be made in another way.
const EDITION: u32 = 2;

/// A running database.
#[derive(Debug)]
pub(super) struct Database {
    port: u16,
    _process: Supervised,
}

impl Database {
    /// Starts a new database in the scratch directory.
    pub(super) fn start(root: &Root, generation: Generation, scratch: &Path) -> Result<Self, Error> {
        let filled = filled(root, generation)?;
        let data = scratch.join("database");
        run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(filled).arg(&data))?;
        Self::on(root, &data, &scratch.join("database.log"))
    }

    fn on(root: &Root, data: &Path, log: &Path) -> Result<Self, Error> {
        let port = free_port().map_err(Error::file("127.0.0.1"))?;
        let mut command = program(root, "postgres");
        command.arg("-D").arg(data).args(["-p", &port.to_string()]);
        // The data need not survive a power failure.
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "max_wal_size=64MB",
            "jit=off",
        ];
        settings.iter().for_each(|setting| {
            command.args(["-c", setting]);
        });
        let mut process = Supervised::start("postgres", &command, "INT", log)?;
        process.wait_until_ready(START_LIMIT, || answers(root, port))?;
        Ok(Self { port, _process: process })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

fn answers(root: &Root, port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok() && psql(root, port, "postgres", "select 1").is_ok()
}

/// Returns the data directory of a database with a version's schema. Creates it at first use.
pub(super) fn filled(root: &Root, generation: Generation) -> Result<PathBuf, Error> {
    let base = root.cache().join(format!("database-{generation}-{EDITION}"));
    fs::create_dir_all(&base).map_err(Error::file(&base))?;
    let _lock = Lock::take(&base.join("lock"))?;
    let (data, stamp) = (base.join("data"), base.join("complete"));
    if !stamp.exists() {
        let _ = fs::remove_dir_all(&data);
        packages::complete(root, generation)?;
        fill(root, generation, &data, &base)?;
        fs::write(&stamp, "").map_err(Error::file(&stamp))?;
    }
    Ok(data)
}

fn fill(root: &Root, generation: Generation, data: &Path, scratch: &Path) -> Result<(), Error> {
    fs::create_dir(data).map_err(Error::file(data))?;
    if geteuid().is_root() {
        chown(data, Some(NOBODY), Some(NOBODY)).map_err(Error::file(data))?;
    }
    let mut initdb = program(root, "initdb");
    initdb.args(["--no-locale", "--encoding=UTF8", "--auth=trust", "--username=zabbix", "--no-sync"]);
    run(initdb.args(["--wal-segsize=1", "-D"]).arg(data))?;
    let database = Database::on(root, data, &scratch.join("log"))?;
    let port = database.port;
    psql(root, port, "postgres", "create database zabbix")?;
    packages::configure_frontend(root, scratch, port, 0)?;
    let dumps = packages::directory(generation, "usr/share/zabbix-server-pgsql");
    for dump in DUMPS {
        load(root, port, scratch, &root.path().join(&dumps).join(dump))?;
    }
    psql(root, port, "zabbix", TWEAKS)?;
    psql(root, port, "zabbix", "vacuum analyze")?;
    Ok(())
}

/// The whole dump in one message: a client that sends its 10,000 statements one by one takes minutes on a busy machine.
fn load(root: &Root, port: u16, scratch: &Path, dump: &Path) -> Result<(), Error> {
    const SCRIPT: &str = "pg_query(pg_connect($argv[1]), gzdecode(file_get_contents($argv[2]))) or exit(1);";
    let connection = format!("host=127.0.0.1 port={port} user=zabbix dbname=zabbix");
    run(packages::php(root, scratch).args(["-r", SCRIPT, "--", &connection]).arg(dump)).map(drop)
}

fn psql(root: &Root, port: u16, database: &str, statement: &str) -> Result<String, Error> {
    run(client(root, port, database).args(["-c", statement]))
}

fn client(root: &Root, port: u16, database: &str) -> Command {
    let mut command = root.command(&format!("{BIN}/psql"));
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "zabbix", "-d", database]);
    command.args(["-p", &port.to_string()]);
    command
}

/// A program that refuses to run as root. The packages may be below a home directory that only root may enter, so `nobody`
/// keeps that one capability.
fn program(root: &Root, name: &str) -> Command {
    let command = root.command(&format!("{BIN}/{name}"));
    if !geteuid().is_root() {
        return command;
    }
    let mut lowered = Command::new("setpriv");
    let id = NOBODY.to_string();
    lowered.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    lowered.args(["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]);
    lowered.arg(command.get_program()).env("LD_LIBRARY_PATH", root.libraries()).current_dir("/");
    lowered
}

//! A real Zabbix server with its database and its frontend, on loopback and in a scratch directory.
//!
//! * [`Zabbix`] runs the three of them; all end with the value.
//! * [`Api`] speaks the frontend's JSON-RPC.
//! * [`Problem`] is a problem as an operator sees it.
//! * [`SentValue`] is a value that a test sends to the server in place of an agent.
//!
//! ```no_run
//! use oomwatch_tests::Generation;
//! use oomwatch_tests::zabbix::Zabbix;
//!
//! let zabbix = Zabbix::start(Generation::V7_0)?;
//! let version = zabbix.api().call("apiinfo.version", serde_json::json!({}))?;
//! assert!(version.as_str().is_some_and(|text| text.starts_with("7.0")));
//! # Ok::<(), oomwatch_tests::Error>(())
//! ```

mod api;
mod database;
mod packages;
mod values;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

pub use api::{Api, Host, ItemState, Problem};
pub use values::SentValue;

use crate::agent::{free_port, read_lossy};
use crate::debian::Root;
use crate::error::run;
use crate::supervised::Supervised;
use crate::{Error, Generation};
use database::Database;

const START_LIMIT: Duration = Duration::from_secs(60);
const LOG_TAIL_LINES: usize = 40;
const FRONTEND_PROCESSES: &str = "4";

/// A server, its database and its frontend.
#[derive(Debug)]
pub struct Zabbix {
    generation: Generation,
    root: Root,
    address: SocketAddr,
    api: Api,
    // The order of the fields is the order of their end: the frontend and the server before their database.
    _frontend: Supervised,
    _server: Supervised,
    _database: Database,
    scratch: TempDir,
}

impl Zabbix {
    /// Starts a server of this version, and waits until it accepts values and its frontend accepts the administrator. The
    /// first start of a version on a machine downloads it and fills a database, which later starts copy.
    ///
    /// # Errors
    ///
    /// Returns an error if a package is not available, or one of the three is not ready in a minute.
    pub fn start(generation: Generation) -> Result<Self, Error> {
        let root = packages::unpack()?;
        // Addresses of unix sockets must be short.
        let scratch =
            tempfile::Builder::new().prefix("ow").tempdir_in("/tmp").map_err(Error::file("/tmp"))?;
        let database = Database::start(&root, generation, scratch.path())?;
        let (server, address) = start_server(&root, generation, scratch.path(), &database)?;
        let (frontend, at) = start_frontend(&root, generation, scratch.path(), &database, address)?;
        let mut zabbix = Self {
            generation,
            root,
            address,
            api: Api::new(generation, at),
            _frontend: frontend,
            _server: server,
            _database: database,
            scratch,
        };
        zabbix.api.log_in("Admin", "zabbix")?;
        Ok(zabbix)
    }

    /// Its version.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The frontend's API, as the administrator.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The address for values of active checks.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The frontend's address, such as `http://127.0.0.1:10101`. User `Admin`, password `zabbix`.
    #[must_use]
    pub fn frontend(&self) -> String {
        format!("http://{}", self.api.address())
    }

    /// The directory with logs, configuration and data of all three.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The server's log.
    #[must_use]
    pub fn log(&self) -> String {
        read_lossy(&self.scratch().join("server.log"))
    }

    /// Parses a template file as the server's own frontend does, and returns it as JSON.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not YAML.
    pub fn parse(&self, yaml: &str) -> Result<serde_json::Value, Error> {
        const SCRIPT: &str = "require $argv[1].'/vendor/autoload.php'; \
            echo json_encode(Symfony\\Component\\Yaml\\Yaml::parse(file_get_contents($argv[2])));";
        let input = self.scratch().join("parse.yaml");
        fs::write(&input, yaml).map_err(Error::file(&input))?;
        let mut php = packages::php(&self.root, self.scratch());
        php.args(["-r", SCRIPT, "--"]).arg(packages::frontend(&self.root, self.generation)).arg(&input);
        let json = run(&mut php)?;
        serde_json::from_str(&json).map_err(|error| Error::Refused {
            request: "Yaml::parse".to_owned(),
            answer: format!("{error}: {json}"),
        })
    }
}

impl Drop for Zabbix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains("MIB")).collect();
            let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
            eprintln!("--- Zabbix server {}, last lines:\n{tail}\n---", self.generation);
        }
    }
}

/// Downloads, unpacks and fills everything that a start of either version needs.
///
/// # Errors
///
/// Returns an error if a package is not available, or a database cannot be filled.
pub fn prepare() -> Result<(), Error> {
    let root = packages::unpack()?;
    Generation::ALL.into_iter().try_for_each(|generation| database::filled(&root, generation).map(drop))
}

fn start_server(
    root: &Root,
    generation: Generation,
    scratch: &Path,
    database: &Database,
) -> Result<(Supervised, SocketAddr), Error> {
    let address = free_address()?;
    let configuration = scratch.join("server.conf");
    let text = server_configuration(scratch, address.port(), database.port(), &root.path());
    fs::write(&configuration, text).map_err(Error::file(&configuration))?;
    let mut command = root.command(&packages::directory(generation, "usr/sbin/zabbix_server"));
    command.arg("-c").arg(&configuration).arg("-f");
    let mut server = Supervised::start("zabbix_server", &command, "KILL", &scratch.join("server.out"))?;
    server.wait_until_ready(START_LIMIT, || TcpStream::connect(address).is_ok())?;
    Ok((server, address))
}

/// A small server that reads its configuration every second, so that a change takes effect almost at once.
fn server_configuration(scratch: &Path, port: u16, database: u16, root: &Path) -> String {
    // One history syncer for all values: tests send many old values at a time, and triggers must see them in order.
    let (scratch, fping) = (scratch.display(), root.join("usr/bin/fping"));
    format!(
        "DBHost=127.0.0.1\nDBPort={database}\nDBName=zabbix\nDBUser=zabbix\nDBPassword=zabbix\nListenIP=127.0.0.1\n\
         ListenPort={port}\nSocketDir={scratch}\nLogType=file\nLogFile={scratch}/server.log\nLogFileSize=0\n\
         PidFile={scratch}/server.pid\nAllowRoot=1\nCacheUpdateFrequency=1\nHousekeepingFrequency=0\nTimeout=10\n\
         CacheSize=64M\nUnavailableDelay=5\nUnreachableDelay=5\nFpingLocation={}\nStatsAllowedIP=127.0.0.1\n\
         StartPollers=3\nStartTrappers=3\nStartPingers=1\nStartDiscoverers=1\nStartHTTPPollers=1\nStartEscalators=1\n\
         StartPreprocessors=1\nStartDBSyncers=1\nStartLLDProcessors=1\n",
        fping.display()
    )
}

fn start_frontend(
    root: &Root,
    generation: Generation,
    scratch: &Path,
    database: &Database,
    server: SocketAddr,
) -> Result<(Supervised, SocketAddr), Error> {
    packages::configure_frontend(root, scratch, database.port(), server.port())?;
    let address = free_address()?;
    let mut command: Command = packages::php(root, scratch);
    command.env("PHP_CLI_SERVER_WORKERS", FRONTEND_PROCESSES).arg("-S").arg(address.to_string());
    command.current_dir(packages::frontend(root, generation));
    let mut frontend = Supervised::start("php", &command, "KILL", &scratch.join("frontend.log"))?;
    frontend.wait_until_ready(START_LIMIT, || TcpStream::connect(address).is_ok())?;
    Ok((frontend, address))
}

fn free_address() -> Result<SocketAddr, Error> {
    let port = free_port().map_err(Error::file("127.0.0.1"))?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

//! Real Apache, php-fpm and MariaDB, unpacked from Debian's packages, each in its own directory and on loopback.

use std::fs;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oomwatch_tests::debian::{Packages, Root};
use oomwatch_tests::fastcgi::Request;
use oomwatch_tests::{Error, Supervised, free_port};

/// The time limit on a loaded machine for work that normally takes a second.
const PATIENCE: Duration = Duration::from_secs(90);
const PHPFPM: &str = "usr/sbin/php-fpm8.2";
/// A file that lets all scripts end.
const GO: &str = "go";

/// A server program with its configuration, and the load that keeps its workers busy.
pub(super) struct Program {
    kind: Kind,
    root: Root,
    directory: PathBuf,
    port: u16,
    process: Mutex<Option<Supervised>>,
    held: Mutex<Vec<Held>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Apache,
    PhpFpm,
    MariaDb,
}

/// A connection that keeps a worker busy while it is open.
enum Held {
    Connection(#[expect(dead_code, reason = "held open")] TcpStream),
    Script(#[expect(dead_code, reason = "held open")] Request),
}

impl Program {
    /// Starts the server. In the configuration, `{}` is replaced by the directory and `{port}` by a free port.
    pub(super) fn start(kind: Kind, directory: PathBuf, configuration: &str) -> Result<Arc<Self>, Error> {
        let file = |source| Error::File { path: directory.clone(), source };
        fs::create_dir_all(directory.join("data")).map_err(file)?;
        let script = format!(
            "<?php while (!file_exists('{}')) {{ sleep(1); clearstatcache(); }}",
            directory.join(GO).display()
        );
        fs::write(directory.join("slow.php"), script).map_err(file)?;
        let (root, port) = (kind.packages()?, free_port().map_err(file)?);
        let (process, held) = (Mutex::default(), Mutex::default());
        let program = Arc::new(Self { kind, root, directory, port, process, held });
        program.run(configuration)?;
        Ok(program)
    }

    /// Ends the server and starts it with another configuration.
    pub(super) fn run(&self, configuration: &str) -> Result<(), Error> {
        let text = format!("{}{configuration}\n", self.kind.head());
        let text = text
            .replace("{}", &self.directory.display().to_string())
            .replace("{port}", &self.port.to_string());
        fs::write(self.conf(), text).map_err(|source| Error::File { path: self.conf(), source })?;
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        drop(process.take());
        let output = self.directory.join("out");
        let mut started = Supervised::start(self.kind.name(), &self.command(), "TERM", &output)?;
        started.wait_until_ready(PATIENCE, || self.is_ready())?;
        *process = Some(started);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = self.root.command(self.kind.program());
        let conf = self.conf();
        match self.kind {
            Kind::Apache => {
                command.arg("-d").arg(&self.directory).arg("-f").arg(conf).args(["-D", "FOREGROUND"])
            }
            Kind::PhpFpm => command.args(["-n", "-R", "-y"]).arg(conf),
            Kind::MariaDb => {
                let share = self.root.path().join("usr/share/mysql");
                command.arg(format!("--defaults-file={}", conf.display()));
                command.arg(format!("--lc-messages-dir={}", share.display())).arg("--user=root")
            }
        };
        command
    }

    fn is_ready(&self) -> bool {
        match self.kind {
            Kind::Apache | Kind::MariaDb => TcpStream::connect(("127.0.0.1", self.port)).is_ok(),
            Kind::PhpFpm => self.text("error.log").contains("ready to handle connections"),
        }
    }

    pub(super) fn conf(&self) -> PathBuf {
        self.directory.join("server.conf")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("error.log")
    }

    fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.directory.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Keeps this number of workers busy. For php-fpm, those of one pool.
    pub(super) fn occupy(&self, count: usize, pool: &str) -> io::Result<()> {
        for _ in 0..count {
            let held = self.occupied(pool)?;
            self.held.lock().unwrap_or_else(PoisonError::into_inner).push(held);
            // One after the other, because an on-demand pool starts one worker for all requests that arrive at once.
            std::thread::sleep(Duration::from_millis(300));
        }
        Ok(())
    }

    fn occupied(&self, pool: &str) -> io::Result<Held> {
        if self.kind == Kind::PhpFpm {
            let socket = self.directory.join(format!("{pool}.sock"));
            return Request::send(&socket.to_string_lossy(), &self.directory.join("slow.php"))
                .map(Held::Script);
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        if self.kind == Kind::Apache {
            // An incomplete request keeps the worker waiting.
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n")?;
        }
        Ok(Held::Connection(stream))
    }

    /// Releases the busy workers.
    pub(super) fn release(&self) -> io::Result<()> {
        fs::write(self.directory.join(GO), "")?;
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Apache => "apache2",
            Self::PhpFpm => "php-fpm",
            Self::MariaDb => "mariadbd",
        }
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Apache => "usr/sbin/apache2",
            Self::PhpFpm => PHPFPM,
            Self::MariaDb => "usr/sbin/mariadbd",
        }
    }

    fn packages(self) -> Result<Root, Error> {
        match self {
            Self::Apache => Packages::new("bookworm", &["apache2"]).unpacked("apache"),
            Self::PhpFpm => Packages::new("bookworm", &["php8.2-fpm"]).unpacked("php-fpm"),
            Self::MariaDb => Packages::new("bookworm", &["mariadb-server-core"]).unpacked("mariadb"),
        }
    }

    /// The first lines of every configuration.
    fn head(self) -> String {
        match self {
            Self::Apache => "ServerName localhost\nListen 127.0.0.1:{port}\nPidFile {}/pid\nDefaultRuntimeDir {}\n\
                 ErrorLog {}/error.log\nUser www-data\nGroup www-data\nTimeout 7200\n"
                .to_owned(),
            Self::PhpFpm => "[global]\nerror_log = {}/error.log\ndaemonize = no\n".to_owned(),
            Self::MariaDb => "[mysqld]\ndatadir={}/data\nsocket={}/my.sock\nport={port}\nbind-address=127.0.0.1\n\
                 skip-grant-tables\ninnodb_buffer_pool_size=16M\ninnodb_log_file_size=4M\nconnect_timeout=7200\n"
                .to_owned(),
        }
    }
}

/// Lines that load an MPM of Apache.
pub(super) fn mpm(name: &str) -> String {
    let modules = Path::new("/usr/lib/apache2/modules");
    let root = Kind::Apache.packages().map(|root| root.path()).unwrap_or_default();
    let modules = root.join(modules.strip_prefix("/").unwrap_or(modules));
    let load = |module: &str| format!("LoadModule {module}_module {}/mod_{module}.so\n", modules.display());
    [load(&format!("mpm_{name}")), load("authz_core")].concat()
}

/// A pool of php-fpm.
pub(super) fn pool(name: &str, rules: &str) -> String {
    format!("[{name}]\nuser = root\ngroup = root\nlisten = {{}}/{name}.sock\n{rules}\n")
}

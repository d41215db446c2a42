//! MariaDB, and MySQL if its program is available.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oomwatch_tests::debian::{Packages, Root};
use oomwatch_tests::{binaries, wait_until};
use pool_capacity::mysql::{Config, Flavour, Server};
use pool_capacity::{HostFiles, Reading};
use serde_json::Value;
use tempfile::TempDir;

/// Limit on a loaded machine for work that takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn packages() -> Root {
    Packages::new("bookworm", &["mariadb-server-core"]).unpacked("mariadb").unwrap()
}

fn server(maria: &Root) -> Command {
    maria.command("usr/sbin/mariadbd")
}

/// The variables with the server's values; absent if the server would not start.
fn effective_settings(mut server: Command, conf: &Path, last: &str) -> Option<BTreeMap<String, String>> {
    server.arg(format!("--defaults-file={}", conf.display()));
    server.arg(format!("--datadir={}", conf.parent().unwrap().display()));
    let output =
        server.args(["--table-open-cache=10", "--user=root", last, "--help", "--verbose"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, table) = text.split_once("\n---")?;
    let refused = !output.status.success()
        || errors.contains("Error while setting")
        || errors.contains("requires an argument");
    if refused {
        return None;
    }
    let pairs = table.lines().filter_map(|line| line.split_once(' '));
    Some(pairs.map(|(name, value)| (name.replace('-', "_"), value.trim().to_owned())).collect())
}

const FILES: [&str; 24] = [
    "",
    "[mysqld]\nmax_connections=100 # x\nmax-connections = \"200\"\n",
    "[mysqld]\nkey_buffer = 16M\nsort-buffer-size=4M\nread_rnd_buffer=1M\n",
    "[MYSQLD]\nMAX_CONNECTIONS=44\n",
    "[mysqld]\nmax_connections=5\n",
    "[mysqld]\nmax_connections=\n",
    "[mysqld]\nmax_connections=1k\n",
    "[mysqld]\nmax_connections=1kB\n",
    "[mysqld]\nmax_connections=abc\n",
    "[mysqld]\nmax_connections=-3\n",
    "[mysqld]\nmax_connections= 300\n",
    "[mysqld]\nmax_connections\n",
    "[mysqld]\nmax_connections='45'\n;x\n#y\nmax_connections=46;x\n",
    "[mysqld]\nloose-max_connections=33\nloose_foo=1\n",
    "[server]\nmax_connections=45\n[mysqld_safe]\nmax_connections=9\n[mariadb-10.11]\nmax-connections=47\n[mysqld-10.5]\nmax-connections=48\n",
    "[client-server]\nmax_connections=45\n[galera]\nmax-connections=49\n[client]\nmax-connections=50\n",
    "max_connections=5\n",
    "[mysqld\nmax_connections=44\n",
    "[ mysqld ]\nmax_connections=44\n",
    "[mysqld]\n!include {}/none.cnf\nmax_connections=44\n",
    "[mysqld]\n!includedir {}/none.d\nmax_connections=44\n",
    "[mysqld]\n!includedir {}/inc.d\n",
    "[mysqld]\n!includedir {}/inc.d\nmax_connections=44\n",
    "[mysqld]\n!include {}/my.cnf\nread_buffer_size=1M\njoin_buffer_size=2M\nthread_stack=512K\ntmp_table_size=32M\n",
];

#[test]
fn option_files_are_read_and_refused_as_by_mariadb() {
    let maria = packages();
    let messages = format!("--lc-messages-dir={}", maria.path().join("usr/share/mysql").display());
    each_file_is_read_as_by(&|| server(&maria), &messages);
}

/// A running server. It ends when this is dropped.
struct Running {
    child: Child,
    option_file_directory: TempDir,
}

impl Running {
    /// Starts the server without user tables: nothing logs in.
    fn start(maria: &Root) -> Self {
        let option_file_directory = tempfile::tempdir().unwrap();
        let here = option_file_directory.path().display();
        fs::create_dir(option_file_directory.path().join("data")).unwrap();
        let messages = maria.path().join("usr/share/mysql");
        let text = format!(
            "[mysqld]\ndatadir={here}/data\nsocket={here}/sock\nskip-networking\npid-file={here}/pid\nskip-grant-tables\n\
             user=root\nlc-messages-dir={}\ninnodb_buffer_pool_size=16M\ninnodb_log_file_size=4M\nmax_connections=12\n",
            messages.display()
        );
        fs::write(option_file_directory.path().join("my.cnf"), text).unwrap();
        let mut command = server(maria);
        command.arg(format!("--defaults-file={here}/my.cnf"));
        let log = fs::File::create(option_file_directory.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let running = Self { child: command.spawn().unwrap(), option_file_directory };
        let up = wait_until(PATIENCE, || running.connection().is_some());
        assert!(up, "{}", fs::read_to_string(running.option_file_directory.path().join("log")).unwrap());
        running
    }

    /// A connection whose greeting was read; absent if the server refuses it because it has none left.
    fn connection(&self) -> Option<UnixStream> {
        let mut stream = UnixStream::connect(self.option_file_directory.path().join("sock")).ok()?;
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting).ok()?;
        // The first byte is the protocol version; an error has 255 in its place.
        (greeting[4] == 10).then_some(stream)
    }

    /// The plugin's value for the server.
    fn capacity(&self) -> Value {
        let key = format!("mysql.capacity[{}]", self.option_file_directory.path().join("my.cnf").display());
        let plugin = binaries::find(binaries::PLUGIN).unwrap();
        let output = Command::new(plugin).args(["get", &key]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection more than `max_connections` is allowed: that one is reserved for the administrator.
#[test]
fn running_server_accepts_the_configured_connections_and_they_are_counted() {
    let running = Running::start(&packages());
    assert!(wait_until(PATIENCE, || running.capacity()["workers"] == 0), "{}", running.capacity());
    let three: Vec<_> = (0..3).map(|_| running.connection().unwrap()).collect();
    let capacity_json = running.capacity();
    assert_eq!(
        (&capacity_json["workers"], &capacity_json["at_limit"]),
        (&3.into(), &false.into()),
        "{capacity_json}"
    );
    let rest: Vec<_> = std::iter::from_fn(|| running.connection()).take(100).collect();
    assert_eq!(three.len() + rest.len(), 12 + 1);
    let capacity_json = running.capacity();
    assert_eq!(
        (&capacity_json["limit"], &capacity_json["at_limit"]),
        (&12.into(), &true.into()),
        "{capacity_json}"
    );
    assert!(capacity_json["workers"].as_u64() >= Some(12), "{capacity_json}");
    assert_eq!(
        (&capacity_json["running"], &capacity_json["memory"]["source"]),
        (&true.into(), &"configured".into()),
        "{capacity_json}"
    );
}

/// No distribution on which the tests run has MySQL, so this test is run by hand. `OOMWATCH_MYSQLD` is a program, or a
/// script that starts one with its libraries and `--lc-messages-dir` after its own arguments. Tried with 5.6 and 9.7:
///
///     OOMWATCH_MYSQLD=/opt/mysql/bin/mysqld cargo nextest run --package oomwatch-tests --run-ignored only mysqld
#[test]
#[ignore = "needs the program of a MySQL, named by OOMWATCH_MYSQLD"]
fn option_files_are_read_and_refused_as_by_the_named_mysqld() {
    let program = env::var_os("OOMWATCH_MYSQLD").expect("OOMWATCH_MYSQLD names a program");
    each_file_is_read_as_by(&|| Command::new(&program), "--secure-file-priv=");
}

/// `server` starts the program without arguments; `last` contains the arguments that come after all others.
fn each_file_is_read_as_by(server: &dyn Fn() -> Command, last: &str) {
    let version = server().arg("--version").output().unwrap();
    let release = Server::named(&String::from_utf8_lossy(&version.stdout)).unwrap();
    let mut refused = 0;
    // MySQL 5 takes 0 for as many connections as it may open files.
    let wraps = |text: &str| text.contains("=-3") && release.flavour == Flavour::MySql && release.major < 8;
    for text in FILES.into_iter().filter(|text| !wraps(text)) {
        let option_file_directory = option_file_directory(text);
        let conf = option_file_directory.path().join("my.cnf");
        let read = Config::read(
            &Reading::new(&HostFiles::below(Path::new("/"))),
            std::slice::from_ref(&conf),
            release,
            &[],
            0,
        );
        let Some(applied) =
            effective_settings(server(), &conf, last).filter(|_| is_valid(server(), &conf, release))
        else {
            refused += 1;
            assert!(read.is_err(), "refused by the server and read as {read:?}:\n{text}");
            continue;
        };
        let read = read.unwrap_or_else(|error| panic!("{error}, but the server takes it:\n{text}"));
        assert_eq!(applied["max_connections"], read.max_connections.to_string(), "{text}");
        for buffer in read.global.iter().chain(&read.per_connection) {
            assert_eq!(applied[buffer.name], buffer.bytes.to_string(), "{} of:\n{text}", buffer.name);
        }
    }
    assert!((5..15).contains(&refused), "{refused} were refused");
}

/// MySQL since 8.0 prints its variables for any file, and checks the file separately.
fn is_valid(mut server: Command, conf: &Path, release: Server) -> bool {
    if release.flavour == Flavour::MariaDb || release.major < 8 {
        return true;
    }
    server.arg(format!("--defaults-file={}", conf.display()));
    server.arg(format!("--datadir={}", conf.parent().unwrap().display()));
    let output =
        server.args(["--user=root", "--secure-file-priv=NULL", "--validate-config"]).output().unwrap();
    output.status.success()
}

/// A directory with that option file, and files to include.
fn option_file_directory(text: &str) -> TempDir {
    let option_file_directory = tempfile::tempdir().unwrap();
    let here = option_file_directory.path().to_str().unwrap();
    fs::write(option_file_directory.path().join("my.cnf"), text.replace("{}", here)).unwrap();
    fs::create_dir(option_file_directory.path().join("inc.d")).unwrap();
    for (name, connections) in [("a.cnf", 61), ("b.cnf", 62), ("c.conf", 63)] {
        let path = option_file_directory.path().join("inc.d").join(name);
        fs::write(path, format!("[mysqld]\nmax_connections={connections}\n")).unwrap();
    }
    option_file_directory
}

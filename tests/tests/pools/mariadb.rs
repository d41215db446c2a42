//! MariaDB.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use oomwatch_tests::debian::{Packages, Root};
use pool_capacity::HostFiles;
use pool_capacity::mysql::{Config, Server};

fn packages() -> Root {
    Packages::of("bookworm", &["mariadb-server-core"]).unpacked("mariadb").unwrap()
}

fn server(maria: &Root, arguments: &[String]) -> Command {
    let mut command = maria.command("usr/sbin/mariadbd");
    command.args(arguments);
    command.arg(format!("--lc-messages-dir={}", maria.path().join("usr/share/mysql").display()));
    command
}

/// The variables as the server would have them; nothing where it would not start.
fn asked(maria: &Root, conf: &Path) -> Option<BTreeMap<String, String>> {
    let directory = conf.parent().unwrap().display();
    let arguments = [
        format!("--defaults-file={}", conf.display()),
        format!("--datadir={directory}"),
        "--table-open-cache=10".to_owned(),
        "--user=root".to_owned(),
    ];
    let output = server(maria, &arguments).args(["--help", "--verbose"]).output().unwrap();
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
fn option_files_are_read_and_refused_as_mariadb_does() {
    let maria = packages();
    let version = server(&maria, &[]).arg("--version").output().unwrap();
    let release = Server::named(&String::from_utf8_lossy(&version.stdout)).unwrap();
    let mut refused = 0;
    for text in FILES {
        let room = tempfile::tempdir().unwrap();
        let here = room.path().to_str().unwrap();
        let conf = room.path().join("my.cnf");
        fs::write(&conf, text.replace("{}", here)).unwrap();
        fs::create_dir(room.path().join("inc.d")).unwrap();
        for (name, connections) in [("a.cnf", 61), ("b.cnf", 62), ("c.conf", 63)] {
            let path = room.path().join("inc.d").join(name);
            fs::write(path, format!("[mysqld]\nmax_connections={connections}\n")).unwrap();
        }
        let read =
            Config::read(&HostFiles::below(Path::new("/")), std::slice::from_ref(&conf), release, &[], 0);
        let Some(asked) = asked(&maria, &conf) else {
            refused += 1;
            assert!(read.is_err(), "refused by the server and read as {read:?}:\n{text}");
            continue;
        };
        let read = read.unwrap_or_else(|error| panic!("{error}, but the server takes it:\n{text}"));
        assert_eq!(asked["max_connections"], read.max_connections.to_string(), "{text}");
        for buffer in read.global.iter().chain(&read.per_connection) {
            assert_eq!(asked[buffer.name], buffer.bytes.to_string(), "{} of:\n{text}", buffer.name);
        }
    }
    assert!((5..15).contains(&refused), "{refused} were refused");
}

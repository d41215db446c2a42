//! Option files as a server reads them. `tests/tests/pools/mariadb.rs` compares with a real one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_capacity::mysql::{Config, Error, Flavour, Server};
use pool_capacity::{Reading, Tree};

const MAIN: &str = "/etc/mysql/my.cnf";
const MIB: u64 = 1 << 20;

fn read_as(server: Server, tree: &Tree, arguments: &[&str]) -> Result<Config, Error> {
    let arguments: Vec<Vec<u8>> = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
    Config::read(&Reading::new(tree), &[MAIN.into()], server, &arguments, 16 << 30)
}

fn read(text: &str) -> Result<Config, Error> {
    read_as(Server::UNKNOWN_MARIADB, &Tree::new().with(MAIN, text), &[])
}

fn connections(text: &str) -> u64 {
    read(text).unwrap().max_connections
}

fn global(config: &Config, name: &str) -> Option<u64> {
    config.global.iter().find(|buffer| buffer.name == name).map(|buffer| buffer.bytes)
}

#[test]
fn debians_stock_files() {
    let tree = Tree::new()
        .with(MAIN, "[client-server]\nsocket = /run/mysqld/mysqld.sock\n!includedir /etc/mysql/conf.d/\n!includedir /etc/mysql/mariadb.conf.d/\n")
        .with("/etc/mysql/conf.d/mysql.cnf", "[mysql]\n")
        .with("/etc/mysql/mariadb.conf.d/50-server.cnf", "[server]\n[mysqld]\n#max_connections = 100\nbind-address = 127.0.0.1\n[embedded]\n[mariadbd]\n[mariadb-10.11]\n");
    let config = read_as(Server::UNKNOWN_MARIADB, &tree, &[]).unwrap();
    assert_eq!((config.max_connections, config.max_connections_configured), (151, None));
    assert_eq!(config.global_bytes(), 128 * MIB + 16 * MIB + 128 * MIB + 128 * MIB + MIB);
    assert_eq!(config.per_connection_bytes(), 299_008 + 131_072 + 262_144 + 2 * MIB + 262_144);
    assert_eq!(config.temporary_table_bytes, 16 * MIB);
    assert!(config.warnings.is_empty());
}

#[test]
fn groups_and_the_last_value() {
    for (text, expected) in [
        ("[mysqld]\nmax_connections=100 # x\nmax-connections = \"200\"\n", 200),
        ("[MYSQLD]\nMAX_CONNECTIONS=44\n", 44),
        ("[mysqld]\nloose-max_connections=33\nloose_foo=1\n", 33),
        (
            "[server]\nmax_connections=45\n[mysqld_safe]\nmax_connections=9\n[mariadb-10.11]\nmax_connections=47\n[mysqld-10.5]\nmax_connections=48\n",
            47,
        ),
        ("[client]\nmax_connections=5\n", 151),
        ("[mysqld]\nmax_connections=5\n", 10),
        ("[mysqld]\nmax_connections=10M\n", 100_000),
        ("[mysqld]\nmax_connections=\n", 10),
        ("[mysqld]\nmax_connections=1k\n", 1024),
        (" [mysqld]\n  max_connections  =  44  \n", 44),
    ] {
        assert_eq!(connections(text), expected, "{text}");
    }
    let lowered = read("[mysqld]\nmax_connections=200000\n").unwrap();
    assert_eq!(lowered.max_connections_configured, Some(200_000));
    assert!(
        lowered.warnings[0].ends_with(":2: max_connections 200000 is out of bounds: lowered to 100000"),
        "{:?}",
        lowered.warnings
    );
}

#[test]
fn arguments_of_the_running_server_count_last() {
    let tree = Tree::new().with(MAIN, "[mysqld]\nmax_connections=100\n[mysqld_shop]\nsort_buffer_size=8M\n");
    let arguments = ["/usr/sbin/mariadbd", "--max-connections=300", "--defaults-group-suffix=_shop"];
    let config = read_as(Server::UNKNOWN_MARIADB, &tree, &arguments).unwrap();
    assert_eq!(config.max_connections, 300);
    assert!(config.per_connection.iter().any(|b| b.name == "sort_buffer_size" && b.bytes == 8 * MIB));
    let in_two_words =
        ["/usr/sbin/mariadbd", "--max_connections", "500", "--skip-networking", "--port", "3307"];
    let config = read_as(Server::UNKNOWN_MARIADB, &tree, &in_two_words).unwrap();
    assert_eq!((config.max_connections, config.port), (500, 3307));
}

#[test]
fn includes_are_followed_in_order() {
    let directory = |text: &str| {
        let tree = Tree::new()
            .with(MAIN, text)
            .with("/inc.d/b.cnf", "[mysqld]\nmax_connections=62\n")
            .with("/inc.d/a.cnf", "[mysqld]\nmax_connections=61\n")
            .with("/inc.d/c.conf", "[mysqld]\nmax_connections=63\n");
        read_as(Server::UNKNOWN_MARIADB, &tree, &[]).unwrap().max_connections
    };
    assert_eq!(directory("[mysqld]\nmax_connections=44\n!includedir /inc.d\n"), 62);
    assert_eq!(directory("[mysqld]\n!includedir /inc.d\nmax_connections=44\n"), 44);
    assert_eq!(directory("[client]\n!include /inc.d/a.cnf\n"), 61);

    let cyclic = read(&format!("[mysqld]\n!include {MAIN}\nmax_connections=44\n")).unwrap();
    assert_eq!(cyclic.max_connections, 44);
    assert!(
        cyclic.warnings[0].contains(":2: !include /etc/mysql/my.cnf is left out"),
        "{:?}",
        cyclic.warnings
    );
    let missing = read("[mysqld]\n!include /none.cnf\nmax_connections=44\n").unwrap();
    assert_eq!((missing.max_connections, missing.warnings.len()), (44, 1));
}

#[test]
fn what_the_server_would_refuse_is_an_error_with_file_and_line() {
    for (text, expected) in [
        ("max_connections=5\n", ":1: an option stands before the first group"),
        ("[mysqld\n", ":1: the group's name is not closed"),
        ("[mysqld]\n!includedir /none.d\n", ":2: cannot read /none.d"),
        ("[mysqld]\nmax_connections\n", ":2: max_connections has no value"),
        ("[mysqld]\n\nmax_connections=abc\n", ":3: max_connections = abc is not a number"),
        ("[mysqld]\nmax_connections=-3\n", ":2: max_connections = -3 is negative"),
        ("[mysqld]\nmax_connections=46;x\n", ":2: max_connections = 46;x is not a number"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with(MAIN) && error.contains(expected), "{error}");
    }
    let error =
        read_as(Server::UNKNOWN_MYSQL, &Tree::new().with(MAIN, ""), &["--max-connections=x"]).unwrap_err();
    assert_eq!(error.to_string(), "argument --max-connections=x: max_connections = x is not a number");
}

#[test]
fn defaults_depend_on_the_server() {
    let with = |flavour, major, minor, text: &str| {
        read_as(Server { flavour, major, minor }, &Tree::new().with(MAIN, text), &[]).unwrap()
    };
    let old = with(Flavour::MySql, 5, 0, "");
    assert_eq!((old.max_connections, global(&old, "innodb_buffer_pool_size")), (100, Some(8 * MIB)));
    let mysql = with(Flavour::MySql, 8, 0, "");
    assert_eq!(
        (global(&mysql, "query_cache_size"), global(&mysql, "aria_pagecache_buffer_size")),
        (None, None)
    );
    assert!(mysql.per_connection.iter().any(|buffer| buffer.name == "binlog_cache_size"));
    let without = with(Flavour::MySql, 8, 0, "[mysqld]\nskip-log-bin\nskip-innodb\n");
    assert!(!without.per_connection.iter().any(|buffer| buffer.name == "binlog_cache_size"));
    assert_eq!(global(&without, "innodb_buffer_pool_size"), None);
    // Rounded up to chunks of 128 MiB in 8 instances.
    let pool = with(Flavour::MySql, 5, 7, "[mysqld]\ninnodb_buffer_pool_size=1500M\n");
    assert_eq!(global(&pool, "innodb_buffer_pool_size"), Some(2048 * MIB));
    let pool = with(Flavour::MariaDb, 10, 11, "[mysqld]\ninnodb_buffer_pool_size=1500M\n");
    assert_eq!(global(&pool, "innodb_buffer_pool_size"), Some(1500 * MIB));
    let dedicated = with(Flavour::MySql, 8, 0, "[mysqld]\ninnodb_dedicated_server=ON\n");
    assert_eq!(global(&dedicated, "innodb_buffer_pool_size"), Some(12288 * MIB));
}

#[test]
fn open_files_lower_the_connections() {
    let config = |files| {
        let tree = Tree::new().with(MAIN, "[mysqld]\nmax_connections=500\n");
        read_as(Server::UNKNOWN_MYSQL, &tree, &[]).unwrap().with_open_files(files)
    };
    assert_eq!((config(1024).max_connections, config(65_536).max_connections), (214, 500));
    assert!(config(1024).warnings[0].contains("lowered to 214"));
}

/// As 5.6 and 9.7 were seen to do.
#[test]
fn names_that_mysql_does_not_know_are_refused() {
    let read = |minor, text: &str| {
        let server = Server { flavour: Flavour::MySql, major: if minor == 6 { 5 } else { 9 }, minor };
        read_as(server, &Tree::new().with(MAIN, text), &[])
    };
    let short = "[mysqld]\nkey_buffer = 16M\n";
    assert!(read(6, short).unwrap().global.iter().any(|buffer| buffer.bytes == 16 << 20));
    let error = read(7, short).unwrap_err().to_string();
    assert!(error.ends_with(":2: MySQL does not know this name: it is written key_buffer_size"), "{error}");
    for minor in [6, 7] {
        assert!(read(minor, "[mysqld]\nMAX_CONNECTIONS=44\n").is_err());
        assert_eq!(read(minor, "[MYSQLD]\nmax-connections=44\n").unwrap().max_connections, 44);
    }
}

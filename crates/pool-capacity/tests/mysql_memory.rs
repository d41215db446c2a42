//! Sizes of buffers: rounding of the buffer pool, bounds of variables, and the limit of option files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use pool_capacity::mysql::{Config, Error, Flavour, Server};
use pool_capacity::{Reading, Tree};

const MAIN: &str = "/etc/my.cnf";
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn mysql(major: u32, minor: u32) -> Server {
    Server { flavour: Flavour::MySql, major, minor }
}

fn read(server: Server, settings: &str, mem_total_bytes: u64) -> Config {
    let tree = Tree::new().with(MAIN, format!("[mysqld]\n{settings}"));
    Config::read(&Reading::new(&tree), &[MAIN.into()], server, &[], mem_total_bytes).unwrap()
}

fn buffer_pool(server: Server, settings: &str, mem_total_bytes: u64) -> u64 {
    let config = read(server, settings, mem_total_bytes);
    config.global.iter().find(|buffer| buffer.name == "innodb_buffer_pool_size").unwrap().bytes
}

#[test]
fn buffer_pool_is_rounded_up_to_complete_chunks_of_each_instance() {
    // A pool below one chunk has a smaller chunk. From 1 GiB on there are eight instances, in 8.4 only one.
    for (server, settings, pool_mib) in [
        (mysql(5, 7), "innodb_buffer_pool_size=200M", 256),
        (mysql(8, 0), "innodb_buffer_pool_size=200M", 256),
        (mysql(8, 4), "innodb_buffer_pool_size=200M", 256),
        (mysql(8, 0), "innodb_buffer_pool_size=64M", 64),
        (mysql(8, 0), "innodb_buffer_pool_size=256M", 256),
        (mysql(8, 0), "innodb_buffer_pool_size=1023M", 1024),
        (mysql(8, 0), "innodb_buffer_pool_size=1024M", 1024),
        (mysql(8, 0), "innodb_buffer_pool_size=1025M", 2048),
        (mysql(8, 4), "innodb_buffer_pool_size=1025M", 1152),
        (mysql(8, 0), "innodb_buffer_pool_size=200M\ninnodb_buffer_pool_instances=4", 256),
        (mysql(8, 0), "innodb_buffer_pool_size=1100M\ninnodb_buffer_pool_instances=4", 1536),
        (mysql(8, 0), "innodb_buffer_pool_size=200M\ninnodb_buffer_pool_chunk_size=64M", 256),
        (mysql(8, 0), "innodb_buffer_pool_size=130M\ninnodb_buffer_pool_chunk_size=64M", 192),
        (mysql(5, 6), "innodb_buffer_pool_size=200M", 200),
    ] {
        assert_eq!(buffer_pool(server, settings, 0), pool_mib * MIB, "{server:?}: {settings}");
    }
}

#[test]
fn dedicated_server_takes_its_buffer_pool_from_the_machine() {
    for (mem_total_bytes, pool) in [
        (GIB - 1, 128 * MIB),
        (GIB, 512 * MIB),
        (4 * GIB, 2 * GIB),
        (4 * GIB + 4, 3 * GIB + 3),
        // The machine's memory is unknown.
        (0, 128 * MIB),
    ] {
        let found = buffer_pool(mysql(8, 0), "innodb_dedicated_server", mem_total_bytes);
        assert_eq!(found, pool, "{mem_total_bytes} bytes");
    }
    let configured = "innodb_dedicated_server\ninnodb_buffer_pool_size=256M";
    assert_eq!(buffer_pool(mysql(8, 0), configured, 16 * GIB), 256 * MIB);
}

#[test]
fn values_below_the_minimum_are_raised_to_it() {
    let applied = |server: Server, name: &str| {
        let config = read(server, &format!("{name}=1"), 0);
        let buffers = [config.global, config.per_connection].concat();
        let buffer = buffers.iter().find(|buffer| buffer.name == name).map(|buffer| buffer.bytes);
        let bytes = buffer.unwrap_or(config.temporary_table_bytes);
        assert_eq!(
            config.warnings,
            [format!("{MAIN}:2: {name} 1 is out of bounds: raised to {bytes}")],
            "{server:?}"
        );
        bytes
    };
    for (name, in_mysql, in_mariadb) in [
        ("innodb_buffer_pool_size", 5 * MIB, 2 * MIB),
        ("sort_buffer_size", 32 << 10, 1 << 10),
        ("max_heap_table_size", 16 << 10, 16 << 10),
        ("read_buffer_size", 8 << 10, 8 << 10),
        ("join_buffer_size", 128, 128),
        ("thread_stack", 128 << 10, 128 << 10),
    ] {
        assert_eq!(applied(mysql(8, 0), name), in_mysql, "{name}");
        assert_eq!(applied(Server::UNKNOWN_MARIADB, name), in_mariadb, "{name}");
    }
    assert_eq!(applied(mysql(8, 0), "binlog_cache_size"), 4 << 10);
}

/// Reads a main file that includes a directory with `included` files.
fn with_included(included: usize) -> Result<Config, Error> {
    let main = Tree::new().with(MAIN, "!includedir /etc/my.cnf.d\n");
    let tree = (0..included).fold(main, |tree, n| {
        tree.with(format!("/etc/my.cnf.d/{n:05}.cnf"), format!("[mysqld]\nmax_connections={}\n", 100 + n))
    });
    Config::read(&Reading::new(&tree), &[MAIN.into()], mysql(8, 0), &[], 0)
}

#[test]
fn ten_thousand_option_files_are_read_and_one_more_is_refused() {
    assert_eq!(with_included(9_999).unwrap().max_connections, 100 + 9_998);
    let error = with_included(10_000).unwrap_err().to_string();
    let expected =
        "/etc/my.cnf.d/09999.cnf: the configuration has more than 10000 files and is not read further";
    assert!(error.starts_with(expected), "{error}");
}

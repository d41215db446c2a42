//! Random configurations of all three servers: each read ends within the limits and without a panic.

use std::path::Path;

use pool_capacity::apache::{Build, Invocation};
use pool_capacity::phpfpm::Environment;
use pool_capacity::{Limit, Reading, Tree, apache, mysql, phpfpm};
use proptest::prelude::*;

/// Lines that are nearly right for one of the servers. Includes may go round.
fn line() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "[www]",
        "[mysqld]",
        "[global]",
        "[",
        "[\"a\"]",
        "listen=1",
        "listen=$pool",
        "pm=static",
        "pm = dynamic",
        "pm.max_children=3",
        "pm.max_children=${V}",
        "pm.min_spare_servers=1",
        "process.max=-1",
        "include=/etc/*",
        "include=/etc/b",
        "include=b",
        "env[A]=${V}${V:-x}",
        "max_connections=99999999999999999999",
        "max-connections=1k",
        "MAX_CONNECTIONS = \"5\" # x",
        "skip-innodb",
        "innodb_buffer_pool_size=16E",
        "!include /etc/a",
        "!include /etc/b",
        "!includedir /etc",
        "!includedir /none",
        "port=0",
        "Include /etc/*",
        "Include /etc/b",
        "Define A ${A}${A}",
        "<IfDefine A>",
        "</IfDefine>",
        "<Macro M $a>",
        "</Macro>",
        "Use M Use",
        "MaxRequestWorkers 5",
        "\\",
        "=",
        "'",
        "\"",
    ]);
    prop_oneof![8 => words.prop_map(str::to_owned), 1 => ".{0,40}", 1 => "[\\[\\]=;#\"'$\\{\\}:!a-c -]{0,30}"]
}

/// Each line is a few steps. Lines, files and entries have limits.
fn steps_max() -> u64 {
    2 * (Limit::Lines.max() + Limit::Files.max() + Limit::Entries.max()) + 1000
}

fn read_all(tree: &Tree) -> Result<(), TestCaseError> {
    let reading = Reading::new(tree);
    let value = |name: &[u8]| (name == b"V").then(|| b"7".to_vec());
    let _ = phpfpm::Config::read(&reading, Path::new("/etc/a"), Environment::Known(&value));
    prop_assert!(reading.steps() <= steps_max(), "php-fpm: {} steps", reading.steps());
    let reading = Reading::new(tree);
    let server = mysql::Server::UNKNOWN_MARIADB;
    let _ = mysql::Config::read(&reading, &["/etc/a".into()], server, &[], 0);
    prop_assert!(reading.steps() <= steps_max(), "MySQL: {} steps", reading.steps());
    let reading = Reading::new(tree);
    let mut invocation = Invocation::of_build(Build::debian_2_4());
    invocation.configuration = "/etc/a".into();
    let _ = apache::read(&reading, &invocation);
    prop_assert!(reading.steps() <= steps_max(), "Apache: {} steps", reading.steps());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_lines_end_within_the_limits(a in prop::collection::vec(line(), 0..30), b in prop::collection::vec(line(), 0..15)) {
        read_all(&Tree::new().with("/etc/a", a.join("\n")).with("/etc/b", b.join("\n")).with("/etc/c.cnf", b.concat()))?;
    }

    #[test]
    fn random_bytes_end_within_the_limits(a in prop::collection::vec(any::<u8>(), 0..2000)) {
        read_all(&Tree::new().with("/etc/a", a))?;
    }
}

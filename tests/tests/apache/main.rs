//! Compares how `pool-capacity` reads an Apache configuration with the real Apache of Debian.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attacks;
mod machine;
mod old;
mod plugin;
mod random;
mod running;
mod server;
mod sites;
mod trees;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oomwatch_tests::debian::Root;
use oomwatch_tests::wait_until;
use pool_capacity::apache::{Invocation, Pool};

use machine::Materialised;
use server::{PATIENCE, Server, check, codes, dumped_files, lines_of, packages};
use trees::Named;

/// The server's messages for which `pool-capacity` has warnings: corrected numbers and undefined variables.
fn is_of_a_warning(code: &str) -> bool {
    let number: u32 = code[2..].parse().unwrap();
    number == 111
        || (175..=187).contains(&number)
        || (300..=323).contains(&number)
        || (497..=520).contains(&number)
}

/// Files, definitions and messages equal the server's.
fn reads_the_same(name: &str, files: &Materialised, invocation: &Invocation, pool: &Pool) {
    let output = check(files, invocation);
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {messages}");
    let read: Vec<PathBuf> = pool.files.iter().map(|path| files.moved(path)).collect();
    assert_eq!(dumped_files(&output), read.iter().map(PathBuf::as_path).collect::<Vec<&Path>>(), "{name}");
    let own = |define: &&str| !define.starts_with("DUMP_");
    let dumped: BTreeSet<String> =
        lines_of(&output, "Define: ").into_iter().filter(own).map(ToOwned::to_owned).collect();
    let defined = pool.defines.iter().map(|(name, value)| match value {
        Some(value) => format!("{name}={}", files.rewritten(value)),
        None => name.clone(),
    });
    assert_eq!(dumped, defined.collect(), "{name}");
    let reported: BTreeSet<String> =
        codes(&messages).into_iter().filter(|code| is_of_a_warning(code)).collect();
    let warned = pool.warnings.iter().filter_map(|warning| warning.code).map(ToOwned::to_owned);
    assert_eq!(reported, warned.collect(), "{name}: {messages}");
}

/// A server that is configured to start more workers than it may starts as many as it may, and never ends an idle one.
fn runs_as_many(name: &str, files: &Materialised, invocation: &Invocation, pool: &Pool) {
    let spare =
        if pool.mpm.name() == "prefork" { "MaxSpareServers 1000000" } else { "MaxSpareThreads 1000000" };
    let server = Server::start(files, invocation, &["StartServers 1000000", spare]);
    let threads = pool.threads_per_child > 1 || pool.mpm.name() != "prefork";
    let reached = wait_until(PATIENCE, || server.workers(threads) == pool.limit as usize);
    assert!(reached, "{name}: {} workers, not {}", server.workers(threads), pool.limit);
    assert_eq!(server.children().len(), pool.processes as usize, "{name}");
}

fn each_configuration_is_read_as_by_the_server(apache: &Root, trees: &[Named], run: bool) {
    for (name, machine) in trees {
        let (invocation, pool) = machine.read(apache);
        let pool = pool.unwrap_or_else(|error| panic!("{name}: {error}"));
        let files = machine.materialised(apache);
        reads_the_same(name, &files, &invocation, &pool);
        if run {
            runs_as_many(name, &files, &invocation, &pool);
        }
    }
}

#[test]
fn debian_stock_files_and_usual_changes() {
    let apache = packages();
    each_configuration_is_read_as_by_the_server(&apache, &trees::of_debian(&apache), true);
}

#[test]
fn red_hat_stock_files_and_usual_changes() {
    each_configuration_is_read_as_by_the_server(&packages(), &trees::of_red_hat(), true);
}

#[test]
fn numbers_that_httpd_corrects() {
    each_configuration_is_read_as_by_the_server(&packages(), &trees::of_corrections(), true);
    each_configuration_is_read_as_by_the_server(&packages(), &trees::of_large_corrections(), false);
}

#[test]
fn every_construct_that_decides_which_lines_take_effect() {
    each_configuration_is_read_as_by_the_server(&packages(), &trees::of_language(), true);
}

/// `Syntax error on line 12 of /etc/apache2/apache2.conf:`. If the error is reported through several files, the innermost.
fn reported_lines(messages: &str) -> Vec<(PathBuf, u32)> {
    let reported = messages.split("error on line ").skip(1).filter_map(|rest| {
        let (line, rest) = rest.split_once(" of ")?;
        // Lines of a macro have their own numbers, and a long message is cut at any byte.
        let path = rest.split(':').next().filter(|path| Path::new(path).is_file())?;
        Some((PathBuf::from(path), line.parse().ok()?))
    });
    reported.collect()
}

#[test]
fn configuration_that_httpd_refuses_is_refused_at_the_same_line() {
    let apache = packages();
    for (name, machine) in trees::broken() {
        let (invocation, pool) = machine.read(&apache);
        let error = pool.err().unwrap_or_else(|| panic!("{name}: read without an error")).to_string();
        let files = machine.materialised(&apache);
        let output = check(&files, &invocation);
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{name}: {messages}");
        if let Some((path, line)) = reported_lines(&messages).pop() {
            let reported = format!("{}, line {line}: ", path.display());
            assert!(files.rewritten(&error).starts_with(&reported), "{name}: {error}: {reported}");
        }
    }
}

#[test]
fn machine_without_apache() {
    let root = tempfile::tempdir().unwrap();
    let files = pool_capacity::HostFiles::below(root.path());
    let error = Invocation::find(&pool_capacity::Reading::new(&files), None, None).unwrap_err();
    assert!(error.is_absent());
    assert!(error.to_string().starts_with("no Apache configuration found at /etc/apache2/apache2.conf, "));
}

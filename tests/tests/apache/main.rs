//! What `pool-capacity` reads out of an Apache configuration, beside what the real Apache of Debian makes of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

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

/// The messages about which warnings are kept: those on corrected numbers and on undefined variables.
fn is_of_a_warning(code: &str) -> bool {
    let number: u32 = code[2..].parse().unwrap();
    number == 111
        || (175..=187).contains(&number)
        || (300..=323).contains(&number)
        || (497..=520).contains(&number)
}

/// Files, definitions and messages are those of the server.
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
    let told: BTreeSet<String> = codes(&messages).into_iter().filter(|code| is_of_a_warning(code)).collect();
    let warned = pool.warnings.iter().filter_map(|warning| warning.code).map(ToOwned::to_owned);
    assert_eq!(told, warned.collect(), "{name}: {messages}");
}

/// A server that is told to start more than it may starts as many as it may, and never ends one for being idle.
fn runs_as_many(name: &str, files: &Materialised, invocation: &Invocation, pool: &Pool) {
    let spare =
        if pool.mpm.name() == "prefork" { "MaxSpareServers 1000000" } else { "MaxSpareThreads 1000000" };
    let server = Server::start(files, invocation, &["StartServers 1000000", spare]);
    let threads = pool.threads_per_child > 1 || pool.mpm.name() != "prefork";
    let reached = wait_until(PATIENCE, || server.workers(threads) == pool.limit as usize);
    assert!(reached, "{name}: {} workers, not {}", server.workers(threads), pool.limit);
    assert_eq!(server.children().len(), pool.processes as usize, "{name}");
}

fn each_is_as_the_server_says(apache: &Root, trees: &[Named], run: bool) {
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
fn debians_stock_files_and_what_is_done_to_them() {
    let apache = packages();
    each_is_as_the_server_says(&apache, &trees::of_debian(&apache), true);
}

#[test]
fn red_hats_stock_files_and_what_is_done_to_them() {
    each_is_as_the_server_says(&packages(), &trees::of_red_hat(), true);
}

#[test]
fn numbers_that_httpd_corrects() {
    each_is_as_the_server_says(&packages(), &trees::of_corrections(), true);
    each_is_as_the_server_says(&packages(), &trees::of_large_corrections(), false);
}

#[test]
fn everything_that_decides_which_lines_count() {
    each_is_as_the_server_says(&packages(), &trees::of_language(), true);
}

/// `Syntax error on line 12 of /etc/apache2/apache2.conf:`, the innermost where an error is told through several files.
fn told_lines(messages: &str) -> Vec<(PathBuf, u32)> {
    let told = messages.split("error on line ").skip(1).filter_map(|rest| {
        let (line, rest) = rest.split_once(" of ")?;
        // Lines of a macro have a number of their own, and a long message is cut anywhere.
        let path = rest.split(':').next().filter(|path| Path::new(path).is_file())?;
        Some((PathBuf::from(path), line.parse().ok()?))
    });
    told.collect()
}

#[test]
fn what_httpd_refuses_is_refused_with_its_line() {
    let apache = packages();
    for (name, machine) in trees::broken() {
        let (invocation, pool) = machine.read(&apache);
        let error = pool.err().unwrap_or_else(|| panic!("{name}: read without an error")).to_string();
        let files = machine.materialised(&apache);
        let output = check(&files, &invocation);
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{name}: {messages}");
        if let Some((path, line)) = told_lines(&messages).pop() {
            let told = format!("{}, line {line}: ", path.display());
            assert!(files.rewritten(&error).starts_with(&told), "{name}: {error}: {told}");
        }
    }
}

#[test]
fn a_machine_without_apache() {
    let root = tempfile::tempdir().unwrap();
    let files = pool_capacity::HostFiles::below(root.path());
    let error = Invocation::on(&files, None, None).unwrap_err();
    assert!(error.is_absent());
    assert!(
        error
            .to_string()
            .starts_with("no Apache configuration found: looked for /etc/apache2/apache2.conf, ")
    );
}

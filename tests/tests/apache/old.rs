//! Apache 2.2, which no current distribution has. If its program is available, it is compared like Debian's 2.4.
//!
//!     OOMWATCH_HTTPD_2_2=/opt/httpd-2.2/bin/httpd cargo nextest run --package oomwatch-tests --run-ignored only of_2_2
//!
//! A program has one MPM, so run the test once with each.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use oomwatch_tests::wait_until;
use pool_capacity::apache::{ApacheError, Invocation, Pool, read};
use pool_capacity::{HostFiles, Reading};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::server::{PATIENCE, threads};

/// The path of an httpd.
const PROGRAM: &str = "OOMWATCH_HTTPD_2_2";

const PREFORK: [&str; 11] = [
    "",
    "ServerLimit 30\nMaxClients 20",
    "MaxClients 30\nServerLimit 40",
    "MaxClients 300",
    "ServerLimit 12",
    "ServerLimit 0\nMaxClients 5",
    "ServerLimit 5\nMaxClients 9\nServerLimit 9",
    "MaxClients 0",
    "MaxClients 14workers",
    "MaxClients 4294967306",
    "<IfModule worker.c>\nMaxClients 3\n</IfModule>\n<IfVersion < 2.4>\nMaxClients 7\n</IfVersion>",
];
const WORKER: [&str; 11] = [
    "",
    "ServerLimit 3",
    "ThreadsPerChild 10",
    "MaxClients 100\nThreadsPerChild 50",
    "ThreadsPerChild 100\nThreadLimit 100\nMaxClients 300",
    "ThreadsPerChild 70\nMaxClients 140",
    "MaxClients 110",
    "MaxClients 500",
    "MaxClients 3\nThreadsPerChild 5",
    "MaxClients 60\nThreadsPerChild 30\nThreadsPerChild 20",
    "MaxClients 80\n<IfModule worker.c>\nThreadsPerChild 40\n</IfModule>\nThreadsPerChild 10",
];
const BROKEN: [&str; 5] = [
    "MaxRequestWorkers 5",
    "Include /etc/*/a*/b",
    "Include none.conf",
    "IncludeOptional none.conf",
    "<VirtualHost *:80>\nMaxClients 3\n</VirtualHost>",
];

/// A configuration in a directory of its own.
struct ConfigDirectory {
    directory: tempfile::TempDir,
    program: PathBuf,
}

impl ConfigDirectory {
    fn with(program: &Path, body: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let here = directory.path().display();
        let text = format!(
            "ServerName localhost\nServerRoot {here}\nListen 127.0.0.1:{port}\nPidFile {here}/pid\nErrorLog {here}/log\n\
             LockFile {here}/lock\nDocumentRoot {here}\nTypesConfig /dev/null\nUser www-data\nGroup www-data\n{body}\n"
        );
        fs::write(directory.path().join("httpd.conf"), text).unwrap();
        Self { directory, program: program.to_owned() }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-f").arg(self.directory.path().join("httpd.conf")).stdin(Stdio::null());
        command
    }

    fn read(&self) -> Result<Pool, ApacheError> {
        let files = HostFiles::below(Path::new("/"));
        let parent = pool_capacity::ServerProcess {
            pid: u32::MAX,
            ppid: 1,
            name: b"httpd".to_vec(),
            arguments: [self.program.as_path(), Path::new("-f"), &self.directory.path().join("httpd.conf")]
                .map(|word| word.to_str().unwrap().as_bytes().to_vec())
                .into(),
            threads: 1,
            uid: Some(0),
        };
        let reading = Reading::new(&files);
        read(&reading, &Invocation::find(&reading, None, Some(&parent)).unwrap())
    }
}

struct Running(Child);

impl Running {
    fn workers(&self, has_threads: bool) -> usize {
        let pid = self.0.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        children.map(|pid| if has_threads { threads(pid).saturating_sub(2) } else { 1 }).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

fn runs_as_many(program: &Path, body: &str) {
    let directory = ConfigDirectory::with(program, body);
    let pool = directory.read().unwrap_or_else(|error| panic!("{body}: {error}"));
    assert!(pool.version.is_2_2(), "{program:?} is no Apache 2.2");
    let has_threads = pool.mpm.name() != "prefork";
    let spare = if has_threads { "MaxSpareThreads 1000000" } else { "MaxSpareServers 1000000" };
    let mut command = directory.command();
    command.args(["-D", "FOREGROUND", "-c", "StartServers 1000000", "-c", spare]).stderr(Stdio::null());
    let running = Running(command.process_group(0).spawn().unwrap());
    let reached = wait_until(PATIENCE, || running.workers(has_threads) == pool.limit as usize);
    assert!(reached, "{body}: {} workers, not {}", running.workers(has_threads), pool.limit);
}

#[test]
#[ignore = "needs the program of an Apache 2.2, named by OOMWATCH_HTTPD_2_2"]
fn limits_of_2_2_equal_those_of_its_program() {
    let program = PathBuf::from(env::var_os(PROGRAM).expect("OOMWATCH_HTTPD_2_2 names a program"));
    let mpm = ConfigDirectory::with(&program, "").read().unwrap().mpm.name();
    let bodies = if mpm == "prefork" { PREFORK } else { WORKER };
    bodies.iter().for_each(|body| runs_as_many(&program, body));
    for body in BROKEN {
        let directory = ConfigDirectory::with(&program, body);
        let output = directory.command().arg("-t").output().unwrap();
        let refused = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{body}: {refused}");
        assert!(directory.read().is_err(), "{body}: {refused}");
    }
}

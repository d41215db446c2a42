//! php-fpm's processes, by their titles.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::ServerProcess;

const MASTER: &[u8] = b"php-fpm: master process (";
const WORKER: &[u8] = b"php-fpm: pool ";

/// A running master process with its workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// The process.
    pub pid: u32,
    /// Its configuration file, from its title.
    pub conf: PathBuf,
    /// Pids of the workers by pool.
    pub workers: BTreeMap<String, Vec<u32>>,
}

/// Returns the running masters with their workers.
#[must_use]
pub fn masters(processes: &[ServerProcess]) -> Vec<Master> {
    let mut masters: Vec<Master> = processes.iter().filter_map(master).collect();
    let by_pid: HashMap<u32, usize> =
        masters.iter().enumerate().map(|(index, master)| (master.pid, index)).collect();
    for process in processes {
        let title = title(process);
        let Some(pool) = title.strip_prefix(WORKER) else { continue };
        if let Some(&master) = by_pid.get(&process.ppid) {
            let pool = String::from_utf8_lossy(pool).into_owned();
            masters[master].workers.entry(pool).or_default().push(process.pid);
        }
    }
    masters
}

/// Returns whether a command line is the title of a master or a worker.
#[must_use]
pub fn is_title(cmdline: &[u8]) -> bool {
    cmdline.starts_with(MASTER) || cmdline.starts_with(WORKER)
}

/// Returns whether a process has the title of a master.
#[must_use]
pub fn is_master(process: &ServerProcess) -> bool {
    master(process).is_some()
}

/// Returns the configuration file in a master's title.
#[must_use]
pub fn named_paths(process: &ServerProcess) -> Vec<PathBuf> {
    master(process).into_iter().map(|master| master.conf).collect()
}

fn master(process: &ServerProcess) -> Option<Master> {
    let title = title(process);
    let conf = title.strip_prefix(MASTER)?.strip_suffix(b")")?;
    let conf = PathBuf::from(OsString::from_vec(conf.to_vec()));
    Some(Master { pid: process.pid, conf, workers: BTreeMap::new() })
}

/// A title overwrites the arguments, and blanks replace the rest of them.
fn title(process: &ServerProcess) -> Vec<u8> {
    process.arguments.join(&b' ').trim_ascii_end().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, ppid: u32, title: &str) -> ServerProcess {
        ServerProcess { pid, ppid, arguments: vec![title.into(), vec![]], ..ServerProcess::default() }
    }

    #[test]
    fn workers_belong_to_their_master_and_pool() {
        let processes = [
            process(10, 1, "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)"),
            process(11, 10, "php-fpm: pool www"),
            process(12, 10, "php-fpm: pool www"),
            process(13, 10, "php-fpm: pool my shop"),
            process(20, 1, "php-fpm: master process (/etc/php/7.4/fpm/php-fpm.conf)     "),
            process(21, 20, "php-fpm: pool www      "),
            process(30, 1, "php-fpm: pool www"),
            process(31, 10, "/bin/sh -c php-fpm: pool www"),
        ];
        let masters = masters(&processes);
        assert_eq!(masters.len(), 2);
        assert_eq!(masters[0].workers["www"], [11, 12]);
        assert_eq!(masters[0].workers["my shop"], [13]);
        assert_eq!(
            (masters[1].conf.to_str(), &masters[1].workers["www"]),
            (Some("/etc/php/7.4/fpm/php-fpm.conf"), &vec![21])
        );
    }
}

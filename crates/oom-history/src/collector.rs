//! Polls all sources into one history.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oom_evidence::Systemd;
use state_files::{Durability, StateError};

use crate::boots::read_boot_id;
use crate::clocks::Clocks;
use crate::history::KillHistory;
use crate::readers::{JournalReader, KmsgReader, LogFiles, SystemdReader};
use crate::recorder::Recorder;
use crate::saver::Saver;
use crate::services::CgroupCount;
use crate::source::OomSource;
use crate::status::SourceStatus;

/// Polls that come within this time share one reading.
const FRESH: Duration = Duration::from_secs(1);

/// Whether the state file may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The history is saved if no other process owns the state file.
    ReadWrite,
    /// Nothing is written.
    ReadOnly,
}

/// Why a collector cannot be opened now. A later attempt may succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The boot cannot be identified.
    #[error("{0}")]
    Boot(#[from] io::Error),
    /// The state file cannot be read.
    #[error("{0}")]
    State(#[from] StateError),
}

/// Sources of a collector, and the place of its state file.
#[derive(Debug, Clone, Copy)]
pub struct Config<'a> {
    /// The root of the machine: `/`, or where it is mounted.
    pub host_root: &'a Path,
    /// The directory of the state file `oom.json`. It is created.
    pub state_dir: &'a Path,
    /// The sources to read.
    pub sources: &'a [OomSource],
    /// Whether the state file may be written.
    pub access: Access,
}

/// A source and its status.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SourceReport<'a> {
    /// The source.
    pub source: OomSource,
    /// The path, if the source is a log file.
    pub path: Option<&'a Path>,
    /// Its status at the last poll.
    pub status: &'a SourceStatus,
}

/// The history of kills, and the readers that keep it up to date.
#[derive(Debug)]
pub struct Collector {
    host_root: PathBuf,
    history: KillHistory,
    saver: Saver,
    boot: String,
    clocks: Clocks,
    kmsg: KmsgReader,
    journal: JournalReader,
    files: LogFiles,
    systemd: SystemdReader,
    /// The kernel's own count, or why there is none.
    kernel_count: Result<u64, String>,
    refreshed: Option<Instant>,
}

impl Collector {
    /// Loads the history. A state file that cannot be used costs a warning.
    ///
    /// # Errors
    /// If the boot cannot be identified now, or the state file cannot be read now, such as without a free file descriptor.
    /// A later attempt may succeed.
    pub fn open(config: &Config<'_>) -> Result<Self, OpenError> {
        let &Config { host_root, state_dir, sources, access } = config;
        let is_on = |source| sources.contains(&source);
        let boot = read_boot_id(host_root)?;
        let (saver, mut history) = Saver::open(state_dir, access == Access::ReadOnly)?;
        history.enter(&boot);
        let positions = &history.positions;
        Ok(Self {
            host_root: host_root.to_owned(),
            saver,
            boot,
            clocks: Clocks::read(host_root),
            kmsg: KmsgReader::new(host_root, is_on(OomSource::Kmsg)),
            journal: JournalReader::new(host_root, positions.journal.clone(), is_on(OomSource::Journal)),
            files: LogFiles::new(host_root, &positions.files, is_on(OomSource::File)),
            systemd: SystemdReader::new(is_on(OomSource::Systemd), is_on(OomSource::SystemdOomd)),
            kernel_count: Err("the kernel's count was not read yet".to_owned()),
            refreshed: None,
            history,
        })
    }

    /// Sets what is called if a kernel's report came between two polls. Then [`take_news`](Self::take_news) and
    /// [`save`](Self::save) keep it. The function must not block.
    #[must_use]
    pub fn on_report(mut self, on_report: impl Fn() + Send + Sync + 'static) -> Self {
        self.kmsg.set_on_report(on_report);
        self
    }

    /// Reads what is new in every source and saves it. Skips the sources if they were read within a second and the kernel
    /// has counted no kill since.
    ///
    /// `kernel_count` is the kernel's count of kills in this boot, or why there is none. `systemd` is none if the
    /// connection to the bus is switched off.
    pub fn refresh(
        &mut self,
        kernel_count: Result<u64, String>,
        systemd: Option<&Systemd>,
        deadline: Instant,
    ) {
        self.clocks.refresh(&self.host_root);
        let is_counted = self.kernel_count == kernel_count;
        if let Ok(count) = kernel_count {
            // A count that cannot be read for a moment does not fall back to the smaller number of reports.
            self.history.this_boot().kernel = Some(count);
        }
        self.kernel_count = kernel_count;
        if is_counted && self.refreshed.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let mut recorder = Recorder { history: &mut self.history, clocks: &self.clocks, boot: &self.boot };
        self.kmsg.refresh(deadline, &mut recorder);
        self.journal.refresh(self.kmsg.is_open(), deadline, &mut recorder);
        self.files.refresh(deadline, &mut recorder);
        self.systemd.refresh(systemd, deadline, &mut recorder);
        self.refreshed = Some(Instant::now());
        self.save();
    }

    /// Records what the connection to systemd and the reader of `/dev/kmsg` have collected since the last poll.
    pub fn take_news(&mut self, systemd: Option<&Systemd>) {
        let mut recorder = Recorder { history: &mut self.history, clocks: &self.clocks, boot: &self.boot };
        self.kmsg.take_news(&mut recorder);
        self.systemd.take_news(systemd, &mut recorder);
    }

    /// Counts the kills that a running service outlived, from the count of its cgroup. The next save keeps them.
    pub fn count_outlived(&mut self, unit: &str, cgroup: CgroupCount) {
        self.history.services.add_outlived(unit, cgroup, &self.boot);
    }

    /// Saves the history at once if there are new kills, else at most once a minute.
    pub fn save(&mut self) {
        self.saver.save(&self.history);
    }

    /// The history.
    #[must_use]
    pub fn history(&self) -> &KillHistory {
        &self.history
    }

    /// The kernel's own count of kills in this boot.
    ///
    /// # Errors
    /// The reason if there is none.
    pub fn kernel_count(&self) -> Result<u64, &str> {
        self.kernel_count.as_ref().copied().map_err(String::as_str)
    }

    /// Whether the history outlives the process.
    #[must_use]
    pub fn durability(&self) -> &Durability {
        self.saver.durability()
    }

    /// Whether another process owned the state file and has ended. Then a collector that is opened anew owns it.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.saver.is_abandoned()
    }

    /// Returns all sources with their status. Each log file is listed on its own.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceReport<'_>> {
        let one = |source, status| SourceReport { source, path: None, status };
        let mut sources =
            vec![one(OomSource::Kmsg, self.kmsg.status()), one(OomSource::Journal, self.journal.status())];
        let files = self.files.statuses();
        sources.extend(files.map(|(path, status)| SourceReport {
            source: OomSource::File,
            path: Some(path),
            status,
        }));
        sources.push(one(OomSource::Systemd, self.systemd.manager()));
        sources.push(one(OomSource::SystemdOomd, self.systemd.oomd()));
        sources
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use oom_evidence::Journal;

    use super::*;

    /// A machine with files in the places of its sources.
    struct Machine {
        kernel_count: Cell<Option<u64>>,
        root: tempfile::TempDir,
        state: tempfile::TempDir,
    }

    const BOOT: i64 = 1_700_000_000;

    impl Machine {
        fn new() -> Self {
            let machine = Self {
                kernel_count: Cell::new(Some(0)),
                root: tempfile::tempdir().unwrap(),
                state: tempfile::tempdir().unwrap(),
            };
            machine.write("proc/stat", &format!("cpu 0\nbtime {BOOT}\n"));
            machine.boot("11111111-2222-3333-4444-555555555555");
            machine
        }

        fn boot(&self, id: &str) {
            self.write("proc/sys/kernel/random/boot_id", &format!("{id}\n"));
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        /// A file holds what one read of /dev/kmsg returns: a single record.
        fn kmsg_kill(&self, sequence: u64, pid: u32) {
            let text = format!("Out of memory: Killed process {pid} (hog) total-vm:8kB, anon-rss:4kB");
            self.write("dev/kmsg", &format!("3,{sequence},{}000000,-;{text}\n", 100 + sequence));
        }

        fn open(&self, access: Access) -> Collector {
            let (host_root, state_dir) = (self.root.path(), self.state.path());
            let config = Config { host_root, state_dir, sources: &OomSource::ALL, access };
            let mut collector = Collector::open(&config).unwrap();
            collector.journal.journal = Journal::new(host_root).program(host_root.join("journalctl"));
            collector
        }

        fn collector(&self, access: Access) -> Collector {
            let mut collector = self.open(access);
            let kernel_count = self.kernel_count.get().ok_or_else(|| "not counted".to_owned());
            collector.refresh(kernel_count, None, Instant::now() + Duration::from_secs(20));
            collector
        }
    }

    fn pids(collector: &Collector) -> Vec<u32> {
        collector.history.newest().flat_map(|record| &record.victims).map(|victim| victim.pid).collect()
    }

    #[test]
    fn machine_without_sources_has_reasons_and_no_records() {
        let machine = Machine::new();
        let collector = machine.collector(Access::ReadWrite);
        assert!(collector.kmsg.status().reason.as_deref().unwrap().contains("dev/kmsg"));
        assert_eq!(collector.journal.status().reason.as_deref(), Some("there is no journalctl"));
        assert!(collector.files.statuses().all(|(_, status)| status.reason.is_some()));
        assert_eq!((collector.history.total(), pids(&collector)), (0, vec![]));
    }

    #[test]
    fn kills_between_two_processes_are_recorded_once() {
        let machine = Machine::new();
        machine.kmsg_kill(50, 7);
        machine.kernel_count.set(Some(1));
        let collector = machine.collector(Access::ReadWrite);
        assert_eq!((pids(&collector), collector.history.messages_before_start), (vec![7], 50));
        drop(collector);
        assert_eq!(pids(&machine.collector(Access::ReadWrite)), [7]);
        machine.kmsg_kill(61, 8);
        let collector = machine.collector(Access::ReadWrite);
        assert_eq!(
            (pids(&collector), collector.history.messages_lost, collector.history.reports),
            (vec![8, 7], 10, 2)
        );
        assert_eq!(collector.history.count_of_boot().reported(), 2);
        drop(collector);
        machine.boot("99999999-2222-3333-4444-555555555555");
        machine.kernel_count.set(Some(0));
        machine.kmsg_kill(3, 9);
        let collector = machine.collector(Access::ReadWrite);
        // The kernel's 1 was overtaken by 2 reports; this boot's counter says 0.
        assert_eq!((collector.history.reports, collector.history.total()), (3, 2));
    }

    #[test]
    fn read_only_collector_reads_everything_and_writes_nothing() {
        let machine = Machine::new();
        machine.kmsg_kill(50, 7);
        assert_eq!(pids(&machine.collector(Access::ReadOnly)), [7]);
        assert_eq!(std::fs::read_dir(machine.state.path()).unwrap().count(), 0);
    }

    #[test]
    fn kills_that_a_service_outlived_are_in_the_history_of_the_next_process() {
        let machine = Machine::new();
        let mut collector = machine.collector(Access::ReadWrite);
        let outlived = |inode, oom_kills| CgroupCount { inode, oom_kills };
        collector.count_outlived("web.service", outlived(7, 2));
        assert_eq!(collector.history().services().total, 2);
        collector.save();
        drop(collector);
        let mut collector = machine.collector(Access::ReadWrite);
        collector.count_outlived("web.service", outlived(7, 2));
        let services = collector.history().services();
        assert_eq!((services.total, services.counts["web.service"].kills), (2, 2), "counted before");
        collector.count_outlived("web.service", outlived(7, 3));
        assert_eq!(collector.history().services().total, 3);
    }

    #[test]
    fn kill_in_kmsg_and_in_a_log_file_is_one_record() {
        let machine = Machine::new();
        machine.kmsg_kill(50, 7);
        let line =
            "2023-11-14T22:15:52+00:00 web kernel: Out of memory: Killed process 7 (hog) total-vm:8kB\n";
        machine.write("var/log/messages", line);
        let collector = machine.collector(Access::ReadWrite);
        let record = collector.history.newest().next().unwrap();
        assert_eq!(
            (collector.history.reports, record.sources.as_slice()),
            (1, &[OomSource::Kmsg, OomSource::File][..])
        );
        assert_eq!(record.time().as_deref(), Some("2023-11-14T22:15:50.000Z"));
    }

    #[test]
    fn journal_alone_is_read_and_its_cursor_is_kept() {
        let machine = Machine::new();
        machine.install_journalctl(
            r"printf '__CURSOR=c1\n__REALTIME_TIMESTAMP=1700000100000000\n_BOOT_ID=11111111222233334444555555555555\n'
            printf '_TRANSPORT=kernel\nSYSLOG_FACILITY=0\n_SOURCE_MONOTONIC_TIMESTAMP=100000000\n'
            printf 'MESSAGE=Out of memory: Killed process 7 (hog) total-vm:8kB\n\n'",
        );
        let collector = machine.collector(Access::ReadWrite);
        assert_eq!((pids(&collector), collector.history.count_of_boot().reported()), (vec![7], 1));
        assert_eq!(collector.journal.status(), &SourceStatus::default());
        drop(collector);
        let collector = machine.collector(Access::ReadWrite);
        assert_eq!((pids(&collector), collector.history.count_of_boot().reported()), (vec![7], 1));
    }

    #[test]
    fn boot_that_cannot_be_identified_changes_nothing() {
        let machine = Machine::new();
        machine.kmsg_kill(50, 7);
        machine.kernel_count.set(Some(3));
        drop(machine.collector(Access::ReadWrite));
        // A directory in place of the file: as without a descriptor, reading fails and may succeed later.
        let id = machine.root.path().join("proc/sys/kernel/random/boot_id");
        std::fs::remove_file(&id).unwrap();
        std::fs::create_dir(&id).unwrap();
        let (host_root, state_dir) = (machine.root.path(), machine.state.path());
        let config = Config { host_root, state_dir, sources: &OomSource::ALL, access: Access::ReadWrite };
        let error = Collector::open(&config).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the id of this boot ("), "{error}");
        std::fs::remove_dir(&id).unwrap();
        machine.boot("11111111-2222-3333-4444-555555555555");
        let collector = machine.collector(Access::ReadWrite);
        assert_eq!((collector.history.reports, collector.history.total()), (1, 3));
    }

    #[test]
    fn count_that_cannot_be_read_for_a_moment_does_not_fall() {
        let machine = Machine::new();
        machine.kernel_count.set(Some(5));
        let mut collector = machine.collector(Access::ReadWrite);
        collector.refresh(Err("too many open files".to_owned()), None, deadline(20));
        assert_eq!((collector.history.total(), collector.kernel_count()), (5, Err("too many open files")));
    }

    #[test]
    fn without_a_count_of_the_kernel_reports_are_counted() {
        let machine = Machine::new();
        machine.kernel_count.set(None);
        machine.kmsg_kill(50, 7);
        assert_eq!(machine.collector(Access::ReadWrite).history.total(), 1);
    }

    impl Machine {
        /// The next read of the open `/dev/kmsg` returns this record.
        fn append_kmsg_kill(&self, sequence: u64, pid: u32) {
            let text = format!("Out of memory: Killed process {pid} (hog) total-vm:8kB, anon-rss:4kB");
            let mut file =
                std::fs::File::options().append(true).open(self.root.path().join("dev/kmsg")).unwrap();
            writeln!(file, "3,{sequence},{}000000,-;{text}", 100 + sequence).unwrap();
        }

        fn install_journalctl(&self, script: &str) {
            self.write("journalctl", &format!("#!/bin/sh\n{script}\n"));
            let path = self.root.path().join("journalctl");
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn deadline(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn polls_within_a_second_share_one_reading_unless_the_kernel_counted_a_kill() {
        let machine = Machine::new();
        machine.kmsg_kill(50, 7);
        let mut collector = machine.collector(Access::ReadWrite);
        machine.append_kmsg_kill(61, 8);
        collector.refresh(Ok(0), None, deadline(20));
        assert_eq!(pids(&collector), [7]);
        collector.refresh(Ok(1), None, deadline(20));
        assert_eq!((pids(&collector), collector.history.messages_lost), (vec![8, 7], 10));
        machine.append_kmsg_kill(62, 9);
        collector.refresh(Ok(2), None, deadline(20));
        assert_eq!((pids(&collector), collector.history.messages_lost), (vec![9, 8, 7], 10));
    }

    #[test]
    fn journal_is_not_read_at_each_poll() {
        let machine = Machine::new();
        let calls = machine.state.path().join("calls");
        machine.install_journalctl(&format!(
            "echo >> {}\nprintf '__CURSOR=c1\\n_TRANSPORT=kernel\\nSYSLOG_FACILITY=0\\nMESSAGE=x\\n\\n'",
            calls.display()
        ));
        let mut collector = machine.collector(Access::ReadWrite);
        assert!(collector.journal.status().is_readable());
        collector.refresh(Ok(1), None, deadline(20));
        assert_eq!(std::fs::read(&calls).unwrap().len(), 1);
    }

    #[test]
    fn hanging_journal_leaves_time_for_the_log_files() {
        let machine = Machine::new();
        machine.install_journalctl("exec sleep 60");
        let mut collector = machine.open(Access::ReadWrite);
        let line =
            "2023-11-14T22:15:52+00:00 web kernel: Out of memory: Killed process 7 (hog) total-vm:8kB\n";
        machine.write("var/log/messages", line);
        collector.refresh(Ok(0), None, deadline(2));
        assert_eq!(pids(&collector), [7]);
        assert_eq!(collector.journal.status().reason.as_deref(), Some("journalctl did not reply in time"));
    }

    #[test]
    fn sources_that_are_off_are_neither_read_nor_reported_as_broken() {
        let machine = Machine::new();
        machine.kmsg_kill(50, 7);
        let config = Config {
            host_root: machine.root.path(),
            state_dir: machine.state.path(),
            sources: &[],
            access: Access::ReadOnly,
        };
        let mut collector = Collector::open(&config).unwrap();
        collector.refresh(Ok(1), None, deadline(20));
        assert!(collector.sources().iter().all(|report| report.status.is_off()));
        assert_eq!(
            (pids(&collector), collector.history.total(), collector.kernel_count()),
            (vec![], 1, Ok(1))
        );
    }
}

//! The sources of OOM reports, read one after the other into the ledger.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use oom_evidence::{
    CgroupKills, Journal, JournalError, KernelRing, Link, LiveError, News, Origin, Parser, Report,
    ServiceKill, Systemd, oom_kills,
};

use super::files::{self, LogFile};
use super::ledger::{Event, Ledger, Source};
use super::moment::{self, Clocks};
use super::store::Store;

/// Polls that come together share one reading.
const FRESH: Duration = Duration::from_secs(1);
/// Each reading of the journal is a process. Where /dev/kmsg tells the same, it is only for the list of sources.
const JOURNAL_EVERY: Duration = Duration::from_secs(10);
const JOURNAL_BESIDE_KMSG_EVERY: Duration = Duration::from_secs(60);
/// A machine that has run out of memory is slow to start a process. Half of the poll's time is the limit in any case.
const JOURNAL_TIME: Duration = Duration::from_secs(10);
/// The kernel prints a report within milliseconds, and a slow console may hold it up; after so much silence it has ended.
const SILENCE: Duration = Duration::from_millis(300);
const PAUSE: Duration = Duration::from_millis(50);
/// The bus is on this machine. Whoever comes first waits for it a moment, so that its answer is whole.
const LINK_TIME: Duration = Duration::from_secs(1);
/// Positions alone are worth a write only so often: what is read again merges with what is known.
const SAVE_POSITIONS_EVERY: Duration = Duration::from_secs(60);

/// How it stands with a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Sight {
    #[default]
    Readable,
    /// The machine has no such thing.
    Absent,
    /// This user may not.
    Forbidden,
    /// It should be readable, and is not.
    Failed,
    /// The configuration does not want it.
    Off,
}

impl Sight {
    fn of_error(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            _ => Self::Failed,
        }
    }

    fn of_journal(error: &JournalError) -> Self {
        match error {
            JournalError::Absent => Self::Absent,
            JournalError::Refused(_) | JournalError::Empty => Self::Forbidden,
            _ => Self::Failed,
        }
    }
}

/// Whether a source was read, and if not, why and what would help.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SourceState {
    pub(crate) sight: Sight,
    pub(crate) problem: Option<String>,
    pub(crate) mend: Option<&'static str>,
}

impl SourceState {
    fn off(why: &str) -> Self {
        Self { sight: Sight::Off, problem: Some(why.to_owned()), mend: None }
    }

    /// What would help is told of what may not be read, and no longer of what is not there.
    fn closed(sight: Sight, problem: &dyn std::fmt::Display, mend: &'static str) -> Self {
        let mend = matches!(sight, Sight::Forbidden | Sight::Failed).then_some(mend);
        Self { sight, problem: Some(problem.to_string()), mend }
    }

    /// Of several files: one that can be read, else one that could be made readable, before one that is absent.
    pub(crate) fn rank(&self) -> (bool, bool) {
        (self.problem.is_some(), self.mend.is_none())
    }

    fn without_mend(sight: Sight, problem: &dyn std::fmt::Display) -> Self {
        Self { sight, problem: Some(problem.to_string()), mend: None }
    }
}

/// All that is known, and the readers that keep it so.
#[derive(Debug)]
pub(crate) struct Evidence {
    host_root: PathBuf,
    pub(crate) store: Store,
    pub(crate) ledger: Ledger,
    boot: String,
    clocks: Clocks,
    ring: Option<KernelRing<File>>,
    ring_parser: Parser,
    ring_counted: (u64, u64),
    pub(crate) ring_state: SourceState,
    journal: Journal,
    journal_parser: Parser,
    journal_boot: String,
    journal_read: Option<Instant>,
    journal_cursor: Option<String>,
    pub(crate) journal_state: SourceState,
    pub(crate) files: Vec<(LogFile, SourceState)>,
    wanted: Vec<Source>,
    pub(crate) systemd_state: SourceState,
    pub(crate) oomd_state: SourceState,
    pub(crate) kernel_count: Result<u64, String>,
    refreshed: Option<Instant>,
    saved: Option<Instant>,
    saved_ledger: Ledger,
}

impl Evidence {
    pub(crate) fn open(host_root: &Path, state_dir: &Path, wanted: &[Source], only_look: bool) -> Self {
        let (store, mut ledger) = Store::open(state_dir, only_look);
        let saved_ledger = ledger.clone();
        let boot = boot_id(host_root);
        ledger.enter(&boot);
        let file = |name: &&str| {
            let position = ledger.positions.files.get(*name).copied();
            (LogFile::new(host_root.join(name), position), SourceState::default())
        };
        Self {
            host_root: host_root.to_owned(),
            store,
            boot,
            clocks: Clocks {
                boot: boot_time(host_root),
                zone: TimeZone::system(),
                suspended: moment::suspended(),
            },
            ring: None,
            ring_parser: Parser::new(Origin::KernelRing),
            ring_counted: (0, 0),
            ring_state: SourceState::default(),
            journal: Journal::of(host_root),
            journal_parser: Parser::new(Origin::JournalKernel),
            journal_boot: String::new(),
            journal_read: None,
            journal_cursor: ledger.positions.journal.clone(),
            journal_state: SourceState::default(),
            files: files::PATHS.iter().map(file).collect(),
            wanted: wanted.to_owned(),
            systemd_state: SourceState::default(),
            oomd_state: SourceState::default(),
            kernel_count: Err("not looked at yet".to_owned()),
            refreshed: None,
            saved: None,
            saved_ledger,
            ledger,
        }
    }

    /// Reads what is new in every source, unless that was done a moment ago and the kernel has counted no kill since.
    pub(crate) fn refresh(&mut self, systemd: Option<&Systemd>, deadline: Instant) {
        let counted = self.kernel_count.clone();
        self.look_at_clocks();
        self.look_at_counter();
        if self.kernel_count == counted && self.refreshed.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        self.look_at_ring(deadline);
        self.look_at_journal(deadline);
        self.look_at_files(deadline);
        self.look_at_systemd(systemd, deadline);
        self.refreshed = Some(Instant::now());
        self.save();
    }

    /// The time of the boot moves when the clock is set, and a machine may have slept since.
    fn look_at_clocks(&mut self) {
        self.clocks.boot = boot_time(&self.host_root).or(self.clocks.boot);
        self.clocks.suspended = moment::suspended();
    }

    fn look_at_counter(&mut self) {
        self.kernel_count = oom_kills(&self.host_root).map_err(|error| error.to_string());
        self.ledger.this_boot().kernel = self.kernel_count.as_ref().ok().copied();
    }

    fn tell(&mut self, reports: &[Report], source: Source, boot: Option<&str>) {
        let start = self.clocks.boot.and_then(|seconds| seconds.checked_mul(1_000_000));
        for report in reports {
            self.ledger.tell(Event::of(report, source, boot, &self.clocks), source, start);
        }
    }

    fn wants(&self, source: Source) -> bool {
        self.wanted.contains(&source)
    }

    fn look_at_ring(&mut self, deadline: Instant) {
        if !self.wants(Source::Kmsg) {
            self.ring_state = SourceState::off(NOT_NAMED);
            return;
        }
        match self.read_ring(deadline) {
            Ok(reports) => {
                self.ring_state = SourceState::default();
                let boot = self.boot.clone();
                self.tell(&reports, Source::Kmsg, Some(&boot));
                self.ledger.this_boot().found.entry(Source::Kmsg.name().into()).or_default();
            }
            Err(error) => {
                self.ring = None;
                self.ring_state = SourceState::closed(error.sight(), &error, MEND_KMSG);
            }
        }
    }

    fn read_ring(&mut self, deadline: Instant) -> Result<Vec<Report>, RingError> {
        let mut ring = match self.ring.take() {
            Some(ring) => ring,
            None => self.open_ring()?,
        };
        let mut reports = Vec::new();
        let outcome = drain(&mut ring, &mut self.ring_parser, deadline, &mut reports);
        let stats = ring.stats();
        let (lost, before) = self.ring_counted;
        self.ledger.lost += stats.lost - lost;
        self.ledger.before_start += stats.before_start - before;
        self.ring_counted = (stats.lost, stats.before_start);
        if !self.ring_parser.has_open_report() {
            self.ledger.positions.kmsg = ring.next_sequence();
        }
        if let Err(error) = outcome {
            // What was read before counts all the same.
            let boot = self.boot.clone();
            self.tell(&reports, Source::Kmsg, Some(&boot));
            return Err(error.into());
        }
        self.ring = Some(ring);
        Ok(reports)
    }

    fn open_ring(&mut self) -> Result<KernelRing<File>, LiveError> {
        let ring = KernelRing::open(&self.host_root)?;
        self.ring_counted = (0, 0);
        Ok(match self.ledger.positions.kmsg {
            Some(sequence) => ring.resume_at(sequence),
            None => ring,
        })
    }

    fn look_at_journal(&mut self, deadline: Instant) {
        if !self.wants(Source::Journal) {
            self.journal_state = SourceState::off(NOT_NAMED);
            return;
        }
        let every = if self.ring.is_some() { JOURNAL_BESIDE_KMSG_EVERY } else { JOURNAL_EVERY };
        if self.journal_read.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        // The files still have to be read.
        let now = Instant::now();
        let deadline = deadline.min(now + JOURNAL_TIME.min(deadline.saturating_duration_since(now) / 2));
        match self.read_journal(deadline) {
            Ok(is_complete) => {
                self.journal_state = SourceState::default();
                self.journal_read = is_complete.then(Instant::now);
                self.ledger.this_boot().found.entry(Source::Journal.name().into()).or_default();
            }
            Err(error) => {
                self.journal_read = Some(Instant::now());
                self.journal_state = match Sight::of_journal(&error) {
                    Sight::Forbidden => SourceState::closed(Sight::Forbidden, &error, MEND_JOURNAL),
                    sight => SourceState::without_mend(sight, &error),
                };
            }
        }
    }

    fn read_journal(&mut self, deadline: Instant) -> Result<bool, JournalError> {
        let cursor = self.journal_cursor.clone();
        let mut told: Vec<(String, Vec<Report>)> = Vec::new();
        let (parser, boot) = (&mut self.journal_parser, &mut self.journal_boot);
        let read = self.journal.read(cursor.as_deref().map(str::as_bytes), deadline, |entry| {
            let its_boot = with_hyphens(&entry.boot_id);
            if *boot != its_boot {
                told.push((std::mem::replace(boot, its_boot), parser.flush()));
            }
            let reports: Vec<_> =
                parser.feed_message(entry.since_boot, entry.since_epoch, &entry.message).collect();
            if !reports.is_empty() {
                told.push((boot.clone(), reports));
            }
        });
        let is_complete = read.as_ref().is_ok_and(|read| read.complete);
        if is_complete {
            told.push((boot.clone(), parser.flush()));
        }
        let is_settled = !parser.has_open_report();
        for (boot, reports) in told {
            self.tell(&reports, Source::Journal, Some(&boot));
        }
        let read = read?;
        if read.restarted {
            log::warn!(
                "the journal does not know the position that was saved: all of this boot was read again"
            );
        }
        if let Some(cursor) = read.cursor {
            self.journal_cursor = Some(String::from_utf8_lossy(&cursor).into_owned());
        }
        if is_settled {
            self.ledger.positions.journal.clone_from(&self.journal_cursor);
        }
        Ok(is_complete)
    }

    fn look_at_files(&mut self, deadline: Instant) {
        if !self.wants(Source::File) {
            self.files.iter_mut().for_each(|(_, state)| *state = SourceState::off(NOT_NAMED));
            return;
        }
        let mut files = std::mem::take(&mut self.files);
        for ((file, state), name) in files.iter_mut().zip(files::PATHS) {
            let mut reports = Vec::new();
            *state = match read_file(file, deadline, &mut reports) {
                Ok(()) => {
                    self.ledger.this_boot().found.entry(Source::File.name().into()).or_default();
                    SourceState::default()
                }
                Err(error) => SourceState::closed(Sight::of_error(&error), &error, MEND_FILES),
            };
            self.tell(&reports, Source::File, None);
            if let Some(position) = file.position() {
                self.ledger.positions.files.insert(name.to_owned(), position);
            }
        }
        self.files = files;
    }

    fn look_at_systemd(&mut self, systemd: Option<&Systemd>, deadline: Instant) {
        let link = match systemd {
            Some(systemd) if self.wants(Source::Systemd) || self.wants(Source::SystemdOomd) => {
                systemd.link(deadline.min(Instant::now() + LINK_TIME))
            }
            Some(_) => Link::Connecting,
            None => {
                let off = SourceState::off("Plugins.OomWatch.Systemd is off");
                (self.systemd_state, self.oomd_state) = (off.clone(), off);
                return;
            }
        };
        self.systemd_state = self.state_of(Source::Systemd, &link);
        self.oomd_state = self.state_of(Source::SystemdOomd, &link);
        if self.systemd_state.problem.is_none() {
            self.ledger.this_boot().found.entry(Source::Systemd.name().into()).or_default();
        }
        self.take_news(systemd);
    }

    fn state_of(&self, source: Source, link: &Link) -> SourceState {
        match link {
            _ if !self.wants(source) => SourceState::off(NOT_NAMED),
            Link::Connected { oomd: false } if source == Source::SystemdOomd => {
                SourceState::without_mend(Sight::Absent, &"systemd-oomd does not run")
            }
            Link::Connected { .. } => SourceState::default(),
            Link::Connecting => SourceState::without_mend(Sight::Failed, &"the bus has not answered yet"),
            Link::Broken { why, absent } => {
                let sight = if *absent { Sight::Absent } else { Sight::Failed };
                SourceState { sight, problem: Some(why.clone()), mend: Some(MEND_BUS) }
            }
        }
    }

    /// Takes what systemd told meanwhile, and keeps it.
    pub(crate) fn take_news(&mut self, systemd: Option<&Systemd>) {
        for news in systemd.map(Systemd::take).unwrap_or_default() {
            match news {
                News::Service(kill) => self.take_service(&kill),
                News::Oomd(kill) if self.wants(Source::SystemdOomd) => {
                    let event = Event::of_oomd(&kill, &self.boot);
                    self.ledger.tell(event, Source::SystemdOomd, None);
                }
                _ => {}
            }
        }
    }

    fn take_service(&mut self, kill: &ServiceKill) {
        if self.ledger.services.add(kill, &self.boot) && self.wants(Source::Systemd) {
            let event = Event::of_service(kill, &self.boot);
            self.ledger.tell(event, Source::Systemd, None);
        }
    }

    /// Takes what the cgroup of a service that outlives kills has counted; it is kept with the next answer.
    pub(crate) fn take_outlived(&mut self, unit: &str, kills: CgroupKills) {
        self.ledger.services.add_outlived(unit, kills, &self.boot);
    }

    pub(crate) fn save(&mut self) {
        let is_due = self.saved.is_none_or(|at| at.elapsed() >= SAVE_POSITIONS_EVERY);
        let is_news = self.ledger.total() != self.saved_ledger.total()
            || self.ledger.reports != self.saved_ledger.reports
            || self.ledger.services != self.saved_ledger.services;
        if !(is_due || is_news) || self.ledger == self.saved_ledger {
            return;
        }
        self.saved = Some(Instant::now());
        match self.store.save(&self.ledger) {
            Ok(()) => self.saved_ledger = self.ledger.clone(),
            Err(error) => log::warn!("what is known of OOM kills could not be saved: {error}"),
        }
    }
}

/// Why /dev/kmsg was not read.
#[derive(Debug, thiserror::Error)]
enum RingError {
    #[error(transparent)]
    Open(#[from] LiveError),
    #[error(transparent)]
    Read(#[from] io::Error),
}

impl RingError {
    fn sight(&self) -> Sight {
        match self {
            Self::Open(LiveError::Read { source, .. }) | Self::Read(source) => Sight::of_error(source),
            Self::Open(_) => Sight::Failed,
        }
    }
}

const NOT_NAMED: &str = "Plugins.OomWatch.Oom.Sources does not name it";
const MEND_KMSG: &str = "CAP_SYSLOG, or kernel.dmesg_restrict=0 and the right to read the file; \
    not needed where the journal or a log file can be read";
const MEND_JOURNAL: &str =
    "usermod --append --groups systemd-journal zabbix && systemctl restart zabbix-agent2";
const MEND_BUS: &str = "systemctl start dbus; in a container, mount the host's /run/dbus and see Plugins.OomWatch.HostRoot; \
    not needed where another source can be read (Plugins.OomWatch.Systemd=off)";
const MEND_FILES: &str = "usermod --append --groups adm zabbix && systemctl restart zabbix-agent2";

/// Reads all records that are there. Where a report is open in the end, it waits a moment for its rest.
fn drain<R: Read>(
    ring: &mut KernelRing<R>,
    parser: &mut Parser,
    deadline: Instant,
    reports: &mut Vec<Report>,
) -> io::Result<()> {
    let mut silent_since = Instant::now();
    while Instant::now() < deadline {
        if let Some(record) = ring.next_record()? {
            reports.extend(parser.feed_message(Some(record.since_boot), None, &record.text));
            silent_since = Instant::now();
        } else if !parser.has_open_report() {
            return Ok(());
        } else if silent_since.elapsed() >= SILENCE {
            reports.extend(parser.flush());
            return Ok(());
        } else {
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn read_file(file: &mut LogFile, deadline: Instant, reports: &mut Vec<Report>) -> io::Result<()> {
    file.read(deadline, reports)?;
    if file.has_open_report() && Instant::now() + SILENCE < deadline {
        thread::sleep(SILENCE);
        file.read(deadline, reports)?;
        file.flush(reports);
    }
    Ok(())
}

fn boot_id(host_root: &Path) -> String {
    let text = std::fs::read_to_string(host_root.join("proc/sys/kernel/random/boot_id")).unwrap_or_default();
    text.trim().chars().take(64).collect()
}

/// The journal writes boot ids without the hyphens that the kernel has in them.
fn with_hyphens(id: &[u8]) -> String {
    let id = String::from_utf8_lossy(id);
    if id.len() != 32 || !id.is_ascii() {
        return id.into_owned();
    }
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-")
}

fn boot_time(host_root: &Path) -> Option<i64> {
    let stat = std::fs::read_to_string(host_root.join("proc/stat")).ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with files in the places of its sources.
    struct Machine {
        root: tempfile::TempDir,
        state: tempfile::TempDir,
    }

    const BOOT: i64 = 1_700_000_000;

    impl Machine {
        fn new() -> Self {
            let machine = Self { root: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() };
            machine.write("proc/stat", &format!("cpu 0\nbtime {BOOT}\n"));
            machine.write("proc/vmstat", "oom_kill 0\n");
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

        fn evidence(&self, only_look: bool) -> Evidence {
            let mut evidence = Evidence::open(self.root.path(), self.state.path(), &Source::ALL, only_look);
            evidence.journal = evidence.journal.program(self.root.path().join("journalctl"));
            evidence.refresh(None, Instant::now() + Duration::from_secs(20));
            evidence
        }
    }

    fn pids(evidence: &Evidence) -> Vec<u32> {
        evidence.ledger.newest().flat_map(|event| &event.report.victims).map(|victim| victim.pid).collect()
    }

    #[test]
    fn failure_21_a_machine_without_any_source_has_reasons_and_no_events() {
        let machine = Machine::new();
        let evidence = machine.evidence(false);
        assert!(evidence.ring_state.problem.as_deref().unwrap().contains("dev/kmsg"));
        assert_eq!(evidence.journal_state.problem.as_deref(), Some("there is no journalctl"));
        assert!(evidence.files.iter().all(|(_, state)| state.problem.is_some()));
        assert_eq!((evidence.ledger.total(), pids(&evidence)), (0, vec![]));
    }

    #[test]
    fn what_happened_while_the_plugin_was_away_is_told_once() {
        let machine = Machine::new();
        machine.kmsg_kill(50, 7);
        machine.write("proc/vmstat", "oom_kill 1\n");
        let evidence = machine.evidence(false);
        assert_eq!((pids(&evidence), evidence.ledger.before_start), (vec![7], 50));
        drop(evidence);
        assert_eq!(pids(&machine.evidence(false)), [7]);
        machine.kmsg_kill(61, 8);
        let evidence = machine.evidence(false);
        assert_eq!((pids(&evidence), evidence.ledger.lost, evidence.ledger.reports), (vec![8, 7], 10, 2));
        assert_eq!(evidence.ledger.count_of_boot().reported(), 2);
        drop(evidence);
        machine.boot("99999999-2222-3333-4444-555555555555");
        machine.write("proc/vmstat", "oom_kill 0\n");
        machine.kmsg_kill(3, 9);
        let evidence = machine.evidence(false);
        // The kernel's 1 was overtaken by 2 reports; this boot's counter says 0.
        assert_eq!((evidence.ledger.reports, evidence.ledger.total()), (3, 2));
    }

    #[test]
    fn who_only_looks_sees_all_and_leaves_no_trace() {
        let machine = Machine::new();
        machine.kmsg_kill(50, 7);
        assert_eq!(pids(&machine.evidence(true)), [7]);
        assert_eq!(std::fs::read_dir(machine.state.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_kill_in_kmsg_and_in_a_log_file_is_one_event() {
        let machine = Machine::new();
        machine.kmsg_kill(50, 7);
        let line =
            "2023-11-14T22:15:52+00:00 web kernel: Out of memory: Killed process 7 (hog) total-vm:8kB\n";
        machine.write("var/log/messages", line);
        let evidence = machine.evidence(false);
        let report = &evidence.ledger.newest().next().unwrap().report;
        assert_eq!((evidence.ledger.reports, report.sources.join(" ")), (1, "kmsg file".to_owned()));
        assert_eq!(report.time.as_deref(), Some("2023-11-14T22:15:50.000Z"));
    }

    #[test]
    fn the_journal_alone_tells_as_well_and_its_cursor_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let machine = Machine::new();
        let script = r#"#!/bin/sh
            printf '__CURSOR=c1\n__REALTIME_TIMESTAMP=1700000100000000\n_BOOT_ID=11111111222233334444555555555555\n'
            printf '_TRANSPORT=kernel\nSYSLOG_FACILITY=0\n_SOURCE_MONOTONIC_TIMESTAMP=100000000\n'
            printf 'MESSAGE=Out of memory: Killed process 7 (hog) total-vm:8kB\n\n'
        "#;
        machine.write("journalctl", script);
        let path = machine.root.path().join("journalctl");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let evidence = machine.evidence(false);
        assert_eq!((pids(&evidence), evidence.ledger.count_of_boot().reported()), (vec![7], 1));
        assert_eq!(evidence.journal_state, SourceState::default());
        drop(evidence);
        let evidence = machine.evidence(false);
        assert_eq!((pids(&evidence), evidence.ledger.count_of_boot().reported()), (vec![7], 1));
    }

    #[test]
    fn without_the_kernels_counter_reports_are_counted() {
        let machine = Machine::new();
        machine.write("proc/vmstat", "pgfault 1\n");
        machine.kmsg_kill(50, 7);
        assert_eq!(machine.evidence(false).ledger.total(), 1);
    }

    #[test]
    fn boot_ids_are_written_in_one_way() {
        assert_eq!(with_hyphens(b"11111111222233334444555555555555"), "11111111-2222-3333-4444-555555555555");
        assert_eq!(with_hyphens(b"x"), "x");
    }
}

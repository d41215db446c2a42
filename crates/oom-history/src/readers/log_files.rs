//! The kernel's messages in log files, for machines where neither `/dev/kmsg` nor the journal is readable.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use oom_evidence::Report;

use crate::position::FilePosition;
use crate::readers::log_file::LogFile;
use crate::readers::pace::SILENCE;
use crate::recorder::Recorder;
use crate::source::OomSource;
use crate::status::{Remedy, SourceStatus};

/// Where log daemons write the kernel's messages: rsyslog of Debian, of Red Hat, and either's file for everything.
const PATHS: [&str; 3] = ["var/log/kern.log", "var/log/messages", "var/log/syslog"];

/// Follows the log files that may hold the kernel's messages.
#[derive(Debug)]
pub(crate) struct LogFiles(Vec<FollowedFile>);

#[derive(Debug)]
struct FollowedFile {
    /// Path below the machine's root.
    name: &'static str,
    path: PathBuf,
    log: LogFile,
    status: SourceStatus,
}

impl LogFiles {
    pub(crate) fn new(host_root: &Path, positions: &BTreeMap<String, FilePosition>, is_on: bool) -> Self {
        let file = |name| {
            let path = host_root.join(name);
            FollowedFile {
                name,
                log: LogFile::new(path.clone(), positions.get(name).copied()),
                path,
                status: if is_on { SourceStatus::default() } else { SourceStatus::off() },
            }
        };
        Self(PATHS.into_iter().map(file).collect())
    }

    pub(crate) fn statuses(&self) -> impl Iterator<Item = (&Path, &SourceStatus)> {
        self.0.iter().map(|file| (file.path.as_path(), &file.status))
    }

    pub(crate) fn refresh(&mut self, deadline: Instant, recorder: &mut Recorder<'_>) {
        for file in self.0.iter_mut().filter(|file| !file.status.is_off()) {
            file.refresh(deadline, recorder);
        }
    }
}

impl FollowedFile {
    fn refresh(&mut self, deadline: Instant, recorder: &mut Recorder<'_>) {
        let mut record = |report: Report| recorder.record_one(&report, OomSource::File, None);
        self.status = match read_with_open_report(&mut self.log, deadline, &mut record) {
            Ok(()) => {
                recorder.note_read(OomSource::File);
                SourceStatus::default()
            }
            Err(error) => SourceStatus::of_io_error(&error, &error, Remedy::ReadLogFiles),
        };
        if let Some(position) = self.log.position() {
            recorder.history.positions.files.insert(self.name.to_owned(), position);
        }
    }
}

/// Reads new lines. If a report is open at the end, waits a moment for the rest of it.
fn read_with_open_report(
    log: &mut LogFile,
    deadline: Instant,
    found: &mut dyn FnMut(Report),
) -> io::Result<()> {
    log.read(deadline, found)?;
    if log.has_open_report() && Instant::now() + SILENCE < deadline {
        thread::sleep(SILENCE);
        log.read(deadline, found)?;
        log.flush(found);
    }
    Ok(())
}

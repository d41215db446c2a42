//! One log file over its rotations.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use oom_evidence::{Origin, Parser, Report};
use rustix::fs::OFlags;

use crate::position::FilePosition;

/// Length of the end of a file that is read at first.
const BACKLOG_BYTES: u64 = 16 << 20;
/// Limit for one poll and file; the next poll reads the rest.
const POLL_BYTES: u64 = 64 << 20;
const PIECE_BYTES: usize = 64 * 1024;

/// One log file over its rotations.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    parser: Parser,
    /// After the last byte that the parser has.
    read_to: Option<FilePosition>,
    /// After the last whole line.
    line_start: Option<FilePosition>,
    /// After the last whole line at which no report was open.
    settled: Option<FilePosition>,
}

impl LogFile {
    pub(crate) fn new(path: PathBuf, position: Option<FilePosition>) -> Self {
        Self {
            path,
            parser: Parser::new(Origin::Text),
            read_to: position,
            line_start: position,
            settled: position,
        }
    }

    /// Returns where the next process continues.
    pub(crate) fn position(&self) -> Option<FilePosition> {
        self.settled
    }

    pub(crate) fn has_open_report(&self) -> bool {
        self.parser.has_open_report()
    }

    /// Reads new lines.
    ///
    /// # Errors
    /// If the path cannot be read or is not a regular file.
    pub(crate) fn read(&mut self, deadline: Instant, found: &mut dyn FnMut(Report)) -> io::Result<()> {
        let mut file = open(&self.path)?;
        let start = match self.read_to {
            Some(position) if position.is_of(&file)? => position.offset,
            Some(position) => {
                self.read_rotated(position, deadline, found);
                self.restart_parser(found);
                0
            }
            None => skip_backlog(&mut file)?,
        };
        self.read_on(&mut file, start, deadline, found)
    }

    /// Reads what was added before the file was renamed to `.1`. If that file is compressed or elsewhere, its end is lost.
    fn read_rotated(&mut self, position: FilePosition, deadline: Instant, found: &mut dyn FnMut(Report)) {
        let mut name = self.path.clone().into_os_string();
        name.push(".1");
        if let Ok(mut file) = open(Path::new(&name))
            && position.is_of(&file).is_ok_and(|is_same| is_same)
        {
            let _ = self.read_on(&mut file, position.offset, deadline, found);
        }
    }

    fn restart_parser(&mut self, found: &mut dyn FnMut(Report)) {
        let parser = std::mem::replace(&mut self.parser, Parser::new(Origin::Text));
        parser.finish().into_iter().for_each(found);
    }

    fn read_on(
        &mut self,
        file: &mut File,
        start: u64,
        deadline: Instant,
        found: &mut dyn FnMut(Report),
    ) -> io::Result<()> {
        let mut position = FilePosition::new(file, start)?;
        file.seek(SeekFrom::Start(start))?;
        if self.read_to != Some(position) {
            (self.read_to, self.line_start, self.settled) = (Some(position), Some(position), Some(position));
        }
        let mut piece = vec![0; PIECE_BYTES];
        while position.offset - start < POLL_BYTES && Instant::now() < deadline {
            let length = file.read(&mut piece)?;
            if length == 0 {
                break;
            }
            self.parser.feed(&piece[..length]).for_each(&mut *found);
            let line_end = piece[..length].iter().rposition(|byte| *byte == b'\n').map(|at| at as u64 + 1);
            if let Some(line_end) = line_end {
                self.line_start = Some(position.plus(line_end));
            }
            if !self.parser.has_open_report() {
                self.settled = self.line_start;
            }
            position = position.plus(length as u64);
            self.read_to = Some(position);
        }
        Ok(())
    }

    /// Closes the open report.
    pub(crate) fn flush(&mut self, found: &mut dyn FnMut(Report)) {
        self.parser.flush().into_iter().for_each(found);
        self.settled = self.line_start;
    }
}

/// Opens only a regular file: opening a FIFO would wait for its writer.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Returns the beginning of a line within the last part of the file.
fn skip_backlog(file: &mut File) -> io::Result<u64> {
    let Some(start) = file.metadata()?.len().checked_sub(BACKLOG_BYTES).filter(|start| *start > 0) else {
        return Ok(0);
    };
    file.seek(SeekFrom::Start(start))?;
    let mut piece = vec![0; PIECE_BYTES];
    let length = file.read(&mut piece)?;
    let line = piece[..length].iter().position(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    Ok(start + line)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    fn kill(pid: u32) -> String {
        format!("Jun 20 12:47:43 web kernel: Out of memory: Killed process {pid} (hog) total-vm:8kB\n")
    }

    fn append(path: &Path, text: &str) {
        OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn pids(log: &mut LogFile) -> Vec<u32> {
        let mut found = Vec::new();
        let mut add = |report| found.push(report);
        log.read(Instant::now() + Duration::from_secs(20), &mut add).unwrap();
        log.flush(&mut add);
        found.iter().flat_map(|report| &report.victims).map(|victim| victim.pid).collect()
    }

    #[test]
    fn each_kill_once_over_rotation_truncation_and_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("messages");
        append(&path, &kill(1));
        let mut log = LogFile::new(path.clone(), None);
        assert_eq!(pids(&mut log), [1]);
        assert_eq!(pids(&mut log), [0; 0]);
        append(&path, &kill(2));
        std::fs::rename(&path, dir.path().join("messages.1")).unwrap();
        append(&path, &kill(3));
        let mut log = LogFile::new(path.clone(), log.position());
        assert_eq!(pids(&mut log), [2, 3]);
        assert_eq!(pids(&mut log), [0; 0]);
        append(&path, &kill(33));
        assert_eq!(pids(&mut log), [33]);
        std::fs::write(&path, kill(4)).unwrap();
        assert_eq!(pids(&mut log), [4]);
    }

    #[test]
    fn only_the_end_of_a_large_file_is_read_at_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("messages");
        append(&path, &kill(1));
        File::options().append(true).open(&path).unwrap().set_len((16 << 20) + 100_000).unwrap();
        append(&path, &format!("\n{}", kill(2)));
        assert_eq!(pids(&mut LogFile::new(path, None)), [2]);
    }

    #[test]
    fn one_poll_reads_a_bounded_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("messages");
        append(&path, &kill(1));
        let mut log = LogFile::new(path.clone(), None);
        assert_eq!(pids(&mut log), [1]);
        File::options().append(true).open(&path).unwrap().set_len(65 << 20).unwrap();
        append(&path, &format!("\n{}", kill(2)));
        assert_eq!(pids(&mut log), [0; 0]);
        assert_eq!(pids(&mut log), [2]);
    }

    #[test]
    fn directory_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let error = LogFile::new(dir.path().to_owned(), None).read(Instant::now(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("not a regular file"));
    }
}

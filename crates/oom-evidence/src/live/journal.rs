//! The messages of the kernel in the journal, read with journalctl: the files of the journal have no stable form, and
//! members of `systemd-journal` or `adm` can read them without other privileges.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::export_format::{ExportDecoder, JournalEntry};

const PIECE_BYTES: usize = 64 * 1024;
/// Limit for one reading. The next reading continues at the cursor.
const OUTPUT_BYTES_MAX: usize = 32 << 20;
const STDERR_BYTES_MAX: u64 = 4096;
const KILL_GRACE: Duration = Duration::from_millis(200);

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// journalctl does not exist: the machine has no systemd, or the container has none.
    #[error("there is no journalctl")]
    Absent,
    /// journalctl cannot be started.
    #[error("cannot start journalctl: {0}")]
    Start(#[source] io::Error),
    /// journalctl reports a missing permission, or that there is nothing to read.
    #[error("journalctl reports: {0}")]
    Refused(String),
    /// journalctl succeeds and returns nothing. A readable journal has at least the messages of this boot.
    #[error(
        "the journal has no kernel message of this boot: journald does not run, or this user must not read its files"
    )]
    Empty,
    /// journalctl returned nothing in time and was killed.
    #[error("journalctl did not reply in time")]
    Late,
}

/// Result of a reading of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalRead {
    /// Cursor of the last entry, where the next reading continues; none if there was no entry.
    pub cursor: Option<Vec<u8>>,
    /// Entries that are not the kernel's own.
    pub foreign: u64,
    /// False if time or bytes did not suffice: there are more entries after the cursor.
    pub complete: bool,
    /// The journal did not know the position (it was cleared, or its clock was set back), so all messages of this
    /// boot were read.
    pub restarted: bool,
}

/// The journal of a machine.
///
/// ```no_run
/// use std::time::{Duration, Instant};
///
/// let journal = oom_evidence::Journal::new(std::path::Path::new("/"));
/// let deadline = Instant::now() + Duration::from_secs(2);
/// let read = journal.read(None, deadline, |entry| println!("{:?}", entry.since_boot))?;
/// # Ok::<(), oom_evidence::JournalError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Journal {
    program: PathBuf,
    root: Option<PathBuf>,
}

impl Journal {
    /// Returns the journal of the machine whose root is at `host_root`.
    #[must_use]
    pub fn new(host_root: &Path) -> Self {
        let root = (host_root != Path::new("/")).then(|| host_root.to_owned());
        Self { program: PathBuf::from("journalctl"), root }
    }

    /// Uses another program instead of journalctl.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Reads the messages of the kernel after the cursor, or of this boot if there is none, oldest first.
    ///
    /// Ends at `deadline` even if journalctl hangs, and holds about 200 KiB. If the entry at the cursor was removed
    /// meanwhile, continues with the entries after it.
    ///
    /// # Errors
    ///
    /// If nothing could be read.
    pub fn read(
        &self,
        after: Option<&[u8]>,
        deadline: Instant,
        mut each: impl FnMut(JournalEntry),
    ) -> Result<JournalRead, JournalError> {
        let Some(cursor) = after else { return self.read_from(None, deadline, &mut each) };
        match self.read_from(Some(cursor), deadline, &mut each) {
            // A known position has at least its own entry. A position in the future, as after the clock was set back,
            // has none.
            Err(JournalError::Refused(_) | JournalError::Empty) => {
                let read = self.read_from(None, deadline, &mut each)?;
                Ok(JournalRead { restarted: true, ..read })
            }
            read => read,
        }
    }

    fn read_from(
        &self,
        cursor: Option<&[u8]>,
        deadline: Instant,
        each: &mut impl FnMut(JournalEntry),
    ) -> Result<JournalRead, JournalError> {
        let mut child = self.command(cursor).spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => JournalError::Absent,
            _ => JournalError::Start(error),
        })?;
        let outcome = follow(&mut child, deadline, &mut |entry: JournalEntry| {
            if cursor != Some(&*entry.cursor) {
                each(entry);
            }
        });
        let status = end(child);
        let (read, stderr) = outcome?;
        let is_failure = status.is_some_and(|success| !success) && read.complete;
        if let Some(why) = refusal(&stderr, is_failure).filter(|_| read.cursor.is_none()) {
            return Err(JournalError::Refused(why));
        }
        if read.complete && read.cursor.is_none() {
            return Err(JournalError::Empty);
        }
        Ok(read)
    }

    fn command(&self, after: Option<&[u8]>) -> Command {
        use std::os::unix::ffi::OsStrExt;
        let mut command = Command::new(&self.program);
        command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.args(["--no-pager", "--output=export"]);
        if let Some(root) = &self.root {
            command.arg("--root").arg(root);
        }
        match after {
            // Not --after-cursor: before 255 it skips an entry too many if the entry at the cursor is gone.
            Some(cursor) => command.arg("--cursor").arg(std::ffi::OsStr::from_bytes(cursor)),
            None => command.arg("--boot"),
        };
        command.args(["_TRANSPORT=kernel", "SYSLOG_FACILITY=0"]);
        command
    }
}

fn follow(
    child: &mut Child,
    deadline: Instant,
    each: &mut impl FnMut(JournalEntry),
) -> Result<(JournalRead, Vec<u8>), JournalError> {
    let output = in_background(child.stdout.take(), u64::MAX).map_err(JournalError::Start)?;
    let stderr = in_background(child.stderr.take(), STDERR_BYTES_MAX).map_err(JournalError::Start)?;
    let mut read = JournalRead::default();
    let mut decoder = ExportDecoder::default();
    let mut bytes = 0;
    while bytes < OUTPUT_BYTES_MAX {
        match output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(piece) => {
                bytes += piece.len();
                decoder.feed(&piece, |entry| read.take(entry, each));
            }
            Err(RecvTimeoutError::Disconnected) => {
                read.complete = true;
                break;
            }
            Err(RecvTimeoutError::Timeout) if read.cursor.is_none() => return Err(JournalError::Late),
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    let words = if read.complete { drained(&stderr, deadline) } else { Vec::new() };
    Ok((read, words))
}

impl JournalRead {
    fn take(&mut self, entry: JournalEntry, each: &mut impl FnMut(JournalEntry)) {
        self.cursor = Some(entry.cursor.clone());
        if entry.is_from_kernel() {
            each(entry);
        } else {
            self.foreign += 1;
        }
    }
}

/// Reads a pipe in a thread of its own, so that the caller can stop waiting. The thread ends with the pipe, at the
/// latest when the child is killed.
fn in_background(pipe: Option<impl Read + Send + 'static>, most: u64) -> io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = sync_channel(1);
    if let Some(pipe) = pipe {
        thread::Builder::new().name("journalctl".to_owned()).spawn(move || pump(pipe, most, &sender))?;
    }
    Ok(receiver)
}

fn pump(pipe: impl Read, most: u64, sender: &SyncSender<Vec<u8>>) {
    let mut pipe = pipe.take(most);
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(length) = pipe.read(&mut piece) {
        if length == 0 || sender.send(piece[..length].to_vec()).is_err() {
            return;
        }
    }
}

fn drained(pieces: &Receiver<Vec<u8>>, deadline: Instant) -> Vec<u8> {
    let mut all = Vec::new();
    while let Ok(piece) = pieces.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        all.extend_from_slice(&piece);
    }
    all
}

/// Ends the child and returns whether it had succeeded by itself. A child that cannot be killed (it waits for a dead
/// disk) is left to a thread.
fn end(mut child: Child) -> Option<bool> {
    let start = Instant::now();
    let mut is_killed = false;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return (!is_killed).then_some(status.success()),
            Ok(None) if start.elapsed() < KILL_GRACE => thread::sleep(Duration::from_millis(2)),
            _ if is_killed => break,
            _ => {}
        }
        if !is_killed && start.elapsed() >= KILL_GRACE / 2 {
            is_killed = child.kill().is_ok();
        }
    }
    drop(thread::Builder::new().name("journalctl".to_owned()).spawn(move || child.wait()));
    None
}

/// Returns the message of journalctl about missing permissions. It may print one and yet succeed.
fn refusal(stderr: &[u8], is_failure: bool) -> Option<String> {
    const MARKS: [&[u8]; 3] = [
        b"insufficient permissions",
        b"You are currently not seeing messages",
        b"No journal files were found",
    ];
    let is_refusal = MARKS.iter().any(|mark| memchr::memmem::find(stderr, mark).is_some());
    if !is_refusal && !is_failure {
        return None;
    }
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    Some(line.unwrap_or("nothing, but it fails").to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct StandIn(tempfile::TempDir);

    impl StandIn {
        fn new(script: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("journalctl");
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            Self(dir)
        }

        fn read(
            &self,
            after: Option<&[u8]>,
            limit: Duration,
        ) -> (Result<JournalRead, JournalError>, Vec<String>) {
            let journal = Journal::new(Path::new("/")).program(self.0.path().join("journalctl"));
            let mut messages = Vec::new();
            let read = journal.read(after, Instant::now() + limit, |entry| {
                messages.push(String::from_utf8(entry.message).unwrap());
            });
            (read, messages)
        }
    }

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn messages_of_the_kernel_and_the_last_cursor_are_returned() {
        let stand_in = StandIn::new(
            r#"printf '__CURSOR=a\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=%s\n\n' "$*"
               printf '__CURSOR=b\n_TRANSPORT=kernel\nSYSLOG_FACILITY=3\nMESSAGE=forged\n\n'"#,
        );
        let (read, messages) = stand_in.read(None, SOON);
        let read = read.unwrap();
        assert_eq!((read.cursor.as_deref(), read.foreign, read.complete), (Some(&b"b"[..]), 1, true));
        assert_eq!(messages, ["--no-pager --output=export --boot _TRANSPORT=kernel SYSLOG_FACILITY=0"]);
        let (_, messages) = stand_in.read(Some(b"s=1"), SOON);
        assert!(messages[0].contains("--cursor s=1 _TRANSPORT"), "{messages:?}");
        // The entry at the cursor was read before.
        let (read, messages) = stand_in.read(Some(b"a"), SOON);
        assert_eq!((messages.len(), read.unwrap().cursor.as_deref()), (0, Some(&b"b"[..])));
    }

    #[test]
    fn missing_journalctl_and_missing_permission_are_reported() {
        let absent = Journal::new(Path::new("/")).program("/no/such/journalctl");
        assert!(matches!(absent.read(None, Instant::now() + SOON, |_| {}), Err(JournalError::Absent)));
        let refused =
            StandIn::new("echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1");
        let (read, _) = refused.read(None, SOON);
        assert!(read.unwrap_err().to_string().contains("insufficient permissions"));
        assert!(matches!(StandIn::new("exit 0").read(None, SOON).0, Err(JournalError::Empty)));
        assert!(matches!(StandIn::new("exit 0").read(Some(b"c"), SOON).0, Err(JournalError::Empty)));
    }

    /// As journalctl behaves if the position is invalid, and if it lies in the future.
    #[test]
    fn unknown_position_loses_no_message() {
        for lost in ["echo 'Failed to seek to cursor: Invalid argument' >&2; exit 1", "exit 0"] {
            let stand_in = StandIn::new(&format!(
                "case \"$*\" in *--cursor*) {lost};; esac\n{}",
                r"printf '__CURSOR=x\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=y\n\n'"
            ));
            let (read, messages) = stand_in.read(Some(b"gone"), SOON);
            let read = read.unwrap();
            assert_eq!((read.restarted, read.complete, messages), (true, true, vec!["y".to_owned()]));
            assert!(!stand_in.read(None, SOON).0.unwrap().restarted);
        }
    }

    #[test]
    fn journalctl_that_dies_or_prints_invalid_output_is_handled() {
        let entry =
            r"printf '__CURSOR=x\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=y\n\n__CURSOR=half\nMESS'";
        let (read, messages) = StandIn::new(&format!("{entry}; kill -9 $$")).read(None, SOON);
        let read = read.unwrap();
        assert_eq!((read.cursor.as_deref(), read.complete, messages.len()), (Some(&b"x"[..]), true, 1));
        let (read, messages) = StandIn::new("kill -9 $$").read(None, SOON);
        assert!(matches!(read, Err(JournalError::Refused(_))) && messages.is_empty(), "{read:?}");
        let rubbish = StandIn::new(
            r"head -c 3000000 /dev/urandom; printf '\nMESSAGE\n\377\377\377\377\377\377\377\177rest'",
        );
        let (read, messages) = rubbish.read(None, SOON);
        assert!(messages.is_empty() && read.is_err(), "{read:?}");
        assert!(matches!(StandIn::new("exit 1").read(None, SOON).0, Err(JournalError::Refused(_))));
    }

    #[test]
    fn hanging_journalctl_is_killed() {
        let hanging = StandIn::new("exec sleep 1000");
        let start = Instant::now();
        let (read, _) = hanging.read(None, Duration::from_millis(100));
        assert!(matches!(read, Err(JournalError::Late)));
        assert!(start.elapsed() < SOON);
    }

    #[test]
    fn endless_journal_is_read_in_parts() {
        let entry = r"__CURSOR=x\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=y\n\n";
        let endless = StandIn::new(&format!("yes \"$(printf '{entry}')\n\""));
        let (read, messages) = endless.read(None, SOON);
        assert!(!read.unwrap().complete);
        assert!(messages.len() > 1000, "{}", messages.len());
    }
}

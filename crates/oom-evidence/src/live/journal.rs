//! The messages of the kernel in the journal, read with journalctl: the files of the journal have no stable form, and
//! members of `systemd-journal` or `adm` can read them without other privileges.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::words::{describe_io_error, short_reason};
use crate::export_format::{ExportDecoder, JournalEntry, is_cursor};

/// The places of journalctl. `PATH` is not searched: it may lead to a program of another user.
const PROGRAMS: [&str; 2] = ["/usr/bin/journalctl", "/bin/journalctl"];
const PIECE_BYTES: usize = 64 * 1024;
/// Limit for one reading. The next reading continues at the cursor.
const OUTPUT_BYTES_MAX: usize = 32 << 20;
/// Limit of the kept beginning of its messages, and of all messages that are read.
const STDERR_KEPT_MAX: usize = 4096;
const STDERR_BYTES_MAX: usize = 1 << 20;
/// How often to check whether journalctl has ended while a process that it left behind keeps the pipe open.
const EXIT_CHECK: Duration = Duration::from_millis(50);
const KILL_GRACE: Duration = Duration::from_millis(200);
const REAP_PAUSE: Duration = Duration::from_millis(2);

/// Why the journal cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// journalctl does not exist: the machine has no systemd, or the container has none.
    #[error("there is no journalctl")]
    Absent,
    /// journalctl cannot be started.
    #[error("cannot start journalctl: {}", describe_io_error(.0))]
    Start(#[source] io::Error),
    /// journalctl reports a missing permission, or that there is nothing to read.
    #[error("journalctl reports: {0}")]
    Refused(String),
    /// journalctl ends with an error.
    #[error("journalctl fails: {0}")]
    Failed(String),
    /// A signal ended journalctl.
    #[error("journalctl was ended by signal {0}")]
    Ended(i32),
    /// journalctl prints something, and no entry of a journal.
    #[error("journalctl printed {0} bytes that are not entries of a journal")]
    Invalid(usize),
    /// journalctl succeeds and returns nothing. A readable journal has at least the messages of this boot.
    #[error(
        "the journal has no kernel message of this boot: journald does not run, or this user must not read its files"
    )]
    Empty,
    /// journalctl returned nothing in time and was killed.
    #[error("journalctl did not reply in time")]
    Late,
    /// An earlier journalctl was killed and has not ended, so no further one is started.
    #[error("journalctl (process {0}) was killed and does not end: it may wait for a disk")]
    Stuck(u32),
}

impl JournalError {
    /// Whether journalctl may have refused the position.
    fn is_about_the_position(&self) -> bool {
        // A known position has at least its own entry. A position in the future, as after the clock was set back, has none.
        matches!(self, Self::Refused(_) | Self::Failed(_) | Self::Empty)
    }
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
/// let mut journal = oom_evidence::Journal::new(std::path::Path::new("/"));
/// let deadline = Instant::now() + Duration::from_secs(2);
/// let read = journal.read(None, deadline, |entry| println!("{:?}", entry.since_boot))?;
/// # Ok::<(), oom_evidence::JournalError>(())
/// ```
#[derive(Debug)]
pub struct Journal {
    programs: Vec<PathBuf>,
    root: Option<PathBuf>,
    /// A journalctl that was killed and has not ended.
    stuck: Option<Child>,
}

impl Journal {
    /// Returns the journal of the machine whose root is at `host_root`.
    #[must_use]
    pub fn new(host_root: &Path) -> Self {
        let root = (host_root != Path::new("/")).then(|| host_root.to_owned());
        Self { programs: PROGRAMS.map(PathBuf::from).into(), root, stuck: None }
    }

    /// Uses another program instead of `/usr/bin/journalctl` or `/bin/journalctl`.
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.programs = vec![program.into()];
        self
    }

    /// Reads the messages of the kernel after the cursor, or of this boot if there is none, oldest first.
    ///
    /// Ends at `deadline` even if journalctl hangs, and holds about 200 KiB. If the entry at the cursor was removed
    /// meanwhile, continues with the entries after it. journalctl gets a fixed environment, and every process that it leaves
    /// behind is killed.
    ///
    /// # Errors
    ///
    /// If nothing could be read.
    pub fn read(
        &mut self,
        after: Option<&[u8]>,
        deadline: Instant,
        mut each: impl FnMut(JournalEntry),
    ) -> Result<JournalRead, JournalError> {
        let Some(cursor) = after.filter(|cursor| is_cursor(cursor)) else {
            return self.read_from(None, deadline, &mut each);
        };
        match self.read_from(Some(cursor), deadline, &mut each) {
            Err(error) if error.is_about_the_position() => {
                let read = self.read_from(None, deadline, &mut each)?;
                Ok(JournalRead { restarted: true, ..read })
            }
            read => read,
        }
    }

    fn read_from(
        &mut self,
        cursor: Option<&[u8]>,
        deadline: Instant,
        each: &mut impl FnMut(JournalEntry),
    ) -> Result<JournalRead, JournalError> {
        self.reap_stuck()?;
        let mut child = self.start(cursor)?;
        let outcome = follow(&mut child, deadline, &mut |entry: JournalEntry| {
            if cursor != Some(&*entry.cursor) {
                each(entry);
            }
        });
        let status = self.end(child);
        let Output { read, bytes, stderr } = outcome?;
        if read.cursor.is_some() || !read.complete {
            return Ok(read);
        }
        Err(failure(status, &stderr, bytes))
    }

    fn start(&self, cursor: Option<&[u8]>) -> Result<Child, JournalError> {
        for program in &self.programs {
            match self.command(program, cursor).spawn() {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                started => return started.map_err(JournalError::Start),
            }
        }
        Err(JournalError::Absent)
    }

    fn command(&self, program: &Path, after: Option<&[u8]>) -> Command {
        use std::os::unix::ffi::OsStrExt;
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin").current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that processes that it starts can be killed with it.
        command.process_group(0);
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

    /// Ends the child with all that it has started, and returns its status if it has ended by itself.
    fn end(&mut self, mut child: Child) -> Option<ExitStatus> {
        let ends_by_itself = wait(KILL_GRACE / 2, || has_ended(&child));
        // Before the child is reaped, its number cannot be that of another group.
        if let Some(group) = pid(&child) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let mut status = None;
        wait(KILL_GRACE, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        if status.is_none() {
            self.stuck = Some(child);
        }
        status.filter(|_| ends_by_itself)
    }

    fn reap_stuck(&mut self) -> Result<(), JournalError> {
        let Some(child) = &mut self.stuck else { return Ok(()) };
        if matches!(child.try_wait(), Ok(None)) {
            return Err(JournalError::Stuck(child.id()));
        }
        self.stuck = None;
        Ok(())
    }
}

/// Returns why nothing was read.
fn failure(status: Option<ExitStatus>, stderr: &[u8], bytes: usize) -> JournalError {
    if let Some(reason) = refusal(stderr) {
        return JournalError::Refused(reason);
    }
    if let Some(signal) = status.and_then(|status| status.signal()) {
        return JournalError::Ended(signal);
    }
    if let Some(status) = status.filter(|status| !status.success()) {
        return JournalError::Failed(first_line(stderr).unwrap_or_else(|| status.to_string()));
    }
    if bytes > 0 { JournalError::Invalid(bytes) } else { JournalError::Empty }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// Whether the child has ended. Does not reap it.
fn has_ended(child: &Child) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    pid(child).is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), options), Ok(None)))
}

/// Waits until `is_true`, at most for `limit`. Returns whether it is.
fn wait(limit: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if is_true() {
            return true;
        }
        if start.elapsed() >= limit {
            return false;
        }
        thread::sleep(REAP_PAUSE);
    }
}

/// What journalctl has printed.
struct Output {
    read: JournalRead,
    bytes: usize,
    stderr: Vec<u8>,
}

fn follow(
    child: &mut Child,
    deadline: Instant,
    each: &mut impl FnMut(JournalEntry),
) -> Result<Output, JournalError> {
    let mut stdout = Pipe::new(child.stdout.take().map(OwnedFd::from)).map_err(JournalError::Start)?;
    let mut stderr = Pipe::new(child.stderr.take().map(OwnedFd::from)).map_err(JournalError::Start)?;
    let mut output = Output { read: JournalRead::default(), bytes: 0, stderr: Vec::new() };
    let mut decoder = ExportDecoder::default();
    let mut piece = vec![0; PIECE_BYTES];
    while output.bytes < OUTPUT_BYTES_MAX {
        wait_for_output([&stdout, &stderr], deadline.min(Instant::now() + EXIT_CHECK));
        let is_over = has_ended(child);
        let text = stdout.read(&mut piece);
        output.bytes += text.len();
        decoder.feed(text, |entry| output.read.take(entry, each));
        let is_silent = text.is_empty();
        let words = stderr.read(&mut piece);
        let kept = words.len().min(STDERR_KEPT_MAX - output.stderr.len());
        output.stderr.extend_from_slice(&words[..kept]);
        let is_silent = is_silent && words.is_empty();
        if stderr.bytes >= STDERR_BYTES_MAX {
            stderr.file = None;
        }
        // A process that journalctl left behind may keep the pipes open for ever.
        if is_silent && (is_over || (stdout.file.is_none() && stderr.file.is_none())) {
            output.read.complete = true;
            break;
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    if output.read.cursor.is_none() && !output.read.complete && output.bytes < OUTPUT_BYTES_MAX {
        return Err(JournalError::Late);
    }
    if output.read.cursor.is_none() && !output.read.complete {
        return Err(JournalError::Invalid(output.bytes));
    }
    Ok(output)
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

/// One end of a pipe. Reads do not block.
struct Pipe {
    file: Option<std::fs::File>,
    bytes: usize,
}

impl Pipe {
    fn new(fd: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(fd) = &fd {
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { file: fd.map(std::fs::File::from), bytes: 0 })
    }

    /// Returns what is there, at most one piece. At the end, or after an error, closes the pipe.
    fn read<'a>(&mut self, piece: &'a mut [u8]) -> &'a [u8] {
        let Some(file) = &mut self.file else { return &[] };
        match file.read(piece) {
            Ok(0) => self.file = None,
            Ok(length) => {
                self.bytes += length;
                return &piece[..length];
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.file = None,
        }
        &[]
    }
}

fn wait_for_output(pipes: [&Pipe; 2], until: Instant) {
    let open = pipes.into_iter().filter_map(|pipe| pipe.file.as_ref());
    let mut fds: Vec<_> = open.map(|file| PollFd::from_borrowed_fd(file.as_fd(), PollFlags::IN)).collect();
    let left = until.saturating_duration_since(Instant::now());
    if fds.is_empty() {
        return;
    }
    if let Ok(timeout) = Timespec::try_from(left) {
        // After an error the reads find out.
        let _ = poll(&mut fds, Some(&timeout));
    }
}

/// Returns the message of journalctl about missing permissions. It may print one and yet succeed.
fn refusal(stderr: &[u8]) -> Option<String> {
    const MARKS: [&[u8]; 3] = [
        b"insufficient permissions",
        b"You are currently not seeing messages",
        b"No journal files were found",
    ];
    let is_refusal = MARKS.iter().any(|mark| memchr::memmem::find(stderr, mark).is_some());
    is_refusal.then(|| first_line(stderr)).flatten()
}

/// Returns the first line that is not empty, cut.
fn first_line(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(short_reason)
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

        fn journal(&self) -> Journal {
            Journal::new(Path::new("/")).program(self.0.path().join("journalctl"))
        }

        fn read(
            &self,
            after: Option<&[u8]>,
            limit: Duration,
        ) -> (Result<JournalRead, JournalError>, Vec<String>) {
            let mut journal = self.journal();
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
        let mut absent = Journal::new(Path::new("/")).program("/no/such/journalctl");
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
        assert!(matches!(read, Err(JournalError::Ended(9))) && messages.is_empty(), "{read:?}");
        let rubbish = StandIn::new(
            r"head -c 3000000 /dev/urandom; printf '\nMESSAGE\n\377\377\377\377\377\377\377\177rest'",
        );
        let (read, messages) = rubbish.read(None, SOON);
        assert!(messages.is_empty() && matches!(read, Err(JournalError::Invalid(3_000_000..))), "{read:?}");
        let why = StandIn::new("exit 1").read(None, SOON).0.unwrap_err().to_string();
        assert_eq!(why, "journalctl fails: exit status: 1");
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

    #[test]
    fn environment_is_fixed_and_nothing_can_be_typed() {
        let stand_in = StandIn::new(
            r#"printf '__CURSOR=a\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=%s\n\n' \
                "$(env | grep -v -e ^_= -e ^PWD= -e ^SHLVL= -e ^OLDPWD= | sort | tr '\n' ' ')$(pwd) $(wc -c)""#,
        );
        let (read, messages) = stand_in.read(None, SOON);
        assert!(read.is_ok(), "{read:?}");
        assert_eq!(messages, ["LC_ALL=C PATH=/usr/bin:/bin / 0"]);
    }

    #[test]
    fn program_is_one_of_a_fixed_list() {
        let journal = Journal::new(Path::new("/"));
        assert_eq!(journal.programs, ["/usr/bin/journalctl", "/bin/journalctl"].map(PathBuf::from));
    }

    #[test]
    fn flood_of_messages_is_neither_kept_nor_repeated_in_the_error() {
        let (read, _) = StandIn::new("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1").read(None, SOON);
        let why = read.unwrap_err().to_string();
        assert!(why.starts_with("journalctl fails: xxx") && why.chars().count() < 300, "{why}");
        let flood = StandIn::new("exec yes 'a message that says nothing' >&2");
        let start = Instant::now();
        assert!(flood.read(None, Duration::from_secs(2)).0.is_err());
        assert!(start.elapsed() < SOON);
    }

    #[test]
    fn errors_have_no_control_characters() {
        let (read, _) = StandIn::new("printf 'a\\033[2Jb\\n' >&2; exit 1").read(None, SOON);
        assert_eq!(read.unwrap_err().to_string(), "journalctl fails: a [2Jb");
    }

    fn is_running(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
    }

    /// Neither a poll nor a thread waits for a process that journalctl leaves behind.
    #[test]
    fn process_that_keeps_the_pipe_open_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let stand_in = StandIn::new(&format!(
            "sleep 1000 & echo $! > {}\n{}",
            pid.display(),
            r"printf '__CURSOR=x\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=y\n\n'"
        ));
        let start = Instant::now();
        let (read, messages) = stand_in.read(None, SOON);
        assert!(read.unwrap().complete && messages == ["y"]);
        assert!(start.elapsed() < SOON / 2, "it does not wait for the deadline");
        let pid = std::fs::read_to_string(pid).unwrap();
        assert!(wait(SOON, || !is_running(pid.trim())), "{pid}");
    }

    #[test]
    fn hanging_journalctl_leaves_no_process_thread_or_descriptor() {
        let count = |dir: &str| std::fs::read_dir(dir).unwrap().count();
        let stand_in = StandIn::new("sleep 1000 & exec sleep 1000");
        let mut journal = stand_in.journal();
        let mut read = || journal.read(None, Instant::now() + Duration::from_millis(50), |_| {});
        assert!(matches!(read(), Err(JournalError::Late)));
        let before = (count("/proc/self/task"), count("/proc/self/fd"));
        for _ in 0..10 {
            assert!(matches!(read(), Err(JournalError::Late)));
        }
        assert_eq!((count("/proc/self/task"), count("/proc/self/fd")), before);
    }

    #[test]
    fn journalctl_that_does_not_end_is_not_started_again() {
        let stand_in = StandIn::new("exit 0");
        let mut journal = stand_in.journal();
        // As a process that waits for a dead disk: it does not end when it is killed.
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id();
        journal.stuck = Some(child);
        let mut read = || journal.read(None, Instant::now() + SOON, |_| {});
        assert!(matches!(read(), Err(JournalError::Stuck(stuck)) if stuck == pid));
        kill(pid);
        assert!(wait(SOON, || matches!(read(), Err(JournalError::Empty))));
    }

    fn kill(pid: u32) {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }

    #[test]
    fn position_that_journalctl_could_not_take_is_not_used() {
        let stand_in = StandIn::new(
            r#"printf '__CURSOR=a\001b\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=forged\n\n'
               printf '__CURSOR=b\n_TRANSPORT=kernel\nSYSLOG_FACILITY=0\nMESSAGE=%s\n\n' "$*""#,
        );
        for bad in [&b"a\0b"[..], b"a b", &[b'x'; 5000]] {
            let (read, messages) = stand_in.read(Some(bad), SOON);
            assert_eq!(read.unwrap().cursor.as_deref(), Some(&b"b"[..]));
            assert_eq!(messages, ["--no-pager --output=export --boot _TRANSPORT=kernel SYSLOG_FACILITY=0"]);
        }
    }
}

//! The release of the installed MySQL or MariaDB server, as its program prints it.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pool_capacity::mysql::Server;

const PROGRAMS: [&str; 4] =
    ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd", "/usr/sbin/mysqld", "/usr/libexec/mysqld"];
/// A program that takes longer to print its version is killed.
const VERSION_TIME: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// The release of the program that was run last, so that it is run once and not with each poll.
#[derive(Debug, Default)]
pub(crate) struct MysqlVersion(Mutex<Option<(Identity, Option<Server>)>>);

/// A program file. A replaced file has another inode or change time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    path: PathBuf,
    inode: u64,
    changed: i64,
}

impl MysqlVersion {
    /// Returns the release of the installed server; runs the program if it is new or was replaced.
    pub(crate) fn installed(&self) -> Option<Server> {
        let program = PROGRAMS.iter().map(Path::new).find_map(Identity::read)?;
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((identity, server)) = &*last
            && *identity == program
        {
            return *server;
        }
        let server = version_of(&program.path);
        *last = Some((program, server));
        server
    }
}

impl Identity {
    fn read(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { path: path.to_owned(), inode: metadata.ino(), changed: metadata.ctime() })
    }
}

/// Runs `PROGRAM --version`. Returns `None` if it fails or takes too long.
fn version_of(program: &Path) -> Option<Server> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let give_up = Instant::now() + VERSION_TIME;
    while child.try_wait().ok()?.is_none() {
        if Instant::now() >= give_up {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(PAUSE);
    }
    // One line fits into the pipe, so the program could end before this read.
    let mut text = Vec::new();
    child.stdout.take()?.take(4096).read_to_end(&mut text).ok()?;
    Server::named(&String::from_utf8_lossy(&text))
}

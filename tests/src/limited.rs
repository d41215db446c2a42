//! A memory cgroup in which the kernel's OOM killer kills without harm to other processes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use crate::wait_until;

const SOON: Duration = Duration::from_secs(20);

/// A memory cgroup with a limit; removed when dropped.
#[derive(Debug)]
pub struct Limited {
    dir: PathBuf,
    path: String,
    limit_bytes: u64,
}

impl Limited {
    /// Creates a cgroup of this name below the root, of version 1 or 2 as the machine has it.
    ///
    /// # Errors
    ///
    /// Returns the reason if the machine does not allow it.
    pub fn new(name: &str, limit_bytes: u64) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can make memory cgroups".to_owned());
        }
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let v2 = Path::new("/sys/fs/cgroup");
        let offers = |dir: &Path, file: &str| {
            fs::read_to_string(dir.join(file))
                .unwrap_or_default()
                .split_whitespace()
                .any(|name| name == "memory")
        };
        let (parent, files) = if offers(v2, "cgroup.subtree_control") {
            (v2, &["memory.max", "memory.swap.max"])
        } else if v1.join("memory.limit_in_bytes").exists() {
            (v1, &["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"])
        } else {
            return Err("no cgroup hierarchy offers the memory controller".to_owned());
        };
        let limited = Self { dir: parent.join(name), path: format!("/{name}"), limit_bytes };
        let made = fs::create_dir(&limited.dir).and_then(|()| limited.limit(files));
        made.map(|()| limited).map_err(|error| format!("no memory cgroup can be made: {error}"))
    }

    fn limit(&self, [memory, swap]: &[&str; 2]) -> io::Result<()> {
        fs::write(self.dir.join(memory), self.limit_bytes.to_string())?;
        // Kernels without swap accounting do not have this file.
        let swap_limit = if swap.contains("memsw") { self.limit_bytes } else { 0 };
        drop(fs::write(self.dir.join(swap), swap_limit.to_string()));
        Ok(())
    }

    /// Returns the arguments of setpriv(1) for a command that starts another one in the cgroup, with the given rights.
    #[must_use]
    pub fn starting(&self, rights: &[&str]) -> Vec<String> {
        let script = r#"echo $$ > "$0/cgroup.procs" && shift && exec setpriv --pdeathsig KILL "$@""#;
        let dir = self.dir.display().to_string();
        let words = ["--", "sh", "-c", script, &dir, "--"].into_iter().chain(rights.iter().copied());
        words.map(ToOwned::to_owned).collect()
    }

    /// Its path as the kernel writes it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Moves a process into the cgroup. Memory that it already has stays charged to its previous cgroup.
    ///
    /// # Errors
    ///
    /// Returns an error if the process has ended.
    pub fn take_in(&self, pid: u32) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string())
    }

    /// Moves a process to the root cgroup, because a cgroup with a process in it cannot be removed.
    ///
    /// # Errors
    ///
    /// Returns an error if the process has ended.
    pub fn let_go(&self, pid: u32) -> io::Result<()> {
        let parent = self.dir.parent().unwrap_or(&self.dir);
        fs::write(parent.join("cgroup.procs"), pid.to_string())
    }

    /// Runs a copy of `tail` in the cgroup, which allocates memory without end when it reads /dev/zero. Returns its process
    /// id and its exit status.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be started.
    pub fn run_into_limit(&self, program: &Path) -> io::Result<(u32, ExitStatus)> {
        let script = r#"echo $$ > "$0/cgroup.procs" && exec "$1" /dev/zero"#;
        let mut child = Command::new("sh").arg("-c").arg(script).arg(&self.dir).arg(program).spawn()?;
        Ok((child.id(), child.wait()?))
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // The kernel may need some time to notice that the last process has ended.
        let _ = wait_until(SOON, || fs::remove_dir(&self.dir).is_ok() || !self.dir.exists());
    }
}

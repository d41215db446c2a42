//! A constructed `/proc` for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proc_snapshot::{MachineFacts, Needs, ProcRoot, SharedWalk, Snapshot};

pub(crate) struct Tree {
    dir: tempfile::TempDir,
}

pub(crate) const FACTS: MachineFacts = MachineFacts { page_size: 4096, clock_ticks: 100 };

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

impl Tree {
    pub(crate) fn new() -> Self {
        // Twenty thousand directories take minutes on a busy disk.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        fs::create_dir(dir.path().join("proc")).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("proc").join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// A process with `stat`, `cmdline` and `status`; `kib` is its resident memory, its start time is 1000 + pid.
    pub(crate) fn process(&self, pid: u32, comm: &[u8], cmdline: &[u8], kib: u64) -> &Self {
        self.write(&format!("{pid}/stat"), stat_line(pid, comm, u64::from(pid) + 1000, kib * 4096));
        self.write(&format!("{pid}/cmdline"), cmdline);
        self.write(&format!("{pid}/status"), status(pid, comm, kib))
    }

    pub(crate) fn root(&self) -> Arc<ProcRoot> {
        Arc::new(ProcRoot::with_facts(self.dir.path(), FACTS).unwrap())
    }

    pub(crate) fn snapshot(&self, needs: Needs) -> Arc<Snapshot> {
        SharedWalk::new(self.root(), Duration::ZERO).snapshot(needs, soon()).unwrap()
    }
}

pub(crate) fn stat_line(pid: u32, comm: &[u8], start: u64, vsize: u64) -> Vec<u8> {
    let tail =
        format!(") S 1 1 1 0 -1 0 5 0 7 0 250 150 0 0 20 0 3 0 {start} {vsize} 9 18446744073709551615\n");
    [format!("{pid} (").as_bytes(), comm, tail.as_bytes()].concat()
}

pub(crate) fn status(pid: u32, comm: &[u8], kib: u64) -> Vec<u8> {
    let lines = format!(
        "\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t1\nVmPeak:\t{0} kB\nVmSize:\t{0} kB\n\
         VmLck:\t0 kB\nVmPin:\t0 kB\nVmHWM:\t{1} kB\nVmRSS:\t{1} kB\nVmData:\t10 kB\nVmStk:\t20 kB\nVmExe:\t30 kB\n\
         VmLib:\t40 kB\nVmPTE:\t50 kB\nVmSwap:\t60 kB\nThreads:\t3\nvoluntary_ctxt_switches:\t8\n\
         nonvoluntary_ctxt_switches:\t9\n",
        kib * 4,
        kib
    );
    [b"Name:\t", comm, lines.as_bytes()].concat()
}

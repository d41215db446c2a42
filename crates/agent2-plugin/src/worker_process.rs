//! What a worker process changes about itself.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};

/// Added to the agent's `oom_score_adj`, in thousandths of the memory: the kernel then prefers a worker to the agent, but
/// not to a process that uses much of the memory.
const OOM_SCORE_ADDED: i32 = 200;

/// Prepares this process for its work and returns the link to its supervisor, which is standard input.
///
/// # Errors
/// Standard input is not a socket, or the supervisor is gone.
pub(crate) fn prepare(memory_bytes: u64) -> io::Result<UnixStream> {
    // The end of the link ends this process as well, but only if its main thread runs.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    link.peer_addr()?;
    // Programs that a handler starts must not keep the link open.
    rustix::stdio::dup2_stdin(&fs::File::open("/dev/null")?)?;
    limit_memory(memory_bytes)?;
    prefer_for_oom_killer();
    show_program_name();
    Ok(link)
}

/// Limits private memory. If it is used up, the process is aborted, and the supervisor starts another.
fn limit_memory(bytes: u64) -> io::Result<()> {
    let hard = getrlimit(Resource::Data).maximum;
    let limit = hard.map_or(bytes, |hard| hard.min(bytes));
    setrlimit(Resource::Data, Rlimit { current: Some(limit), maximum: hard })?;
    Ok(())
}

fn prefer_for_oom_killer() {
    const FILE: &str = "/proc/self/oom_score_adj";
    let current = fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse::<i32>().ok());
    let Some(current) = current else { return };
    let raised = (current + OOM_SCORE_ADDED).min(1000);
    if let Err(error) = fs::write(FILE, raised.to_string()) {
        log::warn!("cannot raise {FILE} from {current} to {raised}: {error}");
    }
}

/// The supervisor starts this program as /proc/self/exe, whose last part would be its name in the process list.
fn show_program_name() {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().map_or(&[][..], OsStr::as_bytes);
    let name = &name[..name.len().min(15)];
    if let Ok(name) = std::ffi::CString::new(name) {
        // Only the name in the process list depends on it.
        let _ = rustix::thread::set_name(&name);
    }
}

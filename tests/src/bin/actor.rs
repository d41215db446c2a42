//! A process with chosen properties. They come from the environment, so that its arguments stay free.
//!
//! It prints `ready` when it has its properties, and ends when standard input is closed: the starting process holds the
//! other end, so the actor cannot outlive it.

use std::env;
use std::fs;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;
use std::process::exit;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, kill_process, set_parent_process_death_signal};

const PAGE_BYTES: usize = 4096;
const THREAD_STACK_BYTES: usize = 64 * 1024;

fn main() -> io::Result<()> {
    let memory = touched(number("ACTOR_MIB") << 20);
    (0..number("ACTOR_THREADS")).try_for_each(idle_thread)?;
    if let Some(name) = env::var_os("ACTOR_COMM") {
        fs::write("/proc/self/comm", name.into_vec())?;
    }
    // Connections stay in the queue, where the kernel's tables show them.
    let port = env::var("ACTOR_PORT").ok().and_then(|port| port.parse::<u16>().ok());
    let listener = port.map(|port| TcpListener::bind(("127.0.0.1", port))).transpose()?;
    let mut out = io::stdout();
    out.write_all(b"ready\n")?;
    out.flush()?;
    match env::var("ACTOR_MODE").unwrap_or_default().as_str() {
        "exit" => {}
        "stop" => stop(getpid())?,
        "busy" => busy(u64::try_from(number("ACTOR_PERCENT")).unwrap_or(0)),
        _ => wait_for_end(),
    }
    black_box((memory, listener));
    Ok(())
}

fn number(name: &str) -> usize {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Resident memory, not only reserved: one byte is written in each page.
fn touched(bytes: usize) -> Vec<u8> {
    let mut memory = vec![0; bytes];
    memory.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
    black_box(memory)
}

fn idle_thread(number: usize) -> io::Result<()> {
    let builder = thread::Builder::new().name(format!("idle {number}")).stack_size(THREAD_STACK_BYTES);
    let park = || loop {
        thread::park();
    };
    builder.spawn(park).map(drop)
}

/// A stopped process does not notice the end of its input, so the kernel is asked to end it with the process that started it.
fn stop(me: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    kill_process(me, Signal::STOP)?;
    wait_for_end();
    Ok(())
}

/// Uses the CPU for this many hundredths of the time, in periods of a tenth of a second.
fn busy(percent: u64) {
    thread::spawn(|| {
        wait_for_end();
        exit(0)
    });
    loop {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(percent) {
            black_box(());
        }
        thread::sleep(Duration::from_millis(100).saturating_sub(start.elapsed()));
    }
}

fn wait_for_end() {
    let mut bytes = [0; 64];
    while matches!(io::stdin().lock().read(&mut bytes), Ok(read) if read > 0) {}
}

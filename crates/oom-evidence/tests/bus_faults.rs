//! A bus that hangs, closes, or sends what is no message: calls return in time, and nothing accumulates.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oom_evidence::{Link, ServiceQuery, Systemd};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

/// What the stand-in for a bus does with a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Says nothing.
    Hangs,
    /// Closes it.
    Closes,
    /// Sends bytes that are no reply.
    Rubbish,
    /// Accepts the client, and then says nothing.
    HangsLater,
    /// Accepts the client, and then sends bytes that are no message.
    RubbishLater,
    /// Accepts the client, and begins a message of the largest size.
    HugeMessage,
    /// Accepts the client, and begins a message beyond the largest size.
    ImpossibleMessage,
}

const FAULTS: [Fault; 7] = [
    Fault::Hangs,
    Fault::Closes,
    Fault::Rubbish,
    Fault::HangsLater,
    Fault::RubbishLater,
    Fault::HugeMessage,
    Fault::ImpossibleMessage,
];

struct Bus {
    root: TempDir,
    connections: Arc<AtomicUsize>,
}

impl Bus {
    fn start(fault: Fault) -> Self {
        let root = tempfile::Builder::new().prefix("ow").tempdir_in("/tmp").unwrap();
        fs::create_dir_all(root.path().join("run/dbus")).unwrap();
        let listener = UnixListener::bind(root.path().join("run/dbus/system_bus_socket")).unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::Builder::new()
            .name("bus".to_owned())
            .spawn(move || {
                let mut kept = Vec::new();
                for stream in listener.incoming() {
                    count.fetch_add(1, Ordering::AcqRel);
                    let _ = serve(fault, stream.unwrap(), &mut kept);
                }
            })
            .unwrap();
        Self { root, connections }
    }
}

/// The last connection is kept open: a client that has closed its own end leaves nothing behind.
fn serve(fault: Fault, mut stream: UnixStream, kept: &mut Vec<UnixStream>) -> std::io::Result<()> {
    kept.clear();
    match fault {
        Fault::Hangs => {}
        Fault::Closes => return Ok(()),
        Fault::Rubbish => stream.write_all(&b"\xff\xff no reply\r\n".repeat(200))?,
        Fault::HangsLater | Fault::RubbishLater | Fault::HugeMessage | Fault::ImpossibleMessage => {
            authenticate(&stream)?;
            match fault {
                Fault::RubbishLater => stream.write_all(&[0xff; 4096])?,
                Fault::HugeMessage => stream.write_all(&message_head(100 << 20))?,
                Fault::ImpossibleMessage => stream.write_all(&message_head(u32::MAX))?,
                _ => {}
            }
        }
    }
    kept.push(stream);
    Ok(())
}

/// The fixed part of a signal's header, with this length of the body.
fn message_head(body_bytes: u32) -> Vec<u8> {
    let mut head = vec![b'l', 4, 0, 1];
    head.extend(body_bytes.to_le_bytes());
    head.extend(1_u32.to_le_bytes());
    head.extend(0_u32.to_le_bytes());
    head
}

/// The server's part of SASL: accepts each line of the client until it begins.
fn authenticate(stream: &UnixStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(SOON))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let mut stream = stream;
        if text.contains("AUTH") {
            stream.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n")?;
        } else if text.contains("NEGOTIATE") {
            stream.write_all(b"AGREE_UNIX_FD\r\n")?;
        } else if text.contains("BEGIN") {
            return Ok(());
        }
    }
}

fn count(dir: &str) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn calls_return_by_their_deadline_with_a_short_reason() {
    for fault in FAULTS {
        let bus = Bus::start(fault);
        let systemd = Systemd::new(bus.root.path(), || {});
        for _ in 0..3 {
            let start = Instant::now();
            let services = systemd.services(&ServiceQuery::default(), start + Duration::from_millis(100));
            assert!(start.elapsed() < Duration::from_secs(8), "{fault:?}: before the bus itself is late");
            assert!(!services.known && services.list.is_empty(), "{fault:?}");
            let reason = services.problem.unwrap();
            assert!(reason.chars().count() <= 200, "{fault:?}: {reason}");
            let link = systemd.link(start + Duration::from_millis(200));
            assert!(!matches!(link, Link::Connected { .. }), "{fault:?}");
        }
    }
}

#[test]
fn reconnections_leave_no_thread_and_no_descriptor_behind() {
    for fault in [Fault::Closes, Fault::Rubbish, Fault::RubbishLater, Fault::ImpossibleMessage] {
        let bus = Bus::start(fault);
        let systemd = Systemd::new(bus.root.path(), || {});
        let wait_for = |connections: usize| {
            let start = Instant::now();
            while bus.connections.load(Ordering::Acquire) < connections {
                systemd.link(Instant::now());
                assert!(start.elapsed() < SOON, "{fault:?}: the bus is tried again");
                thread::sleep(Duration::from_millis(10));
            }
            // The thread is between two attempts.
            thread::sleep(Duration::from_millis(100));
        };
        wait_for(2);
        let before = (count("/proc/self/task"), count("/proc/self/fd"));
        wait_for(5);
        let after = (count("/proc/self/task"), count("/proc/self/fd"));
        assert!(after.0 <= before.0 && after.1 <= before.1, "{fault:?}: {before:?} {after:?}");
    }
}

//! What one export over the socket costs: the plugin's replies beside a thread that merely sends bytes back.

use std::error::Error;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use agent2_plugin::{FakeAgent, LaunchMode};

use super::measurement::{Measurement, Samples, Target, Unit};
use super::processes::NAME;

/// A walk is shared for a second, so nearly all of these requests use its result.
const KEY: &str = "oomwatch.proc.num";
const PARAMETERS: [&str; 1] = ["kthreadd"];
const RUNS: usize = 7;
const EXPORTS: usize = 10_000;
/// The number of concurrent requests in the throughput measurement; an agent allows 1,000.
const WINDOW: usize = 100;
/// About the sizes of the frames of such a request and of its reply.
const REQUEST_BYTES: usize = 100;
const REPLY_BYTES: usize = 45;

pub(super) fn rows(plugin: &Path) -> Result<Vec<Measurement>, Box<dyn Error>> {
    let mut exports = Exports::open(plugin)?;
    let mut echo = Echo::open()?;
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(Run { p99: p99(|| exports.one())?, rate: rate(|| exports.many())? });
        peer.push(Run { p99: p99(|| echo.one())?, rate: rate(|| echo.many())? });
    }
    exports.0.terminate()?;
    let row = |work, pick: fn(&Run) -> f64, unit, target| Measurement {
        work,
        ours: Samples::new(unit, ours.iter().map(pick).collect()),
        peer_name: "the socket's own round trip",
        peer: Samples::new(unit, peer.iter().map(pick).collect()),
        target,
    };
    Ok(vec![
        row(
            "one export over the socket, 99th percentile",
            |run| run.p99,
            Unit::Microseconds,
            Target::AtMost(1000.0),
        ),
        row("exports over the socket", |run| run.rate, Unit::PerSecond, Target::AtLeast(20_000.0)),
    ])
}

/// Of 10,000 exports one after another, and of 10,000 with 100 under way.
struct Run {
    p99: f64,
    rate: f64,
}

fn p99(mut one: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let mut times = Vec::with_capacity(EXPORTS);
    for _ in 0..EXPORTS {
        let start = Instant::now();
        one()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[EXPORTS * 99 / 100].as_secs_f64() * 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
fn rate(many: impl FnOnce() -> io::Result<Duration>) -> io::Result<f64> {
    Ok(EXPORTS as f64 / many()?.as_secs_f64())
}

struct Exports(FakeAgent);

impl Exports {
    fn open(plugin: &Path) -> io::Result<Self> {
        let mut agent = FakeAgent::launch(plugin, NAME, LaunchMode::Serve)?;
        agent.configure("", 3)?;
        let mut exports = Self(agent);
        exports.one()?;
        Ok(exports)
    }

    fn one(&mut self) -> io::Result<()> {
        match self.0.export(KEY, &PARAMETERS)? {
            Ok(Some(_)) => Ok(()),
            other => Err(io::Error::other(format!("{KEY}: {other:?}"))),
        }
    }

    fn many(&mut self) -> io::Result<Duration> {
        let start = Instant::now();
        for sent in 0..EXPORTS + WINDOW {
            if sent < EXPORTS {
                self.0.send_export(KEY, &PARAMETERS)?;
            }
            if sent >= WINDOW {
                let (_, result) = self.0.next_result()?;
                result.map_err(io::Error::other)?;
            }
        }
        Ok(start.elapsed())
    }
}

/// A socket whose other end returns a fixed number of bytes for each request, and does nothing else.
struct Echo(UnixStream);

impl Echo {
    fn open() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        thread::spawn(move || reply(theirs));
        Ok(Self(ours))
    }

    fn one(&mut self) -> io::Result<()> {
        self.0.write_all(&[0; REQUEST_BYTES])?;
        self.0.read_exact(&mut [0; REPLY_BYTES])
    }

    fn many(&mut self) -> io::Result<Duration> {
        let start = Instant::now();
        for sent in 0..EXPORTS + WINDOW {
            if sent < EXPORTS {
                self.0.write_all(&[0; REQUEST_BYTES])?;
            }
            if sent >= WINDOW {
                self.0.read_exact(&mut [0; REPLY_BYTES])?;
            }
        }
        Ok(start.elapsed())
    }
}

/// Until the other end is closed.
fn reply(mut socket: UnixStream) -> io::Result<()> {
    loop {
        socket.read_exact(&mut [0; REQUEST_BYTES])?;
        socket.write_all(&[0; REPLY_BYTES])?;
    }
}

//! Requests per virtual host: ten million lines of an access log, with few hosts and with a million.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::super::measurement::{Measurement, Samples, Target, Unit};
use super::common::{Bench, Outcome, mebibytes};
use super::file::Random;
use crate::output::say;

const LINES: u64 = 10_000_000;
/// These have half of the lines, or all of them.
const BUSY: u64 = 40;
const RARE: u64 = 1_000_000;
const RUNS: usize = 3;
const POLL_SECS: u32 = 10;
const KEY: &str = "oomwatch.log.groups";

pub(super) fn rows(bench: &Bench) -> Outcome<Vec<Measurement>> {
    let mut rows = Vec::new();
    let works = [
        (
            0,
            "10,000,000 lines of an access log by virtual host, 40 hosts: `log.groups`, all polls until its end",
            "the most resident memory of the plugin meanwhile",
        ),
        (
            RARE,
            "the same with 1,000,000 more hosts, which have half of the lines: the 40 exactly counted",
            "the most resident memory of the plugin meanwhile",
        ),
    ];
    for (rare, work, memory) in works {
        say(&format!("Counting the requests of {} hosts ...", BUSY + rare));
        let path = bench.room.path().join("access.log");
        let busiest = write(&path, rare)?;
        let (mut ours, mut peer, mut bytes) = (Vec::new(), Vec::new(), 0);
        for _ in 0..RUNS {
            let mut plugin = bench.launch()?;
            // Less than the time that the fake agent waits for a reply.
            plugin.agent.set_request_timeout(Some(POLL_SECS));
            let start = Instant::now();
            let groups = poll_until_complete(&mut plugin.agent, &path)?;
            ours.push(start.elapsed());
            check(&groups, &busiest)?;
            bytes = bytes.max(plugin.processes.peak_rss_bytes()?);
            plugin.agent.terminate()?;
            let start = Instant::now();
            let program = "{ n[$1]++ } END { for (host in n) if (n[host] > 1000) print host }";
            let output = Command::new("awk").arg(program).arg(&path).output()?;
            peer.push(start.elapsed());
            if output.stdout.iter().filter(|&&byte| byte == b'\n').count() as u64 != BUSY {
                return Err("awk found other hosts".into());
            }
        }
        let peer_name = "`awk '{ n[$1]++ }'`, which keeps all hosts";
        rows.push(Measurement {
            work,
            ours: Samples::milliseconds(&ours),
            peer_name,
            peer: Samples::milliseconds(&peer),
            target: Target::None,
        });
        rows.push(Measurement {
            work: memory,
            ours: mebibytes(bytes),
            peer_name: "the target",
            peer: Samples::new(Unit::Mebibytes, vec![8.0]),
            target: Target::AtMost(8.0),
        });
        std::fs::remove_file(&path)?;
    }
    Ok(rows)
}

/// Lines of `vhost_combined`. Returns how many each busy host has.
fn write(path: &Path, rare: u64) -> io::Result<Vec<u64>> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut counts = vec![0; usize::try_from(BUSY).map_err(io::Error::other)?];
    for _ in 0..LINES {
        let number = random.next();
        let host = number >> 8;
        if rare > 0 && number.is_multiple_of(2) {
            write!(file, "www.customer-{}.example", host % rare)?;
        } else {
            // The first has most.
            let site = (host % BUSY).min((host >> 32) % BUSY);
            counts[usize::try_from(site).map_err(io::Error::other)?] += 1;
            write!(file, "www.site-{site}.example")?;
        }
        writeln!(
            file,
            ":443 192.0.2.{} - - [24/Nov/2026:10:00:00 +0900] \"GET /{} HTTP/1.1\" 200 {}",
            number >> 40 & 255,
            number >> 48,
            number >> 16 & 0xffff
        )?;
    }
    file.into_inner()?.sync_all()?;
    Ok(counts)
}

fn poll_until_complete(agent: &mut agent2_plugin::FakeAgent, path: &Path) -> Outcome<Value> {
    let path = path.to_string_lossy();
    let parameters = [path.as_ref(), r"^([^ :]+)", "", "all", "", "40"];
    loop {
        let value = agent.export(KEY, &parameters)?.map_err(io::Error::other)?.ok_or("no value")?;
        let groups: Value = serde_json::from_str(&value)?;
        if groups["complete"] == true {
            return Ok(groups);
        }
    }
}

/// Checks the result: a fast but wrong result is worth nothing.
fn check(groups: &Value, busiest: &[u64]) -> Outcome<()> {
    let found = groups["groups"].as_array().ok_or("no groups")?;
    let count_of = |site: usize| {
        let name = format!("www.site-{site}.example");
        found.iter().find(|group| group["value"] == name.as_str()).and_then(|group| group["count"].as_u64())
    };
    let all_exact = busiest.iter().enumerate().all(|(site, &count)| count_of(site) == Some(count));
    if all_exact && groups["exact"] == true && groups["count"] == LINES {
        return Ok(());
    }
    Err(format!("wrong counts: {groups}").into())
}

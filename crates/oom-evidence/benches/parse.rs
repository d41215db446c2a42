//! Measures how fast the parser skips text without a kill, compared with `grep -c oom-killer` on the same bytes, and
//! how fast it parses text with an open report at all times.
//!
//! `cargo bench -p oom-evidence --bench parse -- [MiB]`

#![expect(clippy::print_stdout, reason = "a bench shows its numbers")]

use std::fs::File;
use std::io::{Read, Write};
use std::process::Command;
use std::time::Instant;

use oom_evidence::{Origin, Parser};

/// Lines of a web server: most are not from the kernel, and none is about a kill.
const LINES: [&str; 8] = [
    "Jun 20 12:47:42 web1 systemd[1]: Started Session 4711 of user www-data.\n",
    "Jun 20 12:47:42 web1 sshd[20311]: Failed password for invalid user admin from 192.0.2.77 port 40022 ssh2\n",
    "Jun 20 12:47:43 web1 kernel: [15180321.768572] [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.1 DST=192.0.2.2 LEN=40 PROTO=TCP\n",
    "Jun 20 12:47:43 web1 CRON[814]: (root) CMD (cd / && run-parts --report /etc/cron.hourly)\n",
    "Jun 20 12:47:44 web1 postfix/smtpd[1100]: connect from mail.example.com[192.0.2.25]\n",
    "Jun 20 12:47:44 web1 dhclient[600]: DHCPREQUEST for 192.0.2.2 on eth0 to 192.0.2.254 port 67\n",
    "Jun 20 12:47:45 web1 named[700]: client @0x7f1 192.0.2.9#53 (example.com): query (cache) denied\n",
    "Jun 20 12:47:45 web1 php-fpm[900]: [pool www] child 4711 started, memory 42 MB\n",
];

fn main() {
    let mebibytes =
        std::env::args().filter_map(|argument| argument.parse::<usize>().ok()).next().unwrap_or(256);
    let size = mebibytes << 20;
    let mut text = Vec::with_capacity(size + 200);
    for line in LINES.iter().cycle() {
        text.extend_from_slice(line.as_bytes());
        if text.len() >= size {
            break;
        }
    }
    let path = std::env::temp_dir().join(format!("oom-evidence-bench-{}.log", std::process::id()));
    if let Err(error) = File::create(&path).and_then(|mut file| file.write_all(&text)) {
        eprintln!("cannot write {}: {error}", path.display());
        return;
    }
    for _ in 0..3 {
        report("parser, from memory", text.len(), || parse(&text[..]));
        report("parser, from the file", text.len(), || File::open(&path).map_or(usize::MAX, parse));
        report("grep -c oom-killer", text.len(), || grep(&path));
    }
    let _ = std::fs::remove_file(&path);
    let storm = storm(size / 8);
    report("a kill in every 100 lines", storm.len(), || parse(&storm[..]));
}

/// Text that is parsed line by line throughout.
fn storm(size: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(size + 20_000);
    for pid in 1.. {
        let kill =
            format!("Jun 20 12:47:45 web1 kernel: Out of memory: Killed process {pid} (x) total-vm:10kB\n");
        text.extend_from_slice(kill.as_bytes());
        LINES.iter().cycle().take(99).for_each(|line| text.extend_from_slice(line.as_bytes()));
        if text.len() >= size {
            break;
        }
    }
    text
}

fn report(what: &str, size: usize, work: impl FnOnce() -> usize) {
    let start = Instant::now();
    let found = work();
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = size as f64 / seconds / 1e6;
    println!("{what:24} {seconds:7.3} s {rate:8.0} MB/s, {found} found");
}

fn parse(mut source: impl Read) -> usize {
    let mut parser = Parser::new(Origin::Text);
    let mut buffer = vec![0; 256 << 10];
    let mut found = 0;
    while let Ok(count @ 1..) = source.read(&mut buffer) {
        found += parser.feed(&buffer[..count]).count();
    }
    found + parser.finish().len()
}

fn grep(path: &std::path::Path) -> usize {
    let output = Command::new("grep").arg("-c").arg("oom-killer").arg(path).env("LC_ALL", "C").output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().parse().unwrap_or(usize::MAX)
}

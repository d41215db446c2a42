//! Made-up logs.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

/// Lines of the length and the words that a web server's machine writes, the same with every run.
pub(super) fn write(path: &Path, bytes: u64, last_line: &str) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut random, mut line, mut written) = (Random(0x9e37_79b9_7f4a_7c15), String::new(), 0);
    while written < bytes {
        line.clear();
        make(&mut line, random.next());
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    writeln!(file, "{last_line}")?;
    file.into_inner()?.sync_all()
}

/// Appends the last bytes of another file, which are in memory afterwards.
pub(super) fn append_end(path: &Path, from: &Path, bytes: u64) -> io::Result<()> {
    let mut from = File::open(from)?;
    from.seek(SeekFrom::End(-i64::try_from(bytes).map_err(io::Error::other)?))?;
    io::copy(&mut from, &mut File::options().append(true).open(path)?).map(drop)
}

/// So many files of a few lines each.
pub(super) fn small(directory: &Path, files: usize) -> io::Result<Vec<String>> {
    fs::create_dir_all(directory)?;
    (0..files)
        .map(|number| {
            let path = directory.join(format!("site-{number}.log"));
            fs::write(&path, format!("site {number} was started\nlistening on port 80\n"))?;
            Ok(path.to_string_lossy().into_owned())
        })
        .collect()
}

fn make(line: &mut String, number: u64) {
    let (second, id, host) = (number >> 8 & 63, number >> 16 & 0xffff, number >> 32 & 255);
    let _ = write!(line, "Jan  2 03:{:02}:{:02} web01 ", second % 60, host % 60);
    // Writing to a string cannot fail.
    let _ = match number % 16 {
        0 => writeln!(
            line,
            "kernel: [UFW BLOCK] IN=eth0 OUT= SRC=192.0.2.{host} DST=198.51.100.7 LEN=40 TTL=243 ID={id}"
        ),
        1 => writeln!(
            line,
            "sshd[{id}]: Failed password for invalid user oracle from 203.0.113.{host} port {id} ssh2"
        ),
        2 => writeln!(line, "systemd[1]: Started Session {id} of user www-data."),
        3 => writeln!(
            line,
            "php-fpm[{id}]: WARNING: [pool www] child {id} said into stderr: \"NOTICE: PHP message: slow query\""
        ),
        4 => writeln!(
            line,
            "httpd[{id}]: [proxy:error] (111)Connection refused: AH00957: HTTP: attempt to connect to 127.0.0.1:8080 failed"
        ),
        _ => writeln!(
            line,
            "httpd[{id}]: 198.51.100.{host} - - \"GET /shop/item?id={number} HTTP/1.1\" 200 {id} \"-\" \"Mozilla/5.0\""
        ),
    };
}

/// xorshift64*
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

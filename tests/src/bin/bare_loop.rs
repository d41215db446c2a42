//! The least possible cost of a process item: opens and reads the files of every process as one poll does, and parses
//! nothing.
//!
//! Arguments: the names of the files in a process's directory. Prints the CPU time of one round in nanoseconds.

use std::env::args;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::id;

use oomwatch_tests::Error;
use oomwatch_tests::cost::{self, CpuTimes};

fn main() -> Result<(), Error> {
    let files: Vec<String> = args().skip(1).collect();
    let mut buffer = vec![0; 64 * 1024];
    // The first round runs with cold caches.
    round(&files, &mut buffer);
    let before = CpuTimes::read(id())?;
    round(&files, &mut buffer);
    print(CpuTimes::read(id())?.since(&before).as_nanos());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print(nanoseconds: u128) {
    println!("{nanoseconds}");
}

fn round(files: &[String], buffer: &mut [u8]) {
    for pid in cost::pids() {
        let directory = format!("/proc/{pid}");
        for file in files {
            // A process that has ended has no files.
            let _ = read_all(&Path::new(&directory).join(file), buffer);
        }
    }
}

fn read_all(path: &Path, buffer: &mut [u8]) -> io::Result<()> {
    let mut file = File::open(path)?;
    while file.read(buffer)? > 0 {}
    Ok(())
}

//! The least that a process item can cost: opens and reads the files of every process as one poll does, and looks at
//! nothing.
//!
//! Arguments: the files' names within a process's directory. Prints the CPU time of one round in nanoseconds.

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
    // The first round finds its own code and the kernel's caches cold.
    round(&files, &mut buffer);
    let before = CpuTimes::of(id())?;
    round(&files, &mut buffer);
    tell(CpuTimes::of(id())?.since(&before).as_nanos());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the result")]
fn tell(nanoseconds: u128) {
    println!("{nanoseconds}");
}

fn round(files: &[String], buffer: &mut [u8]) {
    for pid in cost::pids() {
        let directory = format!("/proc/{pid}");
        for file in files {
            // A process that ends meanwhile has no files any more.
            let _ = read_all(&Path::new(&directory).join(file), buffer);
        }
    }
}

fn read_all(path: &Path, buffer: &mut [u8]) -> io::Result<()> {
    let mut file = File::open(path)?;
    while file.read(buffer)? > 0 {}
    Ok(())
}

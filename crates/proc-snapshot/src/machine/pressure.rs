//! Pressure stall information (PSI) of memory.

use std::io::BufReader;
use std::path::Path;

use procfs::{FromBufRead, PressureRecord};

use super::error::MachineError;
use super::files::read_if_readable;

/// Shares of time in which tasks waited for memory, in percent, and the time waited since boot in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct MemoryPressure {
    /// Percentage of time in which at least one task waited: over 10, 60 and 300 seconds.
    pub some_percent: [f64; 3],
    /// Percentage of time in which all tasks waited: over 10, 60 and 300 seconds.
    pub full_percent: [f64; 3],
    /// Time since boot in which at least one task waited.
    pub some_micros: u64,
    /// Time since boot in which all tasks waited.
    pub full_micros: u64,
}

impl MemoryPressure {
    /// Reads `proc/pressure/memory` below `host_root`. `None` before Linux 4.20 and if the kernel has PSI switched off.
    ///
    /// # Errors
    ///
    /// [`MachineError::Shortage`]
    pub fn read(host_root: &Path) -> Result<Option<Self>, MachineError> {
        let text = read_if_readable(&host_root.join("proc/pressure/memory"))?;
        Ok(text.and_then(|text| Self::parse(&text)))
    }

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        // The parser of `procfs` panics if a line ends after its first word.
        let mut lines = text.split(|byte| *byte == b'\n');
        if ![b"some ", b"full "].iter().all(|start| lines.next().is_some_and(|line| line.starts_with(*start)))
        {
            return None;
        }
        let pressure = procfs::MemoryPressure::from_buf_read(BufReader::new(text)).ok()?;
        Some(Self {
            some_percent: percentages(&pressure.some),
            full_percent: percentages(&pressure.full),
            some_micros: pressure.some.total,
            full_micros: pressure.full.total,
        })
    }
}

/// The kernel writes two decimals, which a conversion from `f32` alone would not restore.
fn percentages(record: &PressureRecord) -> [f64; 3] {
    [record.avg10, record.avg60, record.avg300].map(|percent| (f64::from(percent) * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<MemoryPressure> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("proc/pressure")).unwrap();
        std::fs::write(root.path().join("proc/pressure/memory"), text).unwrap();
        MemoryPressure::read(root.path()).unwrap()
    }

    #[test]
    fn both_lines_are_read_with_two_decimals() {
        let text = "some avg10=1.50 avg60=0.13 avg300=0.00 total=920\nfull avg10=0.75 avg60=99.99 avg300=100.00 total=669\n";
        let pressure = read(text).unwrap();
        assert_eq!(pressure.some_percent, [1.5, 0.13, 0.0]);
        assert_eq!(pressure.full_percent, [0.75, 99.99, 100.0]);
        assert_eq!((pressure.some_micros, pressure.full_micros), (920, 669));
    }

    #[test]
    fn pressure_is_absent_without_the_file_and_when_it_is_garbled() {
        assert_eq!(MemoryPressure::read(Path::new("/no/such/root")).unwrap(), None);
        assert_eq!(read(""), None);
        assert_eq!(read("some avg10=1.50 avg60=0.13\n"), None);
    }

    #[test]
    fn line_that_ends_after_its_first_word_is_no_pressure() {
        for text in
            ["some", "some\nfull\n", "some\u{e9} avg10=0\n", "some avg10=0 avg60=0 avg300=0 total=0\nfull\n"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}

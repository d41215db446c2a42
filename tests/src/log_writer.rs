use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Error;

/// How a log is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotating {
    /// The file is renamed, and a new one is created in its place.
    Rename,
    /// The file is copied and then truncated. Lines written between the two would be lost; this writer writes none.
    CopyTruncate,
}

/// A program that writes a log as fast as it can, line by line, and rotates it: to `NAME.1`, which was `NAME.2`
/// before, and so on. Rotated files are never deleted.
///
/// Some lines are matches: they contain `match` and a number that starts at 0 and grows by one.
#[derive(Debug)]
pub struct LogWriter {
    path: PathBuf,
    file: File,
    rotating: Rotating,
    lines_per_file: u64,
    lines: u64,
    matches: u64,
    rotations: u64,
}

impl LogWriter {
    /// Creates a log that is rotated every `lines` lines.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be created.
    pub fn create(path: impl Into<PathBuf>, rotating: Rotating, lines_per_file: u64) -> Result<Self, Error> {
        let path = path.into();
        let file = new_file(&path).map_err(Error::file(&path))?;
        Ok(Self { path, file, rotating, lines_per_file, lines: 0, matches: 0, rotations: 0 })
    }

    /// The log's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of matches written so far, which is the number of the next one.
    #[must_use]
    pub fn matches(&self) -> u64 {
        self.matches
    }

    /// The number of rotations so far.
    #[must_use]
    pub fn rotations(&self) -> u64 {
        self.rotations
    }

    /// The match with this number, without its line end.
    #[must_use]
    pub fn text_of(number: u64) -> String {
        format!("Jun  1 12:00:00 web kernel: match {number} of this test, in words that come once")
    }

    /// The number of a match; absent if the line is not complete.
    #[must_use]
    pub fn number_of(text: &str) -> Option<u64> {
        let number = text.split_once("match ")?.1.split(' ').next()?.parse().ok()?;
        (text == Self::text_of(number)).then_some(number)
    }

    /// Writes lines, of which every n-th is a match. Each line is one write, as in programs that log.
    ///
    /// # Errors
    ///
    /// Returns an error if the log cannot be written or rotated.
    pub fn write(&mut self, lines: u64, one_match_in: u64) -> Result<(), Error> {
        let path = self.path.clone();
        (0..lines).try_for_each(|_| self.line(one_match_in)).map_err(Error::file(path))
    }

    fn line(&mut self, one_match_in: u64) -> io::Result<()> {
        self.lines += 1;
        let text = if self.lines.is_multiple_of(one_match_in) {
            self.matches += 1;
            Self::text_of(self.matches - 1) + "\n"
        } else {
            format!("Jun  1 12:00:00 web httpd[4242]: request {} took 17 ms\n", self.lines)
        };
        self.file.write_all(text.as_bytes())?;
        if self.lines.is_multiple_of(self.lines_per_file) { self.rotate() } else { Ok(()) }
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..=self.rotations).rev() {
            fs::rename(self.rotated(number), self.rotated(number + 1))?;
        }
        self.rotations += 1;
        match self.rotating {
            Rotating::Rename => {
                fs::rename(&self.path, self.rotated(1))?;
                self.file = new_file(&self.path)?;
                Ok(())
            }
            Rotating::CopyTruncate => {
                fs::copy(&self.path, self.rotated(1))?;
                self.file.set_len(0)
            }
        }
    }

    fn rotated(&self, number: u64) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Append mode allows a log to be truncated while its writer has it open.
fn new_file(path: &Path) -> io::Result<File> {
    File::options().create_new(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_rotations_keep_every_line_and_its_order() {
        for rotating in [Rotating::Rename, Rotating::CopyTruncate] {
            let directory = tempfile::tempdir().unwrap();
            let mut writer = LogWriter::create(directory.path().join("log"), rotating, 10).unwrap();
            writer.write(35, 5).unwrap();
            assert_eq!((writer.matches(), writer.rotations()), (7, 3));
            let files = (1..=3).rev().map(|number| writer.rotated(number)).chain([writer.path().to_owned()]);
            let text: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
            let numbers: Vec<_> = text.lines().filter_map(LogWriter::number_of).collect();
            assert_eq!(numbers, (0..7).collect::<Vec<_>>());
            assert_eq!(text.lines().count(), 35);
        }
    }

    #[test]
    fn incomplete_match_is_not_counted() {
        let whole = LogWriter::text_of(12);
        assert_eq!(LogWriter::number_of(&whole), Some(12));
        assert_eq!(LogWriter::number_of(&whole[1..]), None);
        assert_eq!(LogWriter::number_of(&whole[..whole.len() - 1]), None);
        assert_eq!(LogWriter::number_of("match x"), None);
    }
}

//! Small files of `/proc` and `/sys/fs/cgroup`, and the numbers in them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::MachineError;

/// Limit for one file. The files that are read here have a few kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a small file; everything beyond 1 MiB is ignored.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, MachineError> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(MachineError::read(path))?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(MachineError::read(path))?;
    Ok(text)
}

/// Reads a small file. `None` if it is absent or may not be read.
///
/// # Errors
///
/// [`MachineError::Shortage`]
pub(super) fn read_if_readable(path: &Path) -> Result<Option<Vec<u8>>, MachineError> {
    match read_file(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.concerns_the_file() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a file that holds one number. `None` if it cannot be read or holds a word such as `max`.
pub(super) fn read_number(path: &Path) -> Result<Option<u64>, MachineError> {
    Ok(read_if_readable(path)?.and_then(|text| leading_number(&text)))
}

/// Reads a file that holds one number, which may be negative.
pub(super) fn read_signed(path: &Path) -> Result<Option<i64>, MachineError> {
    Ok(read_if_readable(path)?.and_then(|text| crate::text::signed(text.trim_ascii())))
}

/// Returns the number of the line `name number`, as in `memory.events` and `memory.stat`.
pub(crate) fn value_of(text: &[u8], name: &[u8]) -> Option<u64> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(b" ")?;
        leading_number(value.trim_ascii_start())
    })
}

fn leading_number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    crate::text::number(&bytes[..digits])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = b"oom_kill_x 3\noom_kill 7\noom  12\nbad x\nempty\n";
        let value = |name: &str| value_of(text, name.as_bytes());
        assert_eq!([value("oom_kill"), value("oom"), value("oo")], [Some(7), Some(12), None]);
        assert_eq!([value("bad"), value("empty"), value("oom_kill_")], [None; 3]);
    }

    #[test]
    fn only_the_first_mebibyte_of_a_file_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        std::fs::write(&path, vec![b'1'; (1 << 20) + 10]).unwrap();
        assert_eq!(read_file(&path).unwrap().len(), 1 << 20);
    }

    #[test]
    fn single_numbers_may_be_absent_or_negative() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("number");
        let written = |text: &str| {
            std::fs::write(&path, text).unwrap();
            (read_number(&path).unwrap(), read_signed(&path).unwrap())
        };
        assert_eq!(written("12\n"), (Some(12), Some(12)));
        assert_eq!(written("-17\n"), (None, Some(-17)));
        assert_eq!(written("max\n"), (None, None));
        assert_eq!(read_number(&dir.path().join("absent")).unwrap(), None);
    }
}

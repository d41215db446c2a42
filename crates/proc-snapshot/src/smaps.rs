//! `/proc/PID/smaps_rollup` and its ancestor `smaps`.
//!
//! The parser of the `procfs` crate keeps a map of strings for every mapping and refuses paths that are not UTF-8.
//! A process may have 65,530 mappings and more, so this parser adds up line by line in a fixed buffer.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::io::Errno;

use crate::error::ProcError;
use crate::root::open_file;
use crate::shortage::if_readable;
use crate::text;

/// The built-in key adds half a KiB for each mapping, because the kernel rounds Pss down to KiB.
const BUILTIN_ADJUSTMENT: u64 = 512;
/// Longer than any line: a path has at most 4,096 bytes, escaped four times as many.
const BUFFER_BYTES: usize = 32 * 1024;

/// Memory shares of a process, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Smaps {
    /// Proportional set size: each page divided by the number of processes that map it.
    pub pss_bytes: u64,
    /// Unique set size: pages that only this process maps, which its end would free.
    pub uss_bytes: u64,
    /// Swapped-out pages, divided likewise (`SwapPss`, since Linux 4.3).
    pub swap_pss_bytes: u64,
    /// The sum that the built-in `proc.get` calls pss: 512 bytes more for every mapping (once for `smaps_rollup`), and
    /// with the huge pages of hugetlbfs.
    pub builtin_pss_bytes: u64,
}

#[derive(Debug, Default)]
struct Sums {
    pss: u64,
    swap_pss: u64,
    pss_lines: u64,
    shared: u64,
    private: u64,
    private_huge: u64,
    shared_huge: u64,
}

impl Sums {
    fn take_line(&mut self, line: &[u8]) {
        let Some((key, value)) = text::lines(line).next() else { return };
        let text::Amount::Bytes(bytes) = text::amount(value) else { return };
        let (sum, lines) = match key {
            b"Pss" => (&mut self.pss, 1),
            b"SwapPss" => (&mut self.swap_pss, 0),
            b"Private_Hugetlb" => (&mut self.private_huge, 0),
            b"Shared_Hugetlb" => (&mut self.shared_huge, 0),
            _ if key.starts_with(b"Shared") => (&mut self.shared, 0),
            _ if key.starts_with(b"Private") => (&mut self.private, 0),
            _ => return,
        };
        *sum = sum.saturating_add(bytes);
        self.pss_lines += lines;
    }

    fn finish(&self) -> Smaps {
        let adjusted = self.pss.saturating_add(self.pss_lines.saturating_mul(BUILTIN_ADJUSTMENT));
        let proportional =
            if self.pss_lines > 0 { adjusted } else { self.shared.saturating_add(self.private) };
        let huge = self.private_huge.saturating_add(self.shared_huge);
        Smaps {
            pss_bytes: self.pss,
            uss_bytes: self.private.saturating_add(self.private_huge),
            swap_pss_bytes: self.swap_pss,
            builtin_pss_bytes: proportional.saturating_add(huge),
        }
    }
}

impl Smaps {
    /// Reads the files in the directory of a process. `None` if neither can be read: no permission, or the process is
    /// gone.
    pub(crate) fn read(process: BorrowedFd<'_>, deadline: Instant) -> Result<Option<Self>, ProcError> {
        // Before Linux 4.14 there is no rollup.
        for name in [c"smaps_rollup", c"smaps"] {
            if let Some(sums) = if_readable(add_up(process, name, deadline))? {
                return sums.map(|sums| Some(sums.finish()));
            }
        }
        Ok(None)
    }
}

/// The inner error is a deadline that passed between two reads: `smaps` may have millions of lines.
fn add_up(
    process: BorrowedFd<'_>,
    name: &CStr,
    deadline: Instant,
) -> rustix::io::Result<Result<Sums, ProcError>> {
    let file = open_file(process, name)?;
    let mut sums = Sums::default();
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    let mut filled = 0;
    loop {
        if Instant::now() >= deadline {
            let doing = format!("while reading {} of a process", name.to_string_lossy());
            return Ok(Err(ProcError::Deadline { doing }));
        }
        let got = match rustix::io::read(&file, &mut buffer[filled..]) {
            Err(Errno::INTR) => continue,
            got => got?,
        };
        if got == 0 {
            sums.take_line(&buffer[..filled]);
            return Ok(Ok(sums));
        }
        filled = take_lines(&mut sums, &mut buffer, filled + got);
    }
}

/// Adds up the whole lines in the first `filled` bytes and moves the rest to the front. Returns the length of the rest.
fn take_lines(sums: &mut Sums, buffer: &mut [u8], filled: usize) -> usize {
    let Some(end) = buffer[..filled].iter().rposition(|&byte| byte == b'\n') else {
        // A line that fills the buffer cannot hold an amount.
        return if filled == buffer.len() { 0 } else { filled };
    };
    buffer[..end].split(|&byte| byte == b'\n').for_each(|line| sums.take_line(line));
    buffer.copy_within(end + 1..filled, 0);
    filled - end - 1
}

/// Adds up the lines of a text that arrives in pieces of `piece_bytes`.
#[cfg(feature = "fuzzing")]
pub(crate) fn parse(text: &[u8], piece_bytes: usize) -> Smaps {
    let (mut sums, mut buffer, mut filled) = (Sums::default(), vec![0_u8; BUFFER_BYTES], 0);
    for piece in text.chunks(piece_bytes) {
        // The buffer has room: at most a part of a line is kept, and lines that fill it are dropped.
        for part in piece.chunks(BUFFER_BYTES / 4) {
            let part = &part[..part.len().min(buffer.len() - filled)];
            buffer[filled..filled + part.len()].copy_from_slice(part);
            filled = take_lines(&mut sums, &mut buffer, filled + part.len());
        }
    }
    sums.take_line(&buffer[..filled]);
    sums.finish()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    use super::*;

    const ROLLUP: &str = "55d0-7ffc ---p 00000000 00:00 0    [rollup]\nRss:    100 kB\nPss:    50 kB\nPss_Dirty: 7 kB\n\
        Shared_Clean: 60 kB\nShared_Dirty: 0 kB\nPrivate_Clean: 10 kB\nPrivate_Dirty: 30 kB\n\
        Shared_Hugetlb: 2048 kB\nPrivate_Hugetlb: 4096 kB\nSwap: 12 kB\nSwapPss: 6 kB\n";

    fn read(files: &[(&str, &[u8])]) -> Option<Smaps> {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        let deadline = Instant::now() + std::time::Duration::from_secs(60);
        Smaps::read(File::open(dir.path()).unwrap().as_fd(), deadline).unwrap()
    }

    #[test]
    fn rollup_has_shares_and_the_sum_of_the_builtin_key() {
        let smaps = read(&[("smaps_rollup", ROLLUP.as_bytes())]).unwrap();
        assert_eq!(smaps.pss_bytes, 50 << 10);
        assert_eq!(smaps.uss_bytes, (40 + 4096) << 10);
        assert_eq!(smaps.swap_pss_bytes, 6 << 10);
        assert_eq!(smaps.builtin_pss_bytes, (50 << 10) + 512 + ((2048 + 4096) << 10));
    }

    #[test]
    fn smaps_is_read_if_there_is_no_rollup() {
        let two = "1-2 r--p 0 08:01 5 /lib:odd \u{1b}\nPss: 1 kB\nPrivate_Clean: 1 kB\n".repeat(2);
        let mut data = two.into_bytes();
        data.extend_from_slice(b"3-4 r--p 0 08:01 5 /\xff\xfe\nPss: 2 kB");
        let smaps = read(&[("smaps", &data)]).unwrap();
        assert_eq!((smaps.pss_bytes, smaps.uss_bytes), (4 << 10, 2 << 10));
        assert_eq!(smaps.builtin_pss_bytes, (4 << 10) + 3 * 512);
    }

    #[test]
    fn many_mappings_and_long_lines_are_parsed() {
        let mut data = b"1-2 r--p 0 08:01 5 /x\nPss: 1 kB\n".repeat(5_000);
        data.extend(std::iter::repeat_n(b'x', 100_000));
        data.extend_from_slice(b"\nPss: 1 kB\n");
        assert_eq!(read(&[("smaps", &data)]).unwrap().pss_bytes, 5_001 << 10);
    }

    #[test]
    fn amounts_that_are_too_large_do_not_wrap() {
        let line = |key: &str| format!("{key}: {} kB\n", u64::MAX >> 10);
        for keys in [
            ["Pss", "Private_Hugetlb"],
            ["Shared_Clean", "Private_Dirty"],
            ["Private_Dirty", "Private_Hugetlb"],
        ] {
            let text: String = keys.map(line).concat();
            let smaps = read(&[("smaps_rollup", text.as_bytes())]).unwrap();
            assert_eq!(smaps.builtin_pss_bytes, u64::MAX, "{keys:?}");
        }
    }

    #[test]
    fn shared_and_private_count_without_pss_lines() {
        let smaps = read(&[("smaps_rollup", b"Shared_Clean: 3 kB\nPrivate_Dirty: 4 kB\n")]).unwrap();
        assert_eq!((smaps.pss_bytes, smaps.builtin_pss_bytes), (0, 7 << 10));
        assert_eq!(read(&[]), None);
    }
}

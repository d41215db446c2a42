//! `/proc/PID/status`.

use crate::text::{self, Amount};

/// The lines of `status` that hold an amount of memory.
const VM_KEYS: [&str; 15] = [
    "VmSize", "VmRSS", "VmPeak", "VmSwap", "VmLib", "VmLck", "VmPin", "VmHWM", "VmData", "VmStk", "VmExe",
    "VmPTE", "RssAnon", "RssFile", "RssShmem",
];

/// Contents of the `status` file of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `Name`: the kernel's name with newline and backslash escaped.
    pub(crate) name: Box<[u8]>,
    /// The word in parentheses on the `State` line, or the whole line without parentheses.
    pub(crate) state: Box<[u8]>,
    pub(crate) ppid: i64,
    pub(crate) tgid: i64,
    pub(crate) threads: i64,
    pub(crate) ctx_switches: i64,
    vm: [Amount; VM_KEYS.len()],
}

impl Status {
    /// Parses the file. Missing lines are absent.
    pub(crate) fn parse(data: &[u8]) -> Self {
        let mut status = Self::default();
        let (mut voluntary, mut involuntary) = (-1, -1);
        for (key, value) in text::lines(data) {
            match key {
                b"Name" => status.name = text::trim(value).into(),
                b"State" => status.state = state_word(text::trim(value)).into(),
                b"PPid" => status.ppid = integer(value),
                b"Tgid" => status.tgid = integer(value),
                b"Threads" => status.threads = integer(value),
                b"voluntary_ctxt_switches" => voluntary = integer(value),
                b"nonvoluntary_ctxt_switches" => involuntary = integer(value),
                _ => status.take_amount(key, value),
            }
        }
        if voluntary >= 0 && involuntary >= 0 {
            status.ctx_switches = voluntary.saturating_add(involuntary);
        }
        status
    }

    fn take_amount(&mut self, key: &[u8], value: &[u8]) {
        if !key.starts_with(b"Vm") && !key.starts_with(b"Rss") {
            return;
        }
        if let Some(index) = VM_KEYS.iter().position(|known| known.as_bytes() == key)
            && self.vm[index] == Amount::Absent
        {
            self.vm[index] = text::amount(value);
        }
    }

    /// Returns the amount on a line such as `VmRSS`.
    pub(crate) fn amount(&self, key: &str) -> Amount {
        VM_KEYS.iter().position(|&known| known == key).map_or(Amount::Absent, |index| self.vm[index])
    }

    /// `VmRSS` in bytes: resident memory. `None` for kernel threads and zombies.
    #[must_use]
    pub fn rss_bytes(&self) -> Option<u64> {
        self.bytes("VmRSS")
    }

    /// `VmSwap` in bytes: swapped-out anonymous memory. `None` for kernel threads and zombies.
    #[must_use]
    pub fn swap_bytes(&self) -> Option<u64> {
        self.bytes("VmSwap")
    }

    /// `RssAnon` in bytes: heap and stack in resident memory, pages still shared with the parent since the fork
    /// included. `None` for kernel threads and zombies, and before Linux 4.5.
    #[must_use]
    pub fn anon_bytes(&self) -> Option<u64> {
        self.bytes("RssAnon")
    }

    /// `RssFile` and `RssShmem` together in bytes: the part of resident memory that is program, libraries, mapped files
    /// and shared memory. `None` for kernel threads and zombies, and before Linux 4.5.
    #[must_use]
    pub fn mapped_bytes(&self) -> Option<u64> {
        Some(self.bytes("RssFile")?.saturating_add(self.bytes("RssShmem")?))
    }

    fn bytes(&self, key: &str) -> Option<u64> {
        match self.amount(key) {
            Amount::Bytes(bytes) => Some(bytes),
            Amount::Absent | Amount::Garbled => None,
        }
    }
}

impl Default for Status {
    fn default() -> Self {
        let nothing = Box::<[u8]>::default();
        Self {
            name: nothing.clone(),
            state: nothing,
            ppid: 0,
            tgid: 0,
            threads: -1,
            ctx_switches: -1,
            vm: [Amount::Absent; VM_KEYS.len()],
        }
    }
}

fn integer(value: &[u8]) -> i64 {
    text::signed(text::trim(value)).unwrap_or(-1)
}

fn state_word(value: &[u8]) -> &[u8] {
    let left = value.iter().position(|&byte| byte == b'(');
    let right = value.iter().position(|&byte| byte == b')');
    match (left, right) {
        (Some(left), Some(right)) if left < right => &value[left + 1..right],
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_parsed_by_name() {
        let status = Status::parse(
            b"Name:\thttpd\nState:\tS (sleeping)\nTgid:\t42\nPPid:\t1\nVmPeak:\t  30 kB\nVmRSS:\t  12 kB\n\
              Threads:\t3\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t7\n",
        );
        assert_eq!((&*status.name, &*status.state), (&b"httpd"[..], &b"sleeping"[..]));
        assert_eq!((status.tgid, status.ppid, status.threads, status.ctx_switches), (42, 1, 3, 12));
        assert_eq!(status.rss_bytes(), Some(12 * 1024));
        assert_eq!(status.amount("VmPeak"), Amount::Bytes(30 * 1024));
        assert_eq!(status.swap_bytes(), None);
        assert_eq!((status.anon_bytes(), status.mapped_bytes()), (None, None));
    }

    #[test]
    fn parts_of_resident_memory_are_parsed() {
        let status = Status::parse(b"RssAnon:\t  8 kB\nRssFile:\t  4 kB\nRssShmem:\t  2 kB\n");
        assert_eq!((status.anon_bytes(), status.mapped_bytes()), (Some(8 << 10), Some(6 << 10)));
    }

    #[test]
    fn missing_and_garbled_lines_are_distinguished() {
        let status =
            Status::parse(b"VmRSS:\tmany kB\nVmSize:\nThreads: x\nvoluntary_ctxt_switches:\t5\nState: odd\n");
        assert_eq!(status.amount("VmRSS"), Amount::Garbled);
        assert_eq!(status.amount("VmSize"), Amount::Absent);
        assert_eq!((status.threads, status.ctx_switches), (-1, -1));
        let involuntary_only = Status::parse(b"nonvoluntary_ctxt_switches:\t7\n");
        assert_eq!(involuntary_only.ctx_switches, -1);
        assert_eq!(&*status.state, b"odd");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Status::parse(&[b"State:", &data[..], b"\nVmRSS:", &data[..]].concat());
        }
    }
}

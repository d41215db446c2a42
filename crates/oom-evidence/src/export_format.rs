//! The export format of the journal (systemd's JOURNAL_EXPORT_FORMATS), which carries any bytes and needs no JSON.

use std::time::Duration;

use crate::scan;

/// Limit of a value. Messages of the kernel are far shorter; longer values are skipped.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// systemd's cursors have about 130 bytes.
const CURSOR_BYTES_MAX: usize = 1024;
const WANTED: [&[u8]; 7] = [
    b"__CURSOR",
    b"__REALTIME_TIMESTAMP",
    b"_BOOT_ID",
    b"_SOURCE_MONOTONIC_TIMESTAMP",
    b"_TRANSPORT",
    b"SYSLOG_FACILITY",
    b"MESSAGE",
];

/// One entry of the journal, with the fields that messages of the kernel need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// The position after this entry, for a later reader.
    pub cursor: Vec<u8>,
    /// Boot id of the entry: 32 hexadecimal digits.
    pub boot_id: Vec<u8>,
    /// Time since 1970 when journald received it.
    pub since_epoch: Option<Duration>,
    /// The kernel's own timestamp: time since boot.
    pub since_boot: Option<Duration>,
    /// The message.
    pub message: Vec<u8>,
    transport: Vec<u8>,
    facility: Vec<u8>,
}

impl JournalEntry {
    /// Whether the kernel wrote the entry. Messages that root writes to /dev/kmsg have the same transport, but never
    /// facility 0.
    #[must_use]
    pub fn is_from_kernel(&self) -> bool {
        self.transport == b"kernel" && self.facility == b"0"
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        let micros = || scan::number(value).map(|(micros, _)| Duration::from_micros(micros));
        match name {
            b"__CURSOR" => self.cursor = value.to_vec(),
            b"__REALTIME_TIMESTAMP" => self.since_epoch = micros(),
            b"_BOOT_ID" => self.boot_id = value.to_vec(),
            b"_SOURCE_MONOTONIC_TIMESTAMP" => self.since_boot = micros(),
            b"_TRANSPORT" => self.transport = value.to_vec(),
            b"SYSLOG_FACILITY" => self.facility = value.to_vec(),
            b"MESSAGE" => self.message = value.to_vec(),
            _ => {}
        }
    }
}

/// Whether these bytes can be a position that is passed to journalctl.
pub(crate) fn is_cursor(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() <= CURSOR_BYTES_MAX && bytes.iter().all(u8::is_ascii_graphic)
}

/// Decodes bytes in pieces of any size into entries.
#[derive(Debug, Default)]
pub(crate) struct ExportDecoder {
    pending: Vec<u8>,
    entry: JournalEntry,
    /// Bytes left of a value that is too long, with the newline after it.
    to_skip: usize,
    is_skipping_line: bool,
}

enum Step {
    More,
    Entry,
    Need,
}

impl ExportDecoder {
    /// Decodes a piece and passes each finished entry to `each`.
    pub(crate) fn feed(&mut self, piece: &[u8], mut each: impl FnMut(JournalEntry)) {
        self.pending.extend_from_slice(piece);
        let mut used = 0;
        loop {
            match self.step(&mut used) {
                Step::More => {}
                Step::Entry => {
                    let entry = std::mem::take(&mut self.entry);
                    if is_cursor(&entry.cursor) {
                        each(entry);
                    }
                }
                Step::Need => break,
            }
        }
        self.pending.drain(..used);
    }

    fn step(&mut self, used: &mut usize) -> Step {
        let skipped = self.to_skip.min(self.pending.len() - *used);
        self.to_skip -= skipped;
        *used += skipped;
        let rest = &self.pending[*used..];
        let Some(end) = memchr::memchr(b'\n', rest) else {
            if rest.len() > VALUE_BYTES_MAX {
                *used += rest.len();
                self.is_skipping_line = true;
            }
            return Step::Need;
        };
        let line = &rest[..end];
        if std::mem::take(&mut self.is_skipping_line) {
            *used += end + 1;
            return Step::More;
        }
        if line.is_empty() {
            *used += 1;
            return Step::Entry;
        }
        if let Some((name, value)) = scan::cut(line, b"=") {
            if WANTED.contains(&name) {
                self.entry.set(name, value);
            }
            *used += end + 1;
            return Step::More;
        }
        self.binary(end, used)
    }

    /// `NAME`, a newline, the length in eight bytes, the value and a newline.
    fn binary(&mut self, end: usize, used: &mut usize) -> Step {
        let rest = &self.pending[*used..];
        let name = &rest[..end];
        let Some(length) = rest.get(end + 1..end + 9).and_then(|bytes| bytes.try_into().ok()) else {
            return Step::Need;
        };
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > VALUE_BYTES_MAX {
            *used += end + 9;
            // A length that is not true skips the rest of the output.
            self.to_skip = length.saturating_add(1);
            return Step::More;
        }
        let Some(value) = rest.get(end + 9..end + 9 + length) else { return Step::Need };
        if rest.len() <= end + 9 + length {
            return Step::Need;
        }
        if WANTED.contains(&name) {
            self.entry.set(name, value);
        }
        *used += end + 9 + length + 1;
        Step::More
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn export() -> Vec<u8> {
        let mut text =
            b"__CURSOR=s=1;i=a\n__REALTIME_TIMESTAMP=1700000000000001\n_BOOT_ID=00ff\n_TRANSPORT=kernel\n\
            SYSLOG_FACILITY=0\n_SOURCE_MONOTONIC_TIMESTAMP=5000000\nMESSAGE=a=b\n\n__CURSOR=c2\nOTHER\n"
                .to_vec();
        text.extend_from_slice(&100_000_u64.to_le_bytes());
        text.extend_from_slice(&vec![b'\n'; 100_001]);
        text.extend_from_slice(b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n_TRANSPORT=kernel\nSYSLOG_FACILITY=1\n\n");
        text
    }

    #[test]
    fn entries_are_the_same_for_pieces_of_any_size() {
        let text = export();
        for size in [1, 7, 1000, text.len()] {
            let mut decoder = ExportDecoder::default();
            let mut entries = Vec::new();
            text.chunks(size).for_each(|piece| decoder.feed(piece, |entry| entries.push(entry)));
            assert_eq!(entries.len(), 2, "{size}");
            assert_eq!((&*entries[0].cursor, &*entries[0].message), (&b"s=1;i=a"[..], &b"a=b"[..]));
            assert_eq!(entries[0].since_boot, Some(Duration::from_secs(5)));
            assert_eq!(entries[0].since_epoch, Some(Duration::from_micros(1_700_000_000_000_001)));
            assert_eq!((&*entries[1].message, &*entries[1].cursor), (&b"a\nb"[..], &b"c2"[..]));
            assert_eq!([entries[0].is_from_kernel(), entries[1].is_from_kernel()], [true, false]);
        }
    }

    fn decoded(text: &[u8], sizes: &[usize]) -> Vec<JournalEntry> {
        let mut decoder = ExportDecoder::default();
        let mut entries = Vec::new();
        let (mut rest, mut sizes) = (text, sizes.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            decoder.feed(piece, |entry| entries.push(entry));
            assert!(decoder.pending.len() <= VALUE_BYTES_MAX + 9 + piece.len());
            rest = after;
        }
        entries
    }

    /// Writes a field as journald does: with its length if it contains anything but printable text.
    fn field(name: &str, value: &[u8]) -> Vec<u8> {
        if value.iter().all(|byte| (32..127).contains(byte)) {
            return [name.as_bytes(), b"=", value, b"\n"].concat();
        }
        [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
    }

    const FORMS: [&[u8]; 12] = [
        b"\n",
        b"\n\n",
        b"__CURSOR=a\n",
        b"MESSAGE\n",
        b"MESSAGE=x\n",
        b"\x03\0\0\0\0\0\0\0",
        b"X\n\xff\xff\xff\xff\xff\xff\xff\xff",
        b"X\n\xfe\xff\xff\xff\xff\xff\xff\xff",
        b"X\n\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"X\n\0\0\x01\0\0\0\0\0",
        b"X\n\x01\0\x01\0\0\0\0\0",
        b"X\n\0\0\0\0\0\0\0\0\n",
    ];

    #[test]
    fn length_beyond_every_output_skips_the_rest() {
        for length in [u64::MAX, u64::MAX - 1, u64::MAX - 9, 1 << 63, u64::from(u32::MAX)] {
            let text = [b"MESSAGE\n", &length.to_le_bytes()[..], b"x\n__CURSOR=c\n\n"].concat();
            for size in [1, 3, text.len()] {
                assert_eq!(decoded(&text, &[size]), [], "{length}");
            }
        }
    }

    #[test]
    fn entry_whose_position_cannot_be_an_argument_is_dropped() {
        let long = "x".repeat(2000);
        for cursor in ["a b", "\u{1}", "あ", &long] {
            let text = format!("__CURSOR={cursor}\nMESSAGE=x\n\n");
            assert_eq!(decoded(text.as_bytes(), &[usize::MAX]), [], "{cursor}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn any_message_is_decoded_from_pieces_of_any_size(
            messages in vec(vec(any::<u8>(), 0..200), 1..8),
            others in vec(vec(any::<u8>(), 0..300), 1..4),
            sizes in vec(1..400_usize, 1..6),
        ) {
            let mut text = Vec::new();
            for (at, message) in messages.iter().enumerate() {
                text.extend(field("__CURSOR", format!("s={at}").as_bytes()));
                text.extend(field("OTHER", &others[at % others.len()]));
                text.extend(field("MESSAGE", message));
                text.push(b'\n');
            }
            let found: Vec<_> = decoded(&text, &sizes).into_iter().map(|entry| entry.message).collect();
            prop_assert_eq!(found, messages);
        }

        #[test]
        fn invalid_input_is_decoded_alike_in_pieces_of_any_size(
            pieces in vec(
                prop_oneof![
                    vec(any::<u8>(), 0..20),
                    proptest::sample::select(&FORMS[..]).prop_map(<[u8]>::to_vec),
                ],
                0..60,
            ),
            sizes in vec(1..40_usize, 1..6),
        ) {
            let text = pieces.concat();
            prop_assert_eq!(decoded(&text, &sizes), decoded(&text, &[usize::MAX]));
        }
    }

    #[test]
    fn line_without_end_is_not_kept() {
        let mut decoder = ExportDecoder::default();
        for _ in 0..1000 {
            decoder.feed(&[b'x'; 8192], |_| panic!("no entry"));
            assert!(decoder.pending.len() <= 2 * VALUE_BYTES_MAX);
        }
        let mut entries = 0;
        decoder.feed(b"\n__CURSOR=c\n\n", |_| entries += 1);
        assert_eq!(entries, 1);
    }
}

//! Records of /dev/kmsg (the kernel's Documentation/ABI/testing/dev-kmsg).

use std::borrow::Cow;
use std::time::Duration;

use crate::scan;

/// One record of /dev/kmsg, as one read(2) returns it.
///
/// ```
/// use oom_evidence::KmsgRecord;
///
/// let record = KmsgRecord::parse(b"3,7003,192203018400,-;Killed process 7 (a\\x20b)\n SUBSYSTEM=test\n")?;
/// assert_eq!((record.level, record.facility, record.sequence), (3, 0, 7003));
/// assert_eq!(record.text, b"Killed process 7 (a b)");
/// assert_eq!(record.metadata, [(b"SUBSYSTEM".to_vec(), b"test".to_vec())]);
/// assert!(record.is_from_kernel());
/// # Ok::<(), oom_evidence::KmsgError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KmsgRecord {
    /// Severity, 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Facility of syslog(3); 0 is the kernel. The kernel never gives facility 0 to messages of processes.
    pub facility: u32,
    /// Number of the record since boot. A gap between two reads is the number of overwritten records.
    pub sequence: u64,
    /// Time since boot in microseconds. It stands still while the machine is suspended.
    pub since_boot: Duration,
    /// `-`, or `c` and `+` for pieces of one line (kernels 3.5 to 4.x).
    pub flags: Vec<u8>,
    /// The caller of printk, `T1234` (a thread) or `C0` (a processor), if the kernel has `CONFIG_PRINTK_CALLER`
    /// (5.1).
    pub caller: Option<Vec<u8>>,
    /// The message, with `\xNN` decoded.
    pub text: Vec<u8>,
    /// Keys and values from the lines that begin with a blank.
    pub metadata: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why bytes are not a record of /dev/kmsg. A reader skips such a record and counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KmsgError {
    /// No `;` ends the fields: the bytes were cut, or are not a record.
    #[error("kernel record has no end of its fields")]
    Unfinished,
    /// A field is missing or not a number.
    #[error("kernel record has no valid {0}")]
    Field(&'static str),
}

impl KmsgRecord {
    /// Parses one record, with or without the newline at its end.
    ///
    /// # Errors
    ///
    /// If the fields before the text have another form.
    pub fn parse(record: &[u8]) -> Result<Self, KmsgError> {
        let (first, rest) = scan::cut(record, b"\n").unwrap_or((record, &[]));
        let head = Head::parse(first)?;
        Ok(Self {
            level: head.level,
            facility: head.facility,
            sequence: head.sequence,
            since_boot: head.since_boot,
            flags: head.flags.to_vec(),
            caller: head.caller.map(<[u8]>::to_vec),
            text: unescape(head.text).into_owned(),
            metadata: rest.split(|b| *b == b'\n').filter_map(metadata).collect(),
        })
    }

    /// Whether the kernel wrote the record, not a process through /dev/kmsg.
    #[must_use]
    pub fn is_from_kernel(&self) -> bool {
        self.facility == 0
    }

    /// Whether this is the first piece of a line that the kernel printed in several (3.5 to 4.9; later kernels join
    /// them).
    pub(crate) fn starts_line(&self) -> bool {
        self.flags == b"c"
    }

    /// Appends the next record if it is the next piece of this line. Otherwise returns it.
    pub(crate) fn join(&mut self, next: Self) -> Option<Self> {
        let fits = self.text.len() + next.text.len() <= LINE_MAX;
        if !(fits && self.starts_line() && next.flags == b"+" && next.facility == self.facility) {
            return Some(next);
        }
        self.text.extend_from_slice(&next.text);
        self.metadata.extend(next.metadata);
        None
    }
}

/// Limit of joined pieces in bytes. The kernel's limit for a record is about 1,000.
const LINE_MAX: usize = 8192;

/// Returns the text of the record that continues `line`, the first piece of a line.
pub(crate) fn next_piece<'a>(line: &[u8], next: &'a [u8]) -> Option<&'a [u8]> {
    let (first, next) = (Head::parse(line).ok()?, Head::parse(next).ok()?);
    (first.flags == b"c" && next.flags == b"+" && first.facility == next.facility).then_some(next.text)
}

/// The first line of a record, still escaped.
pub(crate) struct Head<'a> {
    level: u8,
    pub(crate) facility: u32,
    sequence: u64,
    pub(crate) since_boot: Duration,
    pub(crate) flags: &'a [u8],
    pub(crate) caller: Option<&'a [u8]>,
    pub(crate) text: &'a [u8],
}

impl<'a> Head<'a> {
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, KmsgError> {
        let priority = field(line, "priority");
        // Most lines of a text log fail here, before a search.
        let (priority, rest) = priority?;
        let (fields, text) = scan::cut(rest, b";").ok_or(KmsgError::Unfinished)?;
        let (sequence, fields) = field(fields, "sequence number")?;
        let (micros, fields) = field(fields, "time stamp")?;
        let mut fields = fields.split(|b| *b == b',');
        let flags = fields.next().unwrap_or_default();
        let caller = fields.find_map(|field| field.strip_prefix(b"caller="));
        let facility = u32::try_from(priority >> 3).map_err(|_| KmsgError::Field("priority"))?;
        let level = (priority & 7) as u8;
        Ok(Self { level, facility, sequence, since_boot: Duration::from_micros(micros), flags, caller, text })
    }
}

fn field<'a>(bytes: &'a [u8], name: &'static str) -> Result<(u64, &'a [u8]), KmsgError> {
    let (value, rest) = scan::number(bytes).ok_or(KmsgError::Field(name))?;
    Ok((value, rest.strip_prefix(b",").ok_or(KmsgError::Field(name))?))
}

fn metadata(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (key, value) = scan::cut(line.strip_prefix(b" ")?, b"=")?;
    Some((unescape(key).into_owned(), unescape(value).into_owned()))
}

/// Whether a line can only be metadata of the record before it.
pub(crate) fn is_metadata(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b" ") else { return false };
    let key = rest.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'_').count();
    key > 0 && rest.get(key) == Some(&b'=')
}

/// Decodes `\xNN`. The kernel escapes backslashes in this form as well, so any other text after a backslash stays as
/// it is.
pub(crate) fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memmem::find(text, b"\\x") else { return Cow::Borrowed(text) };
    let mut out = text[..first].to_vec();
    let mut rest = &text[first..];
    while let Some((byte, after)) = rest.split_first() {
        let (byte, after) = escaped(rest).unwrap_or((*byte, after));
        out.push(byte);
        rest = after;
    }
    Cow::Owned(out)
}

fn escaped(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let digits = bytes.strip_prefix(b"\\x")?.get(..2)?;
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some((u8::from_str_radix(text, 16).ok()?, &bytes[4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caller_is_found_before_unknown_fields() {
        let record = KmsgRecord::parse(b"6,1,2,-,caller=T12,future=x;text").unwrap();
        assert_eq!((record.caller.as_deref(), record.text.as_slice()), (Some(&b"T12"[..]), &b"text"[..]));
    }

    #[test]
    fn record_of_a_process_is_recognised() {
        let record = KmsgRecord::parse(b"12,1,2,-;Killed process 1 (init)").unwrap();
        assert_eq!((record.facility, record.level, record.is_from_kernel()), (1, 4, false));
    }

    #[test]
    fn pieces_are_joined_up_to_a_limit() {
        let piece = |flags: &str, length: usize| {
            KmsgRecord::parse(format!("6,1,2,{flags};{}", "x".repeat(length)).as_bytes()).unwrap()
        };
        let joined = |first: usize, next: usize| {
            let mut line = piece("c", first);
            (line.join(piece("+", next)).is_none(), line.text.len())
        };
        assert_eq!(joined(100, 100), (true, 200));
        assert_eq!(joined(8000, 192), (true, 8192));
        assert_eq!(joined(8000, 193), (false, 8000));
        assert!(piece("-", 1).join(piece("+", 1)).is_some() && piece("c", 1).join(piece("-", 1)).is_some());
    }

    #[test]
    fn escapes_are_decoded() {
        let table: [(&[u8], &[u8]); 6] = [
            (b"a\\x0ab", b"a\nb"),
            (b"a\\x5cx0ab", b"a\\x0ab"),
            (b"\\xe3\\x81\\x82", "あ".as_bytes()),
            (b"\\x0", b"\\x0"),
            (b"\\x+1", b"\\x+1"),
            (b"\\q\\x", b"\\q\\x"),
        ];
        for (text, expected) in table {
            assert_eq!(&*unescape(text), expected);
        }
    }

    #[test]
    fn metadata_lines_are_parsed() {
        let record =
            KmsgRecord::parse(b"6,1,2,-;usb 1-1\n SUBSYSTEM=usb\n DEVICE=c189:\\x31\nrubbish\n").unwrap();
        assert_eq!(record.metadata.len(), 2);
        assert_eq!(record.metadata[1].1, b"c189:1");
    }

    #[test]
    fn other_bytes_are_not_a_record() {
        let table: [(&[u8], KmsgError); 6] = [
            (b"", KmsgError::Field("priority")),
            (b"x", KmsgError::Field("priority")),
            (b"6,1,2,-", KmsgError::Unfinished),
            (b"6,;", KmsgError::Field("sequence number")),
            (b"6,1,2;", KmsgError::Field("time stamp")),
            (b"99999999999999999999,1,2,-;", KmsgError::Field("priority")),
        ];
        for (bytes, expected) in table {
            assert_eq!(KmsgRecord::parse(bytes), Err(expected));
        }
    }
}

//! The text before a message: time, host, tag, the marks of printk.
//!
//! A message must begin directly after a known prefix. A search anywhere in a line would match access logs, mail
//! subjects and the arguments of `logger`.

use std::borrow::Cow;

use crate::kmsg;
use crate::scan;
use crate::time::{self, Stamp};
use crate::writer::{PROGRAMS, Writer};

/// A line, split into prefix and message.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) stamp: Stamp<'a>,
    pub(crate) writer: Writer<'a>,
    pub(crate) caller: Option<Caller>,
    pub(crate) message: Cow<'a, [u8]>,
    /// Records of /dev/kmsg are complete: nothing is joined to them or cut from them.
    pub(crate) is_record: bool,
    /// The first piece of a line that the kernel printed in several.
    pub(crate) is_fragment: bool,
}

impl<'a> Line<'a> {
    /// A message of the kernel without a prefix.
    pub(crate) fn from_kernel(stamp: Stamp<'a>, message: &'a [u8]) -> Self {
        let message = Cow::Borrowed(message);
        Self { stamp, writer: Writer::Kernel, caller: None, message, is_record: true, is_fragment: false }
    }

    /// Whether the line has no prefix.
    pub(crate) fn is_bare(&self) -> bool {
        let Stamp { since_boot, since_epoch, calendar, .. } = self.stamp;
        let has_time = since_boot.is_some() || since_epoch.is_some() || calendar.is_some();
        !has_time && !self.is_record && self.caller.is_none() && self.writer == Writer::Unknown
    }
}

/// `[T1234]` or `[C0]`: the thread or processor that printed (5.1, CONFIG_PRINTK_CALLER).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller(u8, u64);

/// The parts of the prefix that were found so far.
#[derive(Default)]
struct Front<'a> {
    stamp: Stamp<'a>,
    writer: Option<Writer<'a>>,
    caller: Option<Caller>,
}

/// Splits a line; none if it has no message of its own.
pub(crate) fn split(line: &[u8]) -> Option<Line<'_>> {
    if kmsg::is_metadata(line) {
        return None;
    }
    match kmsg::Head::parse(line) {
        Ok(head) => Some(record(&head)),
        Err(_) => Some(text(line)),
    }
}

fn record<'a>(head: &kmsg::Head<'a>) -> Line<'a> {
    Line {
        stamp: Stamp { since_boot: Some(head.since_boot), ..Stamp::default() },
        writer: if head.facility == 0 { Writer::Kernel } else { Writer::Program(b"") },
        caller: head.caller.and_then(caller_id),
        message: kmsg::unescape(head.text),
        is_record: true,
        is_fragment: head.flags == b"c",
    }
}

fn text(line: &[u8]) -> Line<'_> {
    let mut front = Front::default();
    let rest = after_dropped_note(line.trim_ascii());
    let rest = front.priority(rest);
    let rest = front.outer(scan::skip_blanks(rest));
    let rest = front.printk(rest);
    Line {
        stamp: front.stamp,
        writer: front.writer.unwrap_or(Writer::Unknown),
        caller: front.caller,
        message: Cow::Borrowed(rest),
        is_record: false,
        is_fragment: false,
    }
}

impl<'a> Front<'a> {
    /// `<6>` of dmesg -r and of syslog's wire format, `kern  :warn  : ` of dmesg -x.
    fn priority(&mut self, line: &'a [u8]) -> &'a [u8] {
        if let Some((priority, rest)) = level_mark(line) {
            self.writer = (priority >= 8).then_some(Writer::Program(b""));
            return rest;
        }
        let Some((facility, rest)) = decoded_level(line) else { return line };
        self.writer = Some(if facility == b"kern" { Writer::Kernel } else { Writer::Program(facility) });
        rest
    }

    /// Time, host and tag of a log daemon, of journalctl or of dmesg.
    fn outer(&mut self, line: &'a [u8]) -> &'a [u8] {
        if let Some(rest) = self.rfc5424(line) {
            return rest;
        }
        if let Some(rest) = self.bracketed(line) {
            return self.tag_of_kernel(scan::skip_blanks(rest));
        }
        if let Some((calendar, rest)) = time::calendar(line) {
            self.stamp.calendar = Some(calendar);
            self.stamp.text = line[..line.len() - rest.len()].trim_ascii_end();
            // Only dmesg --time-format iso writes a comma. It writes no host and no tag.
            let is_dmesg = self.stamp.text.contains(&b',');
            let rest = scan::skip_blanks(rest);
            return if is_dmesg { self.tag_of_kernel(rest) } else { self.host_and_tag(rest) };
        }
        if let Some((since_epoch, rest)) = time::unix(line) {
            self.stamp.since_epoch = Some(since_epoch);
            return self.host_and_tag(rest);
        }
        self.unknown(line)
    }

    /// `1 2023-04-03T16:24:41.390796-06:00 host app procid msgid - message`, after the priority.
    fn rfc5424(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        let inner = line.strip_prefix(b"1 ")?;
        let (calendar, rest) = time::calendar(inner)?;
        let (_host, rest) = scan::word(rest);
        let (app, rest) = scan::word(rest);
        let (_process, rest) = scan::word(rest);
        let (_message_id, rest) = scan::word(rest);
        self.stamp.calendar = Some(calendar);
        self.stamp.text = scan::word(inner).0;
        self.set_writer(app);
        let rest = structured_data(rest)?;
        Some(rest.strip_prefix("\u{feff}".as_bytes()).unwrap_or(rest))
    }

    /// `[12345.678901]`, `[Tue Aug 12 03:54:03 2025]`, and the differences that dmesg writes.
    fn bracketed(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        if let Some((since_boot, rest)) = time::boot(line) {
            self.stamp.since_boot = Some(since_boot);
            return Some(rest);
        }
        let (inner, rest) =
            scan::cut(line.strip_prefix(b"[")?, b"]").filter(|(inner, _)| inner.len() <= 48)?;
        if let Some((calendar, _)) = time::calendar(inner) {
            self.stamp.calendar = Some(calendar);
            self.stamp.text = inner;
            return Some(rest);
        }
        is_dmesg_difference(inner).then_some(rest)
    }

    /// `kernel: ` or `host kernel: ` (journalctl -o short-monotonic). A process's name may contain a colon as well.
    fn tag_of_kernel(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let (first, after) = scan::word(rest);
        let (second, after_second) = scan::word(after);
        match (tag_name(first), tag_name(second)) {
            (Some(b"kernel"), _) => self.set_kernel(after),
            (None, Some(b"kernel")) => self.set_kernel(after_second),
            (None, Some(name)) if second.ends_with(b"]:") => self.set_program(name, after_second),
            // Without a host only if the program's messages are read: a process may be named `x[1]:` as well.
            (Some(name), _) if first.ends_with(b"]:") && PROGRAMS.contains(&name) => {
                self.set_program(name, after)
            }
            _ => rest,
        }
    }

    fn set_kernel(&mut self, rest: &'a [u8]) -> &'a [u8] {
        self.set_writer(b"kernel");
        rest
    }

    fn set_program(&mut self, name: &'a [u8], rest: &'a [u8]) -> &'a [u8] {
        self.set_writer(name);
        rest
    }

    /// The facility of a priority counts more than a tag, which any user can choose.
    fn set_writer(&mut self, name: &'a [u8]) {
        let by_tag = if name == b"kernel" { Writer::Kernel } else { Writer::Program(name) };
        self.writer.get_or_insert(by_tag);
    }

    /// `host tag: `, `tag: `, `host kern.info kernel: ` or nothing (dmesg --time-format iso).
    fn host_and_tag(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let (first, after) = scan::word(rest);
        if let Some(name) = tag_name(first) {
            return self.set_program(name, after);
        }
        if let Some(rest) = after_glued_tag(after) {
            return self.set_kernel(rest);
        }
        let (second, after) = scan::word(after);
        if let Some(rest) = after.strip_prefix(b"- - - ").filter(|_| second == b"kernel") {
            return self.set_kernel(rest);
        }
        let (tag, after) = if is_facility(second) { scan::word(after) } else { (second, after) };
        match tag_name(tag).filter(|_| !rest.starts_with(b"[")) {
            Some(name) => self.set_program(name, after),
            None => rest,
        }
    }

    /// Handles a line without a known time. A tag still counts: `kernel: text`, `systemd[1]: text`, or a tag after
    /// damaged text.
    fn unknown(&mut self, line: &'a [u8]) -> &'a [u8] {
        let (first, rest) = scan::word(line);
        if let Some(name) = tag_name(first).filter(|_| first.ends_with(b"]:")) {
            return self.set_program(name, rest);
        }
        match after_glued_tag(line).or_else(|| after_kernel_tag(line)) {
            Some(rest) => self.set_kernel(rest),
            None => after_login_prompt(line),
        }
    }

    /// Skips the marks of printk after the tag: time since boot, caller, level, and what log daemons repeat.
    fn printk(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        loop {
            rest = scan::skip_blanks(rest);
            if let Some(after) = rest.strip_prefix(b": ") {
                rest = after;
            } else if let Some((since_boot, after)) = self.late_boot_time(rest) {
                self.stamp.since_boot = Some(since_boot);
                rest = after;
            } else if let Some((caller, after)) = caller_mark(rest) {
                self.caller = Some(caller);
                rest = after;
            } else {
                let after =
                    level_mark(after_dropped_note(rest)).map_or(after_dropped_note(rest), |(_, rest)| rest);
                if after.len() == rest.len() {
                    return rest;
                }
                rest = after;
            }
        }
    }

    fn late_boot_time(&self, rest: &'a [u8]) -> Option<(std::time::Duration, &'a [u8])> {
        rest.strip_prefix(b"[").filter(|_| self.stamp.since_boot.is_none())?;
        time::boot(rest)
    }
}

/// `<6>`, or `<0.6>` as some log daemons can write it. Returns the value of the priority.
fn level_mark(line: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = scan::number(line.strip_prefix(b"<")?).filter(|(first, _)| *first < 192)?;
    let Some(rest) = rest.strip_prefix(b".") else { return Some((first, rest.strip_prefix(b">")?)) };
    let (level, rest) = scan::number(rest).filter(|(level, _)| *level < 8)?;
    Some((first * 8 + level, rest.strip_prefix(b">")?))
}

/// The facility of `kern  :warn  : [`.
fn decoded_level(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (facility, rest) = scan::cut(line, b":").filter(|(facility, _)| facility.len() == 6)?;
    let (level, rest) = scan::cut(rest, b": ").filter(|(level, _)| level.len() == 6)?;
    let is_word =
        |bytes: &[u8]| bytes.trim_ascii_end().iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (is_word(facility) && is_word(level)).then_some((facility.trim_ascii_end(), rest))
}

fn structured_data(rest: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = rest.strip_prefix(b"-") {
        return Some(scan::skip_blanks(rest));
    }
    scan::cut(rest.strip_prefix(b"[")?, b"] ").map(|(_, rest)| rest)
}

/// `[  +0.000123]`, `[<    0.000123>]`, `[Aug12 03:54]` of dmesg -d and -e. These are not times.
fn is_dmesg_difference(inner: &[u8]) -> bool {
    let inner = inner.trim_ascii();
    let difference = inner.first().is_some_and(|b| matches!(b, b'+' | b'<')) && inner.contains(&b'.');
    let (date, clock) = scan::word(inner);
    let relative = date.len() == 5 && date[3..].iter().all(u8::is_ascii_digit) && clock.get(2) == Some(&b':');
    difference || relative
}

/// Returns the name in `name:` or `name[123]:`.
fn tag_name(token: &[u8]) -> Option<&[u8]> {
    let token = token.strip_suffix(b":")?;
    let name = match token.strip_suffix(b"]").and_then(|token| scan::rcut(token, b"[")) {
        Some((name, pid)) if !pid.is_empty() && pid.iter().all(u8::is_ascii_digit) => name,
        _ => token,
    };
    (!name.is_empty()).then_some(name)
}

/// Returns the text after a `kernel: ` near the front of a line whose beginning is damaged or unknown. After quotes
/// or other tags it would be a quotation.
fn after_kernel_tag(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line;
    for _ in 0..6 {
        let (token, after) = scan::word(rest);
        if tag_name(token) == Some(b"kernel") {
            return Some(after);
        }
        let quotes = token.iter().any(|b| matches!(b, b'"' | b'\'' | b'=' | b'('));
        if token.is_empty() || quotes || token.ends_with(b":") {
            return None;
        }
        rest = after;
    }
    None
}

/// `kern.info` of busybox's log daemon.
fn is_facility(token: &[u8]) -> bool {
    let parts = scan::cut(token, b".");
    parts.is_some_and(|(facility, level)| {
        [facility, level].iter().all(|part| part.iter().all(u8::is_ascii_lowercase))
    })
}

/// `kernel:[12345.678901] text` and `kernel:text`, as syslogd writes to all logged-in users.
fn after_glued_tag(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"kernel:").filter(|rest| !rest.starts_with(b" "))
}

/// Skips a login prompt: a serial console shows it before the next message: `host login: [12345.678901] text`.
fn after_login_prompt(line: &[u8]) -> &[u8] {
    let after = scan::cut(line, b" login: ")
        .filter(|(host, rest)| !host.contains(&b' ') && time::boot(rest).is_some());
    after.map_or(line, |(_, rest)| rest)
}

/// Skips `** 2 printk messages dropped ** `, which stands before or after the time.
fn after_dropped_note(line: &[u8]) -> &[u8] {
    let note = line.strip_prefix(b"** ").and_then(|rest| scan::cut(rest, b" dropped ** "));
    note.map_or(line, |(_, rest)| scan::skip_blanks(rest))
}

fn caller_mark(rest: &[u8]) -> Option<(Caller, &[u8])> {
    let (inner, after) = scan::cut(rest.strip_prefix(b"[")?, b"]").filter(|(inner, _)| inner.len() <= 16)?;
    Some((caller_id(scan::skip_blanks(inner))?, after))
}

fn caller_id(id: &[u8]) -> Option<Caller> {
    let (kind, number) = id.split_first().filter(|(kind, _)| matches!(kind, b'T' | b'C'))?;
    let (number, rest) = scan::number(number)?;
    rest.is_empty().then_some(Caller(*kind, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(line: &str) -> (String, String) {
        let line = split(line.as_bytes()).unwrap();
        let writer = match line.writer {
            Writer::Kernel => "kernel".to_owned(),
            Writer::Program(name) => format!("program {}", String::from_utf8_lossy(name)),
            Writer::Unknown => "unknown".to_owned(),
        };
        (writer, String::from_utf8_lossy(&line.message).into_owned())
    }

    #[test]
    fn every_prefix_of_the_kernel_is_removed() {
        let table = [
            ("kernel", "4,1,2,-;x: y"),
            ("kernel", "Jun 20 12:47:42 host kernel: [15180321.768572] x: y"),
            ("kernel", "Jun 20 12:47:42 host kernel: x: y"),
            ("kernel", "Jun 20 12:47:42 kernel: x: y"),
            ("kernel", "Jun 20 12:47:42 host kernel[0]: x: y"),
            ("kernel", "Jan  1 05:22:16 host kernel: : x: y"),
            ("kernel", "Jun 20 12:47:42 host kern.info kernel: [    1.000000] x: y"),
            ("kernel", "Tue Aug 12 03:54:03 2025 kern.warn kernel: [    1.000000] x: y"),
            ("kernel", "2026-03-18T04:06:54+0100 host kernel: x: y"),
            ("kernel", "2026-03-18T04:06:54.123456+01:00 host kernel: [    1.000000][  T12] x: y"),
            ("kernel", "Wed 2026-03-18 04:06:54 UTC host kernel: x: y"),
            ("kernel", "1712345678.123456 host kernel: x: y"),
            ("kernel", "<4>1 2023-04-03T16:24:41.390796-06:00 box kernel - - - [849085.223282] x: y"),
            ("kernel", "<4>1 2023-04-03T16:24:41Z box kernel - - [a@1 b=\"c\"] x: y"),
            ("kernel", "<4>Jun 20 12:47:42 host kernel: x: y"),
            ("kernel", "kernel: x: y"),
            ("kernel", "host kernel: x: y"),
            ("kernel", "[   12.345678] host kernel: x: y"),
            ("kernel", "[638074.104526] kernel: x: y"),
            ("kernel", "kern  :err   : [   12.345678] x: y"),
            ("kernel", "/var/log/messages:Jun 20 12:47:42 host kernel: x: y"),
            ("kernel", "2024/03/02 10:20:01 host kernel: x: y"),
            ("kernel", "20240302T102001Z host kernel: x: y"),
            ("kernel", "2023-04-03T16:24:41.390796-06:00 box kernel - - - [849085.223282] x: y"),
            ("kernel", "<0.4> 2019-07-25 18:19:19 box kernel - - - [127181.795181] x: y"),
            ("kernel", "<6> 1 2020-11-19T23:58:33.111549+01:00 box kernel - - - [  153.655776] x: y"),
            ("kernel", "2024 Mar  2 10:20:01 host kernel: [   12.345678] x: y"),
            ("kernel", "Jun 20 12:47:42 host kernel:[   12.345678] x: y"),
            ("kernel", " kernel:x: y"),
            ("kernel", "Jul 611:39:55 slize kernel: [1262223.326537] x: y"),
            ("unknown", "[   12.345678] x: y"),
            ("unknown", "12.345678] x: y"),
            ("unknown", "[   12.345678]  x: y "),
            ("unknown", "[   12.345678][ T1234] x: y"),
            ("unknown", "[   12.345678] [C0] x: y"),
            ("unknown", "host login: [   12.345678] x: y"),
            ("unknown", "2024-05-01T00:00:00.123Z [   12.345678] x: y"),
            ("unknown", "[Di Aug 12 03:54:03 2025] x: y"),
            ("unknown", "[   12.345678 <    0.000001>] x: y"),
            ("unknown", "[Aug12 03:54] x: y"),
            ("unknown", "[  +0.000123] x: y"),
            ("unknown", "<4>[   12.345678] x: y"),
            ("unknown", "** 3 printk messages dropped ** [  206.416481] x: y"),
            ("unknown", "[  206.416481] ** 3 printk messages dropped ** x: y"),
            ("unknown", "2025-08-12T03:54:03,123456+02:00 x: y"),
            ("unknown", "x: y"),
        ];
        for (writer, line) in table {
            assert_eq!(message(line), (writer.to_owned(), "x: y".to_owned()), "{line:?}");
        }
    }

    #[test]
    fn other_writers_are_named() {
        let table = [
            ("Mar  2 10:22:10 web1 root: x", "program root"),
            ("Mar  2 10:22:10 web1 sudo[12]: x", "program sudo"),
            ("systemd[1]: x", "program systemd"),
            // Only a process id is not part of the name: these are other programs than the kernel.
            ("Mar  2 10:22:10 web1 kernel[abc]: x", "program kernel[abc]"),
            ("Mar  2 10:22:10 web1 kernel[1a]: x", "program kernel[1a]"),
            ("Mar  2 10:22:10 web1 kernel[]: x", "program kernel[]"),
            ("kernel[abc]: x", "program kernel[abc]"),
            ("12,1,2,-;x", "program "),
            ("<14>Mar  2 10:22:10 web1 kernel: x", "program "),
            ("user  :notice: [   12.345678] x", "program user"),
            ("<13>1 2023-04-03T16:24:41Z box kernel - - - x", "program "),
            ("[   12.345678] host systemd[1]: x", "program systemd"),
            ("[   12.345678] systemd-oomd[659]: x", "program systemd-oomd"),
            ("<1.4> 2019-07-25 18:19:19 box kernel - - - x", "program "),
        ];
        for (line, writer) in table {
            assert_eq!(message(line), (writer.to_owned(), "x".to_owned()), "{line:?}");
        }
    }

    #[test]
    fn line_is_bare_only_without_any_part_of_a_prefix() {
        let is_bare = |line: &str| split(line.as_bytes()).unwrap().is_bare();
        assert!(is_bare("x: y"));
        for line in ["[   12.345678] x", "1712345678.123456 x", "2025-08-12T03:54:03,1+02:00 x"] {
            assert!(!is_bare(line), "{line}: it has a time");
        }
        assert!(!is_bare("[C0] x"), "a caller");
        assert!(!is_bare("kernel: x") && !is_bare("systemd[1]: x"), "a writer");
        assert!(!is_bare("6,1,2,-;x"), "a record");
    }

    #[test]
    fn quoted_kernel_lines_are_not_split() {
        for line in ["192.0.2.1 - - \"GET /\" \"kernel: x\"", "a: b kernel: x", "grep 'kernel: x'"] {
            assert_eq!(message(line), ("unknown".to_owned(), line.to_owned()));
        }
    }
}

//! Splits bytes into lines, and skips most of them unread.

use std::time::Duration;

use crate::assembly::Assembly;
use crate::clean::{without_colours, without_nuls};
use crate::finder::FINDER;
use crate::kernel;
use crate::line_context::LineContext;
use crate::prefix::{self, Line};
use crate::report::Report;
use crate::scan;
use crate::time::Stamp;
use crate::trust::Origin;
use crate::userspace;
use crate::writer::Writer;
use crate::{kmsg, wrapped};

/// Copies of consoles have two. The limit exists because the text is not trusted.
const RECORDS_IN_LINE_MAX: usize = 8;

/// Parses text of any length, in pieces of any size, and returns each report when it is complete.
///
/// A report is complete if the next one begins or 1 MiB of other text has passed. After the last report a log may be
/// silent for months, so a reader of a live source calls [`Parser::flush`] after a second of silence.
///
/// Its memory is bounded for any text: only the first [`Parser::LINE_MAX`] bytes of a line count, at most eight
/// reports are open, and each is bounded as [`Report`] documents. The sum is below [`Parser::MEMORY_MAX`].
#[derive(Debug)]
pub struct Parser {
    /// The unfinished line, up to the limit.
    partial: Vec<u8>,
    /// A line whose rest may be the next line.
    held: Option<Vec<u8>>,
    assembly: Assembly,
    origin: Origin,
    /// Bytes before the current line.
    offset: u64,
    /// Bytes of the unfinished line, including those beyond the limit.
    partial_bytes: u64,
}

impl Parser {
    /// Limit of a line in bytes; the rest is skipped. Lines of the kernel have at most about 1,000 bytes, and four
    /// times as many if every byte is escaped.
    pub const LINE_MAX: usize = 8192;

    /// Limit of the memory of a parser in bytes.
    pub const MEMORY_MAX: usize = 16 << 20;

    /// Creates a parser for text from `origin`, which determines the trust of its reports.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self {
            partial: Vec::new(),
            held: None,
            assembly: Assembly::new(origin.trust()),
            origin,
            offset: 0,
            partial_bytes: 0,
        }
    }

    /// Parses a piece of text. The iterator parses as it advances, so that reports do not accumulate. If it is
    /// dropped early, the rest is parsed and its reports are dropped.
    pub fn feed<'a>(&'a mut self, text: &'a [u8]) -> Feed<'a> {
        Feed { parser: self, text }
    }

    /// Parses one complete message of the kernel without its record, such as the `MESSAGE` of a journal entry or
    /// [`KmsgRecord::text`](crate::KmsgRecord::text). The caller asserts that the kernel wrote it: see [`Origin`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use oom_evidence::{Origin, Parser};
    ///
    /// let mut parser = Parser::new(Origin::JournalKernel);
    /// let since_boot = Some(Duration::from_secs(818));
    /// parser.feed_message(since_boot, None, b"Out of memory: Killed process 2188 (mysqld) total-vm:3330016kB");
    /// assert_eq!(parser.flush()[0].victims[0].pid, 2188);
    /// ```
    pub fn feed_message(
        &mut self,
        since_boot: Option<Duration>,
        since_epoch: Option<Duration>,
        message: &[u8],
    ) -> Feed<'_> {
        self.release();
        self.assembly.expire(self.offset);
        let message = &message[..message.len().min(Self::LINE_MAX)];
        if !self.assembly.is_idle() || FINDER.find(message).is_some() {
            let stamp = Stamp { since_boot, since_epoch, ..Stamp::default() };
            self.interpret(&Line::from_kernel(stamp, message), 0);
        }
        self.offset += message.len() as u64 + 1;
        self.feed(b"")
    }

    /// Closes every open report, because the source was silent. An unfinished line stays.
    pub fn flush(&mut self) -> Vec<Report> {
        self.release();
        self.assembly.close_all();
        std::iter::from_fn(|| self.assembly.next_ready()).collect()
    }

    /// Ends the text. An unfinished line counts as a line.
    #[must_use]
    pub fn finish(mut self) -> Vec<Report> {
        self.end_of_line();
        self.flush()
    }

    /// Whether a report is open that [`Parser::flush`] would close.
    #[must_use]
    pub fn has_open_report(&self) -> bool {
        !self.is_idle()
    }

    /// Whether only lines with certain words matter.
    fn is_idle(&self) -> bool {
        self.held.is_none() && self.assembly.is_idle()
    }

    /// Parses until a report may be ready or the text is used up, and returns the rest of the text.
    fn advance<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        if self.partial_bytes > 0 {
            return self.complete(text);
        }
        let skipped = if self.is_idle() { Self::skip(text) } else { 0 };
        self.offset += skipped as u64;
        let text = &text[skipped..];
        match memchr::memchr(b'\n', text) {
            Some(end) => {
                self.line(&text[..end]);
                self.offset += end as u64 + 1;
                &text[end + 1..]
            }
            None => self.keep(text),
        }
    }

    /// Returns how many bytes can be skipped: up to the first line with a known word, or up to the unfinished line.
    fn skip(text: &[u8]) -> usize {
        let end = FINDER.find(text).unwrap_or(text.len());
        memchr::memrchr(b'\n', &text[..end]).map_or(0, |at| at + 1)
    }

    /// Appends to the unfinished line, up to its end.
    fn complete<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        let Some(end) = memchr::memchr(b'\n', text) else { return self.keep(text) };
        self.keep(&text[..end]);
        self.end_of_line();
        self.offset += 1;
        &text[end + 1..]
    }

    fn keep<'t>(&mut self, piece: &'t [u8]) -> &'t [u8] {
        self.partial_bytes += piece.len() as u64;
        let piece = if self.partial.is_empty() { without_nuls(piece) } else { piece };
        let free = Self::LINE_MAX - self.partial.len();
        self.partial.extend_from_slice(&piece[..piece.len().min(free)]);
        &[]
    }

    fn end_of_line(&mut self) {
        let mut partial = std::mem::take(&mut self.partial);
        self.line(&partial);
        partial.clear();
        self.partial = partial;
        self.offset += self.partial_bytes;
        self.partial_bytes = 0;
    }

    fn line(&mut self, line: &[u8]) {
        let line = without_nuls(line);
        let line = &line[..line.len().min(Self::LINE_MAX)];
        self.assembly.expire(self.offset);
        if !self.is_idle() || FINDER.find(line).is_some() {
            self.join_or_parse(&without_colours(line.strip_suffix(b"\r").unwrap_or(line)));
        }
    }

    /// Joins a broken line with the next one.
    fn join_or_parse(&mut self, line: &[u8]) {
        if kmsg::is_metadata(line) {
            return;
        }
        let whole = self.held.as_deref().and_then(|held| joined(held, line));
        if whole.is_none() {
            self.release();
        }
        let line = whole.as_deref().unwrap_or(line);
        self.held = None;
        if self.may_continue(line) {
            self.held = Some(line.to_vec());
        } else {
            self.read(line, 0);
        }
    }

    fn may_continue(&self, line: &[u8]) -> bool {
        prefix::split(line).is_some_and(|line| {
            let is_text = self.origin != Origin::KernelRing && !matches!(line.writer, Writer::Program(_));
            line.is_fragment || (is_text && wrapped::may_continue(&line.message))
        })
    }

    /// Parses the held line, because the next one does not continue it.
    fn release(&mut self) {
        if let Some(line) = self.held.take() {
            self.read(&line, 0);
        }
    }

    fn read(&mut self, line: &[u8], depth: usize) {
        let Some(line) = prefix::split(line) else { return };
        // The ring buffer has only records. Any other line was cut, and must not be trusted as the kernel's.
        if line.is_record || self.origin != Origin::KernelRing {
            self.interpret(&line, depth);
        }
    }

    fn interpret(&mut self, line: &Line<'_>, depth: usize) {
        let context = LineContext::new(line, self.offset);
        let is_program = matches!(line.writer, Writer::Program(_));
        let Some(event) = kernel::event(&line.message).filter(|_| !is_program) else {
            self.other(line, context);
            return;
        };
        let has_more = !line.is_record && depth < RECORDS_IN_LINE_MAX && may_hold_second_record(&event);
        self.assembly.kernel_event(event, context);
        if let Some(rest) = has_more.then(|| second_record(&line.message)).flatten() {
            self.read(rest, depth + 1);
        }
    }

    fn other(&mut self, line: &Line<'_>, context: LineContext<'_>) {
        if let Some(event) = userspace::event(line.writer, &line.message) {
            self.assembly.program_event(event, context);
        } else if !matches!(line.writer, Writer::Program(_)) {
            self.assembly.kernel_detail(&line.message, context);
        }
    }
}

/// Iterator over the reports in a piece of text, from [`Parser::feed`].
#[derive(Debug)]
#[must_use = "text is parsed as the iterator advances"]
pub struct Feed<'a> {
    parser: &'a mut Parser,
    text: &'a [u8],
}

impl Iterator for Feed<'_> {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        loop {
            if let Some(report) = self.parser.assembly.next_ready() {
                return Some(report);
            }
            if self.text.is_empty() {
                return None;
            }
            self.text = self.parser.advance(self.text);
        }
    }
}

impl Drop for Feed<'_> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// Returns a line with its rest, if the next line is the rest.
fn joined(line: &[u8], next: &[u8]) -> Option<Vec<u8>> {
    let whole = match kmsg::next_piece(line, next) {
        Some(piece) => [line, piece].concat(),
        None => {
            let (first, next) = (prefix::split(line)?, prefix::split(next).filter(Line::is_bare)?);
            let separator = wrapped::separator(&first.message, &next.message)?;
            [line.trim_ascii_end(), separator, &next.message].concat()
        }
    };
    (whole.len() <= Parser::LINE_MAX).then_some(whole)
}

/// Whether a line may hold a second record, as in copies of consoles. A process name of 15 bytes cannot imitate a
/// record, but the path of a cgroup, which users choose, can. So lines with paths are not searched.
fn may_hold_second_record(event: &kernel::Event<'_>) -> bool {
    matches!(event, kernel::Event::Select { .. } | kernel::Event::Kill { .. })
}

fn second_record(message: &[u8]) -> Option<&[u8]> {
    let mut rest = message;
    loop {
        let (_, after) = scan::cut(rest, b" [")?;
        let record = &rest[rest.len() - after.len() - 1..];
        if crate::time::boot(record).is_some() {
            return Some(record);
        }
        rest = after;
    }
}

/// Returns every report of a text, in the order in which they are complete.
///
/// ```
/// use oom_evidence::{Constraint, Origin, parse_all};
///
/// let text = b"Oct 21 10:43:29 db1 kernel: Out of memory: Killed process 28266 (mysqld) total-vm:4671912kB, \
///     anon-rss:834284kB, file-rss:392kB, shmem-rss:0kB, UID:27 pgtables:1912kB oom_score_adj:0\n";
/// let reports = parse_all(Origin::Text, text);
/// let victim = &reports[0].victims[0];
/// assert_eq!((victim.pid, victim.uid), (28266, Some(27)));
/// assert_eq!(victim.name.as_deref(), Some(&b"mysqld"[..]));
/// assert_eq!(victim.anon_rss_bytes, Some(834_284 * 1024));
/// assert_eq!(reports[0].constraint, Some(Constraint::None));
/// ```
#[must_use]
pub fn parse_all(origin: Origin, text: &[u8]) -> Vec<Report> {
    let mut parser = Parser::new(origin);
    let mut reports: Vec<Report> = parser.feed(text).collect();
    reports.extend(parser.finish());
    reports
}

//! Bytes cut into lines, most of which are passed over unread.

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

/// Copies of consoles have two; the limit is there because text from outside decides.
const RECORDS_IN_LINE_MAX: usize = 8;

/// Reads text of any length, given in pieces of any size, and hands out reports as they are complete.
///
/// A report is complete when the next one begins or 1 MiB of other text has passed. After the last one there may be
/// nothing for months, so a reader of a live source calls [`Parser::flush`] when the source has been silent for a
/// second.
///
/// Its memory is bounded whatever the text: a line counts for its first [`Parser::LINE_MAX`] bytes, at most eight
/// reports are open, and each of them is bounded as [`Report`] says. That comes to less than [`Parser::MEMORY_MAX`].
#[derive(Debug)]
pub struct Parser {
    /// The line that is not finished, without what is beyond the limit.
    partial: Vec<u8>,
    /// A line whose rest may be the next one.
    held: Option<Vec<u8>>,
    assembly: Assembly,
    origin: Origin,
    /// Bytes before the current line.
    offset: u64,
    /// Bytes of the unfinished line, the part beyond the limit among them.
    partial_bytes: u64,
}

impl Parser {
    /// What a line holds beyond this is passed over. The kernel's own lines have at most about 1,000 bytes, and four
    /// times as many when every byte is escaped.
    pub const LINE_MAX: usize = 8192;

    /// No text makes a parser hold more than this, in bytes.
    pub const MEMORY_MAX: usize = 16 << 20;

    /// A parser for text that comes from `origin`, which decides how far its reports are to be trusted.
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

    /// Reads a piece of text. The iterator reads as it goes, so that reports do not pile up; what is left of the piece
    /// when it is dropped is read then, and the reports in it are dropped, too.
    pub fn feed<'a>(&'a mut self, text: &'a [u8]) -> Feed<'a> {
        Feed { parser: self, text }
    }

    /// Reads one whole message of the kernel that was taken out of its record already, such as the `MESSAGE` of a
    /// journal entry or [`KmsgRecord::text`](crate::KmsgRecord::text). That the kernel wrote it is the caller's word:
    /// see [`Origin`].
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
            self.interpret(&Line::of_kernel(stamp, message), 0);
        }
        self.offset += message.len() as u64 + 1;
        self.feed(b"")
    }

    /// Ends every open report: the source has been silent, so nothing more will come to them. An unfinished line stays.
    pub fn flush(&mut self) -> Vec<Report> {
        self.release();
        self.assembly.close_all();
        std::iter::from_fn(|| self.assembly.next_ready()).collect()
    }

    /// Ends the text: an unfinished line is a line.
    #[must_use]
    pub fn finish(mut self) -> Vec<Report> {
        self.end_of_line();
        self.flush()
    }

    /// Whether a report is open that [`Parser::flush`] would end.
    #[must_use]
    pub fn has_open_report(&self) -> bool {
        !self.is_idle()
    }

    /// Whether only lines with certain words can mean anything.
    fn is_idle(&self) -> bool {
        self.held.is_none() && self.assembly.is_idle()
    }

    /// Reads on until a report may be ready or the text is used up, and returns the text that is left.
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

    /// How much of the text can be passed over: up to the first line with a known word, or up to the unfinished line.
    fn skip(text: &[u8]) -> usize {
        let end = FINDER.find(text).unwrap_or(text.len());
        memchr::memrchr(b'\n', &text[..end]).map_or(0, |at| at + 1)
    }

    /// Adds to the unfinished line, up to its end.
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
        let room = Self::LINE_MAX - self.partial.len();
        self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
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
            self.put_together(&without_colours(line.strip_suffix(b"\r").unwrap_or(line)));
        }
    }

    /// A line that may be broken waits for the next one.
    fn put_together(&mut self, line: &[u8]) {
        if kmsg::is_metadata(line) {
            return;
        }
        let whole = self.held.as_deref().and_then(|held| joined(held, line));
        if whole.is_none() {
            self.release();
        }
        let line = whole.as_deref().unwrap_or(line);
        self.held = None;
        if self.may_go_on(line) {
            self.held = Some(line.to_vec());
        } else {
            self.read(line, 0);
        }
    }

    fn may_go_on(&self, line: &[u8]) -> bool {
        prefix::split(line).is_some_and(|line| {
            let is_text = self.origin != Origin::KernelRing && !matches!(line.writer, Writer::Program(_));
            line.is_fragment || (is_text && wrapped::may_go_on(&line.message))
        })
    }

    /// Nothing goes on with the line that was held.
    fn release(&mut self) {
        if let Some(line) = self.held.take() {
            self.read(&line, 0);
        }
    }

    fn read(&mut self, line: &[u8], depth: usize) {
        let Some(line) = prefix::split(line) else { return };
        // The ring has nothing but records. What looks otherwise was cut, and must not be believed as the kernel's.
        if line.is_record || self.origin != Origin::KernelRing {
            self.interpret(&line, depth);
        }
    }

    fn interpret(&mut self, line: &Line<'_>, depth: usize) {
        let context = LineContext::of(line, self.offset);
        let is_program = matches!(line.writer, Writer::Program(_));
        let Some(event) = kernel::event(&line.message).filter(|_| !is_program) else {
            self.other(line, context);
            return;
        };
        let has_more = !line.is_record && depth < RECORDS_IN_LINE_MAX && is_of_names_only(&event);
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

/// Reports out of a piece of text, from [`Parser::feed`].
#[derive(Debug)]
#[must_use = "reports come out as the iterator is advanced"]
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

/// A line with its rest, where the next line is that.
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

/// Two records share a line where a console was copied. Only lines in which nothing but a process's name is foreign are
/// searched for a second record: 15 bytes cannot hold one, but a cgroup's path, which users choose, can.
fn is_of_names_only(event: &kernel::Event<'_>) -> bool {
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

/// Every report of a whole text, in the order in which they are complete.
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

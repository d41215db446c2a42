//! Reads one file from a position, and passes matching lines to a sink.
//!
//! Whole buffers are searched; lines that do not match are not examined one by one. Measured with `cargo bench -p log-follow`
//! (2 cores of a shared machine, 1 GB, warm page cache, whole processes):
//!
//! | pattern | here | `rg -j1 -c` (13.0) | `grep -cE` |
//! |---|---|---|---|
//! | `oom-killer` | 0.145 s | 0.142 s | 0.42 s |
//! | `MaxClients` | 0.144 s | 0.146 s | 0.40 s |
//! | `invoked oom-killer: gfp_mask=0x[0-9a-f]+` | 0.147 s | 0.143 s | 0.27 s |
//! | `port \d+ ssh1` | 0.208 s | 0.335 s | 0.60 s |
//!
//! Ten items with one text each on one file, 1 GB appended: 1.6 times one item (12.7 times before the search was shared); 100
//! items: 13 times. A poll of an idle file takes 2 to 3 microseconds, of which the `stat` is one.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use regex_dialects::pcre2::{Pattern, Searcher, TextSearch, Verdict};

use crate::Error;
use crate::buffers::Buffers;
use crate::chunk::{CHUNK_BYTES, Counters, MAX_LINE_BYTES, replace_nul};
use crate::encoding::{Codec, LineEnd};
use crate::file::{Stat, read_at};
use crate::file_position::FilePosition;
use crate::share::{self, SearchMember, Segment};
use crate::sink::{Flow, Sink};

/// The reason why scanning stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The end was reached; a partial last line may be left.
    End,
    /// The sink is full.
    Full,
    /// The deadline passed.
    Late,
    /// The file was moved or truncated meanwhile: the next poll reads it.
    Moved,
}

/// The parameters of a scan.
pub(crate) struct Scan<'a> {
    pub(crate) file: &'a File,
    pub(crate) path: &'a Path,
    pub(crate) codec: Codec,
    pub(crate) pattern: &'a Pattern,
    /// The last line is complete without a line end, because the file is not written any more.
    pub(crate) finished: bool,
    pub(crate) deadline: Instant,
    /// The state of the file when it was opened.
    pub(crate) stat: Stat,
    /// Lines that were found for other items on this file.
    pub(crate) part: Option<&'a SearchMember>,
    pub(crate) buffers: &'a Buffers,
}

impl Scan<'_> {
    /// Reads from `position`. It moves over everything that was processed, also before an error.
    pub(crate) fn run(
        &self,
        position: &mut FilePosition,
        sink: &mut dyn Sink,
        counters: &mut Counters,
    ) -> Result<Stop, Error> {
        if position.offset == 0 {
            position.offset = self.codec.bom_bytes as u64;
        }
        loop {
            if let Some(stop) = self.noted(position, sink, counters)? {
                return Ok(stop);
            }
            if let Some(stop) =
                self.buffers.lend(|buffer| self.next_chunk(position, buffer, sink, counters))?
            {
                return Ok(stop);
            }
            if self.is_late() {
                return Ok(Stop::Late);
            }
        }
    }

    /// Reads a chunk and searches it. Returns a reason if it was the last one.
    fn next_chunk(
        &self,
        position: &mut FilePosition,
        buffer: &mut Vec<u8>,
        sink: &mut dyn Sink,
        counters: &mut Counters,
    ) -> Result<Option<Stop>, Error> {
        let length = self.fill(position.offset, buffer)?;
        counters.read_bytes += length as u64;
        let at_end = length < buffer.len();
        let chunk = &mut buffer[..length];
        if self.codec.unit() == 1 {
            replace_nul(chunk);
        }
        Ok(self.chunk(chunk, at_end, position, sink, counters).or(at_end.then_some(Stop::End)))
    }

    /// Processes segments that were searched for all items at once. `None` at the first segment that was not.
    fn noted(
        &self,
        position: &mut FilePosition,
        sink: &mut dyn Sink,
        counters: &mut Counters,
    ) -> Result<Option<Stop>, Error> {
        let Some(part) = self.part else { return Ok(None) };
        let place = (self.stat.dev, self.stat.ino);
        let error = |source| Error::Read { path: self.path.into(), source };
        while !position.skipping
            && !position.after_cr
            && self.stat.size.saturating_sub(position.offset) >= share::MIN_BYTES
        {
            let segment =
                part.segment((self.file, place), self.codec, position.offset, self.buffers, counters);
            let Some(segment) = segment.map_err(error)? else { return Ok(None) };
            if let Some(stop) = self.noted_lines(&segment, position, Matcher { scan: self, sink, counters }) {
                return Ok(Some(stop));
            }
            if self.is_late() {
                return Ok(Some(Stop::Late));
            }
        }
        Ok(None)
    }

    /// Processes one segment. Returns a reason if it did not reach the end.
    fn noted_lines(
        &self,
        segment: &Segment,
        position: &mut FilePosition,
        mut matcher: Matcher<'_, '_>,
    ) -> Option<Stop> {
        let mut late = false;
        for (start, line) in segment.lines_from(position.offset) {
            position.offset = start;
            if late {
                return Some(Stop::Late);
            }
            if matcher.line(line, false) == Flow::Full {
                return Some(Stop::Full);
            }
            // A line for the backtracking engine costs far more than reading the clock.
            late = self.pattern.is_slow() && self.is_late();
        }
        position.offset = segment.end();
        None
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Fills the buffer, which is only as large as the unread part, because most polls find a few lines.
    fn fill(&self, offset: u64, buffer: &mut Vec<u8>) -> Result<usize, Error> {
        const FEW_BYTES: usize = 16 * 1024;
        let error = |source| Error::Read { path: self.path.into(), source };
        let left = usize::try_from(self.stat.size.saturating_sub(offset)).unwrap_or(CHUNK_BYTES);
        // One byte more than is left shows the end.
        let wanted = left.saturating_add(1).clamp(FEW_BYTES, CHUNK_BYTES);
        if buffer.len() < wanted {
            buffer.resize(wanted, 0);
        }
        let mut length = read_at(self.file, buffer, offset).map_err(error)?;
        if length == buffer.len() && length < CHUNK_BYTES {
            buffer.resize(CHUNK_BYTES, 0);
            length += read_at(self.file, &mut buffer[length..], offset + length as u64).map_err(error)?;
        }
        Ok(length)
    }

    fn chunk(
        &self,
        chunk: &[u8],
        at_end: bool,
        position: &mut FilePosition,
        sink: &mut dyn Sink,
        counters: &mut Counters,
    ) -> Option<Stop> {
        let mut start =
            if position.after_cr && self.codec.starts_with_lf(chunk) { self.codec.unit() } else { 0 };
        if !chunk.is_empty() {
            position.after_cr = false;
        }
        if position.skipping {
            match self.codec.line_end(chunk, start) {
                Some(end) => {
                    start = end.next;
                    position.skipping = false;
                    position.after_cr = start == chunk.len() && self.codec.ends_with_cr(chunk);
                }
                None => start = self.whole_units(chunk),
            }
        }
        let complete = self.codec.complete(chunk).max(start);
        let mut matcher = Matcher { scan: self, sink, counters };
        let (done, stop) = matcher.lines(chunk, start, complete);
        if stop.is_some() {
            position.offset += done as u64;
            return stop;
        }
        if complete > start {
            position.after_cr = self.codec.ends_with_cr(&chunk[..complete]);
        }
        let (done, stop) = matcher.rest(chunk, complete, at_end, position);
        position.offset += done as u64;
        stop
    }

    fn whole_units(&self, chunk: &[u8]) -> usize {
        chunk.len() / self.codec.unit() * self.codec.unit()
    }
}

/// A line that matches or may match.
struct Candidate {
    start: usize,
    end: usize,
    next: usize,
    matches: bool,
}

struct Matcher<'s, 'a> {
    scan: &'s Scan<'a>,
    sink: &'s mut dyn Sink,
    counters: &'s mut Counters,
}

impl Matcher<'_, '_> {
    /// Passes all matching lines in `chunk[start..complete]`, which are complete lines. Returns how far it came, and why it
    /// stopped.
    fn lines(&mut self, chunk: &[u8], start: usize, complete: usize) -> (usize, Option<Stop>) {
        let region = &chunk[..complete];
        let mut at = start;
        let mut seen = 0_u32;
        while let Some(candidate) = (at < complete).then(|| self.next_candidate(region, at)).flatten() {
            let line = &region[candidate.start..candidate.end];
            if self.line(line, candidate.matches && line.len() <= MAX_LINE_BYTES) == Flow::Full {
                return (candidate.start, Some(Stop::Full));
            }
            at = candidate.next;
            seen += 1;
            // A line for the backtracking engine costs far more than reading the clock.
            if (seen.is_multiple_of(256) || self.scan.pattern.is_slow()) && self.scan.is_late() {
                return (at, Some(Stop::Late));
            }
        }
        (complete, None)
    }

    /// Returns the next line that may match.
    fn next_candidate(&self, region: &[u8], at: usize) -> Option<Candidate> {
        let codec = self.scan.codec;
        let searcher = if codec.is_utf8() { self.scan.pattern.searcher() } else { Searcher::EachLine };
        let found = match searcher {
            Searcher::Literal(finder) => at + finder.find(&region[at..])?,
            Searcher::Linear(regex) => {
                regex.find_at(region, at).map(|m| m.start()).filter(|s| *s < region.len())?
            }
            Searcher::EveryLine => at,
            Searcher::EachLine => match self.required_search() {
                Some(search) => at + search.find(&region[at..])?,
                None => at,
            },
        };
        let start = memchr::memrchr2(b'\n', b'\r', &region[at..found]).map_or(at, |before| at + before + 1);
        let LineEnd { end, next } = codec.line_end(region, found)?;
        Some(Candidate { start, end, next, matches: !matches!(searcher, Searcher::EachLine) })
    }

    /// Returns a search before decoding, if its texts have the same bytes in the file's encoding.
    fn required_search(&self) -> Option<&TextSearch> {
        let (codec, pattern) = (self.scan.codec, self.scan.pattern);
        let same = codec.is_utf8()
            || (codec.keeps_ascii() && pattern.required_texts()?.iter().all(|t| t.is_ascii()));
        if same { pattern.required_search() } else { None }
    }

    /// Processes one candidate; `matches` if it is known to match.
    fn line(&mut self, raw: &[u8], matches: bool) -> Flow {
        let line = self.scan.codec.decode(&raw[..raw.len().min(MAX_LINE_BYTES)]);
        match if matches { Verdict::Yes } else { self.scan.pattern.verdict(&line) } {
            Verdict::Yes => self.sink.line(&line, self.scan.path),
            Verdict::No => Flow::Next,
            Verdict::StepLimit => {
                self.counters.lines_over_step_limit += 1;
                Flow::Next
            }
        }
    }

    /// Processes the part after the last line end: a partial line, which waits unless it is too long or the file is finished.
    fn rest(
        &mut self,
        chunk: &[u8],
        start: usize,
        at_end: bool,
        position: &mut FilePosition,
    ) -> (usize, Option<Stop>) {
        let rest = &chunk[start..];
        let whole = self.scan.whole_units(chunk);
        if position.skipping || rest.is_empty() {
            return (whole, None);
        }
        let too_long = rest.len() >= MAX_LINE_BYTES;
        let waits = !(at_end && self.scan.finished);
        if waits && !too_long {
            return (start, None);
        }
        if self.line(rest, false) == Flow::Full {
            return (start, Some(Stop::Full));
        }
        // A finished file may still grow if its writer has it open: the new text is a line of its own.
        position.skipping = too_long;
        (whole, None)
    }
}

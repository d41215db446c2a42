//! Shares one search between the items of a file.
//!
//! Ten items on one log would search the same gigabyte ten times. If two or more items with required texts follow a file, the
//! first poll searches each chunk for the texts of all of them, and stores the lines that contain any. The other polls examine
//! these lines only, which costs almost nothing per chunk.
//!
//! The stored lines are bounded and only a shortcut: an item without them searches on its own. They are compared with the file
//! before use, because it may have been truncated and written again.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::hash::Hasher as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use regex_dialects::pcre2::TextSearch;
use siphasher::sip::SipHasher13;

use crate::Query;
use crate::buffers::Buffers;
use crate::chunk::{CHUNK_BYTES, Counters, MAX_LINE_BYTES, replace_nul};
use crate::encoding::Codec;
use crate::file::read_at;

/// Fewer bytes are faster to search than to look up.
pub(crate) const MIN_BYTES: u64 = 128 * 1024;
/// Limit for the text of stored lines in one chunk. A chunk with more is not stored, because most of its lines would be
/// examined anyway.
const MAX_SEGMENT_BYTES: usize = CHUNK_BYTES / 8;
/// Limits for one file: the text of stored lines, and chunks.
const MAX_FILE_BYTES: usize = 1024 * 1024;
const MAX_SEGMENTS: usize = 8192;
/// The number of logs with stored lines.
const MAX_LOGS: usize = 16 * 1024;
/// An item without a poll for this long leaves the shared search. Without items the stored lines are dropped.
const FORGET_AFTER: Duration = Duration::from_secs(600);
const CHECK_BYTES: usize = 256;

/// The shared searches of all logs.
#[derive(Debug, Default)]
pub(crate) struct SharedSearches {
    logs: Mutex<Logs>,
}

/// Identified by the queries' source, so that the items of a log stay together over a rotation.
type Logs = HashMap<String, Arc<Mutex<Notes>>>;

/// Device and inode.
type FilePlace = (u64, u64);

/// The stored lines of a log that contain any of the texts.
#[derive(Debug, Default)]
struct Notes {
    members: HashMap<Arc<str>, Membership>,
    /// Counts changes of the set of texts.
    version: u64,
    /// Built at first use.
    search: Option<TextSearch>,
    /// The file of the segments.
    place: FilePlace,
    segments: VecDeque<Arc<Segment>>,
    text_bytes: usize,
}

#[derive(Debug)]
struct Membership {
    texts: Vec<Vec<u8>>,
    /// Segments from this version on contain the item's texts.
    since: u64,
    last: Instant,
}

/// The stored lines of one segment of the file, which begins and ends between lines.
#[derive(Debug)]
pub(crate) struct Segment {
    start: u64,
    end: u64,
    version: u64,
    /// A hash of the last bytes before `end`.
    check: u64,
    /// The offset of each stored line in the file, and the range of its text in `text`.
    lines: Vec<(u64, std::ops::Range<usize>)>,
    text: Vec<u8>,
}

impl Segment {
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Returns whether the file still has the same bytes at the end of the segment.
    fn is_still_in(&self, file: &File) -> io::Result<bool> {
        let mut buffer = [0; CHECK_BYTES];
        let length = usize::try_from(self.end - self.start).unwrap_or(CHECK_BYTES).min(CHECK_BYTES);
        let buffer = &mut buffer[..length];
        let read = read_at(file, buffer, self.end - length as u64)?;
        replace_nul(buffer);
        Ok(read == length && hash(buffer) == self.check)
    }

    /// The stored lines from `offset` on.
    pub(crate) fn lines_from(&self, offset: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let first = self.lines.partition_point(|(start, _)| *start < offset);
        self.lines[first..].iter().map(|(start, range)| (*start, &self.text[range.clone()]))
    }
}

/// The membership of one item in the shared search of one file.
pub(crate) struct SearchMember {
    notes: Arc<Mutex<Notes>>,
    identity: Arc<str>,
}

impl SharedSearches {
    /// Adds an item to its log's shared search, if its pattern has texts to search for.
    pub(crate) fn join(&self, identity: &Arc<str>, query: &Query) -> Option<SearchMember> {
        let texts = query.pattern.required_texts()?;
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = query.source.describe();
        if logs.len() >= MAX_LOGS && !logs.contains_key(&log) {
            return None;
        }
        let notes = Arc::clone(logs.entry(log).or_default());
        drop(logs);
        notes.lock().unwrap_or_else(PoisonError::into_inner).join(identity, texts);
        Some(SearchMember { notes, identity: Arc::clone(identity) })
    }

    /// Drops the stored lines of logs that are not polled any more. Returns the time after which some may be left to drop.
    pub(crate) fn tidy(&self) -> Option<Duration> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        logs.retain(|_, notes| notes.try_lock().map_or(true, |mut notes| notes.is_in_use()));
        (!logs.is_empty()).then_some(FORGET_AFTER)
    }
}

impl SearchMember {
    /// Returns the segment at `offset`, which must be between two lines. The first poll searches it; others wait as long as the
    /// search of one chunk takes. `None` if the item must search on its own.
    pub(crate) fn segment(
        &self,
        (file, place): (&File, FilePlace),
        codec: Codec,
        offset: u64,
        buffers: &Buffers,
        counters: &mut Counters,
    ) -> io::Result<Option<Arc<Segment>>> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(since) = notes.members.get(&self.identity).map(|m| m.since) else { return Ok(None) };
        if notes.place != place {
            notes.clear();
            notes.place = place;
        }
        if let Some(segment) = notes.find(offset, since) {
            if segment.is_still_in(file)? {
                return Ok(Some(segment));
            }
            notes.clear();
        }
        if notes.members.len() < 2 {
            return Ok(None);
        }
        notes.prepare();
        let segment = buffers.lend(|buffer| -> io::Result<_> {
            buffer.resize(CHUNK_BYTES, 0);
            let length = read_at(file, buffer, offset)?;
            counters.read_bytes += length as u64;
            let chunk = &mut buffer[..length];
            replace_nul(chunk);
            Ok(notes.search(chunk, codec, offset).map(Arc::new))
        })?;
        if let Some(segment) = &segment {
            notes.push(Arc::clone(segment));
        }
        Ok(segment)
    }
}

impl Notes {
    fn join(&mut self, identity: &Arc<str>, texts: &[Vec<u8>]) {
        let now = Instant::now();
        if let Some(member) = self.members.get_mut(identity).filter(|member| member.texts == texts) {
            member.last = now;
            return;
        }
        self.version += 1;
        let member = Membership { texts: texts.to_vec(), since: self.version, last: now };
        self.members.insert(Arc::clone(identity), member);
        self.search = None;
    }

    fn prepare(&mut self) {
        if self.search.is_none() {
            let texts: HashSet<&Vec<u8>> = self.members.values().flat_map(|m| &m.texts).collect();
            self.search = TextSearch::new(&texts.into_iter().cloned().collect::<Vec<_>>());
        }
    }

    /// Removes items that are not polled any more, and returns whether any is left.
    fn is_in_use(&mut self) -> bool {
        let before = self.members.len();
        self.members.retain(|_, member| member.last.elapsed() < FORGET_AFTER);
        if self.members.len() != before {
            self.search = None;
        }
        !self.members.is_empty()
    }

    fn find(&self, offset: u64, since: u64) -> Option<Arc<Segment>> {
        let at = self.segments.partition_point(|segment| segment.end <= offset);
        let segment = self.segments.get(at)?;
        (segment.start <= offset && segment.version >= since).then(|| Arc::clone(segment))
    }

    fn clear(&mut self) {
        self.segments.clear();
        self.text_bytes = 0;
    }

    /// Searches the complete lines at the start of `chunk` for all texts. `None` if there is no complete line, if a line is too
    /// long, or if too many lines would be stored.
    fn search(&self, chunk: &[u8], codec: Codec, offset: u64) -> Option<Segment> {
        let search = self.search.as_ref()?;
        let complete = codec.complete(chunk);
        // A CR at the end may be followed by its LF: the item's own scan decides.
        if complete == 0 || codec.ends_with_cr(&chunk[..complete]) {
            return None;
        }
        let region = &chunk[..complete];
        let (mut lines, mut text, mut at) = (Vec::new(), Vec::new(), 0);
        while let Some(found) = search.find(&region[at..]).map(|found| at + found) {
            let before = memchr::memrchr2(b'\n', b'\r', &region[at..found]);
            let start = before.map_or(at, |before| at + before + 1);
            let end = codec.line_end(region, found)?;
            let line = &region[start..end.end];
            if line.len() > MAX_LINE_BYTES || text.len() + line.len() > MAX_SEGMENT_BYTES {
                return None;
            }
            lines.push((offset + start as u64, text.len()..text.len() + line.len()));
            text.extend_from_slice(line);
            at = end.next;
        }
        let check = hash(&region[complete.saturating_sub(CHECK_BYTES)..]);
        Some(Segment {
            start: offset,
            end: offset + complete as u64,
            version: self.version,
            check,
            lines,
            text,
        })
    }

    /// Adds a segment. Segments follow each other in the file; overlapping ones are replaced.
    fn push(&mut self, segment: Arc<Segment>) {
        let at = self.segments.partition_point(|other| other.end <= segment.start);
        while let Some(old) = self.segments.get(at).filter(|old| old.start < segment.end).cloned() {
            self.text_bytes -= old.text.len();
            self.segments.remove(at);
        }
        self.text_bytes += segment.text.len();
        self.segments.insert(at, segment);
        while self.text_bytes > MAX_FILE_BYTES || self.segments.len() > MAX_SEGMENTS {
            let Some(oldest) = self.segments.pop_front() else { break };
            self.text_bytes -= oldest.text.len();
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::Encoding;

    #[test]
    fn item_that_is_polled_again_uses_the_lines_that_another_item_found() {
        let (first, second) = (Arc::from("first"), Arc::from("second"));
        let (alpha, beta) = ([b"alpha".to_vec()], [b"beta".to_vec()]);
        let mut notes = Notes::default();
        let codec = Encoding::default().for_file(b"");
        notes.join(&first, &alpha);
        notes.join(&second, &alpha);
        notes.prepare();
        let segment = notes.search(b"alpha 1\nx\nalpha 2\n", codec, 0).unwrap();
        notes.push(Arc::new(segment));
        notes.join(&second, &alpha);
        assert!(notes.find(0, notes.members[&second].since).is_some());
        notes.join(&second, &beta);
        assert!(notes.find(0, notes.members[&second].since).is_none(), "not searched for its new texts");
    }
}

//! A socket that is read and written without waiting, in frames.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::frame::{Accepted, HEADER_BYTES};

/// Bytes of one read. Small, because the supervisor's memory is.
const READ_BYTES: usize = 16 * 1024;
/// Bytes read before the other side gets its turn.
const TURN_BYTES: usize = 1024 * 1024;
/// Larger buffers are released when they are empty.
const KEPT_BYTES: usize = 64 * 1024;

/// One end of a stream with its buffers.
pub(super) struct Channel {
    stream: UnixStream,
    /// Frames read and not taken yet.
    pub(super) input: Input,
    output: Output,
}

/// Result of reading what has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// Nothing more has arrived.
    Drained,
    /// More may have arrived.
    Partly,
    /// The other end is closed.
    Ended,
}

impl Channel {
    pub(super) fn new(stream: UnixStream, accepted: Accepted) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, input: Input::new(accepted), output: Output::default() })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Reads what has arrived, up to a limit.
    pub(super) fn fill(&mut self) -> Filled {
        let mut buffer = [0; READ_BYTES];
        let mut taken = 0;
        while taken < TURN_BYTES {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Filled::Ended,
                Ok(length) => {
                    self.input.push(&buffer[..length]);
                    taken += length;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Filled::Drained,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Filled::Ended,
            }
        }
        Filled::Partly
    }

    /// Returns the buffer to which frames are appended for writing.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output.bytes
    }

    /// Returns the number of bytes that are not written yet.
    pub(super) fn unwritten(&self) -> usize {
        self.output.bytes.len() - self.output.written
    }

    /// Writes as much as the socket takes now.
    ///
    /// # Errors
    /// The other end is closed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.unwritten() > 0 {
            match self.stream.write(&self.output.bytes[self.output.written..]) {
                Ok(length) => self.output.written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.reset();
        Ok(())
    }
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    fn reset(&mut self) {
        self.written = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
    }
}

/// Bytes that were read, cut into frames.
#[derive(Debug)]
pub(super) struct Input {
    accepted: Accepted,
    bytes: Vec<u8>,
    taken: usize,
    /// Bytes of a rejected frame that are still to come.
    to_skip: usize,
}

/// A frame within an [`Input`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InputFrame {
    Whole { frame_type: u32, body: Range<usize> },
    Rejected { frame_type: u32, length: u32 },
}

impl Input {
    fn new(accepted: Accepted) -> Self {
        Self { accepted, bytes: Vec::new(), taken: 0, to_skip: 0 }
    }

    /// Returns an input without bytes that accepts the same frames.
    pub(super) fn take(&mut self) -> Self {
        let empty = Self::new(self.accepted);
        std::mem::replace(self, empty)
    }

    fn push(&mut self, bytes: &[u8]) {
        let skipped = self.to_skip.min(bytes.len());
        self.to_skip -= skipped;
        self.bytes.extend_from_slice(&bytes[skipped..]);
    }

    pub(super) fn body(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// Returns the next whole frame, or a frame that is skipped because of its type or size.
    pub(super) fn next_frame(&mut self) -> Option<InputFrame> {
        let (frame_type, length) = self.header()?;
        let begin = self.taken + HEADER_BYTES;
        let end = begin + length as usize;
        if !self.accepted.permits(frame_type, length) {
            self.to_skip = end.saturating_sub(self.bytes.len());
            self.taken = end.min(self.bytes.len());
            return Some(InputFrame::Rejected { frame_type, length });
        }
        if end > self.bytes.len() {
            return None;
        }
        self.taken = end;
        Some(InputFrame::Whole { frame_type, body: begin..end })
    }

    fn header(&self) -> Option<(u32, u32)> {
        let rest = self.bytes.get(self.taken..)?;
        let (&frame_type, rest) = rest.split_first_chunk()?;
        let (&length, _) = rest.split_first_chunk()?;
        Some((u32::from_le_bytes(frame_type), u32::from_le_bytes(length)))
    }

    /// Drops the frames taken so far.
    pub(super) fn discard_taken(&mut self) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame;

    /// The frames that the blocking reader finds, as (type, body), with `None` for a rejected body.
    fn expected(bytes: &[u8], accepted: Accepted) -> Vec<(u32, Option<Vec<u8>>)> {
        let mut stream = bytes;
        let mut frames = Vec::new();
        loop {
            match frame::read(&mut stream, accepted).unwrap() {
                frame::Frame::Whole { frame_type, body } => frames.push((frame_type, Some(body))),
                frame::Frame::Skipped { frame_type, .. } => frames.push((frame_type, None)),
                frame::Frame::End => return frames,
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_length_give_the_same_frames_as_the_whole(
            frames in proptest::collection::vec((0_u32..7, 0_usize..300), 0..12),
            cuts in proptest::collection::vec(1_usize..200, 1..40),
        ) {
            let accepted = Accepted { last_type: 5, max_bytes: 200 };
            let mut bytes = Vec::new();
            for (index, (frame_type, length)) in frames.into_iter().enumerate() {
                frame::append_parts(&mut bytes, frame_type, &[&vec![u8::try_from(index).unwrap(); length]]);
            }
            let mut input = Input::new(accepted);
            let mut found = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts.into_iter().cycle() {
                let piece;
                (piece, rest) = rest.split_at(cut.min(rest.len()));
                input.push(piece);
                while let Some(frame) = input.next_frame() {
                    found.push(match frame {
                        InputFrame::Whole { frame_type, body } => (frame_type, Some(input.body(body).to_vec())),
                        InputFrame::Rejected { frame_type, .. } => (frame_type, None),
                    });
                }
                input.discard_taken();
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, expected(&bytes, accepted));
        }
    }

    #[test]
    fn rejected_frame_is_not_buffered() {
        let mut input = Input::new(Accepted::messages(100));
        input.push(&1_u32.to_le_bytes());
        input.push(&u32::MAX.to_le_bytes());
        assert!(matches!(input.next_frame(), Some(InputFrame::Rejected { length: u32::MAX, .. })));
        input.discard_taken();
        for _ in 0..1000 {
            input.push(&[0; 4096]);
        }
        assert!(input.bytes.capacity() < 100);
    }
}

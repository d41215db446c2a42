//! Frames: `u32` type, `u32` length (both little-endian), then that many bytes.
//!
//! An agent knows one type, a JSON message. Supervisor and worker use further types between them (module `link`).

use std::io::{self, Read};

/// The only frame type that agents know: a JSON message.
pub(crate) const TYPE_JSON: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 8;

/// Result of reading one frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The bytes of one frame of a known type.
    Whole { frame_type: u32, body: Vec<u8> },
    /// A frame of an unknown type or beyond the size limit. Its bytes were read and discarded, so the next frame can be
    /// read.
    Skipped { frame_type: u32, length: u32 },
    /// The peer closed the stream.
    End,
}

/// The frames that a reader accepts. Others are skipped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted {
    /// The types from 1 to this one.
    pub(crate) last_type: u32,
    /// Limit for the bytes after the header.
    pub(crate) max_bytes: u32,
}

impl Accepted {
    /// Messages of an agent up to a size.
    pub(crate) fn messages(max_bytes: u32) -> Self {
        Self { last_type: TYPE_JSON, max_bytes }
    }

    pub(crate) fn permits(self, frame_type: u32, length: u32) -> bool {
        (TYPE_JSON..=self.last_type).contains(&frame_type) && length <= self.max_bytes
    }
}

/// Reads one frame. Memory grows with the bytes that arrive, not with the length that the header claims.
pub(crate) fn read(stream: &mut impl Read, accepted: Accepted) -> io::Result<Frame> {
    let Some([frame_type, length]) = read_header(stream)? else { return Ok(Frame::End) };
    if !accepted.permits(frame_type, length) {
        skip(stream, length)?;
        return Ok(Frame::Skipped { frame_type, length });
    }
    let mut body = Vec::new();
    stream.take(length.into()).read_to_end(&mut body)?;
    if body.len() < length as usize {
        return Ok(Frame::End);
    }
    Ok(Frame::Whole { frame_type, body })
}

fn read_header(stream: &mut impl Read) -> io::Result<Option<[u32; 2]>> {
    let mut words = [0; 2];
    for word in &mut words {
        let mut bytes = [0; HEADER_BYTES / 2];
        match stream.read_exact(&mut bytes) {
            Ok(()) => *word = u32::from_le_bytes(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(words))
}

fn skip(stream: &mut impl Read, length: u32) -> io::Result<()> {
    io::copy(&mut stream.take(length.into()), &mut io::sink()).map(drop)
}

/// Appends `message` as a frame to `batch`.
///
/// The caller must check the size: an agent panics at a length of 2^31 or more.
pub(crate) fn append(batch: &mut Vec<u8>, message: &[u8]) {
    append_parts(batch, TYPE_JSON, &[message]);
}

/// Appends a frame whose body consists of several parts.
pub(crate) fn append_parts(batch: &mut Vec<u8>, frame_type: u32, parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("messages are capped far below 4 GiB");
    batch.extend_from_slice(&frame_type.to_le_bytes());
    batch.extend_from_slice(&length.to_le_bytes());
    parts.iter().for_each(|part| batch.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: Accepted = Accepted { last_type: TYPE_JSON, max_bytes: 100 };

    fn message(body: &[u8]) -> Frame {
        Frame::Whole { frame_type: TYPE_JSON, body: body.to_vec() }
    }

    fn frame(frame_type: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = frame_type.to_le_bytes().to_vec();
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn written_frame_is_read_back() {
        let mut batch = Vec::new();
        append(&mut batch, b"{\"id\":1}");
        append(&mut batch, b"{}");
        let mut stream = batch.as_slice();
        assert_eq!(read(&mut stream, SMALL).unwrap(), message(b"{\"id\":1}"));
        assert_eq!(read(&mut stream, SMALL).unwrap(), message(b"{}"));
        assert_eq!(read(&mut stream, SMALL).unwrap(), Frame::End);
    }

    #[test]
    fn next_frame_is_read_after_a_frame_that_is_too_large_or_of_another_type() {
        let mut bytes = frame(1, &[b'x'; 200]);
        bytes.extend(frame(7, b"junk"));
        bytes.extend(frame(1, b"{}"));
        let mut stream = bytes.as_slice();
        assert_eq!(read(&mut stream, SMALL).unwrap(), Frame::Skipped { frame_type: 1, length: 200 });
        assert_eq!(read(&mut stream, SMALL).unwrap(), Frame::Skipped { frame_type: 7, length: 4 });
        assert_eq!(read(&mut stream, SMALL).unwrap(), message(b"{}"));
    }

    #[test]
    fn announced_length_is_not_allocated() {
        // 4 GiB are announced and three bytes come.
        let mut bytes = 1_u32.to_le_bytes().to_vec();
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        bytes.extend_from_slice(b"abc");
        assert_eq!(read(&mut bytes.as_slice(), Accepted::messages(u32::MAX)).unwrap(), Frame::End);
    }

    #[test]
    fn stream_that_ends_within_a_frame_is_an_end() {
        let whole = frame(1, b"{\"id\":1}");
        for cut in 0..whole.len() {
            assert_eq!(read(&mut &whole[..cut], SMALL).unwrap(), Frame::End, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut stream = bytes.as_slice();
            while read(&mut stream, SMALL).unwrap() != Frame::End {}
        }
    }
}

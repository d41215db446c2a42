//! Frames: `u32` type, `u32` length (both little-endian), then that many bytes of JSON.

use std::io::{self, Read};

/// The only frame type that agents know: a JSON message.
const TYPE_JSON: u32 = 1;
const HEADER_BYTES: usize = 8;

/// Result of reading one frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The bytes of one JSON message.
    Message(Vec<u8>),
    /// A frame of an unknown type or beyond the size limit. Its bytes were read and discarded, so the next frame can be
    /// read.
    Skipped { frame_type: u32, length: u32 },
    /// The peer closed the stream.
    End,
}

/// Reads one frame. Memory grows with the bytes that arrive, not with the length that the header claims.
pub(crate) fn read(stream: &mut impl Read, max_bytes: u32) -> io::Result<Frame> {
    let Some([frame_type, length]) = read_header(stream)? else { return Ok(Frame::End) };
    if frame_type != TYPE_JSON || length > max_bytes {
        skip(stream, length)?;
        return Ok(Frame::Skipped { frame_type, length });
    }
    let mut message = Vec::new();
    stream.take(length.into()).read_to_end(&mut message)?;
    if message.len() < length as usize {
        return Ok(Frame::End);
    }
    Ok(Frame::Message(message))
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
    let length = u32::try_from(message.len()).expect("messages are capped far below 4 GiB");
    batch.extend_from_slice(&TYPE_JSON.to_le_bytes());
    batch.extend_from_slice(&length.to_le_bytes());
    batch.extend_from_slice(message);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        assert_eq!(read(&mut stream, 100).unwrap(), Frame::Message(b"{\"id\":1}".to_vec()));
        assert_eq!(read(&mut stream, 100).unwrap(), Frame::Message(b"{}".to_vec()));
        assert_eq!(read(&mut stream, 100).unwrap(), Frame::End);
    }

    #[test]
    fn next_frame_is_read_after_a_frame_that_is_too_large_or_of_another_type() {
        let mut bytes = frame(1, &[b'x'; 200]);
        bytes.extend(frame(7, b"junk"));
        bytes.extend(frame(1, b"{}"));
        let mut stream = bytes.as_slice();
        assert_eq!(read(&mut stream, 100).unwrap(), Frame::Skipped { frame_type: 1, length: 200 });
        assert_eq!(read(&mut stream, 100).unwrap(), Frame::Skipped { frame_type: 7, length: 4 });
        assert_eq!(read(&mut stream, 100).unwrap(), Frame::Message(b"{}".to_vec()));
    }

    #[test]
    fn announced_length_is_not_allocated() {
        // 4 GiB are announced and three bytes come.
        let mut bytes = 1_u32.to_le_bytes().to_vec();
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        bytes.extend_from_slice(b"abc");
        assert_eq!(read(&mut bytes.as_slice(), u32::MAX).unwrap(), Frame::End);
    }

    #[test]
    fn stream_that_ends_within_a_frame_is_an_end() {
        let whole = frame(1, b"{\"id\":1}");
        for cut in 0..whole.len() {
            assert_eq!(read(&mut &whole[..cut], 100).unwrap(), Frame::End, "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut stream = bytes.as_slice();
            while read(&mut stream, 64).unwrap() != Frame::End {}
        }
    }
}

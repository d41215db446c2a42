//! The frame of Zabbix's own protocol: 13 bytes of header, then a body that may be compressed.

use std::io::{self, Read, Write};

use flate2::read::ZlibDecoder;

const MAGIC: [u8; 4] = *b"ZBXD";
const FLAG_PROTOCOL: u8 = 0x01;
const FLAG_COMPRESSED: u8 = 0x02;
const HEADER_BYTES: usize = 13;
/// The agent itself refuses bodies above 1 GiB.
const MAX_BODY_BYTES: u64 = 1 << 30;

/// Writes one frame, uncompressed.
pub(crate) fn write_frame(mut to: impl Write, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| invalid("a body of 4 GiB or more"))?;
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend_from_slice(&MAGIC);
    frame.push(FLAG_PROTOCOL);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(body);
    to.write_all(&frame)?;
    to.flush()
}

/// Reads one frame; absent if the other side closes before the first byte.
pub(crate) fn read_frame(mut from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER_BYTES];
    match from.read(&mut header)? {
        0 => return Ok(None),
        read => from.read_exact(&mut header[read..])?,
    }
    let (flags, length) = parse_header(&header)?;
    let mut body = Vec::new();
    from.take(length).read_to_end(&mut body)?;
    if body.len() as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if flags & FLAG_COMPRESSED == 0 { Ok(Some(body)) } else { inflate(&body).map(Some) }
}

fn parse_header(header: &[u8; HEADER_BYTES]) -> io::Result<(u8, u64)> {
    let [m0, m1, m2, m3, flags, l0, l1, l2, l3, ..] = *header;
    if [m0, m1, m2, m3] != MAGIC || flags & FLAG_PROTOCOL == 0 {
        return Err(invalid("no header of the Zabbix protocol"));
    }
    let length = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
    if length > MAX_BODY_BYTES {
        return Err(invalid("a body of more than 1 GiB"));
    }
    Ok((flags, length))
}

fn inflate(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    ZlibDecoder::new(body).take(MAX_BODY_BYTES).read_to_end(&mut plain)?;
    Ok(plain)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    #[test]
    fn written_frames_are_read() {
        let mut wire = Vec::new();
        write_frame(&mut wire, b"agent.ping").unwrap();
        assert_eq!(&wire[..6], b"ZBXD\x01\x0a");
        assert_eq!(read_frame(&wire[..]).unwrap().unwrap(), b"agent.ping");
    }

    #[test]
    fn compressed_bodies_are_inflated() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"{\"request\":\"agent data\"}").unwrap();
        let body = encoder.finish().unwrap();
        let mut wire = b"ZBXD\x03".to_vec();
        wire.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        wire.extend_from_slice(&[0; 4]);
        wire.extend_from_slice(&body);
        assert_eq!(read_frame(&wire[..]).unwrap().unwrap(), b"{\"request\":\"agent data\"}");
    }

    #[test]
    fn closed_connection_is_absent_and_torn_one_an_error() {
        assert!(read_frame(&b""[..]).unwrap().is_none());
        assert!(read_frame(&b"ZBXD\x01\x05\0\0\0\0\0\0\0abc"[..]).is_err());
        assert!(read_frame(&b"HTTP/1.1 200 OK"[..]).is_err());
    }
}

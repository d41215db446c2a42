//! Converts the bytes of a file to text.

use std::borrow::Cow;

/// An encoding by the name that iconv and Zabbix use, in any case. The empty name and the default are UTF-8.
///
/// Known are UTF-8, UTF-16 and UTF-32, with and without LE or BE, and the encodings of browsers: ISO-8859-x, windows-125x,
/// KOI8, Shift_JIS (CP932), EUC-JP, ISO-2022-JP, GBK, GB18030, Big5, EUC-KR. Without LE or BE a byte order mark at the start of
/// the file decides, else little-endian, as in the agent. Invalid bytes become U+FFFD. A byte order mark at the start of a file
/// is not part of its first line.
///
/// ```
/// use log_follow::Encoding;
///
/// assert_eq!(Encoding::named("utf-8"), Encoding::named(""));
/// assert!(Encoding::named("EUC-JP").is_ok() && Encoding::named("cp932").is_ok());
/// assert_eq!(Encoding::named("KLINGON").unwrap_err().to_string(), "Unknown encoding \"KLINGON\".");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Encoding(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Utf8,
    /// Lines end in the bytes 0x0a and 0x0d, which are not part of any other character.
    Bytes(&'static encoding_rs::Encoding),
    /// Units of two or four bytes, with the byte order if the name contains it.
    Wide(usize, Option<Order>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// There is no encoding of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown encoding \"{0}\".")]
pub struct UnknownEncoding(pub String);

impl Encoding {
    /// Finds an encoding by its name.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no encoding of that name.
    pub fn named(name: &str) -> Result<Self, UnknownEncoding> {
        let plain = name.split("//").next().unwrap_or_default().trim().to_ascii_uppercase();
        let kind = match plain.as_str() {
            "" | "UTF-8" | "UTF8" => Kind::Utf8,
            "UTF-16" | "UTF16" | "UNICODE" | "UCS-2" => Kind::Wide(2, None),
            "UTF-16LE" | "UTF16LE" | "UNICODELITTLE" | "UCS-2LE" => Kind::Wide(2, Some(Order::Little)),
            "UTF-16BE" | "UTF16BE" | "UNICODEBIG" | "UNICODEFFFE" | "UCS-2BE" => {
                Kind::Wide(2, Some(Order::Big))
            }
            "UTF-32" | "UTF32" | "UCS-4" => Kind::Wide(4, None),
            "UTF-32LE" | "UTF32LE" | "UCS-4LE" => Kind::Wide(4, Some(Order::Little)),
            "UTF-32BE" | "UTF32BE" | "UCS-4BE" => Kind::Wide(4, Some(Order::Big)),
            other => match label(other) {
                Some(encoding) => Kind::Bytes(encoding),
                None => return Err(UnknownEncoding(name.into())),
            },
        };
        Ok(Self(kind))
    }

    /// Returns the codec for a file that begins with `head` (its first four bytes, or fewer if it is shorter).
    pub(crate) fn for_file(self, head: &[u8]) -> Codec {
        let (kind, bom_bytes) = match self.0 {
            Kind::Utf8 => (CodecKind::Utf8, if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }),
            Kind::Bytes(encoding) => (CodecKind::Bytes(encoding), 0),
            Kind::Wide(unit, named) => {
                let marked = byte_order_mark(head, unit);
                let order = named.or(marked).unwrap_or(Order::Little);
                (CodecKind::Wide(unit, order), if marked == Some(order) { unit } else { 0 })
            }
        };
        Codec { kind, bom_bytes }
    }
}

/// Names that iconv knows and browsers do not, then those that browsers know.
fn label(name: &str) -> Option<&'static encoding_rs::Encoding> {
    let known = match name {
        "CP932" | "MS932" | "CP943" | "IBM943" | "SHIFTJIS" | "SHIFT-JIS" => "shift_jis",
        "EUCJP" | "UJIS" | "EUC-JISX0213" | "EUC_JP" => "euc-jp",
        "ISO2022JP" => "iso-2022-jp",
        "CP936" | "MS936" | "EUC-CN" | "EUCCN" => "gbk",
        "CP949" | "UHC" | "EUCKR" => "euc-kr",
        "CP950" | "BIG-5" => "big5",
        "LATIN-1" | "8859_1" => "iso-8859-1",
        "646" => "us-ascii",
        other => other,
    };
    let encoding = encoding_rs::Encoding::for_label_no_replacement(known.as_bytes())?;
    // UTF-16 and UTF-32 were matched before. Other names with `utf` must not be taken for single bytes.
    (encoding != encoding_rs::UTF_16LE && encoding != encoding_rs::UTF_16BE).then_some(encoding)
}

fn byte_order_mark(head: &[u8], unit: usize) -> Option<Order> {
    let (little, big): (&[u8], &[u8]) =
        if unit == 2 { (b"\xff\xfe", b"\xfe\xff") } else { (b"\xff\xfe\0\0", b"\0\0\xfe\xff") };
    match head {
        _ if head.starts_with(little) => Some(Order::Little),
        _ if head.starts_with(big) => Some(Order::Big),
        _ => None,
    }
}

/// An encoding with a known byte order. Finds line ends and decodes lines of one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec {
    kind: CodecKind,
    /// Length of the byte order mark at the start of the file.
    pub(crate) bom_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
enum CodecKind {
    Utf8,
    Bytes(&'static encoding_rs::Encoding),
    Wide(usize, Order),
}

/// The end of a line and the start of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineEnd {
    pub(crate) end: usize,
    pub(crate) next: usize,
}

impl Codec {
    /// Returns whether the buffer is UTF-8 and can be searched without decoding.
    pub(crate) fn is_utf8(self) -> bool {
        matches!(self.kind, CodecKind::Utf8)
    }

    /// Returns whether ASCII text has the same bytes in this encoding, so that it can be searched before decoding.
    pub(crate) fn keeps_ascii(self) -> bool {
        match self.kind {
            CodecKind::Utf8 => true,
            CodecKind::Bytes(encoding) => encoding.is_ascii_compatible(),
            CodecKind::Wide(..) => false,
        }
    }

    /// The bytes of one unit.
    pub(crate) fn unit(self) -> usize {
        match self.kind {
            CodecKind::Wide(unit, _) => unit,
            _ => 1,
        }
    }

    /// Returns the unit at the start of `bytes` as a number, for comparisons with ASCII.
    fn first_unit(self, bytes: &[u8]) -> Option<u32> {
        match (self.kind, bytes) {
            (CodecKind::Wide(2, order), [a, b, ..]) => Some(u32::from(match order {
                Order::Little => u16::from_le_bytes([*a, *b]),
                Order::Big => u16::from_be_bytes([*a, *b]),
            })),
            (CodecKind::Wide(_, order), [a, b, c, d, ..]) => Some(match order {
                Order::Little => u32::from_le_bytes([*a, *b, *c, *d]),
                Order::Big => u32::from_be_bytes([*a, *b, *c, *d]),
            }),
            (CodecKind::Wide(..), _) => None,
            (_, bytes) => bytes.first().map(|b| u32::from(*b)),
        }
    }

    /// Returns whether `bytes` begin with a line feed.
    pub(crate) fn starts_with_lf(self, bytes: &[u8]) -> bool {
        self.first_unit(bytes) == Some(0x0a)
    }

    /// Returns the first line end at or after `from`: LF, CR or CR LF. A CR at the end of the buffer ends a line; the next read
    /// must skip a LF that follows.
    pub(crate) fn line_end(self, buffer: &[u8], from: usize) -> Option<LineEnd> {
        let unit = self.unit();
        let end = if unit == 1 {
            from + memchr::memchr2(b'\n', b'\r', &buffer[from..])?
        } else {
            (from..buffer.len())
                .step_by(unit)
                .find(|&at| matches!(self.first_unit(&buffer[at..]), Some(0x0a | 0x0d)))?
        };
        let next = end + unit;
        let pair = self.first_unit(&buffer[end..]) == Some(0x0d) && self.starts_with_lf(&buffer[next..]);
        Some(LineEnd { end, next: if pair { next + unit } else { next } })
    }

    /// Returns the end of the last complete line: everything before it can be searched.
    pub(crate) fn complete(self, buffer: &[u8]) -> usize {
        let unit = self.unit();
        if unit == 1 {
            return memchr::memrchr2(b'\n', b'\r', buffer).map_or(0, |at| at + 1);
        }
        let whole = buffer.len() / unit * unit;
        (0..whole)
            .step_by(unit)
            .rev()
            .find(|&at| matches!(self.first_unit(&buffer[at..]), Some(0x0a | 0x0d)))
            .map_or(0, |at| at + unit)
    }

    /// Returns whether the last unit of `buffer` is a CR.
    pub(crate) fn ends_with_cr(self, buffer: &[u8]) -> bool {
        buffer.len().checked_sub(self.unit()).is_some_and(|at| self.first_unit(&buffer[at..]) == Some(0x0d))
    }

    /// Decodes a line without its end to UTF-8. NUL becomes `?`, as in the agent.
    pub(crate) fn decode(self, line: &[u8]) -> Cow<'_, [u8]> {
        let text = match self.kind {
            CodecKind::Utf8 => return Cow::Borrowed(line),
            CodecKind::Bytes(encoding) => match encoding.decode_without_bom_handling(line).0 {
                Cow::Borrowed(text) => return Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => text,
            },
            CodecKind::Wide(2, order) => {
                let encoding =
                    if order == Order::Big { encoding_rs::UTF_16BE } else { encoding_rs::UTF_16LE };
                encoding.decode_without_bom_handling(line).0.into_owned()
            }
            CodecKind::Wide(..) => line
                .chunks(4)
                .map(|unit| {
                    self.first_unit(unit).and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
                })
                .collect(),
        };
        Cow::Owned(if text.contains('\0') { text.replace('\0', "?") } else { text }.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, file: &[u8]) -> Vec<String> {
        let codec = Encoding::named(name).unwrap().for_file(&file[..file.len().min(4)]);
        let (mut at, mut out) = (codec.bom_bytes, Vec::new());
        while let Some(LineEnd { end, next }) = codec.line_end(file, at) {
            out.push(String::from_utf8(codec.decode(&file[at..end]).into_owned()).unwrap());
            at = next;
        }
        assert_eq!(at, codec.complete(file));
        out
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    }

    fn utf32(text: &str, big: bool) -> Vec<u8> {
        text.chars()
            .map(u32::from)
            .flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() })
            .collect()
    }

    #[test]
    fn wide_encodings_with_and_without_mark() {
        // U+0A0D and U+0D0A contain the bytes of line ends and end no line.
        let text = "日本\n\u{a0d}\u{d0a}\r\nc\rd\0e\n";
        let expected = vec!["日本", "\u{a0d}\u{d0a}", "c", "d?e"];
        assert_eq!(lines("UTF-16LE", &utf16(text, false)), expected);
        assert_eq!(lines("utf-16be", &utf16(text, true)), expected);
        assert_eq!(lines("UTF-16", &utf16(text, false)), expected);
        assert_eq!(lines("UTF-16", &utf16(&format!("\u{feff}{text}"), true)), expected);
        assert_eq!(lines("UTF-16", &utf16(&format!("\u{feff}{text}"), false)), expected);
        assert_eq!(lines("UTF-32", &utf32(text, false)), expected);
        assert_eq!(lines("UTF-32BE", &utf32(&format!("\u{feff}{text}"), true)), expected);
    }

    #[test]
    fn east_asian_and_single_byte() {
        // The second byte of these Shift_JIS characters is an ASCII letter or a backslash.
        assert_eq!(lines("Shift_JIS", b"\x83\x5c\x83\x41\n\x95\x5c\n"), ["ソア", "表"]);
        assert_eq!(lines("CP932", b"\x87\x40\r\n"), ["①"]);
        assert_eq!(lines("EUC-JP", b"\xc6\xfc\xcb\xdc\xb8\xec\n"), ["日本語"]);
        assert_eq!(lines("ISO-2022-JP", b"\x1b$BF|K\\\x1b(B\n"), ["日本"]);
        assert_eq!(lines("ISO-8859-1", b"caf\xe9\n"), ["café"]);
        assert_eq!(lines("windows-1251", b"\xcf\xf0\n"), ["Пр"]);
        assert_eq!(lines("koi8-r", b"\xf0\xd2\n"), ["Пр"]);
    }

    #[test]
    fn byte_order_mark_is_skipped_and_every_line_end_is_known() {
        assert_eq!(lines("", b"\xef\xbb\xbfa\nb\rc\r\n\n\nd\r"), ["a", "b", "c", "", "", "d"]);
    }

    #[test]
    fn unknown_encoding_is_an_error() {
        for name in ["KLINGON", "UTF-7", "utf-16xx", "CP437", "replacement"] {
            assert_eq!(Encoding::named(name), Err(UnknownEncoding(name.into())), "{name}");
        }
    }
}

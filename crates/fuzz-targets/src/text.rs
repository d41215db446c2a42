//! Encodings of logs.

use log_follow::Encoding;

const NAMES: [&str; 16] = [
    "",
    "UTF-16",
    "UTF-16LE",
    "UTF-16BE",
    "UTF-32",
    "UTF-32LE",
    "UTF-32BE",
    "Shift_JIS",
    "EUC-JP",
    "ISO-2022-JP",
    "GB18030",
    "Big5",
    "EUC-KR",
    "KOI8-R",
    "ISO-8859-1",
    "windows-1252",
];

/// The first byte chooses an encoding of the list; from 128 on, the first line is the name. The rest is the file.
pub fn encodings(input: &[u8]) {
    let Some((&choice, rest)) = input.split_first() else { return };
    if choice < 128 {
        let encoding =
            Encoding::named(NAMES[usize::from(choice) % NAMES.len()]).expect("the list is of known names");
        return log_follow::fuzzing::lines(encoding, rest);
    }
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    match Encoding::named(&String::from_utf8_lossy(&rest[..end])) {
        Ok(encoding) => log_follow::fuzzing::lines(encoding, rest.get(end + 1..).unwrap_or_default()),
        Err(error) => assert!(error.to_string().starts_with("Unknown encoding")),
    }
}

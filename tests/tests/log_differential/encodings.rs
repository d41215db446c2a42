//! Files in other encodings, whole and damaged.

use oomwatch_tests::Generation;

use crate::differences::{AS_BROWSERS, DAMAGED, Difference, UNKNOWN_ENCODING};
use crate::scene::{Question, Scene};

const TEXT: &str = "plain\nカーネル: httpd が oom-killer を呼び出しました\nエラー\n表示 ソ\n\nend\n";
const LATIN: &str = "plain\nÉcole café\nß\nend\n";
const PATTERNS: [&str; 4] = ["", "oom|ラ|É", "^.$", "(?i)é|表"];

pub(crate) fn questions(scene: &Scene, generation: Generation) -> Vec<Question> {
    let mut questions = Vec::new();
    for (number, (names, bytes)) in whole().into_iter().enumerate() {
        let file = scene.file(&format!("whole{number}.log"), bytes);
        for name in names {
            questions.extend(PATTERNS.map(|pattern| Question::new("log", &[&file, pattern, name, "1000"])));
            questions.push(Question::new("log.count", &[&file, "^e", name]));
        }
    }
    for (number, (name, bytes, difference)) in damaged(generation).into_iter().enumerate() {
        let file = scene.file(&format!("damaged{number}.log"), bytes);
        questions.push(Question::new("log", &[&file, "", name, "1000"]).differs(difference));
    }
    questions
}

type Encoded = (&'static [&'static str], Vec<u8>);

fn whole() -> Vec<Encoded> {
    vec![
        (&["", "UTF-8", "utf8"], TEXT.into()),
        (&["UTF-16LE", "utf-16le", "UTF16LE", "UCS-2LE", "UNICODELITTLE"], utf16(TEXT, u16::to_le_bytes)),
        (&["UTF-16", "UNICODE", "UCS-2"], utf16(&format!("\u{feff}{TEXT}"), u16::to_le_bytes)),
        (&["UTF-16BE", "UCS-2BE"], utf16(TEXT, u16::to_be_bytes)),
        (&["UTF-32LE"], utf32(u32::to_le_bytes)),
        (&["UTF-32BE"], utf32(u32::to_be_bytes)),
        (&["SHIFT_JIS", "shift_jis", "SJIS", "CP932", "MS_KANJI"], sjis()),
        (&["EUC-JP", "EUCJP", "euc-jp"], encoding_rs::EUC_JP.encode(TEXT).0.into_owned()),
        (&["ISO-8859-1", "LATIN1", "latin1", "CP1252", "WINDOWS-1252", "ISO8859-1"], latin()),
        (&["KOI8-R", "CP1251"], b"plain\n\xc5\xd2\xd2\xcf\xd2\n\xe5\n".to_vec()),
    ]
}

fn damaged(generation: Generation) -> Vec<(&'static str, Vec<u8>, Option<&'static Difference>)> {
    let is_7_0 = generation == Generation::V7_0;
    vec![
        ("", latin(), None),
        ("EUC-JP", latin(), Some(&DAMAGED)),
        ("UTF-8", sjis(), Some(&DAMAGED)),
        ("EUC-JP", sjis(), Some(&DAMAGED)),
        ("UTF-16LE", sjis(), None),
        ("ASCII", TEXT.into(), Some(&DAMAGED)),
        ("SHIFT_JIS", b"C:\\temp ~home \x81\x60\n".to_vec(), Some(&AS_BROWSERS)),
        ("SJIS", b"C:\\temp ~home \x81\x60\n".to_vec(), Some(&AS_BROWSERS)),
        ("CP932", b"C:\\temp ~home \x81\x60\n".to_vec(), None),
        ("EUC-JP", b"C:\\temp ~home \xa1\xc1\n".to_vec(), Some(&AS_BROWSERS)),
        ("ISO-8859-1", b"quoted \x93so\x94\n".to_vec(), Some(&AS_BROWSERS)),
        ("NO-SUCH-ENCODING", TEXT.into(), (!is_7_0).then_some(&UNKNOWN_ENCODING)),
    ]
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn utf32(bytes: fn(u32) -> [u8; 4]) -> Vec<u8> {
    TEXT.chars().flat_map(|letter| bytes(letter.into())).collect()
}

fn sjis() -> Vec<u8> {
    encoding_rs::SHIFT_JIS.encode(TEXT).0.into_owned()
}

/// One byte for each character.
fn latin() -> Vec<u8> {
    LATIN.chars().filter_map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

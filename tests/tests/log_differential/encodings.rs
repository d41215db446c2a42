//! Files in other encodings, whole and damaged.

use crate::scene::{Question, Scene};

const TEXT: &str = "plain\nカーネル: httpd が oom-killer を呼び出しました\nエラー\n表示 ソ\nend\n";
const LATIN: &str = "plain\nÉcole café\nß\nend\n";

pub(crate) fn questions(scene: &Scene) -> Vec<Question> {
    let mut questions = Vec::new();
    for (number, (names, bytes)) in files().into_iter().enumerate() {
        let file = scene.file(&format!("encoded{number}.log"), &bytes);
        for name in names {
            for pattern in ["", "oom|ラ|É", "^.$", "(?i)é|表"] {
                questions.push(Question::new("log", &[&file, pattern, name, "1000"]));
            }
            questions.push(Question::new("log.count", &[&file, "^e", name]));
        }
    }
    questions
}

type Encoded = (&'static [&'static str], Vec<u8>);

fn files() -> Vec<Encoded> {
    let utf16 =
        |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let utf32 = |bytes: fn(u32) -> [u8; 4]| TEXT.chars().flat_map(|letter| bytes(letter.into())).collect();
    let sjis = encoding_rs::SHIFT_JIS.encode(TEXT).0.into_owned();
    let eucjp = encoding_rs::EUC_JP.encode(TEXT).0.into_owned();
    let latin: Vec<u8> = LATIN.chars().map(|letter| letter as u8).collect();
    vec![
        (&["", "UTF-8", "utf8", "ASCII"], TEXT.into()),
        (&["UTF-16LE", "utf-16le", "UTF16LE", "UCS-2LE", "UNICODELITTLE"], utf16(TEXT, u16::to_le_bytes)),
        (&["UTF-16", "UNICODE", "UCS-2"], utf16(&format!("\u{feff}{TEXT}"), u16::to_le_bytes)),
        (&["UTF-16BE", "UCS-2BE"], utf16(TEXT, u16::to_be_bytes)),
        (&["UTF-32LE"], utf32(u32::to_le_bytes)),
        (&["UTF-32BE"], utf32(u32::to_be_bytes)),
        (&["SHIFT_JIS", "shift_jis", "SJIS", "CP932", "MS_KANJI"], sjis.clone()),
        (&["EUC-JP", "EUCJP", "euc-jp"], eucjp),
        (&["ISO-8859-1", "LATIN1", "latin1", "CP1252", "WINDOWS-1252", "ISO8859-1"], latin.clone()),
        (&["", "UTF-8", "EUC-JP", "NO-SUCH-ENCODING", " UTF-8"], latin),
        (&["EUC-JP", "UTF-16LE", "UTF-8"], sjis),
    ]
}

//! The results of agent 7.0.9 (Go 1.23.5) for `proc.num[name,,,pattern]`, with one process for each subject.

use proptest::prelude::*;

use super::*;

/// The command lines of the processes.
const SUBJECTS: [&[u8]; 13] = [
    b"abc 900",
    b"/usr/sbin/httpd 900",
    b"a\xffb 900",
    b"a\xe2\x82z 900",
    b"Kelvin \xe2\x84\xaa 900",
    b"x{2} 900",
    b"a\x0bb 900",
    b"a\x0ab 900",
    b"\xce\xb1\xce\xb2 greek 900",
    b"w_1 A&&B [z] ~~ a--b 900",
    b"\xef\xbf\xbd 900",
    b"LONG s \xc5\xbf 900",
    b"\xd9\xa1 arabic digit 900",
];

/// Patterns and the subjects that they match, the first subject in the lowest bit.
#[rustfmt::skip]
const MATCHES: &[(&[u8], u32)] = &[
    (b"abc", 0b0000000000001),
    (b"^abc", 0b0000000000001),
    (b"^abc 900$", 0b0000000000001),
    (b"^abc 9", 0b0000000000001),
    (b"[[:digit:]]+$", 0b1111111111111),
    (b"^.$", 0b0000000000000),
    (b"^a.b 900$", 0b0000001000100),
    (b"^a..z 900$", 0b0000000001000),
    (b"^a\\x{fffd}b", 0b0000000000100),
    (b"^a\\x{FFFD}\\x{FFFD}z", 0b0000000001000),
    (b"^\\x{fffd} ", 0b0010000000000),
    (b"(?i)^kelvin k", 0b0000000010000),
    (b"(?i)^KELVIN [k]", 0b0000000010000),
    (b"^Kelvin \\w", 0b0000000000000),
    (b"(?i)^Kelvin \\w", 0b0000000010000),
    (b"(?i)^Kelvin \\W", 0b0000000000000),
    (b"(?i)^Kelvin [\\W]", 0b0000000000000),
    (b"(?i)^Kelvin [^\\W]", 0b0000000010000),
    (b"(?i)^long S s", 0b0100000000000),
    (b"(?i)LONG s \\bs", 0b0000000000000),
    (b"^a\\sb", 0b0000010000000),
    (b"^a[[:space:]]b", 0b0000011000000),
    (b"^a[\\s]b", 0b0000010000000),
    (b"^a\\vb", 0b0000001000000),
    (b"^a.b", 0b0000001000100),
    (b"(?s)^a.b", 0b0000011000100),
    (b"(?m)^b", 0b0000010000000),
    (b"(?m)a$", 0b0000010000000),
    (b"^b", 0b0000000000000),
    (b"^\\d", 0b0000000000000),
    (b"^\\pN", 0b1000000000000),
    (b"^\\p{Greek}+", 0b0000100000000),
    (b"^\\P{Greek}", 0b1111011111111),
    (b"^\\p{^Greek}", 0b1111011111111),
    (b"^\\p{L}+", 0b0101111111101),
    (b"^\\p{Lu}", 0b0100000010000),
    (b"(?i)^\\p{Lu}", 0b0101111111101),
    (b"^[\\p{Greek}]", 0b0000100000000),
    (b"^[^\\p{Greek}]", 0b1111011111111),
    (b"^x{2}", 0b0000000000000),
    (b"^x{2", 0b0000000100000),
    (b"^x\\{2\\}", 0b0000000100000),
    (b"x{,2}", 0b0000000000000),
    (b"x{1000}", 0b0000000000000),
    (b"x{02}", 0b0000000000000),
    (b"(x{10}){10}", 0b0000000000000),
    (b"(x{2}){0}", 0b1111111111111),
    (b"x*?", 0b1111111111111),
    (b"(x{2})*", 0b1111111111111),
    (b"^*", 0b1111111111111),
    (b"$*", 0b1111111111111),
    (b"\\b*", 0b1111111111111),
    (b"()*", 0b1111111111111),
    (b"()", 0b1111111111111),
    (b"(?:)+", 0b1111111111111),
    (b"(?i)", 0b1111111111111),
    (b"(?i:abc)", 0b0000000000001),
    (b"(?i-s)ABC", 0b0000000000001),
    (b"(?-i)", 0b1111111111111),
    (b"(?P<n>abc)", 0b0000000000001),
    (b"(?<n>abc)", 0b0000000000001),
    (b"(?P<n>a)(?P<n>b)", 0b1000000000001),
    (b"(?U)a+", 0b1001011001101),
    (b"[]a]", 0b1001011001101),
    (b"[^]a]", 0b1111111111111),
    (b"[a-]", 0b1001011001101),
    (b"[-a]", 0b1001011001101),
    (b"[a-b-c]", 0b1001011001111),
    (b"[[a]", 0b1001011001101),
    (b"[a&&b]", 0b1001011001111),
    (b"^w_1 A[&&]+B", 0b0001000000000),
    (b"[a~~b]", 0b1001011001111),
    (b"[[z]", 0b0001000001000),
    (b"^w_1 A&&B [[]z", 0b0001000000000),
    (b"[\\]]", 0b0001000000000),
    (b"[[:alpha:]]", 0b1101111111111),
    (b"[[:^alpha:]]", 0b1111111111111),
    (b"[[:alpha]", 0b1001011011111),
    (b"[[:word:]]+", 0b1111111111111),
    (b"[:alpha:]", 0b1001011011111),
    (b"\\01", 0b0000000000000),
    (b"\\101BC", 0b0000000000000),
    (b"\\1010", 0b0000000000000),
    (b"\\07", 0b0000000000000),
    (b"\\x41", 0b0001000000000),
    (b"\\x61bc", 0b0000000000001),
    (b"\\x{61}bc", 0b0000000000001),
    (b"\\a", 0b0000000000000),
    (b"\\f", 0b0000000000000),
    (b"\\z", 0b1111111111111),
    (b"\\Aabc", 0b0000000000001),
    (b"\\<", 0b0000000000000),
    (b"\\>", 0b0000000000000),
    (b"\\_", 0b0001000000000),
    (b"\\-", 0b0001000000000),
    (b"\\/usr", 0b0000000000010),
    (b"\\Qa.c\\E", 0b0000000000000),
    (b"\\Qa.c", 0b0000000000000),
    (b"\\Q^abc", 0b0000000000000),
    (b"\\Qab\\Ec*", 0b1000000000001),
    (b"\\Qab\\E*", 0b1001011001101),
    (b"\\d", 0b1111111111111),
    (b"\\D", 0b1111111111111),
    (b"\\S\\s\\d", 0b1111111111111),
    (b"\\bhttpd\\b", 0b0000000000010),
    (b"\\Bttpd", 0b0000000000010),
    (b"^\\B", 0b1010100000010),
    (b"sbin/httpd\\b", 0b0000000000010),
    (b"\\b\xc3\xa9", 0b0000000000000),
    (b"x{2}?", 0b0000000000000),
    (b"a{2}{,3}", 0b0000000000000),
    (b"a{,3}{2}", 0b0000000000000),
    (b"a{1,2}?b", 0b1000000000001),
    (b".{0}", 0b1111111111111),
    (b"\\x{D800}", 0b0000000000000),
    (b"[\\x{D800}]", 0b0000000000000),
    (b"[^\\x{D800}]", 0b1111111111111),
    (b"(?s).*", 0b1111111111111),
    (b"(a|b)*c", 0b1000000000001),
    (b"a(?i)B", 0b1000000000001),
    (b"a(?i)B(?-i)C", 0b0000000000000),
    (b"(a(?i)B)C", 0b0000000000000),
    (b"a|(?i)B|C", 0b1001011001111),
    (b"(?i)(?-i)ABC", 0b0000000000000),
    (b"\\pN\\d", 0b1111111111111),
    (b"[\\d-z]", 0b1111111111111),
    (b"[a-\\x{10FFFF}]", 0b1111111111111),
    (b"[\\n]", 0b0000010000000),
    (b"[^a]\\n", 0b0000000000000),
    (b"^[^a-y]", 0b1110100010010),
    (b"\xc3\xa9+", 0b0000000000000),
    (b"[\xc3\xa9-\xc3\xbc]", 0b0000000000000),
    (b"(?:a|b)|(?:c|d)*", 0b1111111111111),
    (b"(?i)\\x{17F}", 0b0100000000010),
    (b"(?i)[^k]elvin", 0b0000000000000),
    (b"(?:(?:(?:a)b)c)+", 0b0000000000001),
    (b"^[[:^space:]]+ ", 0b1111100111111),
    (b"^a\\Sb", 0b0000001000100),
    (b"[^\\S]", 0b1111111111111),
    (b"[^\\D\\W]$", 0b1111111111111),
    (b"[\\pN\\PN]", 0b1111111111111),
    (b"[^\\pN\\PN]", 0b0000000000000),
    (b"\\p{Any}", 0b1111111111111),
    (b"[^\\p{Any}]", 0b0000000000000),
    (b"\\p{Cs}", 0b0000000000000),
    (b"\\P{Cs}", 0b1111111111111),
    (b"[\\P{Cs}]", 0b1111111111111),
    (b"[^\\P{Cs}]", 0b0000000000000),
    (b"\\p{C}", 0b0000011000000),
    (b"\\p{Zs}", 0b1111111111111),
];

/// Patterns that are refused, with the agent's text after "error parsing regexp: ".
#[rustfmt::skip]
const REFUSED: &[(&[u8], &[u8])] = &[
    (b"^\\p{greek}", b"invalid character class range: `\\p{greek}`"),
    (b"^\\p{Grek}", b"invalid character class range: `\\p{Grek}`"),
    (b"^\\p{Letter}", b"invalid character class range: `\\p{Letter}`"),
    (b"\\p", b"invalid character class range: `\\p`"),
    (b"\\pX", b"invalid character class range: `\\pX`"),
    (b"\\p{", b"invalid character class range: `\\p{`"),
    (b"\\p{Foo}", b"invalid character class range: `\\p{Foo}`"),
    (b"x{2,1}", b"invalid repeat count: `{2,1}`"),
    (b"x{1001}", b"invalid repeat count: `{1001}`"),
    (b"x{2,1001}", b"invalid repeat count: `{2,1001}`"),
    (b"(x{100}){11}", b"invalid repeat count: `{11}`"),
    (b"((x{10}){10}){11}", b"invalid repeat count: `{11}`"),
    (b"(?:x{1000}){0}{2}", b"invalid nested repetition operator: `{0}{2}`"),
    (b"x**", b"invalid nested repetition operator: `**`"),
    (b"x+*", b"invalid nested repetition operator: `+*`"),
    (b"x*??", b"invalid nested repetition operator: `*??`"),
    (b"x??+", b"invalid nested repetition operator: `??+`"),
    (b"a++", b"invalid nested repetition operator: `++`"),
    (b"x{2}{3}", b"invalid nested repetition operator: `{2}{3}`"),
    (b"x{2}*", b"invalid nested repetition operator: `{2}*`"),
    (b"*", b"missing argument to repetition operator: `*`"),
    (b"+a", b"missing argument to repetition operator: `+`"),
    (b"?", b"missing argument to repetition operator: `?`"),
    (b"|*", b"missing argument to repetition operator: `*`"),
    (b"(*)", b"missing argument to repetition operator: `*`"),
    (b"(|*)", b"missing argument to repetition operator: `*`"),
    (b"a|*", b"missing argument to repetition operator: `*`"),
    (b"(abc", b"missing closing ): `(abc`"),
    (b"abc)", b"unexpected ): `abc)`"),
    (b"(", b"missing closing ): `(`"),
    (b")", b"unexpected ): `)`"),
    (b"((a)", b"missing closing ): `((a)`"),
    (b"a)b(", b"unexpected ): `a)b(`"),
    (b"(?i", b"invalid or unsupported Perl syntax: `(?i`"),
    (b"(?i:ABC", b"missing closing ): `(?i:ABC`"),
    (b"(?z)", b"invalid or unsupported Perl syntax: `(?z`"),
    (b"(?-)", b"invalid or unsupported Perl syntax: `(?-)`"),
    (b"(?i-)", b"invalid or unsupported Perl syntax: `(?i-)`"),
    (b"(?--i)", b"invalid or unsupported Perl syntax: `(?--`"),
    (b"(?P<>abc)", b"invalid named capture: `(?P<>`"),
    (b"(?P<n", b"invalid named capture: `(?P<n`"),
    (b"(?P<n!>a)", b"invalid named capture: `(?P<n!>`"),
    (b"(?<n", b"invalid named capture: `(?<n`"),
    (b"(?P=n)", b"invalid or unsupported Perl syntax: `(?P`"),
    (b"(?=a)", b"invalid or unsupported Perl syntax: `(?=`"),
    (b"(?!a)", b"invalid or unsupported Perl syntax: `(?!`"),
    (b"(?<=a)", b"invalid named capture: `(?<=a)`"),
    (b"(?<!a)", b"invalid named capture: `(?<!a)`"),
    (b"(?#c)a", b"invalid or unsupported Perl syntax: `(?#`"),
    (b"(?>a)", b"invalid or unsupported Perl syntax: `(?>`"),
    (b"(?x)a", b"invalid or unsupported Perl syntax: `(?x`"),
    (b"[", b"missing closing ]: `[`"),
    (b"[a", b"missing closing ]: `[a`"),
    (b"[]", b"missing closing ]: `[]`"),
    (b"[^]", b"missing closing ]: `[^]`"),
    (b"[a-z", b"missing closing ]: `[a-z`"),
    (b"[z-a]", b"invalid character class range: `z-a`"),
    (b"[a-\\d]", b"invalid escape sequence: `\\d`"),
    (b"[a--b]", b"invalid character class range: `a--`"),
    (b"[[:foo:]]", b"invalid character class range: `[:foo:]`"),
    (b"\\", b"trailing backslash at end of expression: ``"),
    (b"abc\\", b"trailing backslash at end of expression: ``"),
    (b"\\1", b"invalid escape sequence: `\\1`"),
    (b"\\8", b"invalid escape sequence: `\\8`"),
    (b"\\x{}", b"invalid escape sequence: `\\x{}`"),
    (b"\\x{110000}", b"invalid escape sequence: `\\x{110000`"),
    (b"\\x{zz}", b"invalid escape sequence: `\\x{z`"),
    (b"\\x6", b"invalid escape sequence: `\\x6`"),
    (b"\\x", b"invalid escape sequence: `\\x`"),
    (b"\\xg1", b"invalid escape sequence: `\\xg1`"),
    (b"\\u0061", b"invalid escape sequence: `\\u`"),
    (b"\\e", b"invalid escape sequence: `\\e`"),
    (b"\\cA", b"invalid escape sequence: `\\c`"),
    (b"\\C", b"invalid escape sequence: `\\C`"),
    (b"\\Z", b"invalid escape sequence: `\\Z`"),
    (b"\\G", b"invalid escape sequence: `\\G`"),
    (b"\\\xc3\xa9", b"invalid escape sequence: `\\\xc3\xa9`"),
    (b"\\E", b"invalid escape sequence: `\\E`"),
    (b"\xff", b"invalid UTF-8: `\xff`"),
    (b"a\xff*", b"invalid UTF-8: `\xff*`"),
    (b"(\xff", b"invalid UTF-8: `\xff`"),
    (b"(?\xff", b"invalid UTF-8: `\xff`"),
    (b"(?P<\xff>", b"invalid UTF-8: `\xff`"),
    (b"[\xff", b"invalid UTF-8: `\xff`"),
    (b"\\Qa\xffb\\Ec", b"invalid UTF-8: `\xffb`"),
    (b"\\\xff", b"invalid UTF-8: `\xff`"),
    (b"\\p{\xff}", b"invalid UTF-8: `\xff`"),
    (b"\\p\xff", b"invalid UTF-8: `\xff`"),
    (b"(?P<n\xff", b"invalid UTF-8: `\xff`"),
    (b"\\x\xff", b"invalid UTF-8: `\xff`"),
    (b"\\x1\xff", b"invalid UTF-8: `\xff`"),
    (b"((a{100}){10}){2}", b"invalid repeat count: `{2}`"),
    (b"\\p{Kirat_Rai}", b"invalid character class range: `\\p{Kirat_Rai}`"),
    (b"\\p{Unknown}", b"invalid character class range: `\\p{Unknown}`"),
];

#[test]
fn matches_are_those_of_the_agent() {
    for (pattern, expected) in MATCHES {
        let compiled = match Pattern::new(pattern) {
            Ok(compiled) => compiled,
            Err(error) => panic!("{}: {error}", pattern.escape_ascii()),
        };
        let bits =
            SUBJECTS.iter().enumerate().map(|(bit, subject)| u32::from(compiled.is_match(subject)) << bit);
        let found: u32 = bits.sum();
        assert_eq!(found, *expected, "{}: {found:#015b} for {expected:#015b}", pattern.escape_ascii());
    }
}

#[test]
fn errors_are_those_of_the_agent() {
    for (pattern, expected) in REFUSED {
        let Err(error) = Pattern::new(pattern) else { panic!("{} is accepted", pattern.escape_ascii()) };
        let expected = format!("error parsing regexp: {}", String::from_utf8_lossy(expected));
        assert_eq!(error.to_string(), expected, "{}", pattern.escape_ascii());
    }
}

#[test]
fn nesting_is_bounded_as_in_go() {
    let nested = |open: &str, middle: &str, close: &str, times: usize| {
        Pattern::new(format!("{}{middle}{}", open.repeat(times), close.repeat(times)).as_bytes())
    };
    assert!(nested("(", "a", ")", 999).is_ok());
    assert_eq!(nested("(", "a", ")", 1000).unwrap_err().kind(), PatternErrorKind::NestingDepth);
    assert!(nested("(?:", "a", ")", 2000).is_ok());
    assert!(nested("(?:a", "b", ")*", 498).unwrap().is_match(b""));
    assert_eq!(nested("(?:a", "b", ")*", 501).unwrap_err().kind(), PatternErrorKind::NestingDepth);
}

#[test]
fn what_compiles_too_large_is_refused() {
    let kind = |pattern: &[u8]| Pattern::new(pattern).map(|_| ()).map_err(|error| error.kind());
    assert_eq!(kind(br"(?i)[\pL\pN]{1000}"), Err(PatternErrorKind::TooLarge));
    assert_eq!(kind(&[b'a'; PATTERN_BYTES + 1]), Err(PatternErrorKind::TooLarge));
    assert_eq!(kind(&[b'a'; 2048]), Ok(()));
}

#[test]
fn each_bad_byte_is_one_character() {
    assert_eq!(as_go_sees(b"a\xe2\x82z"), "a\u{fffd}\u{fffd}z".as_bytes());
    assert_eq!(as_go_sees(b"\xf0\x9f\x98"), "\u{fffd}\u{fffd}\u{fffd}".as_bytes());
    assert!(matches!(as_go_sees("\u{e9}".as_bytes()), Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(pattern in proptest::collection::vec(any::<u8>(), 0..40), subject: Vec<u8>) {
        if let Ok(pattern) = Pattern::new(&pattern) {
            let _ = pattern.is_match(&subject);
        }
    }

    #[test]
    fn what_go_accepts_the_regex_crate_compiles(pattern in r"[()\[\]{}|*+?^$.\\a-f0-9,:<>iPpQEbdswxz&~ -]{0,24}") {
        if let Err(error) = Pattern::new(pattern.as_bytes()) {
            prop_assert_ne!(error.kind(), PatternErrorKind::TooLarge, "{}", pattern);
        }
    }

    #[test]
    fn a_quoted_text_matches_itself(text in "[^\\\\]{0,20}") {
        let pattern = Pattern::new(format!(r"^\Q{text}\E$").as_bytes()).unwrap();
        prop_assert!(pattern.is_match(text.as_bytes()));
    }
}

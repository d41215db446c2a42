//! Patterns against PCRE2 itself, compiled with the agent's options: the same are valid, match the same lines, with the same
//! groups.

#![allow(clippy::unwrap_used)] // a test that panics has failed

use log_follow::{Pattern, Template};

/// Patterns that PCRE2 compiles and this crate must understand alike.
const VALID: &[&str] = &[
    // text and dots
    "oom-killer",
    "MaxClients",
    "a.c",
    "a.*c",
    ".",
    "^.$",
    "^..$",
    "a\\.c",
    "\\Qa.c\\E",
    "\\Qa.c",
    "\\Qab\\E+",
    "a\\Q\\Eb",
    "\\Q*\\E{2}",
    "server reached MaxRequestWorkers",
    // anchors
    "^abc",
    "abc$",
    "^$",
    "^",
    "$",
    "\\Aabc",
    "abc\\z",
    "abc\\Z",
    "\\Gabc",
    "(?:^|x)abc",
    "^abc|def$",
    "(?m)^abc$",
    "(?s)a.c",
    "(?-m)^abc$",
    // classes
    "[abc]",
    "[^abc]",
    "[a-c]+",
    "[]a]",
    "[^]a]",
    "[a-]",
    "[-a]",
    "[a\\-z]",
    "[\\]]",
    "[\\d]+",
    "[\\w.]+@[\\w.]+",
    "[^\\d\\s]+",
    "[[:alpha:]]+",
    "[[:^alpha:]]+",
    "[[:alnum:]_]+",
    "[[:upper:]][[:lower:]]*",
    "[[:digit:]]{2,}",
    "[[:xdigit:]]{4}",
    "[[:punct:]]",
    "[[:space:]]",
    "[[:blank:]]",
    "[[:cntrl:]]",
    "[[:graph:]]+",
    "[[:print:]]+",
    "[[:word:]]+",
    "[[:ascii:]]+",
    "[^[:ascii:]]",
    "[a[:digit:]b]+",
    "[\\x41-\\x43]",
    "[\\x{e9}]",
    "[é-ü]",
    "[^é]",
    "[\\h]",
    "[\\v]",
    "[\\n]",
    "[^\\n]",
    "[\\b]",
    "[\\Qa-z\\E]",
    "[a\\Eb]",
    "[.]",
    "[$^*]",
    "[[]",
    "[a-z&&[b]]",
    "[~~]",
    "[\\w-]",
    "[a-\\x{7a}]",
    "[\\101-\\103]",
    "[\\0]",
    "[:a]",
    "[[:a]",
    "[a-c-e]",
    "[[:<:]]abc",
    "abc[[:>:]]",
    // escapes
    "\\d+",
    "\\D+",
    "\\w+",
    "\\W",
    "\\s",
    "\\S+",
    "\\h",
    "\\H+",
    "\\v",
    "\\V+",
    "\\N+",
    "\\R",
    "a\\Rb",
    "\\t",
    "\\x41",
    "\\x{41}",
    "\\x{1F600}",
    "\\x4",
    "\\101",
    "\\o{101}",
    "\\0101",
    "\\e",
    "\\a",
    "\\f",
    "\\cA",
    "\\c[",
    "\\N{U+41}",
    "\\p{L}+",
    "\\p{Lu}",
    "\\pL+",
    "\\PL",
    "\\p{^L}",
    "\\P{^L}",
    "\\p{Han}",
    "\\p{Hiragana}+",
    "\\p{Greek}",
    "\\p{Any}",
    "\\p{L&}",
    "\\p{Xan}+",
    "\\p{Xwd}+",
    "\\p{Xsp}",
    "\\p{Nd}",
    "[\\p{Lu}\\d]+",
    "\\$\\^\\(\\)",
    "\\-\\!\\@",
    "\\é",
    "\\bfoo\\b",
    "\\Bfoo",
    "foo\\B",
    "\\B",
    "\\b",
    // quantifiers
    "a?",
    "a+b",
    "ab*c",
    "a{2}",
    "a{2,}",
    "a{2,3}",
    "a{0}b",
    "a{x}",
    "a{",
    "{",
    "}",
    "]",
    "x{1,2}?y",
    "a+?b",
    "a*?b",
    "a??b",
    "a++b",
    "a*+b",
    "a?+b",
    "a{1,2}+b",
    "a++a",
    "(?U)a+b",
    "(?U)a+?b",
    "(?:ab){2,}",
    "(a|b)*c",
    "(a|ab)(c|bcd)(d*)",
    "(?:a|ab)(?:c|bcd)",
    "(?=a){2}a",
    "\\N{2}",
    "\\08",
    "\\18",
    "\\377",
    "\\p{Latin }",
    "\\p{Script=Greek}",
    "\\p{sc:Greek}+",
    "\\p{Alphabetic}+",
    // groups
    "(?|(?<n>a)|(?<n>b))c",
    "(?<é>a)b",
    "(abc)",
    "(?:abc)",
    "(a)(b)(c)",
    "((a)(b))",
    "(a)|(b)",
    "(a)|b",
    "(?:(a)|b)*",
    "(?<name>a+)b",
    "(?'name'a+)b",
    "(?P<name>a+)b",
    "(?<name>a)\\k<name>",
    "(?<name>a)\\k{name}",
    "(?<name>a)\\k'name'",
    "(?<name>a)\\g{name}",
    "(?P<name>a)(?P=name)",
    "(a)\\1",
    "(a)\\g1",
    "(a)\\g{1}",
    "(a)(b)\\g{-1}",
    "(a)(b)\\g-2",
    "(\\w+) \\1",
    "(a)\\10",
    "(?i)(a)\\1",
    "(a)(?i)\\1",
    "(?|(a)x|(b)y)z",
    "(?|(a)x|(b)(c)y)(z)?",
    "(?>a+)b",
    "(?>a+)ab",
    "(?>a|ab)c",
    "()",
    "(|a)b",
    "a||b",
    "(a|)",
    "(?J)(?<n>a)|(?<n>b)",
    "(?n)(a)(?<x>b)",
    "\\1(a)",
    "(?:\\1b|(a))+",
    // flags
    "(?i)abc",
    "(?i:abc)d",
    "a(?i)bc",
    "a(?i:b)c",
    "(a(?i)b|c)d",
    "(?i)a(?-i)b",
    "(?^)a",
    "(?i)(?^:a)b",
    "(?x)a b # comment",
    "(?x: a b )c d",
    "(?xx)[a b]c",
    "(?i)straße",
    "(?i)ÉCOLE",
    "(?i)k",
    "(?i)ſ",
    "(?i)[a-c]+",
    "(?i)[^a]",
    "(?i)[[:upper:]]+",
    "(?i)\\x{e9}",
    "(?i)σ",
    "a(?#comment)b",
    "a(?#comment)*b",
    "(?C)a",
    "(?C1)a",
    "(?)a",
    "(?-)a",
    "(?:)a",
    // look-around
    "foo(?=bar)",
    "foo(?!bar)",
    "(?<=foo)bar",
    "(?<!foo)bar",
    "(?<=a|bc)d",
    "(?<!a|bc)d",
    "(?<=\\d{3})x",
    "(?=.*a)(?=.*b)c",
    "^(?!.*error).*$",
    "^(?!.*(debug|info)).*oom",
    "(?<=^)abc",
    "(?<=é)a",
    "(?<=\\b)abc",
    "foo\\Kbar",
    "(?=(a+))a*b\\1",
    "(?=(\\w+))\\1:",
    "(?!)a|b",
    "(?=a)*b",
    "(?=a)+a",
    "(?=a)?b",
    "(?<=(?<!a)b)c",
    "(*pla:a)a",
    "(*positive_lookahead:a)a",
    "(*nla:a)b",
    "(*plb:a)b",
    "(*nlb:a)b",
    "(*atomic:a+)b",
    // conditions
    "(a)?(?(1)b|c)",
    "(?<n>a)?(?(<n>)b|c)",
    "(?<n>a)?(?('n')b|c)",
    "(?<n>a)?(?(n)b|c)",
    "(?(?=a)ab|cd)",
    "(?(?!a)cd|ab)",
    "(a)?(?(1)b)",
    "(a)?b(?(-1)c|d)",
    "(?(DEFINE)(?<x>a))b",
    "^(?:(\\()|x)a(?(1)\\))$",
    // verbs without effect
    "(*UTF)abc",
    "(*NO_START_OPT)abc",
    "(*LIMIT_MATCH=100000)abc",
    "(*F)|a",
    "a(*FAIL)|b",
    // the patterns of real templates
    "(?i)(error|fail(ed|ure)?|fatal)",
    "^\\[(\\w{3} \\w{3} \\d{2} \\d{2}:\\d{2}:\\d{2}\\.\\d{6} \\d{4})\\] \\[mpm_prefork:error\\]",
    "(\\d{1,3}\\.){3}\\d{1,3}",
    "client ([^ :]+):?(\\d+)?",
    "\"(GET|POST) ([^\" ]+)[^\"]*\" (5\\d\\d)",
    "Out of memory: Kill(?:ed)? process (\\d+) \\((.+?)\\)",
    "^(?=.*oom)(?!.*test).*$",
    "((25[0-5]|2[0-4]\\d|1?\\d?\\d)(\\.|$)){4}",
    "\\bERR(OR)?\\b(?!.*ignored)",
    "日本語",
    "[ぁ-ん]+",
    "エラー.*発生",
];

/// Patterns that PCRE2 refuses.
const INVALID: &[&str] = &[
    "(",
    ")",
    "a)",
    "(a",
    "(?:a",
    "[",
    "[a",
    "[]",
    "[^]",
    "[z-a]",
    "[\\d-z]",
    "[a-\\d]",
    "[[:alpha:]-z]",
    "[[:foo:]]",
    "[[.a.]]",
    "[[=a=]]",
    "[:alpha:]",
    "*",
    "+a",
    "?",
    "a**",
    "^*abc",
    "$*",
    "\\b+",
    "\\A*",
    "\\z?",
    "\\K*",
    "(?i)*a",
    "[a--z]",
    "x{2}{3}",
    "(?=a\\K)",
    "(?<=a\\Kb)c",
    "(?|(?<n>a)|(?<m>b))",
    "(?<n>a)(?|(?<n>b))",
    "\\p{IsGreek}",
    "\\p{Letter}",
    "(?:a)\\8",
    "\\81",
    "(?P<",
    "(?'a",
    "[[:alpha:]",
    "[a-[:digit:]]",
    "\\x{}",
    "\\o{}",
    "a+*",
    "(*)",
    "(?:*)",
    "a|*",
    "{1}",
    "a{1}{2}{3}*+*",
    "a{3,2}",
    "a{65536}",
    "a{99999999999}",
    "\\",
    "a\\",
    "\\y",
    "\\i",
    "\\j",
    "\\l",
    "\\L",
    "\\u0041",
    "\\U",
    "\\N{SPACE}",
    "\\x{110000}",
    "\\x{d800}",
    "\\x{g}",
    "\\x{",
    "\\o101",
    "\\o{9}",
    "\\c",
    "\\cé",
    "\\p{Foo}",
    "\\p",
    "\\p{L",
    "\\k",
    "\\k<x>",
    "\\k{x",
    "\\g",
    "\\g{0}",
    "\\g{-1}",
    "\\1",
    "(a)\\2",
    "\\8",
    "(?<1a>x)",
    "(?<>x)",
    "(?<a",
    "(?<a-b>x)",
    "(?P<n>a)(?P<n>b)",
    "(?P=n)",
    "(?P!n)",
    "(?z)",
    "(?i",
    "(?i-i-i)",
    "(?",
    "(?#abc",
    "(?<=a+)b",
    "(?<!a*)b",
    "(?<=",
    "(?(1)a|b|c)(x)",
    "(?(1)a)",
    "(?(<x>)a)",
    "(?(x",
    "(?()a)",
    "(?(0)a)",
    "(?(DEFINE)a|b)",
    "(?C256)",
    "(?C1",
    "(*FOO)",
    "(*foo:a)",
    "(*F",
    "[\\B]",
    "[\\R]",
    "[\\X]",
    "[\\N]",
    "\\Qa\\E**",
];

/// Valid in PCRE2, refused here, each with a text that names it.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("(a(?R)?b)", "recursion"),
    ("(a)(?1)", "recursion"),
    ("(?<x>a)(?&x)", "recursion"),
    ("(?<x>a)(?P>x)", "recursion"),
    ("(a)\\g<1>", "recursion"),
    ("\\X", "\\X"),
    ("\\C", "\\C"),
    ("(*UCP)\\w", "(*UCP)"),
    ("a(*COMMIT)b", "(*COMMIT)"),
    ("a(*SKIP)b", "(*SKIP)"),
    ("a(*ACCEPT)b", "(*ACCEPT)"),
];

const LINES: &[&[u8]] = &[
    b"",
    b"a",
    b"b",
    b"ab",
    b"ba",
    b"abc",
    b"ABC",
    b"aab",
    b"aaab",
    b"aaa",
    b"abab",
    b"xabcx",
    b"xabc",
    b"abcx",
    b"a.c",
    b"abd",
    b"ac",
    b"bc",
    b"cd",
    b"abcd",
    b"axz byz bcyz",
    b"foobar",
    b"barfoo",
    b"foo bar",
    b"foo",
    b"a a",
    b"aA",
    b"word word",
    b"key: key:",
    b"(a)",
    b"xa",
    b"a-z",
    b"a]",
    b"[a]",
    b"a{x}",
    b"a{,3}x aaax",
    b"**",
    b"$^()",
    b"-!@",
    b"ab+",
    b"\t",
    b"a\x0bb",
    b"a\x0cb",
    b"\x07\x1b\x01",
    b"tab\there",
    "é".as_bytes(),
    "École école ÉCOLE".as_bytes(),
    "straße STRASSE".as_bytes(),
    "éa".as_bytes(),
    "aé".as_bytes(),
    "\u{a0}\u{2003}\u{3000}".as_bytes(),
    "a\u{85}b\u{2028}c".as_bytes(),
    "K\u{212a}k".as_bytes(),
    "sS\u{17f}".as_bytes(),
    "Σσς".as_bytes(),
    "日本語のログ: エラーが発生しました".as_bytes(),
    "ひらがな".as_bytes(),
    "\u{1f600}".as_bytes(),
    b"caf\xe9 latin1",
    b"\xff\xfe",
    b"a\xffb",
    b"foo\xffbar",
    b"\x80abc",
    b"abc\xc3",
    b"kernel: httpd invoked oom-killer: gfp_mask=0x201da",
    b"Out of memory: Killed process 4711 (httpd) total-vm:123kB",
    b"[Tue Jan 02 03:04:05.678901 2024] [mpm_prefork:error] [pid 1] AH00161: server reached MaxRequestWorkers setting",
    b"10.0.0.7 - - \"GET /index.html HTTP/1.1\" 503 17",
    b"client 10.0.0.7:4711 refused",
    b"ERROR something failed",
    b"ERR ignored",
    b"error: MaxClients reached",
    b"user@example.org",
    b"123x45",
    b"255.255.255.0",
    b"debug oom",
    b"  leading",
    b"trailing  ",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaa",
    b"_x9",
];

/// The agents of Debian 12 have PCRE2 10.42, the reference of this test is newer: where they differ, this crate does as 10.42.
const REFUSED_BY_10_42: &[&str] =
    &["(?<=a{1,3})b", "(?<=ab(c|de))f", "(?<abcdefghijklmnopqrstuvwxyzabcdefghijklmn>a)"];

/// The reference for lines that are not UTF-8: as the agent from 7.0 on, invalid bytes match nothing. The binding sets
/// that option together with UCP only, and `(?a)` takes the effects of UCP away again.
fn tolerant_oracle(pattern: &str) -> Result<pcre2::bytes::Regex, pcre2::Error> {
    pcre2::bytes::RegexBuilder::new().ucp(true).multi_line(true).build(&format!("(?a){pattern}"))
}

fn oracle(pattern: &str) -> Result<pcre2::bytes::Regex, pcre2::Error> {
    pcre2::bytes::RegexBuilder::new().utf(true).multi_line(true).build(pattern)
}

type Found = Option<Vec<Option<Vec<u8>>>>;

fn theirs(regex: &pcre2::bytes::Regex, line: &[u8]) -> Found {
    let captures = regex.captures(line).expect("within its limits")?;
    Some((0..captures.len()).map(|i| captures.get(i).map(|m| m.as_bytes().to_vec())).collect())
}

fn ours(pattern: &Pattern, line: &[u8]) -> Found {
    let captures = pattern.captures(line)?;
    Some((0..=captures.groups()).map(|i| captures.get(i).map(<[u8]>::to_vec)).collect())
}

/// PCRE2 reports as many groups as were set, or all of them; groups at the end that took no part do not count.
fn trimmed(mut found: Found) -> Found {
    if let Some(groups) = &mut found {
        while groups.last().is_some_and(Option::is_none) {
            groups.pop();
        }
    }
    found
}

#[test]
fn valid_patterns_match_the_same_lines_with_the_same_groups() {
    let mut differences = Vec::new();
    let mut compared = 0;
    for text in VALID {
        let regex = match oracle(text) {
            Ok(regex) => regex,
            Err(e) => {
                differences.push(format!("{text:?}: the reference refuses it: {e}"));
                continue;
            }
        };
        let pattern = match Pattern::new(text) {
            Ok(pattern) => pattern,
            Err(e) => {
                differences.push(format!("{text:?}: refused: {e}"));
                continue;
            }
        };
        for line in LINES {
            let text_line = std::str::from_utf8(line).is_ok();
            let can_be_empty = regex.is_match(b"").unwrap();
            if !text_line && (can_be_empty || text.starts_with("(*") || text.contains("(?^")) {
                continue;
            }
            compared += 1;
            let regex = if text_line { &regex } else { &tolerant_oracle(text).unwrap() };
            let (theirs, ours) = (trimmed(theirs(regex, line)), trimmed(ours(&pattern, line)));
            if theirs != ours || pattern.is_match(line) != ours.is_some() {
                let line = line.escape_ascii();
                differences.push(format!("{text:?} on \"{line}\": PCRE2 {theirs:?}, here {ours:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(VALID.len() >= 200, "only {} patterns", VALID.len());
    assert!(compared >= VALID.len() * (LINES.len() - 7), "only {compared} comparisons");
}

#[test]
fn what_pcre2_refuses_is_refused() {
    let mut differences = Vec::new();
    for text in INVALID {
        if oracle(text).is_ok() {
            differences.push(format!("{text:?}: the reference takes it"));
        }
        if let Ok(pattern) = Pattern::new(text) {
            differences.push(format!("{text:?}: taken as {pattern:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn errors_are_worded_as_pcre2_words_them() {
    let mut differences = Vec::new();
    for text in INVALID {
        let (Err(theirs), Err(ours)) = (oracle(text), Pattern::new(text)) else { continue };
        // Newer versions say it in other words, because they allow more.
        let reworded = ours.reason.starts_with("digits missing")
            || ours.reason == "lookbehind assertion is not fixed length"
            || *text == "\\x{";
        if !reworded && !theirs.to_string().contains(&ours.reason) {
            differences.push(format!("{text:?}: PCRE2 \"{theirs}\", here \"{ours}\""));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn differences_between_versions_follow_10_42() {
    for text in REFUSED_BY_10_42 {
        assert!(Pattern::new(text).is_err(), "{text:?}");
    }
    assert!(!Pattern::new(r"(?i)\p{Lu}").unwrap().is_match(b"a"));
    assert!(Pattern::new(r"\x").is_ok() && Pattern::new(r"(?<=\R)b").is_err());
    // A quantifier since 10.43, text before.
    assert!(Pattern::new("a{,3}x").unwrap().is_match(b"a{,3}x"));
    assert!(!Pattern::new("a{,3}x").unwrap().is_match(b"aax"));
}

#[test]
fn what_is_not_supported_is_named() {
    for (text, name) in UNSUPPORTED {
        assert!(oracle(text).is_ok(), "{text:?} is valid in PCRE2");
        let error = Pattern::new(text).expect_err(text);
        assert!(error.reason.contains(name), "{text:?}: {error}");
    }
}

#[test]
fn templates_replace_groups_and_keep_the_rest() {
    let pattern = Pattern::new("(a)(b)(c)(d)(e)(f)(g)(h)(i)(x)?").unwrap();
    let captures = pattern.captures(b"<abcdefghi>").unwrap();
    let cases = [
        ("", "<abcdefghi>"),
        (r"\0", "abcdefghi"),
        (r"\1\2\3\4\5\6\7\8\9", "abcdefghi"),
        (r"\9\1", "ia"),
        (r"[\1] and \\1", r"[a] and \1"),
        (r"\10", "a0"),
        (r"\n\@", r"\n\@"),
        ("text", "text"),
        (r"end\", r"end\"),
        (r"日\1本", "日a本"),
    ];
    for (template, expected) in cases {
        assert_eq!(Template::new(template).apply(&captures), expected, "{template:?}");
    }
    let pattern = Pattern::new("(x)?(a)").unwrap();
    assert_eq!(Template::new(r"<\1\2\3>").apply(&pattern.captures(b"a").unwrap()), "<a>");
}

#[test]
fn without_groups_refers_as_the_agent_compiles_it() {
    // No back-reference by number in the text: plain parentheses do not capture.
    assert!(Pattern::without_groups("(a)?(?(1)b|c)").is_err());
    assert!(Pattern::without_groups("(?<n>a)?(?(n)b|c)").is_ok());
    // With one they do.
    assert!(Pattern::without_groups(r"(a)\1").unwrap().is_match(b"aa"));
    assert_eq!(Pattern::without_groups("(a)").unwrap().captures(b"a").unwrap().groups(), 0);
}

#[test]
fn failure_12_pattern_blow_up_ends() {
    let line = [b"a".repeat(5000), b"!".to_vec()].concat();
    // Exponential in a backtracking engine, linear here.
    assert!(!Pattern::new("(a+)+$").unwrap().is_match(&line));
    // Needs backtracking: it gives up, and the line does not match.
    assert!(!Pattern::new(r"^(?=(a+)+$)(a+)+\2b$").unwrap().is_match(&line));
    assert!(!Pattern::new(r"(a|aa)+(?<!x)\1\1b").unwrap().is_match(&line));
}

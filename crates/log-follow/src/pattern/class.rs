//! Sets of characters by the names that PCRE2 gives them, without UCP: the named classes are ASCII.

use super::ast::{negated, set};
use regex_syntax::hir::{Class, ClassUnicode, HirKind};

pub(super) fn digit() -> ClassUnicode {
    set(&[(0x30, 0x39)])
}

pub(super) fn word() -> ClassUnicode {
    set(&[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)])
}

pub(super) fn space() -> ClassUnicode {
    set(&[(0x09, 0x0d), (0x20, 0x20)])
}

pub(super) fn horizontal() -> ClassUnicode {
    set(&[
        (0x09, 0x09),
        (0x20, 0x20),
        (0xa0, 0xa0),
        (0x1680, 0x1680),
        (0x180e, 0x180e),
        (0x2000, 0x200a),
        (0x202f, 0x202f),
        (0x205f, 0x205f),
        (0x3000, 0x3000),
    ])
}

pub(super) fn vertical() -> ClassUnicode {
    set(&[(0x0a, 0x0d), (0x85, 0x85), (0x2028, 0x2029)])
}

/// Everything but LF, which is what `.` and `\N` mean; in a line there is no LF anyway.
pub(super) fn any() -> ClassUnicode {
    negated(set(&[(0x0a, 0x0a)]))
}

/// A class of `[:name:]`. With `caseless`, `upper` and `lower` are `alpha`, as in PCRE2.
pub(super) fn posix(name: &str, caseless: bool) -> Option<ClassUnicode> {
    let ranges: &[(u32, u32)] = match name {
        "upper" | "lower" if caseless => &[(0x41, 0x5a), (0x61, 0x7a)],
        "alpha" => &[(0x41, 0x5a), (0x61, 0x7a)],
        "lower" => &[(0x61, 0x7a)],
        "upper" => &[(0x41, 0x5a)],
        "alnum" => &[(0x30, 0x39), (0x41, 0x5a), (0x61, 0x7a)],
        "ascii" => &[(0, 0x7f)],
        "blank" => &[(0x09, 0x09), (0x20, 0x20)],
        "cntrl" => &[(0, 0x1f), (0x7f, 0x7f)],
        "digit" => &[(0x30, 0x39)],
        "graph" => &[(0x21, 0x7e)],
        "print" => &[(0x20, 0x7e)],
        "punct" => &[(0x21, 0x2f), (0x3a, 0x40), (0x5b, 0x60), (0x7b, 0x7e)],
        "space" => &[(0x09, 0x0d), (0x20, 0x20)],
        "word" => return Some(word()),
        "xdigit" => &[(0x30, 0x39), (0x41, 0x46), (0x61, 0x66)],
        _ => return None,
    };
    Some(set(ranges))
}

/// The set behind `\p{name}`. PCRE2's own inventions first, the rest from Unicode's tables.
pub(super) fn property(name: &str) -> Option<ClassUnicode> {
    if let Some(positive) = name.strip_prefix('^') {
        return property(positive).map(negated);
    }
    let plain: String =
        name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect::<String>().to_lowercase();
    match plain.as_str() {
        "any" => Some(set(&[(0, 0xd7ff), (0xe000, 0x0010_ffff)])),
        "l&" => property("LC"),
        "xan" => Some(union(property("L")?, &property("N")?)),
        "xwd" => Some(union(union(property("L")?, &property("N")?), &set(&[(0x5f, 0x5f)]))),
        "xsp" | "xps" => Some(union(property("Z")?, &union(horizontal(), &vertical()))),
        _ => from_tables(name),
    }
}

fn from_tables(name: &str) -> Option<ClassUnicode> {
    // The name is put between braces of a pattern: nothing but a name may get there.
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '=');
    let name = name.replacen(':', "=", 1);
    let plain = name.to_lowercase();
    let long_category = ["letter", "mark", "number", "punctuation", "symbol", "separator", "other"]
        .iter()
        .any(|category| plain.ends_with(category));
    if name.is_empty() || !name.chars().all(is_name) || plain.starts_with("is") || long_category {
        return None;
    }
    let hir = regex_syntax::parse(&format!(r"\p{{{}}}", name.trim())).ok()?;
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        _ => None,
    }
}

pub(super) fn union(mut a: ClassUnicode, b: &ClassUnicode) -> ClassUnicode {
    a.union(b);
    a
}

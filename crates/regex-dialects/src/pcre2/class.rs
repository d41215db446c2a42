//! Sets of characters by PCRE2's names, without UCP: the named classes are ASCII.

use regex_syntax::hir::{Class, ClassUnicode, HirKind};

use super::ast::{negated, set};
use crate::ascii;

pub(super) fn digit() -> ClassUnicode {
    set(ascii::DIGIT)
}

pub(super) fn word() -> ClassUnicode {
    set(ascii::WORD)
}

pub(super) fn space() -> ClassUnicode {
    set(ascii::SPACE)
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

/// Returns everything except LF, the meaning of `.` and `\N`. A line contains no LF anyway.
pub(super) fn any() -> ClassUnicode {
    negated(set(&[(0x0a, 0x0a)]))
}

/// Returns the class of `[:name:]`. With `caseless`, `upper` and `lower` are `alpha`, as in PCRE2.
pub(super) fn posix(name: &str, caseless: bool) -> Option<ClassUnicode> {
    let folds = caseless && matches!(name, "upper" | "lower");
    let ranges = if folds { ascii::ALPHA } else { ascii::posix(name.as_bytes())? };
    Some(set(ranges))
}

/// Returns the set of `\p{name}`: PCRE2's own names first, the others from Unicode's tables.
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
    // The name is inserted between the braces of a pattern, so only characters of names are allowed.
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

//! Lines that mail programs, terminals and chat windows broke in two.
//!
//! A line is the rest of the line before it if that one is incomplete, both together have the wording of the kernel,
//! and the rest has no prefix of its own. The forms are strict, because in a text without prefixes every line may
//! look like a rest.

use crate::kernel;
use crate::scan;

const LIMIT: &[u8] = b"killed as a result of limit of ";
/// Limit of the text between the pid and the name (`, UID 48, `).
const BEFORE_NAME_MAX: usize = 32;

/// Whether the next line may be the rest of this message.
pub(crate) fn may_continue(message: &[u8]) -> bool {
    let message = message.trim_ascii_end();
    is_begun_constraint(message)
        || is_begun_limit(message)
        || is_begun_selection(message)
        || kill_tail(message).is_some_and(is_begun_kill)
}

/// Returns the text between a message and its next line; none if they do not belong together.
pub(crate) fn separator(message: &[u8], next: &[u8]) -> Option<&'static [u8]> {
    let message = message.trim_ascii_end();
    if is_begun_constraint(message) {
        return (!next.is_empty() && !next.contains(&b' ')).then_some(b"");
    }
    if is_begun_limit(message) {
        return is_limit(&[message, b" ", next].concat()).then_some(b" ");
    }
    if is_begun_selection(message) && next.starts_with(b"score ") {
        return Some(b" ");
    }
    let tail = kill_tail(message)?;
    let separator: &[u8] = if is_broken_within_field(message, next) { b"" } else { b" " };
    let is_one = match closed_name(tail) {
        Some(sizes) => is_sizes(&[sizes, separator, next].concat()),
        None => is_kill(&[tail, separator, next].concat()),
    };
    is_one.then_some(separator)
}

/// `oom-kill:constraint=...` ends in `,pid=1,uid=0`, and only a name in it contains blanks.
fn is_begun_constraint(message: &[u8]) -> bool {
    let has_end = scan::rcut(message, b",uid=").is_some_and(|(_, uid)| scan::id(uid).is_some());
    message.starts_with(b"oom-kill:constraint=") && !has_end
}

fn is_begun_limit(message: &[u8]) -> bool {
    is_limit(message) && scan::cut(message, LIMIT).is_none_or(|(_, path)| path.is_empty())
}

/// `Task in /a killed as a result of limit of /b`, or the first words of it.
fn is_limit(message: &[u8]) -> bool {
    let Some(rest) = message.strip_prefix(b"Task in /") else { return false };
    let (_path, words) = scan::word(rest);
    match words.strip_prefix(LIMIT) {
        Some(path) => path.is_empty() || path.starts_with(b"/"),
        None => LIMIT.starts_with(words),
    }
}

/// `Out of memory: Kill process 7 (x)`, without its score.
fn is_begun_selection(message: &[u8]) -> bool {
    let is_verb = |verb: &[u8]| memchr::memmem::find(message, verb).is_some();
    message.ends_with(b")") && (is_verb(b": Kill process ") || is_verb(b": kill process "))
}

/// Returns the text after `Killed process`.
fn kill_tail(message: &[u8]) -> Option<&[u8]> {
    let (before, tail) = scan::cut(message, b"illed process")?;
    matches!(before.last(), Some(b'K' | b'k')).then_some(tail)
}

fn is_begun_kill(tail: &[u8]) -> bool {
    let is_whole = memchr::memmem::find(tail, b"oom_score_adj:").is_some();
    !is_whole && closed_name(tail).map_or_else(|| is_kill(tail), is_sizes)
}

/// Returns the text after the name, if its parenthesis is closed.
fn closed_name(tail: &[u8]) -> Option<&[u8]> {
    Some(scan::rcut(scan::cut(tail, b"(")?.1, b")")?.1)
}

/// ` 77, UID 48, (x) total-vm:10kB, anon-rss:7kB`, or any beginning of it that does not end in the name.
fn is_kill(tail: &[u8]) -> bool {
    let Some((_, rest)) = scan::id(tail.trim_ascii_start()) else { return tail.trim_ascii().is_empty() };
    let (before, named) = match scan::cut(rest, b"(") {
        Some((before, named)) => (before, Some(named)),
        None => (rest, None),
    };
    let is_uid = |word: &[u8]| word.is_empty() || word == b"UID" || is_number(word);
    let is_before_name =
        before.len() <= BEFORE_NAME_MAX && before.split(|b| matches!(b, b' ' | b',')).all(is_uid);
    let sizes = named.map(|named| scan::rcut(named, b")"));
    is_before_name && sizes.is_none_or(|sizes| sizes.is_some_and(|(_, sizes)| is_sizes(sizes)))
}

/// Fields with sizes. The last one may be cut.
fn is_sizes(sizes: &[u8]) -> bool {
    let words = || sizes.split(|b| matches!(b, b' ' | b',')).filter(|word| !word.is_empty());
    let Some(last) = words().next_back() else { return true };
    let before_last = words().count() - 1;
    let is_word = |word: &[u8]| is_field(word) || is_number(word) || matches!(word, b"UID" | b"score");
    words().take(before_last).all(is_word) && (is_word(last) || begins_field(last))
}

fn is_number(word: &[u8]) -> bool {
    scan::number(word).is_some_and(|(_, rest)| rest.is_empty())
}

fn is_field(word: &[u8]) -> bool {
    let Some((key, value)) = scan::cut(word, b":") else { return false };
    let value = value.strip_prefix(b"-").unwrap_or(value);
    kernel::SIZES.contains(&key)
        && scan::number(value).is_some_and(|(_, unit)| matches!(unit, b"" | b"k" | b"kB"))
}

fn begins_field(word: &[u8]) -> bool {
    match word.strip_suffix(b":") {
        Some(key) => kernel::SIZES.contains(&key),
        None => kernel::SIZES.iter().any(|key| key.starts_with(word)),
    }
}

/// Mail programs break at blanks and after hyphens, terminals anywhere.
fn is_broken_within_field(message: &[u8], next: &[u8]) -> bool {
    let (Some(last), Some(first)) = (message.last(), next.first()) else { return false };
    let is_number = last.is_ascii_digit() && (first.is_ascii_digit() || next.starts_with(b"kB"));
    let is_word = message.ends_with(b"process") || message.ends_with(b"kB");
    let is_key = last.is_ascii_alphabetic() && !is_word;
    is_number || is_key || matches!(last, b'-' | b':' | b'_') || matches!(first, b'-' | b':' | b'_' | b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KILL: &str = "Memory cgroup out of memory: Killed process 1122 (stress) total-vm:719740kB, anon-rss:522880kB, \
                        file-rss:536kB, shmem-rss:0kB, UID:0 pgtables:1072kB oom_score_adj:0";

    /// Joins as the parser does.
    fn join(pieces: &[&str]) -> Option<String> {
        let mut whole = pieces[0].to_owned();
        for next in &pieces[1..] {
            if !may_continue(whole.as_bytes()) {
                return None;
            }
            let separator = separator(whole.as_bytes(), next.as_bytes())?;
            whole = format!("{}{}{next}", whole.trim_end(), String::from_utf8_lossy(separator));
        }
        Some(whole)
    }

    #[test]
    fn kill_broken_at_any_byte_outside_its_name_is_joined() {
        let name = KILL.find('(').unwrap()..KILL.find(')').unwrap();
        let verb = KILL.find("Killed process").unwrap() + "Killed process".len();
        for at in (verb..KILL.len()).filter(|at| !name.contains(&(at - 1))) {
            let (first, rest) = KILL.split_at(at);
            if first.contains("oom_score_adj:") {
                continue;
            }
            let joined = join(&[first, rest.trim_start()]);
            assert_eq!(joined.as_deref(), Some(KILL), "{at}");
        }
    }

    #[test]
    fn other_lines_are_joined() {
        let limit = "Task in /docker/ab killed as a result of limit of /docker/ab";
        let constraint = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/a,task_memcg=/a/b,task=x,pid=7,uid=0";
        for (whole, pieces) in [
            (limit, vec!["Task in /docker/ab killed as a result of limit", "of /docker/ab"]),
            (limit, vec!["Task in /docker/ab killed", "as a result", "of limit of", "/docker/ab"]),
            (
                constraint,
                vec![
                    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom",
                    "_memcg=/a,task_m",
                    "emcg=/a/b,task=x,pid=7,uid=0",
                ],
            ),
            (
                "Out of memory: Kill process 7 (x) score 9 or sacrifice child",
                vec!["Out of memory: Kill process 7 (x)", "score 9 or sacrifice child"],
            ),
        ] {
            assert_eq!(join(&pieces).as_deref(), Some(whole));
        }
    }

    #[test]
    fn unrelated_lines_are_not_joined() {
        for (message, next) in [
            ("Killed process 7 (x)", "(y)"),
            ("Killed process 7 (x)", "Mem-Info:"),
            ("Killed process 7 (x) total-vm:10kB", "oom_reaper: reaped process 7 (x), now anon-rss:0kB"),
            ("Killed process 7 (x) total-vm:10kB", "Killed process 8 (y) total-vm:10kB"),
            ("Killed process 7 (a", "b) total-vm:10kB"),
            ("Killed process", "x"),
            ("Killed process 7", "x (y)"),
            ("Out of memory: Kill process 7 (x)", "Killed process 7 (x)"),
            ("Task in /a killed as a result of limit of", "a limit"),
            (
                "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/a",
                "Memory cgroup out of memory: Killed process 7 (x)",
            ),
            ("oom-kill:constraint=CONSTRAINT_NONE,task=x,pid=7,uid=0", "x"),
            ("Killed process 7 (x) total-vm:10kB, oom_score_adj:0", "UID:5"),
        ] {
            let joined = may_continue(message.as_bytes())
                .then(|| separator(message.as_bytes(), next.as_bytes()))
                .flatten();
            assert!(joined.is_none(), "{message:?} {next:?}");
        }
    }
}

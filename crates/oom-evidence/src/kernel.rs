//! The kernel's wording, from mm/oom_kill.c and mm/memcontrol.c of 2.6.9 to 6.18 and of vendors' kernels.

use crate::report::{Constraint, Reaped, Selection, Victim};
use crate::scan;

/// The kernel's limit for a name.
const COMM_MAX: usize = 15;
/// Log daemons escape one byte as four.
pub(crate) const NAME_MAX: usize = 64;
/// The kernel's limit for a path. Its limit for a line (about 1000 bytes) is lower.
pub(crate) const PATH_MAX: usize = 4096;
/// The fields after a victim's name, in all kernels.
pub(crate) const SIZES: [&[u8]; 11] = [
    b"total-vm",
    b"anon-rss",
    b"file-rss",
    b"shmem-rss",
    b"UID",
    b"pgtables",
    b"oom_score_adj",
    b"vsz",
    b"vm",
    b"rss",
    b"swap",
];

/// A message of the kernel.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// `NAME invoked oom-killer: gfp_mask=...`; 2.6.9 has no name.
    Header { invoker: Option<&'a [u8]> },
    /// `oom-kill:constraint=...` (5.0).
    Constraint(ConstraintLine<'a>),
    /// `Task in A killed as a result of limit of B` and `Memory limit reached of cgroup B`.
    Limit { task: Option<&'a [u8]>, cgroup: Option<&'a [u8]> },
    /// `Out of memory: Kill process N (X) score S or sacrifice child`.
    Select { wording: Wording, selection: Selection },
    /// `Killed process N (X) ...`, with the first part of a name that does not end on its line.
    Kill { wording: Wording, victim: Box<Victim>, unfinished: Option<&'a [u8]> },
    /// `Tasks in A are going to be killed due to memory.oom.group set` (4.19).
    Group { cgroup: &'a [u8] },
    /// `oom_reaper: reaped process N (X), now ...` (4.6).
    Reaped(Reaped),
    /// `Out of memory and no killable processes...`.
    NoKillable,
    /// `Kernel panic - not syncing: ...`, because memory is exhausted.
    Panic,
    /// `Linux version ...`: another boot.
    Boot,
}

/// The fields of `oom-kill:constraint=...` that were not cut.
#[derive(Debug, Default)]
pub(crate) struct ConstraintLine<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) constraint: Option<Constraint>,
    pub(crate) cgroup: Option<&'a [u8]>,
    pub(crate) task_cgroup: Option<&'a [u8]>,
    pub(crate) pid: Option<u32>,
    pub(crate) uid: Option<u32>,
}

/// The text before `Killed process` and `Kill process`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wording {
    /// Nothing: the kill has its own line after the selection (2.6.2x to 4.20).
    Silent,
    Limited(Constraint),
    /// OpenVZ: `Out of memory in UB 317592`.
    Beancounter(Option<u64>),
}

impl Wording {
    pub(crate) fn constraint(self) -> Option<Constraint> {
        match self {
            Self::Limited(constraint) => Some(constraint),
            Self::Silent | Self::Beancounter(_) => None,
        }
    }
}

/// Parses a message; none if it is not about a kill.
pub(crate) fn event(message: &[u8]) -> Option<Event<'_>> {
    kill(message)
        .or_else(|| header(message))
        .or_else(|| {
            message.strip_prefix(b"oom-kill:constraint=").map(|rest| Event::Constraint(constraint(rest)))
        })
        .or_else(|| limit(message))
        .or_else(|| reaped(message))
        .or_else(|| group(message))
        .or_else(|| end(message))
        .or_else(|| header(message))
}

fn header(message: &[u8]) -> Option<Event<'_>> {
    if message.starts_with(b"oom-killer: gfp_mask=") {
        return Some(Event::Header { invoker: None });
    }
    let (name, rest) = scan::cut(message, b" invoked oom-killer")?;
    // People shorten the line to its first words, and mail programs break it after them.
    let is_shortened = matches!(rest.trim_ascii_end(), b"" | b":");
    // The kernel's source code has no number there.
    let has_mask = || rest.strip_prefix(b": gfp_mask=")?.first().is_none_or(u8::is_ascii_digit).then_some(());
    let is_header = has_mask().is_some() || rest.starts_with(b" in ub ") || is_shortened;
    if !is_header || name.is_empty() {
        return None;
    }
    // A longer text before it is a quotation, or the path of a cgroup.
    (name_len(name) <= COMM_MAX).then_some(Event::Header { invoker: Some(name) })
}

/// Returns the length of a name without escapes: for one byte log daemons write `#012`, and dmesg `\x0a`.
fn name_len(name: &[u8]) -> usize {
    let is_octal = |rest: &[u8]| rest.len() > 3 && rest[1..4].iter().all(|b| matches!(b, b'0'..=b'7'));
    let is_hex =
        |rest: &[u8]| rest.len() > 3 && rest[1] == b'x' && rest[2..4].iter().all(u8::is_ascii_hexdigit);
    let escapes = (0..name.len()).map(|at| &name[at..]);
    let escapes =
        escapes.filter(|rest| (rest[0] == b'#' && is_octal(rest)) || (rest[0] == b'\\' && is_hex(rest)));
    name.len() - 3 * escapes.count()
}

/// `Killed process`, `Kill process`, `kill process` and OpenVZ's `OOM killed process`, with or without a reason.
fn kill(message: &[u8]) -> Option<Event<'_>> {
    // Take the first match: a process may be named so as well.
    let is_verb =
        |at: &usize| [&b" process "[..], b"ed process "].iter().any(|end| message[at + 3..].starts_with(end));
    let at = memchr::memmem::find_iter(message, b"ill").find(is_verb)?;
    let (before, rest) = (&message[..at], &message[at + 3..]);
    let before = before.strip_suffix(b"K").or_else(|| before.strip_suffix(b"k"))?;
    let (before, is_openvz) = before.strip_suffix(b"OOM ").map_or((before, false), |before| (before, true));
    let wording = wording(before, is_openvz)?;
    if let Some(rest) = rest.strip_prefix(b" process ") {
        // No kernel selects without a reason, but a process may have such a name.
        let selection = selection(rest).filter(|_| wording != Wording::Silent);
        return selection.map(|selection| Event::Select { wording, selection });
    }
    let rest = rest.strip_prefix(b"ed process ")?;
    if let Some((victim, container)) = is_openvz.then(|| old_openvz(rest)).flatten() {
        return Some(Event::Kill { wording: Wording::Beancounter(container), victim, unfinished: None });
    }
    victim(rest).map(|(victim, unfinished)| Event::Kill { wording, victim, unfinished })
}

fn wording(before: &[u8], is_openvz: bool) -> Option<Wording> {
    if before.is_empty() {
        return Some(if is_openvz { Wording::Beancounter(None) } else { Wording::Silent });
    }
    let reason = before.strip_suffix(b": ")?;
    if scan::begins(reason, b"out of memory in UB") {
        return Some(Wording::Beancounter(
            scan::rcut(reason, b" ").and_then(|(_, ub)| Some(scan::number(ub)?.0)),
        ));
    }
    let table: [(&[u8], Constraint); 4] = [
        (b"memory cgroup out of memory", Constraint::Memcg),
        (b"no available memory (MPOL_BIND)", Constraint::Mempolicy),
        (b"no available memory in cpuset", Constraint::Cpuset),
        (b"out of memory", Constraint::None),
    ];
    table
        .iter()
        .find(|(words, _)| scan::begins(reason, words))
        .map(|(_, constraint)| Wording::Limited(*constraint))
}

/// `28266 (mysqld) score 51 or sacrifice child`.
fn selection(rest: &[u8]) -> Option<Selection> {
    let (pid, rest) = scan::id(rest)?;
    let (name, score) = match scan::cut(rest, b"(").and_then(|(_, rest)| scan::rcut(rest, b") score ")) {
        Some((name, score)) => {
            (Some(scan::owned(name, NAME_MAX)), scan::number(score).map(|(score, _)| score))
        }
        None => (closed_name(rest), None),
    };
    Some(Selection { pid, name, score })
}

/// `22386, UID 48, (httpd.worker) total-vm:4085280kB, ...`, `4503 ((sd-pam)) total-vm:...`, `1147 (bk).`
fn victim(rest: &[u8]) -> Option<(Box<Victim>, Option<&[u8]>)> {
    let (pid, rest) = scan::id(rest)?;
    let mut victim = Box::new(Victim::new(pid));
    let Some((between, rest)) = scan::cut(rest, b"(").filter(|(between, _)| between.len() <= 32) else {
        return is_end_of_pid(rest).then_some((victim, None));
    };
    if !is_end_of_pid(between) {
        return None;
    }
    victim.uid = scan::cut(between, b"UID ").and_then(|(_, uid)| Some(scan::id(uid)?.0));
    let is_whole = finish_victim(&mut victim, rest);
    Some((victim, (!is_whole).then_some(rest)))
}

fn is_end_of_pid(rest: &[u8]) -> bool {
    rest.first().is_none_or(|b| matches!(b, b' ' | b',' | b'.' | b':' | b'['))
}

/// Parses the name and the sizes after the opening parenthesis. Returns false if the name does not end: it holds a
/// newline, and the rest is on the next line.
pub(crate) fn finish_victim(victim: &mut Victim, rest: &[u8]) -> bool {
    let Some((name, sizes)) = name_and_sizes(rest) else {
        victim.name = closed_name_inner(rest);
        return victim.name.is_some();
    };
    victim.name = Some(scan::owned(name, NAME_MAX));
    fill_sizes(victim, sizes);
    true
}

/// Adds the sizes after a name that are not known yet.
fn fill_sizes(victim: &mut Victim, sizes: &[u8]) {
    let fill = |value: &mut Option<u64>, key: &[u8]| *value = value.or_else(|| kib(sizes, key));
    fill(&mut victim.total_vm_bytes, b"total-vm:");
    fill(&mut victim.total_vm_bytes, b"vsz:");
    fill(&mut victim.total_vm_bytes, b" vm:");
    fill(&mut victim.anon_rss_bytes, b"anon-rss:");
    fill(&mut victim.file_rss_bytes, b"file-rss:");
    fill(&mut victim.shmem_rss_bytes, b"shmem-rss:");
    fill(&mut victim.rss_bytes, b" rss:");
    fill(&mut victim.swap_bytes, b" swap:");
    fill(&mut victim.pgtables_bytes, b"pgtables:");
    // Since 5.4 with a colon; RHEL 7 writes it before the sizes and with a blank.
    let uid = || scan::cut(sizes, b" UID:").or_else(|| scan::cut(sizes, b", UID "));
    victim.uid = victim.uid.or_else(|| Some(scan::id(uid()?.1)?.0));
    let adj = || Some(scan::signed(scan::cut(sizes, b"oom_score_adj:")?.1)?.0);
    victim.oom_score_adj = victim.oom_score_adj.or_else(adj);
}

/// The text after the name has a fixed form, so the last place where it fits is the right one, even if the name
/// contains the same form.
fn name_and_sizes(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let marks: [&[u8]; 5] = [b") total-vm:", b") vsz:", b") score ", b") vm:", b"), "];
    let last = |mark: &&[u8]| memchr::memmem::rfind(rest, mark);
    let at = marks.iter().filter_map(last).find(|at| name_len(&rest[..*at]) <= COMM_MAX)?;
    Some((&rest[..at], &rest[at + 1..]))
}

/// Returns the name if only its parenthesis and a full stop end the line (2.6.9 to 2.6.31), or if the line is cut
/// soon after it.
fn closed_name(rest: &[u8]) -> Option<Box<[u8]>> {
    closed_name_inner(scan::cut(rest, b"(")?.1)
}

fn closed_name_inner(rest: &[u8]) -> Option<Box<[u8]>> {
    let (name, after) = scan::rcut(rest, b")")?;
    let is_end = after.is_empty() || after == b"." || after.starts_with(b" ") || after.starts_with(b",");
    if is_end && name_len(name) <= COMM_MAX {
        return Some(scan::owned(name, NAME_MAX));
    }
    // Another line follows without a newline.
    let (name, _) = scan::cut(rest, b")").filter(|(name, _)| name_len(name) <= COMM_MAX)?;
    Some(scan::owned(name, NAME_MAX))
}

/// `watchdog (pid=14490, ve=13516) exited, free=43104 gen=24501.`
fn old_openvz(rest: &[u8]) -> Option<(Box<Victim>, Option<u64>)> {
    let (name, rest) = scan::rcut(rest, b" (pid=")?;
    let (pid, rest) = scan::id(rest)?;
    let container = rest.strip_prefix(b", ve=").and_then(|rest| Some(scan::number(rest)?.0));
    let victim = Victim { name: Some(scan::owned(name, NAME_MAX)), ..Victim::new(pid) };
    Some((Box::new(victim), container))
}

/// Parses `key`, a number and `kB` to bytes. Without the unit the number may have been cut.
fn kib(sizes: &[u8], key: &[u8]) -> Option<u64> {
    let (value, rest) = scan::number(scan::cut(sizes, key)?.1)?;
    rest.starts_with(b"kB").then_some(value)?.checked_mul(1024)
}

/// `CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=x,pid=1,uid=0`.
/// A field counts only if the next one has begun: otherwise it may have been cut.
fn constraint(rest: &[u8]) -> ConstraintLine<'_> {
    let (text, rest) = scan::cut(rest, b",").unwrap_or_default();
    let (fields, pid, uid) = process_fields(rest);
    let cgroup = scan::cut(fields, b",oom_memcg=")
        .and_then(|(_, rest)| scan::cut(rest, b",task_memcg=").or_else(|| scan::cut(rest, b",task=")));
    let task_cgroup = scan::cut(fields, b",task_memcg=").and_then(|(_, rest)| before_task(rest));
    let is_memcg = memchr::memmem::find(fields, b",oom_memcg=").is_some();
    let constraint = if is_memcg { Some(Constraint::Memcg) } else { constraint_of(text) };
    ConstraintLine { text, constraint, cgroup: cgroup.map(|(cgroup, _)| cgroup), task_cgroup, pid, uid }
}

fn constraint_of(text: &[u8]) -> Option<Constraint> {
    match text {
        b"CONSTRAINT_NONE" => Some(Constraint::None),
        b"CONSTRAINT_MEMCG" => Some(Constraint::Memcg),
        b"CONSTRAINT_CPUSET" => Some(Constraint::Cpuset),
        b"CONSTRAINT_MEMORY_POLICY" => Some(Constraint::Mempolicy),
        _ => None,
    }
}

/// Parses pid and uid from the end of the line, because the name and the paths before them may contain the same
/// words.
fn process_fields(rest: &[u8]) -> (&[u8], Option<u32>, Option<u32>) {
    let Some((before, uid)) = rcut_id(rest, b",uid=") else { return (rest, None, None) };
    match rcut_id(before, b",pid=") {
        Some((before, pid)) => (before, Some(pid), Some(uid)),
        None => (before, None, None),
    }
}

fn rcut_id<'a>(bytes: &'a [u8], key: &[u8]) -> Option<(&'a [u8], u32)> {
    let (before, id) = scan::rcut(bytes, key)?;
    scan::id(id).filter(|(_, rest)| rest.is_empty()).map(|(id, _)| (before, id))
}

/// Returns the path before `,task=NAME`. The name has at most 15 bytes, and both may contain `,task=`.
fn before_task(rest: &[u8]) -> Option<&[u8]> {
    let fits = |at: &usize| rest.len() - at - b",task=".len() <= 15;
    let at = memchr::memmem::find_iter(rest, b",task=").find(fits);
    at.map(|at| &rest[..at]).or_else(|| scan::rcut(rest, b",task=").map(|(path, _)| path))
}

fn limit(message: &[u8]) -> Option<Event<'_>> {
    if let Some(cgroup) = message.strip_prefix(b"Memory limit reached of cgroup ") {
        return Some(Event::Limit { task: None, cgroup: whole(cgroup) });
    }
    let (task, cgroup) = scan::rcut(message.strip_prefix(b"Task in ")?, b" killed as a result of limit of ")?;
    // The limit belongs to the task's own cgroup or to one above it. So does a path that ends in dots.
    let is_above = task.strip_prefix(cgroup).is_some_and(|below| below.is_empty() || below.starts_with(b"/"));
    Some(Event::Limit { task: Some(task), cgroup: if is_above { Some(cgroup) } else { whole(cgroup) } })
}

/// Returns a path, unless a pager or a terminal marked that it cut the line.
fn whole(path: &[u8]) -> Option<&[u8]> {
    let is_cut = path.ends_with(b"...") || path.ends_with(b">") || path.ends_with("…".as_bytes());
    (!is_cut).then_some(path)
}

fn group(message: &[u8]) -> Option<Event<'_>> {
    let inner = message.strip_prefix(b"Tasks in ")?;
    let (cgroup, _) = scan::rcut(inner, b" are going to be killed due to memory.oom.group")?;
    Some(Event::Group { cgroup })
}

fn reaped(message: &[u8]) -> Option<Event<'_>> {
    let (pid, rest) = scan::id(message.strip_prefix(b"oom_reaper: reaped process ")?)?;
    let inner = rest.strip_prefix(b" (")?;
    let name = scan::rcut(inner, b"), now ").map(|(name, _)| scan::owned(name, NAME_MAX));
    Some(Event::Reaped(Reaped { pid, name: name.or_else(|| closed_name_inner(inner)) }))
}

fn end(message: &[u8]) -> Option<Event<'_>> {
    if scan::begins(message, b"out of memory and no killable processes") {
        return Some(Event::NoKillable);
    }
    if message.starts_with(b"Linux version ") {
        return Some(Event::Boot);
    }
    let cause = message.strip_prefix(b"Kernel panic - not syncing: ")?;
    let is_memory =
        scan::begins(cause, b"out of memory") || scan::begins(cause, b"system is deadlocked on memory");
    is_memory.then_some(Event::Panic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_count_as_one_byte_of_a_name() {
        let is_header =
            |name: &str| header(format!("{name} invoked oom-killer: gfp_mask=0x0").as_bytes()).is_some();
        assert!(is_header("abcdefghijklmno") && !is_header("abcdefghijklmnop"));
        assert!(is_header(r"abcdefghijkl\x0ano") && !is_header(r"abcdefghijkl\x0anop"));
        assert!(is_header("abcdefghijkl#012no") && !is_header("abcdefghijkl#012nop"));
        assert!(!is_header("abcdefghijkl#089no") && !is_header(r"abcdefghijkl\xg0no"));
    }

    #[test]
    fn task_in_a_name_or_a_path_does_not_end_the_path() {
        let path = |rest: &str| before_task(rest.as_bytes()).map(<[u8]>::to_vec).unwrap();
        assert_eq!(path("/a.service,task=x,task=y"), b"/a.service");
        assert_eq!(path("/a,task=x/bbbbbbbbbbbbbbbb.service,task=y"), b"/a,task=x/bbbbbbbbbbbbbbbb.service");
        assert_eq!(path("/a.service,task=123456789012345"), b"/a.service");
        assert_eq!(before_task(b"/a.service"), None);
    }
}

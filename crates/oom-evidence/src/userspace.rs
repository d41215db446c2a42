//! Messages of systemd-oomd, earlyoom and systemd.

use crate::kernel::NAME_MAX;
use crate::report::Victim;
use crate::scan;
use crate::writer::Writer;

/// A message of a program.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// systemd-oomd: `oomd attempting to kill 63 with KILL`.
    OomdAttempt { pid: u32 },
    /// systemd-oomd: `Killed /a/b due to memory pressure for /a being 51.07% > 50.00% for > 20s ...`, or, in
    /// newer releases, `Marked /a/b for killing due to ...`.
    OomdKilled { cgroup: &'a [u8] },
    /// systemd: `b.scope: systemd-oomd killed 12 process(es) in this unit.`, or `killed some`.
    OomdCount { unit: &'a [u8], kills: Option<u64> },
    /// earlyoom: `sending SIGTERM to process 29410 uid 1000 "cluster": badness 1264, VmRSS 23964 MiB`.
    Earlyoom(Box<Victim>),
    /// systemd: `b.service: A process of this unit has been killed by the OOM killer.`
    UnitHit { unit: &'a [u8] },
}

/// Parses a message, if its writer is a program that may write it.
pub(crate) fn event<'a>(writer: Writer<'_>, message: &'a [u8]) -> Option<Event<'a>> {
    let program = match writer {
        Writer::Kernel => return None,
        Writer::Program(name) => Some(name),
        Writer::Unknown => None,
    };
    match program {
        Some(b"systemd-oomd") => oomd(message),
        Some(b"earlyoom") => earlyoom(message).or_else(|| first_earlyoom(message)),
        Some(b"systemd") => systemd(message),
        Some(_) => None,
        None => oomd(message).or_else(|| earlyoom(message)).or_else(|| systemd(message)),
    }
}

fn oomd(message: &[u8]) -> Option<Event<'_>> {
    if let Some(rest) = message.strip_prefix(b"oomd attempting to kill ") {
        return Some(Event::OomdAttempt { pid: scan::id(rest)?.0 });
    }
    let (cgroup, _) = match message.strip_prefix(b"Marked ") {
        Some(rest) => scan::rcut(rest, b" for killing due to ")?,
        None => scan::rcut(message.strip_prefix(b"Killed ")?, b" due to ")?,
    };
    cgroup.starts_with(b"/").then_some(Event::OomdKilled { cgroup })
}

fn systemd(message: &[u8]) -> Option<Event<'_>> {
    if let Some((unit, _)) =
        scan::rcut(message, b": A process of this unit has been killed by the OOM killer")
    {
        return is_unit(unit).then_some(Event::UnitHit { unit });
    }
    let (unit, rest) = scan::rcut(message, b": systemd-oomd killed ")?;
    let (kills, rest) = match rest.strip_prefix(b"some") {
        Some(rest) => (None, rest),
        None => scan::number(rest).map(|(kills, rest)| (Some(kills), rest))?,
    };
    (is_unit(unit) && rest.starts_with(b" process(es)")).then_some(Event::OomdCount { unit, kills })
}

fn is_unit(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b' ') && name.contains(&b'.')
}

fn earlyoom(message: &[u8]) -> Option<Event<'_>> {
    let rest = match message.strip_prefix(b"sending SIG") {
        Some(rest) => scan::cut(rest, b" to process ")?.1,
        None => message.strip_prefix(b"killing process ")?,
    };
    let (pid, rest) = scan::id(rest)?;
    let (before, rest) = scan::cut(rest, b"\"")?;
    let (name, facts) = quoted_end(rest)?;
    let mut victim = Victim::new(pid);
    victim.name = Some(scan::owned(name, NAME_MAX));
    victim.uid = scan::cut(before, b" uid ").and_then(|(_, uid)| Some(scan::id(uid)?.0));
    victim.rss_bytes = scan::cut(facts, b"VmRSS ").and_then(|(_, rss)| mebibytes(rss));
    victim.oom_score_adj =
        scan::cut(facts, b"oom_score_adj ").and_then(|(_, adj)| Some(scan::signed(adj)?.0));
    Some(Event::Earlyoom(Box::new(victim)))
}

/// `Killing process 27541 bash` of earlyoom before 1.0. Other programs use the same words.
fn first_earlyoom(message: &[u8]) -> Option<Event<'_>> {
    let (pid, rest) = scan::id(message.strip_prefix(b"Killing process ")?)?;
    let name = Some(scan::owned(rest.strip_prefix(b" ")?, NAME_MAX));
    Some(Event::Earlyoom(Box::new(Victim { name, ..Victim::new(pid) })))
}

/// Returns the end of the name: a quote before the fixed text that follows, because a name may contain quotes.
fn quoted_end(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let marks: [&[u8]; 3] = [b"\": badness ", b"\": oom_score ", b"\" with signal "];
    marks.iter().find_map(|mark| scan::cut(rest, mark))
}

fn mebibytes(rss: &[u8]) -> Option<u64> {
    let (value, rest) = scan::number(rss)?;
    rest.starts_with(b" MiB").then_some(value)?.checked_mul(1 << 20)
}

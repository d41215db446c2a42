//! Events put together to reports.
//!
//! The kernel prints a report in a fixed order: header, table, limit or constraint, selection, kills. Any of these lines
//! may be missing (the header and the constraint are printed at most ten times in five seconds, the ring buffer
//! overwrites, people cut), and kernels before 4.x can print two reports at once. So every line looks for the youngest
//! open report that has not come as far as the line itself, and opens a new one where there is none. The caller mark of
//! printk, where there is one, and process ids keep reports apart beyond that.

use std::collections::VecDeque;

use crate::kernel::{self, ConstraintLine, Event, PATH_MAX, Wording};
use crate::prefix::{Caller, Line};
use crate::report::{Constraint, Killer, Reaped, Report, Selection, Victim, Witness};
use crate::scan;
use crate::table::{self, Columns, Largest};
use crate::time::{Moment, Stamp};
use crate::trust::Trust;
use crate::userspace;

/// Reports that are open at once. Two is the most that was seen.
const OPEN_MAX: usize = 8;
/// A report to which nothing was added for so many bytes of text is over.
const GAP_BYTES: u64 = 1 << 20;
/// Two lines further apart belong to different events. A table of thousands of rows takes minutes over a serial console,
/// but each row is near the one before.
const GAP_SECONDS: u64 = 600;
/// Killed processes that are remembered so that a second line about one is not taken for a second kill.
const RECENT_MAX: usize = 256;
/// Units that one report lists: a service and the slices above it.
const UNITS_MAX: usize = 32;

/// How far a report has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Started,
    Table,
    Constraint,
    Selection,
    Killed,
}

/// A report that may still grow.
#[derive(Debug)]
struct Open {
    report: Report,
    stage: Stage,
    caller: Option<Caller>,
    columns: Option<Columns>,
    table: Largest,
    /// Of the constraint line, for the victim with this pid.
    constraint_ids: Option<(u32, Option<u32>)>,
    /// A table alone, or a reaper's line, is no report.
    is_evidence: bool,
    has_header: bool,
    /// The first part of the last victim's name, which had a newline in it.
    unfinished: Option<Box<[u8]>>,
    touched_at: u64,
    moment: Moment,
}

/// Where a line stands, for what is the same for all events.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    stamp: Stamp<'a>,
    caller: Option<Caller>,
    /// Bytes of text before the line.
    offset: u64,
}

impl<'a> Place<'a> {
    pub(crate) fn of(line: &Line<'a>, offset: u64) -> Self {
        Self { stamp: line.stamp, caller: line.caller, offset }
    }
}

/// A process that was killed a while ago, in text.
#[derive(Debug)]
struct Recent {
    pid: u32,
    name: Option<Box<[u8]>>,
    total_vm_bytes: Option<u64>,
    killer: Killer,
    offset: u64,
    moment: Moment,
}

/// The open reports, and the finished ones that nobody has fetched yet.
#[derive(Debug)]
pub(crate) struct Assembly {
    open: Vec<Open>,
    ready: VecDeque<Report>,
    recent: VecDeque<Recent>,
    pub(crate) trust: Trust,
}

impl Assembly {
    pub(crate) fn new(trust: Trust) -> Self {
        Self { open: Vec::new(), ready: VecDeque::new(), recent: VecDeque::new(), trust }
    }

    /// Whether no report is open: then only lines with certain words can mean anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn next_ready(&mut self) -> Option<Report> {
        self.ready.pop_front()
    }

    /// Ends the reports that have heard nothing for long.
    pub(crate) fn expire(&mut self, offset: u64) {
        self.close_where(|open| offset - open.touched_at > GAP_BYTES);
    }

    /// Ends all reports.
    pub(crate) fn close_all(&mut self) {
        self.close_where(|_| true);
    }

    fn close_where(&mut self, mut is_over: impl FnMut(&Open) -> bool) {
        let mut at = 0;
        while at < self.open.len() {
            if is_over(&self.open[at]) {
                let open = self.open.remove(at);
                self.ready.extend(open.finish());
            } else {
                at += 1;
            }
        }
    }

    fn start(&mut self, killer: Killer, place: Place<'_>) -> &mut Open {
        if self.open.len() >= OPEN_MAX {
            let oldest = self.open.remove(0);
            self.ready.extend(oldest.finish());
        }
        self.open.push(Open::new(Report::new(killer, self.trust), place));
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    /// The youngest open report of this killer that fits the place and the wish.
    fn find(&self, killer: Killer, place: Place<'_>, wish: impl Fn(&Open) -> bool) -> Option<usize> {
        let fits = |open: &Open| open.report.killer == killer && open.is_near(place) && wish(open);
        self.open.iter().rposition(fits)
    }

    /// As [`Assembly::find`], or else a new one.
    fn find_or_start(&mut self, killer: Killer, place: Place<'_>, wish: impl Fn(&Open) -> bool) -> &mut Open {
        match self.find(killer, place, wish) {
            Some(at) => {
                self.open[at].touch(place);
                &mut self.open[at]
            }
            None => self.start(killer, place),
        }
    }

    fn kernel(&mut self, place: Place<'_>, wish: impl Fn(&Open) -> bool) -> &mut Open {
        self.find_or_start(Killer::Kernel, place, |open| open.report.witness == Witness::Killer && wish(open))
    }

    pub(crate) fn kernel_event(&mut self, event: Event<'_>, place: Place<'_>) {
        match event {
            Event::Header { invoker } => self.header(invoker, place),
            Event::Constraint(line) => {
                self.kernel(place, |open| open.stage < Stage::Constraint).constrain(&line);
            }
            Event::Limit { task, cgroup } => self.limit(task, cgroup, place),
            Event::Select { wording, selection } => self.select(wording, selection, place),
            Event::Kill { wording, victim, unfinished } => self.kill(wording, *victim, unfinished, place),
            Event::Group { cgroup } => self.group(cgroup, place),
            Event::Reaped(reaped) => self.reaped(reaped),
            Event::NoKillable => self.kernel(place, |open| open.stage < Stage::Killed).is_evidence = true,
            Event::Panic => self.panic(place),
            Event::Boot => self.close_all(),
        }
    }

    /// A header begins a report, and ends those that have killed.
    fn header(&mut self, invoker: Option<&[u8]>, place: Place<'_>) {
        self.close_where(|open| open.stage == Stage::Killed);
        let open = self.start(Killer::Kernel, place);
        open.report.invoked_by = invoker.map(|name| scan::owned(name, kernel::NAME_MAX));
        (open.is_evidence, open.has_header) = (true, true);
    }

    /// The limit is printed once for a report; a terminal's copy may hold it twice.
    fn limit(&mut self, task: Option<&[u8]>, cgroup: Option<&[u8]>, place: Place<'_>) {
        let is_same =
            |open: &Open| open.report.cgroup.as_deref().zip(cgroup).is_none_or(|(known, said)| known == said);
        let open = self.kernel(place, |open| open.stage < Stage::Selection && is_same(open));
        open.is_evidence = true;
        open.report.constraint = Some(Constraint::Memcg);
        open.report.cgroup = cgroup.map(|path| scan::owned(path, PATH_MAX));
        open.report.task_cgroup = task.map(|path| scan::owned(path, PATH_MAX));
    }

    /// A process that is slow to die is selected again and again.
    fn select(&mut self, wording: Wording, selection: Selection, place: Place<'_>) {
        let is_again =
            |open: &Open| open.stage == Stage::Selection && open.report.selected.as_ref() == Some(&selection);
        let open = self
            .kernel(place, |open| (open.stage < Stage::Selection && open.may_be(wording)) || is_again(open));
        open.reason(wording);
        open.report.selected = Some(selection);
        open.stage = Stage::Selection;
        open.is_evidence = true;
    }

    fn kill(&mut self, wording: Wording, victim: Victim, unfinished: Option<&[u8]>, place: Place<'_>) {
        if self.is_repeated(wording, &victim, place) {
            return;
        }
        let at = self.report_of_kill(wording, &victim, place);
        let open = match at {
            Some(at) => {
                self.open[at].touch(place);
                &mut self.open[at]
            }
            None => self.start(Killer::Kernel, place),
        };
        open.reason(wording);
        open.unfinished = unfinished.map(|part| scan::owned(part, kernel::NAME_MAX));
        let recent = Recent::of(Killer::Kernel, &victim, place);
        open.add_victim(victim, place);
        let at = at.unwrap_or(self.open.len() - 1);
        self.remember(recent);
        self.close_other_killed(at);
    }

    /// Which open report a kill belongs to: one that waits for it, or else a group that is being killed.
    fn report_of_kill(&self, wording: Wording, victim: &Victim, place: Place<'_>) -> Option<usize> {
        let in_group = |open: &Open| open.report.group.is_some() && open.stage == Stage::Killed;
        self.waiting(wording, victim, place).or_else(|| self.find(Killer::Kernel, place, in_group))
    }

    /// The report that waits for this kill: what names the process, then the youngest that has killed nobody.
    fn waiting(&self, wording: Wording, victim: &Victim, place: Place<'_>) -> Option<usize> {
        let waits = |open: &Open| {
            open.stage < Stage::Killed && open.may_be(wording) && open.report.witness == Witness::Killer
        };
        let constrained = |open: &Open| open.constraint_ids.is_some_and(|(pid, _)| pid == victim.pid);
        let selected = |open: &Open| open.report.selected.as_ref().is_some_and(|s| s.pid == victim.pid);
        let find =
            |wish: &dyn Fn(&Open) -> bool| self.find(Killer::Kernel, place, |open| waits(open) && wish(open));
        find(&constrained)
            .or_else(|| find(&selected))
            .or_else(|| find(&|open| open.stage == Stage::Selection))
            .or_else(|| find(&|open| open.constraint_ids.is_none()))
            .or_else(|| find(&|_| true))
    }

    /// Whether a line is about a kill that is known.
    fn is_repeated(&mut self, wording: Wording, victim: &Victim, place: Place<'_>) -> bool {
        let known = self
            .open
            .iter()
            .rposition(|open| open.report.killer == Killer::Kernel && open.has_victim(victim, place));
        if known.is_none() && !self.is_recent(Killer::Kernel, victim, place) {
            return false;
        }
        let is_group = known.is_some_and(|at| self.open[at].report.group.is_some());
        if let Some(at) = known {
            self.open[at].report.kill_lines += 1;
            self.open[at].touch(place);
        }
        if let Some(at) = self.waiting(wording, victim, place).filter(|_| !is_group) {
            self.end_without_victim(at, known.is_none());
        }
        true
    }

    fn is_recent(&self, killer: Killer, victim: &Victim, place: Place<'_>) -> bool {
        let moment = place.stamp.moment();
        self.recent.iter().any(|recent| recent.is(killer, victim, place.offset, moment))
    }

    /// A process that is slow to die is selected and killed again. Without a header the report says nothing new; with
    /// one it stays: the killer did run again.
    fn end_without_victim(&mut self, at: usize, is_uncounted: bool) {
        if self.open[at].has_header {
            self.open[at].report.kill_lines += u64::from(is_uncounted);
            self.open[at].stage = Stage::Killed;
        } else {
            self.open.remove(at);
        }
    }

    fn remember(&mut self, recent: Recent) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(recent);
    }

    /// A kill elsewhere ends the reports that have killed, but for groups, which may not be through.
    fn close_other_killed(&mut self, but: usize) {
        let mut at = 0;
        self.close_where(|open| {
            at += 1;
            at - 1 != but && open.stage == Stage::Killed && open.report.group.is_none()
        });
    }

    /// The line stands between a group's first victim and the others. Where the report has a group already, that first
    /// victim was of a new event whose header was not printed.
    fn group(&mut self, cgroup: &[u8], place: Place<'_>) {
        let killed = |open: &Open| open.stage == Stage::Killed && open.report.witness == Witness::Killer;
        let Some(at) = self.find(Killer::Kernel, place, killed) else {
            let open = self.start(Killer::Kernel, place);
            open.join_group(cgroup);
            return;
        };
        self.open[at].touch(place);
        let first =
            if self.open[at].report.group.is_some() { self.open[at].take_last_victim() } else { None };
        let Some(first) = first else {
            self.open[at].join_group(cgroup);
            return;
        };
        let constraint = self.open[at].report.constraint;
        let open = self.start(Killer::Kernel, place);
        open.report.constraint = constraint;
        open.report.time.clone_from(&first.time);
        open.add_victim(first, place);
        open.join_group(cgroup);
    }

    /// The reaper is a thread of its own, and it works long after the kill.
    fn reaped(&mut self, reaped: Reaped) {
        let named = |open: &Open| open.report.victims.iter().any(|victim| victim.pid == reaped.pid);
        let killed = |open: &Open| open.report.killer == Killer::Kernel && open.stage == Stage::Killed;
        let at = self.open.iter().rposition(named).or_else(|| self.open.iter().rposition(killed));
        let Some(report) = at.map(|at| &mut self.open[at].report) else { return };
        if report.reaped.len() < Report::VICTIMS_MAX {
            report.reaped.push(reaped);
        }
    }

    fn panic(&mut self, place: Place<'_>) {
        let open = self.kernel(place, |open| open.stage < Stage::Killed);
        (open.report.panic, open.is_evidence) = (true, true);
        self.close_all();
    }

    /// Lines that say nothing alone: tables, free lists, the second half of a name.
    pub(crate) fn kernel_detail(&mut self, message: &[u8], place: Place<'_>) {
        if let Some(columns) = table::columns(message) {
            let open = self.kernel(place, |open| open.stage < Stage::Table);
            (open.columns, open.stage) = (Some(columns), Stage::Table);
            return;
        }
        let killed = self.open.iter_mut().rev().find(|open| open.stage == Stage::Killed);
        if killed.is_some_and(|open| open.rest_of_kill(message)) {
            return;
        }
        let waits = |open: &Open| open.stage < Stage::Killed && open.report.witness == Witness::Killer;
        if let Some(at) = self.find(Killer::Kernel, place, waits) {
            self.open[at].detail(message, place);
        }
    }

    pub(crate) fn program_event(&mut self, event: userspace::Event<'_>, place: Place<'_>) {
        match event {
            userspace::Event::OomdAttempt { pid } => {
                let open = self.find_or_start(Killer::SystemdOomd, place, |open| open.stage < Stage::Killed);
                open.note_victim(Victim::new(pid), place);
            }
            userspace::Event::OomdKilled { cgroup } => self.oomd_killed(cgroup, place),
            userspace::Event::OomdCount { unit, kills } => self.oomd_count(unit, kills, place),
            userspace::Event::Earlyoom(victim) => self.earlyoom(*victim, place),
            userspace::Event::UnitHit { unit } => self.unit_hit(unit, place),
        }
    }

    /// systemd-oomd says that it marks a cgroup or that it has killed it, and systemd may have told of the unit before.
    fn oomd_killed(&mut self, cgroup: &[u8], place: Place<'_>) {
        let is_same = |open: &Open| match open.report.cgroup.as_deref() {
            Some(known) => known == cgroup,
            None => {
                open.stage < Stage::Killed || open.report.units.iter().any(|unit| is_unit_of(cgroup, unit))
            }
        };
        let open = self.find_or_start(Killer::SystemdOomd, place, is_same);
        open.report.cgroup = Some(scan::owned(cgroup, PATH_MAX));
        (open.stage, open.is_evidence) = (Stage::Killed, true);
        if open.report.victims.is_empty() && open.report.units.is_empty() {
            open.report.kills = None;
        }
    }

    /// `kills` is absent where systemd says "some".
    fn oomd_count(&mut self, unit: &[u8], kills: Option<u64>, place: Place<'_>) {
        let open = self.find_or_start(Killer::SystemdOomd, place, |open| open.is_of_unit(unit));
        (open.stage, open.is_evidence) = (Stage::Killed, true);
        open.add_unit(unit);
        let named = open.report.victims.len() as u64;
        let known = open.report.kills.unwrap_or(0).max(named);
        open.report.kills = kills.map(|kills| kills.max(known)).or((known > 0).then_some(known));
    }

    /// earlyoom sends SIGKILL to the same process when SIGTERM was not enough.
    fn earlyoom(&mut self, victim: Victim, place: Place<'_>) {
        if self.is_recent(Killer::Earlyoom, &victim, place) {
            return;
        }
        self.close_where(|open| open.report.killer == Killer::Earlyoom);
        let recent = Recent::of(Killer::Earlyoom, &victim, place);
        self.start(Killer::Earlyoom, place).add_victim(victim, place);
        self.remember(recent);
    }

    /// One kill gives a line for the unit and for each slice above it. Where the kernel's own line is there, too, it is
    /// the same event.
    fn unit_hit(&mut self, unit: &[u8], place: Place<'_>) {
        let killed = |open: &Open| open.stage == Stage::Killed || open.report.witness == Witness::Systemd;
        if let Some(at) = self.find(Killer::Kernel, place, killed) {
            self.open[at].add_unit(unit);
            return;
        }
        let moment = place.stamp.moment();
        if self
            .recent
            .iter()
            .any(|recent| recent.killer == Killer::Kernel && recent.is_near(place.offset, moment))
        {
            return;
        }
        let open = self.start(Killer::Kernel, place);
        open.report.witness = Witness::Systemd;
        open.report.kills = None;
        open.is_evidence = true;
        open.add_unit(unit);
    }
}

/// A process that is slow to die keeps its virtual size; one that got its number later has another.
fn is_same_size(known: Option<u64>, told: Option<u64>) -> bool {
    known.zip(told).is_none_or(|(known, told)| known == told)
}

/// Whether a cgroup is that of a unit.
fn is_unit_of(cgroup: &[u8], unit: &[u8]) -> bool {
    cgroup.strip_suffix(unit).is_some_and(|rest| rest.ends_with(b"/"))
}

impl Recent {
    fn of(killer: Killer, victim: &Victim, place: Place<'_>) -> Self {
        let Victim { pid, total_vm_bytes, .. } = *victim;
        Self {
            pid,
            name: victim.name.clone(),
            total_vm_bytes,
            killer,
            offset: place.offset,
            moment: place.stamp.moment(),
        }
    }

    fn is_near(&self, offset: u64, moment: Moment) -> bool {
        offset - self.offset <= GAP_BYTES && !self.moment.is_far_from(moment, GAP_SECONDS)
    }

    fn is(&self, killer: Killer, victim: &Victim, offset: u64, moment: Moment) -> bool {
        self.pid == victim.pid
            && self.killer == killer
            && self.name == victim.name
            && is_same_size(self.total_vm_bytes, victim.total_vm_bytes)
            && self.is_near(offset, moment)
    }
}

impl Open {
    fn new(mut report: Report, place: Place<'_>) -> Self {
        report.time = place.stamp.to_time();
        Self {
            report,
            stage: Stage::Started,
            caller: place.caller,
            columns: None,
            table: Largest::default(),
            constraint_ids: None,
            is_evidence: false,
            has_header: false,
            unfinished: None,
            touched_at: place.offset,
            moment: place.stamp.moment(),
        }
    }

    fn touch(&mut self, place: Place<'_>) {
        self.touched_at = place.offset;
        self.moment = place.stamp.moment();
        self.caller = self.caller.or(place.caller);
        if self.report.time.is_none() {
            self.report.time = place.stamp.to_time();
        }
    }

    fn is_near(&self, place: Place<'_>) -> bool {
        let same_caller = self.caller.zip(place.caller).is_none_or(|(mine, other)| mine == other);
        same_caller && !self.moment.is_far_from(place.stamp.moment(), GAP_SECONDS)
    }

    /// A report of a memory cgroup is no report of the whole machine.
    fn may_be(&self, wording: Wording) -> bool {
        let is_memcg = self.report.constraint == Some(Constraint::Memcg);
        !is_memcg || wording.constraint().is_none_or(|said| said == Constraint::Memcg)
    }

    fn constrain(&mut self, line: &ConstraintLine<'_>) {
        (self.stage, self.is_evidence) = (Stage::Constraint, true);
        let report = &mut self.report;
        report.constraint_text = Some(scan::owned(line.text, kernel::NAME_MAX));
        report.constraint = line.constraint.or(report.constraint);
        report.cgroup = line.cgroup.map(|path| scan::owned(path, PATH_MAX)).or(report.cgroup.take());
        report.task_cgroup =
            line.task_cgroup.map(|path| scan::owned(path, PATH_MAX)).or(report.task_cgroup.take());
        self.constraint_ids = line.pid.map(|pid| (pid, line.uid));
    }

    /// What stands before `Kill process` or `Killed process` names a limit, but a memory cgroup's is the only name that
    /// overrules the constraint line.
    fn reason(&mut self, wording: Wording) {
        if let Wording::Beancounter(container) = wording {
            self.report.container = container;
        }
        let Some(said) = wording.constraint() else { return };
        if said == Constraint::Memcg || self.report.constraint.is_none() {
            self.report.constraint = Some(said);
        }
    }

    fn add_victim(&mut self, victim: Victim, place: Place<'_>) {
        self.note_victim(victim, place);
        self.report.kill_lines += 1;
        self.stage = Stage::Killed;
    }

    fn note_victim(&mut self, mut victim: Victim, place: Place<'_>) {
        self.is_evidence = true;
        victim.time = victim.time.or_else(|| place.stamp.to_time());
        if let Some((_, uid)) = self.constraint_ids.filter(|(pid, _)| *pid == victim.pid) {
            victim.uid = victim.uid.or(uid);
        }
        self.report.kills = Some(self.report.kills.unwrap_or(0) + 1);
        if self.report.victims.len() < Report::VICTIMS_MAX {
            self.report.victims.push(victim);
        }
    }

    fn take_last_victim(&mut self) -> Option<Victim> {
        let victim = self.report.victims.pop()?;
        self.report.kills = self.report.kills.map(|kills| kills - 1);
        self.report.kill_lines -= 1;
        Some(victim)
    }

    fn has_victim(&self, victim: &Victim, place: Place<'_>) -> bool {
        let is_same = |known: &Victim| {
            let sizes = (known.total_vm_bytes, victim.total_vm_bytes);
            known.pid == victim.pid && known.name == victim.name && is_same_size(sizes.0, sizes.1)
        };
        self.is_near(Place { caller: None, ..place }) && self.report.victims.iter().any(is_same)
    }

    fn join_group(&mut self, cgroup: &[u8]) {
        self.report.group = Some(scan::owned(cgroup, PATH_MAX));
        (self.stage, self.is_evidence) = (Stage::Killed, true);
    }

    fn add_unit(&mut self, unit: &[u8]) {
        if self.report.units.len() < UNITS_MAX && !self.report.units.iter().any(|known| **known == *unit) {
            self.report.units.push(scan::owned(unit, 256));
        }
    }

    /// Whether a unit is what systemd-oomd killed here.
    fn is_of_unit(&self, unit: &[u8]) -> bool {
        let is_its = |path: &[u8]| is_unit_of(path, unit);
        let is_told = || self.report.units.is_empty() || self.report.units.iter().any(|told| **told == *unit);
        self.report.cgroup.as_deref().map_or_else(is_told, is_its)
    }

    fn detail(&mut self, message: &[u8], place: Place<'_>) {
        self.columns = self.columns.or_else(|| table::columns_of_row(message));
        if let Some(row) = self.columns.as_ref().and_then(|columns| table::row(columns, message)) {
            self.table.add(row);
            self.touch(place);
        } else {
            self.table.learn_page_size(message);
        }
    }

    /// The second line of the last kill: the name has a newline in it and the text no escapes.
    fn rest_of_kill(&mut self, message: &[u8]) -> bool {
        let Some(first) = self.unfinished.take() else { return false };
        let Some(victim) = self.report.victims.last_mut() else { return false };
        let name_end = memchr::memmem::find(message, b") total-vm:");
        if name_end.is_none_or(|end| first.len() + 1 + end > 15) {
            return false;
        }
        kernel::finish_victim(victim, &[&*first, b"\n", message].concat())
    }

    fn finish(self) -> Option<Report> {
        let Self { mut report, table, is_evidence, .. } = self;
        (report.tasks, report.tasks_total) = table.finish(&report.victims);
        is_evidence.then_some(report)
    }
}

//! Assembles events into reports.
//!
//! The kernel prints a report in a fixed order: header, table, limit or constraint, selection, kills. Any of these
//! lines may be missing: the kernel prints the header and the constraint at most ten times in five seconds, the ring
//! buffer overwrites, people cut. Kernels before 4.x may print two reports at once. So each line belongs to the
//! youngest open report that has not come as far as the line itself; if there is none, it opens a new one. The caller
//! mark of printk and process ids separate reports further.

use std::collections::VecDeque;

use crate::kernel::{self, Event, PATH_MAX, Wording};
use crate::line_context::LineContext;
use crate::open_report::{OpenReport, Stage, is_unit_of};
use crate::recent_kill::{GAP_BYTES, RecentKill};
use crate::report::{Constraint, Killer, Reaped, Report, Selection, Victim, Witness};
use crate::scan;
use crate::table;
use crate::trust::Trust;
use crate::userspace;

/// Limit of open reports. At most two were seen in practice.
const OPEN_MAX: usize = 8;
/// Limit of remembered kills. A second line about a remembered kill is not a second kill.
const RECENT_MAX: usize = 256;
/// The open reports, and the finished ones that the caller has not fetched yet.
#[derive(Debug)]
pub(crate) struct Assembly {
    open: Vec<OpenReport>,
    ready: VecDeque<Report>,
    recent: VecDeque<RecentKill>,
    pub(crate) trust: Trust,
}

impl Assembly {
    pub(crate) fn new(trust: Trust) -> Self {
        Self { open: Vec::new(), ready: VecDeque::new(), recent: VecDeque::new(), trust }
    }

    /// Whether no report is open. Then only lines with certain words matter.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn next_ready(&mut self) -> Option<Report> {
        self.ready.pop_front()
    }

    /// Closes the reports that no line has touched for long.
    pub(crate) fn expire(&mut self, offset: u64) {
        self.close_where(|open| offset - open.touched_at > GAP_BYTES);
    }

    /// Closes all reports.
    pub(crate) fn close_all(&mut self) {
        self.close_where(|_| true);
    }

    fn close_where(&mut self, mut is_over: impl FnMut(&OpenReport) -> bool) {
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

    fn start(&mut self, killer: Killer, context: LineContext<'_>) -> &mut OpenReport {
        if self.open.len() >= OPEN_MAX {
            let oldest = self.open.remove(0);
            self.ready.extend(oldest.finish());
        }
        self.open.push(OpenReport::new(Report::new(killer, self.trust), context));
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    /// Returns the youngest open report of this killer that is near the line and satisfies `is_wanted`.
    fn find(
        &self,
        killer: Killer,
        context: LineContext<'_>,
        is_wanted: impl Fn(&OpenReport) -> bool,
    ) -> Option<usize> {
        let fits =
            |open: &OpenReport| open.report.killer == killer && open.is_near(context) && is_wanted(open);
        self.open.iter().rposition(fits)
    }

    /// As [`Assembly::find`], but starts a report if there is none.
    fn find_or_start(
        &mut self,
        killer: Killer,
        context: LineContext<'_>,
        is_wanted: impl Fn(&OpenReport) -> bool,
    ) -> &mut OpenReport {
        match self.find(killer, context, is_wanted) {
            Some(at) => {
                self.open[at].touch(context);
                &mut self.open[at]
            }
            None => self.start(killer, context),
        }
    }

    fn kernel(
        &mut self,
        context: LineContext<'_>,
        is_wanted: impl Fn(&OpenReport) -> bool,
    ) -> &mut OpenReport {
        self.find_or_start(Killer::Kernel, context, |open| {
            open.report.witness == Witness::Killer && is_wanted(open)
        })
    }

    pub(crate) fn kernel_event(&mut self, event: Event<'_>, context: LineContext<'_>) {
        match event {
            Event::Header { invoker } => self.header(invoker, context),
            Event::Constraint(line) => {
                self.kernel(context, |open| open.stage < Stage::Constraint).constrain(&line);
            }
            Event::Limit { task, cgroup } => self.limit(task, cgroup, context),
            Event::Select { wording, selection } => self.select(wording, selection, context),
            Event::Kill { wording, victim, unfinished } => self.kill(wording, *victim, unfinished, context),
            Event::Group { cgroup } => self.group(cgroup, context),
            Event::Reaped(reaped) => self.reaped(reaped),
            Event::NoKillable => self.kernel(context, |open| open.stage < Stage::Killed).is_evidence = true,
            Event::Panic => self.panic(context),
            Event::Boot => self.close_all(),
        }
    }

    /// Starts a report, and closes those that have killed.
    fn header(&mut self, invoker: Option<&[u8]>, context: LineContext<'_>) {
        self.close_where(|open| open.stage == Stage::Killed);
        let open = self.start(Killer::Kernel, context);
        open.report.invoked_by = invoker.map(|name| scan::owned(name, kernel::NAME_MAX));
        (open.is_evidence, open.has_header) = (true, true);
    }

    /// The kernel prints the limit once for each report; a copy of a terminal may hold it twice.
    fn limit(&mut self, task: Option<&[u8]>, cgroup: Option<&[u8]>, context: LineContext<'_>) {
        let is_same = |open: &OpenReport| {
            open.report.cgroup.as_deref().zip(cgroup).is_none_or(|(known, said)| known == said)
        };
        let open = self.kernel(context, |open| open.stage < Stage::Selection && is_same(open));
        open.is_evidence = true;
        open.report.constraint = Some(Constraint::Memcg);
        open.report.cgroup = cgroup.map(|path| scan::owned(path, PATH_MAX));
        open.report.task_cgroup = task.map(|path| scan::owned(path, PATH_MAX));
    }

    /// The kernel selects a process that is slow to die again and again.
    fn select(&mut self, wording: Wording, selection: Selection, context: LineContext<'_>) {
        let is_again = |open: &OpenReport| {
            open.stage == Stage::Selection && open.report.selected.as_ref() == Some(&selection)
        };
        let open = self.kernel(context, |open| {
            (open.stage < Stage::Selection && open.may_be(wording)) || is_again(open)
        });
        open.reason(wording);
        open.report.selected = Some(selection);
        open.stage = Stage::Selection;
        open.is_evidence = true;
    }

    fn kill(
        &mut self,
        wording: Wording,
        victim: Victim,
        unfinished: Option<&[u8]>,
        context: LineContext<'_>,
    ) {
        if self.is_repeated(wording, &victim, context) {
            return;
        }
        let at = self.report_of_kill(wording, &victim, context);
        let open = match at {
            Some(at) => {
                self.open[at].touch(context);
                &mut self.open[at]
            }
            None => self.start(Killer::Kernel, context),
        };
        open.reason(wording);
        open.unfinished = unfinished.map(|part| scan::owned(part, kernel::NAME_MAX));
        let recent = RecentKill::new(Killer::Kernel, &victim, context);
        open.add_victim(victim, context);
        let at = at.unwrap_or(self.open.len() - 1);
        self.remember(recent);
        self.close_other_killed(at);
    }

    /// Returns the open report of a kill: one that waits for it, else a group that is being killed.
    fn report_of_kill(&self, wording: Wording, victim: &Victim, context: LineContext<'_>) -> Option<usize> {
        let in_group = |open: &OpenReport| open.report.group.is_some() && open.stage == Stage::Killed;
        self.waiting(wording, victim, context).or_else(|| self.find(Killer::Kernel, context, in_group))
    }

    /// Returns the report that waits for this kill: one that names the process, else the youngest without a kill.
    fn waiting(&self, wording: Wording, victim: &Victim, context: LineContext<'_>) -> Option<usize> {
        let waits = |open: &OpenReport| {
            open.stage < Stage::Killed && open.may_be(wording) && open.report.witness == Witness::Killer
        };
        let constrained = |open: &OpenReport| open.constraint_ids.is_some_and(|(pid, _)| pid == victim.pid);
        let selected = |open: &OpenReport| open.report.selected.as_ref().is_some_and(|s| s.pid == victim.pid);
        let find = |is_wanted: &dyn Fn(&OpenReport) -> bool| {
            self.find(Killer::Kernel, context, |open| waits(open) && is_wanted(open))
        };
        find(&constrained)
            .or_else(|| find(&selected))
            .or_else(|| find(&|open| open.stage == Stage::Selection))
            .or_else(|| find(&|open| open.constraint_ids.is_none()))
            .or_else(|| find(&|_| true))
    }

    /// Whether a line is about a known kill.
    fn is_repeated(&mut self, wording: Wording, victim: &Victim, context: LineContext<'_>) -> bool {
        let known = self
            .open
            .iter()
            .rposition(|open| open.report.killer == Killer::Kernel && open.has_victim(victim, context));
        if known.is_none() && !self.is_recent(Killer::Kernel, victim, context) {
            return false;
        }
        let is_group = known.is_some_and(|at| self.open[at].report.group.is_some());
        if let Some(at) = known {
            self.open[at].report.kill_lines += 1;
            self.open[at].touch(context);
        }
        if let Some(at) = self.waiting(wording, victim, context).filter(|_| !is_group) {
            self.end_without_victim(at, known.is_none());
        }
        true
    }

    fn is_recent(&self, killer: Killer, victim: &Victim, context: LineContext<'_>) -> bool {
        let time = context.stamp.coarse();
        self.recent.iter().any(|recent| recent.is(killer, victim, context.offset, time))
    }

    /// The kernel selects and kills a process that is slow to die again. Without a header the report has nothing new.
    /// With a header it stays, because the killer did run again.
    fn end_without_victim(&mut self, at: usize, is_uncounted: bool) {
        if self.open[at].has_header {
            self.open[at].report.kill_lines += u64::from(is_uncounted);
            self.open[at].stage = Stage::Killed;
        } else {
            self.open.remove(at);
        }
    }

    fn remember(&mut self, recent: RecentKill) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(recent);
    }

    /// Closes the reports that have killed when another report has a kill. Groups may not be finished, so they stay
    /// open.
    fn close_other_killed(&mut self, but: usize) {
        let mut at = 0;
        self.close_where(|open| {
            at += 1;
            at - 1 != but && open.stage == Stage::Killed && open.report.group.is_none()
        });
    }

    /// The line stands between the first victim of a group and the others. If the report has a group already, that
    /// first victim belongs to a new event whose header was not printed.
    fn group(&mut self, cgroup: &[u8], context: LineContext<'_>) {
        let killed =
            |open: &OpenReport| open.stage == Stage::Killed && open.report.witness == Witness::Killer;
        let Some(at) = self.find(Killer::Kernel, context, killed) else {
            let open = self.start(Killer::Kernel, context);
            open.join_group(cgroup);
            return;
        };
        self.open[at].touch(context);
        let first =
            if self.open[at].report.group.is_some() { self.open[at].take_last_victim() } else { None };
        let Some(first) = first else {
            self.open[at].join_group(cgroup);
            return;
        };
        let constraint = self.open[at].report.constraint;
        let open = self.start(Killer::Kernel, context);
        open.report.constraint = constraint;
        open.report.time.clone_from(&first.time);
        open.add_victim(first, context);
        open.join_group(cgroup);
    }

    /// The reaper is a separate thread and works long after the kill.
    fn reaped(&mut self, reaped: Reaped) {
        let named = |open: &OpenReport| open.report.victims.iter().any(|victim| victim.pid == reaped.pid);
        let killed = |open: &OpenReport| open.report.killer == Killer::Kernel && open.stage == Stage::Killed;
        let at = self.open.iter().rposition(named).or_else(|| self.open.iter().rposition(killed));
        let Some(report) = at.map(|at| &mut self.open[at].report) else { return };
        if report.reaped.len() < Report::VICTIMS_MAX {
            report.reaped.push(reaped);
        }
    }

    fn panic(&mut self, context: LineContext<'_>) {
        let open = self.kernel(context, |open| open.stage < Stage::Killed);
        (open.report.panic, open.is_evidence) = (true, true);
        self.close_all();
    }

    /// Handles lines that mean nothing alone: tables, free lists, the second half of a name.
    pub(crate) fn kernel_detail(&mut self, message: &[u8], context: LineContext<'_>) {
        if let Some(columns) = table::columns(message) {
            let open = self.kernel(context, |open| open.stage < Stage::Table);
            (open.columns, open.stage) = (Some(columns), Stage::Table);
            return;
        }
        let killed = self.open.iter_mut().rev().find(|open| open.stage == Stage::Killed);
        if killed.is_some_and(|open| open.rest_of_kill(message)) {
            return;
        }
        let waits = |open: &OpenReport| open.stage < Stage::Killed && open.report.witness == Witness::Killer;
        if let Some(at) = self.find(Killer::Kernel, context, waits) {
            self.open[at].detail(message, context);
        }
    }

    pub(crate) fn program_event(&mut self, event: userspace::Event<'_>, context: LineContext<'_>) {
        match event {
            userspace::Event::OomdAttempt { pid } => {
                let open =
                    self.find_or_start(Killer::SystemdOomd, context, |open| open.stage < Stage::Killed);
                open.note_victim(Victim::new(pid), context);
            }
            userspace::Event::OomdKilled { cgroup } => self.oomd_killed(cgroup, context),
            userspace::Event::OomdCount { unit, kills } => self.oomd_count(unit, kills, context),
            userspace::Event::Earlyoom(victim) => self.earlyoom(*victim, context),
            userspace::Event::UnitHit { unit } => self.unit_hit(unit, context),
        }
    }

    /// systemd-oomd reports that it marks a cgroup or that it killed it. systemd may have reported the unit before.
    fn oomd_killed(&mut self, cgroup: &[u8], context: LineContext<'_>) {
        let is_same = |open: &OpenReport| match open.report.cgroup.as_deref() {
            Some(known) => known == cgroup,
            None => {
                open.stage < Stage::Killed || open.report.units.iter().any(|unit| is_unit_of(cgroup, unit))
            }
        };
        let open = self.find_or_start(Killer::SystemdOomd, context, is_same);
        open.report.cgroup = Some(scan::owned(cgroup, PATH_MAX));
        (open.stage, open.is_evidence) = (Stage::Killed, true);
        if open.report.victims.is_empty() && open.report.units.is_empty() {
            open.report.kills = None;
        }
    }

    /// `kills` is absent if systemd writes "some".
    fn oomd_count(&mut self, unit: &[u8], kills: Option<u64>, context: LineContext<'_>) {
        let open = self.find_or_start(Killer::SystemdOomd, context, |open| open.is_of_unit(unit));
        (open.stage, open.is_evidence) = (Stage::Killed, true);
        open.add_unit(unit);
        let named = open.report.victims.len() as u64;
        let known = open.report.kills.unwrap_or(0).max(named);
        open.report.kills = kills.map(|kills| kills.max(known)).or((known > 0).then_some(known));
    }

    /// earlyoom sends SIGKILL to the same process if SIGTERM was not enough.
    fn earlyoom(&mut self, victim: Victim, context: LineContext<'_>) {
        if self.is_recent(Killer::Earlyoom, &victim, context) {
            return;
        }
        self.close_where(|open| open.report.killer == Killer::Earlyoom);
        let recent = RecentKill::new(Killer::Earlyoom, &victim, context);
        self.start(Killer::Earlyoom, context).add_victim(victim, context);
        self.remember(recent);
    }

    /// systemd writes a line for the unit and for each slice above it. If the kernel reported the kill as well, it is
    /// the same event.
    fn unit_hit(&mut self, unit: &[u8], context: LineContext<'_>) {
        let killed =
            |open: &OpenReport| open.stage == Stage::Killed || open.report.witness == Witness::Systemd;
        if let Some(at) = self.find(Killer::Kernel, context, killed) {
            self.open[at].add_unit(unit);
            return;
        }
        let time = context.stamp.coarse();
        if self
            .recent
            .iter()
            .any(|recent| recent.killer == Killer::Kernel && recent.is_near(context.offset, time))
        {
            return;
        }
        let open = self.start(Killer::Kernel, context);
        open.report.witness = Witness::Systemd;
        open.report.kills = None;
        open.is_evidence = true;
        open.add_unit(unit);
    }
}

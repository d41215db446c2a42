//! A report that may still grow.

use crate::kernel::{self, ConstraintLine, PATH_MAX, Wording};
use crate::line_context::LineContext;
use crate::prefix::Caller;
use crate::recent_kill::{GAP_SECONDS, is_same_size};
use crate::report::{Constraint, Report, Victim};
use crate::scan;
use crate::table::{self, Columns, Largest};
use crate::time::CoarseTime;

/// Limit of units of one report: a service and the slices above it.
const UNITS_MAX: usize = 32;

/// Progress of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Started,
    Table,
    Constraint,
    Selection,
    Killed,
}

/// A report that may still grow.
#[derive(Debug)]
pub(crate) struct OpenReport {
    pub(crate) report: Report,
    pub(crate) stage: Stage,
    caller: Option<Caller>,
    pub(crate) columns: Option<Columns>,
    table: Largest,
    /// Process id and user id of the constraint line.
    pub(crate) constraint_ids: Option<(u32, Option<u32>)>,
    /// False for a table or a reaper's line alone: that is not a report.
    pub(crate) is_evidence: bool,
    pub(crate) has_header: bool,
    /// The first part of the last victim's name, which had a newline in it.
    pub(crate) unfinished: Option<Box<[u8]>>,
    pub(crate) touched_at: u64,
    time: CoarseTime,
}

impl OpenReport {
    pub(crate) fn new(mut report: Report, context: LineContext<'_>) -> Self {
        report.time = context.stamp.to_time();
        Self {
            report,
            stage: Stage::Started,
            caller: context.caller,
            columns: None,
            table: Largest::default(),
            constraint_ids: None,
            is_evidence: false,
            has_header: false,
            unfinished: None,
            touched_at: context.offset,
            time: context.stamp.coarse(),
        }
    }

    pub(crate) fn touch(&mut self, context: LineContext<'_>) {
        self.touched_at = context.offset;
        self.time = context.stamp.coarse();
        self.caller = self.caller.or(context.caller);
        if self.report.time.is_none() {
            self.report.time = context.stamp.to_time();
        }
    }

    pub(crate) fn is_near(&self, context: LineContext<'_>) -> bool {
        let same_caller = self.caller.zip(context.caller).is_none_or(|(mine, other)| mine == other);
        same_caller && !self.time.is_far_from(context.stamp.coarse(), GAP_SECONDS)
    }

    /// A report of a memory cgroup is not a report of the whole machine.
    pub(crate) fn may_be(&self, wording: Wording) -> bool {
        let is_memcg = self.report.constraint == Some(Constraint::Memcg);
        !is_memcg || wording.constraint().is_none_or(|said| said == Constraint::Memcg)
    }

    pub(crate) fn constrain(&mut self, line: &ConstraintLine<'_>) {
        (self.stage, self.is_evidence) = (Stage::Constraint, true);
        let report = &mut self.report;
        report.constraint_text = Some(scan::owned(line.text, kernel::NAME_MAX));
        report.constraint = line.constraint.or(report.constraint);
        report.cgroup = line.cgroup.map(|path| scan::owned(path, PATH_MAX)).or(report.cgroup.take());
        report.task_cgroup =
            line.task_cgroup.map(|path| scan::owned(path, PATH_MAX)).or(report.task_cgroup.take());
        self.constraint_ids = line.pid.map(|pid| (pid, line.uid));
    }

    /// The text before `Kill process` or `Killed process` names a limit. Only a memory cgroup's overrules the
    /// constraint line.
    pub(crate) fn reason(&mut self, wording: Wording) {
        if let Wording::Beancounter(container) = wording {
            self.report.container = container;
        }
        let Some(said) = wording.constraint() else { return };
        if said == Constraint::Memcg || self.report.constraint.is_none() {
            self.report.constraint = Some(said);
        }
    }

    pub(crate) fn add_victim(&mut self, victim: Victim, context: LineContext<'_>) {
        self.note_victim(victim, context);
        self.report.kill_lines += 1;
        self.stage = Stage::Killed;
    }

    pub(crate) fn note_victim(&mut self, mut victim: Victim, context: LineContext<'_>) {
        self.is_evidence = true;
        victim.time = victim.time.or_else(|| context.stamp.to_time());
        if let Some((_, uid)) = self.constraint_ids.filter(|(pid, _)| *pid == victim.pid) {
            victim.uid = victim.uid.or(uid);
        }
        self.report.kills = Some(self.report.kills.unwrap_or(0).saturating_add(1));
        if self.report.victims.len() < Report::VICTIMS_MAX {
            self.report.victims.push(victim);
        }
    }

    pub(crate) fn take_last_victim(&mut self) -> Option<Victim> {
        let victim = self.report.victims.pop()?;
        self.report.kills = self.report.kills.map(|kills| kills - 1);
        self.report.kill_lines -= 1;
        Some(victim)
    }

    pub(crate) fn has_victim(&self, victim: &Victim, context: LineContext<'_>) -> bool {
        let is_same = |known: &Victim| {
            let sizes = (known.total_vm_bytes, victim.total_vm_bytes);
            known.pid == victim.pid && known.name == victim.name && is_same_size(sizes.0, sizes.1)
        };
        self.is_near(LineContext { caller: None, ..context }) && self.report.victims.iter().any(is_same)
    }

    pub(crate) fn join_group(&mut self, cgroup: &[u8]) {
        self.report.group = Some(scan::owned(cgroup, PATH_MAX));
        (self.stage, self.is_evidence) = (Stage::Killed, true);
    }

    pub(crate) fn add_unit(&mut self, unit: &[u8]) {
        if self.report.units.len() < UNITS_MAX && !self.report.units.iter().any(|known| **known == *unit) {
            self.report.units.push(scan::owned(unit, 256));
        }
    }

    /// Whether systemd-oomd killed this unit here.
    pub(crate) fn is_of_unit(&self, unit: &[u8]) -> bool {
        let is_of_cgroup = |path: &[u8]| is_unit_of(path, unit);
        let is_listed =
            || self.report.units.is_empty() || self.report.units.iter().any(|listed| **listed == *unit);
        self.report.cgroup.as_deref().map_or_else(is_listed, is_of_cgroup)
    }

    pub(crate) fn detail(&mut self, message: &[u8], context: LineContext<'_>) {
        self.columns = self.columns.or_else(|| table::columns_of_row(message));
        if let Some(row) = self.columns.as_ref().and_then(|columns| table::row(columns, message)) {
            self.table.add(row);
            self.touch(context);
        } else {
            self.table.note_page_size(message);
        }
    }

    /// Adds the second line of the last kill: the name has a newline in it, and the text has no escapes.
    pub(crate) fn rest_of_kill(&mut self, message: &[u8]) -> bool {
        let Some(first) = self.unfinished.take() else { return false };
        let Some(victim) = self.report.victims.last_mut() else { return false };
        let name_end = memchr::memmem::find(message, b") total-vm:");
        if name_end.is_none_or(|end| first.len() + 1 + end > 15) {
            return false;
        }
        kernel::finish_victim(victim, &[&*first, b"\n", message].concat())
    }

    pub(crate) fn finish(self) -> Option<Report> {
        let Self { mut report, table, is_evidence, .. } = self;
        (report.tasks, report.tasks_total) = table.finish(&report.victims);
        is_evidence.then_some(report)
    }
}

/// Whether the cgroup belongs to the unit.
pub(crate) fn is_unit_of(cgroup: &[u8], unit: &[u8]) -> bool {
    cgroup.strip_suffix(unit).is_some_and(|rest| rest.ends_with(b"/"))
}

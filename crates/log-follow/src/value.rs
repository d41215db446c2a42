//! The receivers of matching lines.

use std::path::Path;

use crate::sink::{Flow, Sink};
use crate::text::{MAX_VALUE_BYTES, cut};
use crate::totals::Tally;
use crate::{Pattern, Template};

/// Joins lines to one value.
pub(crate) struct Lines<'a> {
    pub(crate) pattern: &'a Pattern,
    pub(crate) template: &'a Template,
    /// This many more lines fit.
    pub(crate) budget: u64,
    pub(crate) value: Option<String>,
    /// The budget and the value's length at the last [`Sink::begin`].
    begun: (u64, Option<usize>),
}

impl Sink for Lines<'_> {
    fn line(&mut self, line: &[u8], _file: &Path) -> Flow {
        if self.budget == 0 {
            return Flow::Full;
        }
        let Some(text) = self.text(line) else { return Flow::Next };
        match &mut self.value {
            None => self.value = Some(cut(text, MAX_VALUE_BYTES)),
            Some(value) if value.len() + 1 + text.len() > MAX_VALUE_BYTES => return Flow::Full,
            Some(value) => {
                value.push('\n');
                value.push_str(&text);
            }
        }
        self.budget -= 1;
        Flow::Next
    }

    fn begin(&mut self) {
        self.begun = (self.budget, self.value.as_ref().map(String::len));
    }

    fn roll_back(&mut self) {
        let (budget, length) = self.begun;
        self.budget = budget;
        match length {
            None => self.value = None,
            Some(length) => self.value.iter_mut().for_each(|value| value.truncate(length)),
        }
    }
}

impl<'a> Lines<'a> {
    pub(crate) fn new(pattern: &'a Pattern, template: &'a Template, budget: u64) -> Self {
        Self { pattern, template, budget, value: None, begun: (budget, None) }
    }

    /// A captured group cannot contain a line end, so joined lines can be split again.
    fn text(&self, line: &[u8]) -> Option<String> {
        if self.template.is_empty() {
            return Some(String::from_utf8_lossy(line).into_owned());
        }
        self.pattern.captures(line).map(|captures| self.template.apply(&captures))
    }
}

/// Counts lines up to a limit.
pub(crate) struct Count {
    budget: u64,
    pub(crate) lines: u64,
    begun: u64,
}

impl Count {
    pub(crate) fn new(budget: u64) -> Self {
        Self { budget, lines: 0, begun: 0 }
    }
}

impl Sink for Count {
    fn line(&mut self, _line: &[u8], _file: &Path) -> Flow {
        if self.lines >= self.budget {
            return Flow::Full;
        }
        self.lines += 1;
        Flow::Next
    }

    fn begin(&mut self) {
        self.begun = self.lines;
    }

    fn roll_back(&mut self) {
        self.lines = self.begun;
    }
}

/// The purpose of a tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Total,
    Last,
    Groups,
}

/// Counts lines without a limit.
pub(crate) struct Tallying<'a> {
    pub(crate) pattern: &'a Pattern,
    pub(crate) template: &'a Template,
    pub(crate) want: Want,
    pub(crate) read_unix_secs: u64,
    pub(crate) tally: Tally,
    pub(crate) begun: Tally,
}

impl Sink for Tallying<'_> {
    fn line(&mut self, line: &[u8], file: &Path) -> Flow {
        self.tally.lines += 1;
        if self.want == Want::Total {
            return Flow::Next;
        }
        // The line has matched already. If the second match gives up, it counts as well.
        if let Some(captures) = self.pattern.captures(line) {
            match self.want {
                Want::Groups => self.tally.sort_in(&captures),
                _ => self.tally.remember(&captures, self.template, file, self.read_unix_secs),
            }
        }
        Flow::Next
    }

    fn begin(&mut self) {
        self.begun = self.tally.clone();
    }

    fn roll_back(&mut self) {
        self.tally = std::mem::take(&mut self.begun);
    }
}

//! The files that are being read, one inside the other.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::error::Location;
use super::words::Lines;

/// Far more than anybody nests.
const MACROS_NESTED_MAX: usize = 128;

/// A logical line and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) at: Location,
}

/// A file under way, or lines that were given on the command line.
#[derive(Debug)]
pub(super) struct Source {
    name: Arc<Path>,
    lines: Lines,
    /// What macros have put in front of the rest, with the macro that it comes from.
    inserted: VecDeque<(String, u32, Arc<str>)>,
    /// The macro that the last line came from.
    within: Option<Arc<str>>,
    /// How many `Include` lead here.
    pub(super) depth: usize,
    /// How many sections were open when it began.
    pub(super) open_before: usize,
}

impl Source {
    pub(super) fn new(name: &Path, content: &[u8], protected_backslash: bool, depth: usize) -> Self {
        let lines = Lines::new(content, protected_backslash);
        Self { name: name.into(), lines, inserted: VecDeque::new(), within: None, depth, open_before: 0 }
    }

    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    pub(super) fn next(&mut self) -> Option<Line> {
        let (line, text) = match self.inserted.pop_front() {
            Some((text, line, name)) => {
                self.within = Some(name);
                (line, text)
            }
            None => {
                self.within = None;
                self.lines.next()?
            }
        };
        Some(Line { text, at: Location { file: Arc::clone(&self.name), line } })
    }

    /// Puts a macro's lines in front of what is left. They are told to be at the line that uses the macro. Refused
    /// where the macro uses itself.
    pub(super) fn insert(&mut self, name: &str, lines: Vec<String>, at: u32) -> Result<(), ()> {
        // Names of nested macros are kept as a chain, outermost first.
        let chain = self.within.as_deref().unwrap_or_default();
        let nested = chain.bytes().filter(|byte| *byte == b'\n').count();
        if nested == MACROS_NESTED_MAX || chain.split('\n').any(|outer| outer == name) {
            return Err(());
        }
        let chain: Arc<str> = format!("{chain}\n{name}").into();
        for line in lines.into_iter().rev() {
            self.inserted.push_front((line, at, Arc::clone(&chain)));
        }
        Ok(())
    }
}

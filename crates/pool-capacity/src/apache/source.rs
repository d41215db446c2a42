//! The files that are being read, one inside the other.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::error::Location;
use super::words::Lines;

/// Far more levels than any real configuration has.
const MACROS_NESTED_MAX: usize = 128;

/// A logical line and its location.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) at: Location,
}

/// A file that is being read, or lines from the command line.
#[derive(Debug)]
pub(super) struct Source {
    name: Arc<Path>,
    lines: Lines,
    /// Lines of macros before the rest, each with its macro.
    inserted: VecDeque<(String, u32, Arc<str>)>,
    /// The macro of the last line.
    within: Option<Arc<str>>,
    /// The number of `Include` levels.
    pub(super) depth: usize,
    /// The number of sections that were open at its start.
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

    /// Puts a macro's lines before the rest. Their location is the line that uses the macro. A macro that uses itself is
    /// refused.
    pub(super) fn insert(&mut self, name: &str, lines: Vec<String>, at: u32) -> Result<(), ()> {
        // The names of nested macros are a chain, outermost first.
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

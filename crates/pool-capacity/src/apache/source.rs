//! The files that are being read, one inside the other.

use std::path::Path;
use std::sync::Arc;

use super::error::Location;
use super::macros::MacroUse;
use super::words::Lines;

/// Far more levels than any real configuration has.
const MACROS_NESTED_MAX: usize = 128;

/// A file that is being read, or lines from the command line.
#[derive(Debug)]
pub(super) struct Source {
    name: Arc<Path>,
    content: Content,
    /// The macros in use, the outermost first, each with the line that uses it.
    macros: Vec<(MacroUse, u32)>,
    /// The number of `Include` levels.
    pub(super) depth: usize,
    /// The number of sections that were open at its start.
    pub(super) open_before: usize,
}

#[derive(Debug)]
enum Content {
    /// A file that is not opened yet, and the directive that includes it.
    Unopened(Location),
    Lines(Lines),
}

impl Source {
    pub(super) fn new(name: &Path, lines: Lines, depth: usize) -> Self {
        Self { name: name.into(), content: Content::Lines(lines), macros: Vec::new(), depth, open_before: 0 }
    }

    /// A file that a directive includes. It is opened when its turn comes, so that few files are in memory at a time.
    pub(super) fn included(name: &Path, at: &Location, depth: usize, open_before: usize) -> Self {
        let content = Content::Unopened(at.clone());
        Self { name: name.into(), content, macros: Vec::new(), depth, open_before }
    }

    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Returns the directive that includes the file, if the file is not opened yet.
    pub(super) fn unopened(&self) -> Option<&Location> {
        match &self.content {
            Content::Unopened(at) => Some(at),
            Content::Lines(_) => None,
        }
    }

    pub(super) fn open(&mut self, lines: Lines) {
        self.content = Content::Lines(lines);
    }

    /// The number of bytes of the file in memory.
    pub(super) fn bytes(&self) -> usize {
        match &self.content {
            Content::Unopened(_) => 0,
            Content::Lines(lines) => lines.bytes(),
        }
    }

    /// Returns the next line of the innermost macro, else of the file. A line of a macro may be refused.
    pub(super) fn next(&mut self) -> Option<(Location, Result<String, String>)> {
        while let Some((used, line)) = self.macros.last_mut() {
            let line = *line;
            if let Some(text) = used.next() {
                return Some((self.location(line), text));
            }
            self.macros.pop();
        }
        let Content::Lines(lines) = &mut self.content else { return None };
        let (line, text) = lines.next()?;
        Some((self.location(line), Ok(text)))
    }

    fn location(&self, line: u32) -> Location {
        Location { file: Arc::clone(&self.name), line }
    }

    /// Puts a macro's lines before the rest. Their location is the line that uses the macro. A macro that uses itself is
    /// refused.
    pub(super) fn insert(&mut self, used: MacroUse, at: u32) -> Result<(), ()> {
        let uses_itself = self.macros.iter().any(|(outer, _)| outer.name == used.name);
        if self.macros.len() == MACROS_NESTED_MAX || uses_itself {
            return Err(());
        }
        self.macros.push((used, at));
        Ok(())
    }
}

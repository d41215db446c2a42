//! A query, and the item under whose name its position is stored.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::{Encoding, LogSource, Pattern, Template};

/// Which lines of which files, and how many at a time. Cloning an [`Item`] shares its query.
#[derive(Debug, Clone)]
pub struct Query {
    pub(crate) source: LogSource,
    pub(crate) pattern: Pattern,
    pub(crate) template: Template,
    pub(crate) encoding: Encoding,
    pub(crate) start: Start,
    pub(crate) rotation: Rotation,
    pub(crate) max_lines_per_sec: NonZeroU32,
    pub(crate) max_delay: Option<Duration>,
}

/// The start of an item in a file that it has never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the first line (`all`).
    #[default]
    All,
    /// At the end of the log at the first poll (`skip`). A file that is absent or empty then is read from its beginning later.
    Skip,
}

/// The meaning of a changed modification time, and how copies are recognised: `options` of the agent's log keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rotation {
    /// `rotate`, `mtime-reread`: a file of a name pattern is read again if its time changes and its size does not, also in the
    /// next poll. A fixed name ignores times, as the agent does.
    #[default]
    Reread,
    /// `mtime-noreread`: a file whose time changes and whose size does not is the same file.
    NoReread,
    /// `copytruncate`: like `mtime-noreread`. A file that begins with the content read from another one is its copy, of which
    /// only the rest is read.
    CopyTruncate,
}

impl Query {
    /// The default number of lines a second.
    pub const DEFAULT_MAX_LINES_PER_SEC: u32 = 10_000;

    /// A query for every line of `source`, as UTF-8, from the beginning.
    #[must_use]
    pub fn new(source: LogSource) -> Self {
        Self {
            source,
            pattern: Pattern::default(),
            template: Template::default(),
            encoding: Encoding::default(),
            start: Start::default(),
            rotation: Rotation::default(),
            max_lines_per_sec: NonZeroU32::new(Self::DEFAULT_MAX_LINES_PER_SEC).unwrap_or(NonZeroU32::MIN),
            max_delay: None,
        }
    }

    /// Selects matching lines only.
    #[must_use]
    pub fn pattern(self, pattern: Pattern) -> Self {
        Self { pattern, ..self }
    }

    /// Sets the text that is delivered instead of the line.
    #[must_use]
    pub fn template(self, template: Template) -> Self {
        Self { template, ..self }
    }

    /// Sets the encoding of the files.
    #[must_use]
    pub fn encoding(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// Sets the start in existing content.
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// Sets how rotation is recognised.
    #[must_use]
    pub fn rotation(self, rotation: Rotation) -> Self {
        Self { rotation, ..self }
    }

    /// Sets the number of lines for each second since the last poll, which counts as at least one second.
    #[must_use]
    pub fn max_lines_per_sec(self, lines: NonZeroU32) -> Self {
        Self { max_lines_per_sec: lines, ..self }
    }

    /// Sets the largest delay. If the newest line would be delivered later than this at the rate of the last poll, a part of
    /// the log is skipped. `None` and zero never skip.
    #[must_use]
    pub fn max_delay(self, delay: Option<Duration>) -> Self {
        Self { max_delay: delay.filter(|d| !d.is_zero()), ..self }
    }
}

/// A query under a name. Create it once for each key and keep it, because it contains the compiled patterns. Clones share it.
#[derive(Debug, Clone)]
pub struct Item {
    identity: Arc<str>,
    query: Arc<Query>,
}

impl Item {
    /// `identity` names the position in memory and in the state file. It is the key with all its parameters, because items that
    /// differ in one of them must not share a position.
    #[must_use]
    pub fn new(identity: &str, query: Query) -> Self {
        Self { identity: identity.into(), query: Arc::new(query) }
    }

    /// The name of the position.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    pub(crate) fn shared_identity(&self) -> &Arc<str> {
        &self.identity
    }

    /// The query.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }
}

//! What is asked for: a query, and the item under whose name its position is kept.

use crate::{Encoding, LogSource, Pattern, Template};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Which lines of which files, and how many at a time. Cheap to clone once it is inside an [`Item`].
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

/// Where an item starts in a file that it has never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At the first line (`all`).
    #[default]
    All,
    /// At the end that the log has when the item is first asked for (`skip`). A file that is absent or empty then, or in a
    /// directory that is absent, is read from its beginning when it comes.
    Skip,
}

/// What a changed modification time means, and how copies are told: the `options` of the agent's log keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rotation {
    /// `rotate`, `mtime-reread`: a file of a name pattern whose time changes while its size stays, and stays so in the
    /// next poll, is a new file with the same content and is read again. A fixed name ignores times, as the agent does.
    #[default]
    Reread,
    /// `mtime-noreread`: a file whose time changes and whose size does not is the same file.
    NoReread,
    /// `copytruncate`: as `mtime-noreread`, and a file that begins with what was already read from another one is its
    /// copy, of which only the rest is read.
    CopyTruncate,
}

impl Query {
    /// Lines a second, when nothing else is said.
    pub const DEFAULT_MAX_LINES_PER_SEC: u32 = 10_000;

    /// Every line of `source`, as UTF-8, from the beginning.
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

    /// Only lines that match.
    #[must_use]
    pub fn pattern(self, pattern: Pattern) -> Self {
        Self { pattern, ..self }
    }

    /// What to deliver instead of the whole line.
    #[must_use]
    pub fn template(self, template: Template) -> Self {
        Self { template, ..self }
    }

    /// How the bytes become text.
    #[must_use]
    pub fn encoding(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// Where to start in what was there before the item.
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// How rotation is recognised.
    #[must_use]
    pub fn rotation(self, rotation: Rotation) -> Self {
        Self { rotation, ..self }
    }

    /// At most so many lines for each second since the last poll (which counts as at least one second).
    #[must_use]
    pub fn max_lines_per_sec(self, lines: NonZeroU32) -> Self {
        Self { max_lines_per_sec: lines, ..self }
    }

    /// When delivery falls behind so far that, at the rate of the last poll, the newest line would come later than this:
    /// skip as much of the log as makes up for it. `None` (and zero) never skip.
    #[must_use]
    pub fn max_delay(self, delay: Option<Duration>) -> Self {
        Self { max_delay: delay.filter(|d| !d.is_zero()), ..self }
    }
}

/// A query under a name. Make it once for each key and its parameters and keep it: patterns are compiled in it. Clones
/// share what they hold.
#[derive(Debug, Clone)]
pub struct Item {
    identity: Arc<str>,
    query: Arc<Query>,
}

impl Item {
    /// `identity` names the position in memory and in the state file: the key with all its parameters, since two items
    /// that differ in one of them must not share a position.
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

    /// What is asked for.
    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }
}

//! Patterns in the syntax of PCRE2, as Zabbix compiles it, and templates for what a match delivers.

mod ast;
mod class;
mod emit;
mod literal;
mod parse;
mod template;

pub use template::Template;

use emit::{Dialect, Emitted, NOT_UTF8};
use memchr::memmem;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A compiled pattern. The default one, and the empty one, match every line.
///
/// The syntax is that of PCRE2 10.42 with the options that the agent sets (UTF, not UCP): `\d`, `\w`, `\s`, `\b` and the
/// POSIX classes are ASCII, `.` is any character, bytes that are not UTF-8 match nothing. Patterns run on the regex crate, in
/// time linear in the line, unless they need what it cannot do: look-around, back-references, possessive quantifiers, atomic
/// and conditional groups, `\K` and `\B`. Those run on a backtracking engine that gives up on a line after
/// [`Pattern::STEP_LIMIT`] steps, as the agent does.
///
/// Not supported, with an error that says so: recursion and subroutine calls, `\X`, `\C`, `(*UCP)`, the verbs that steer
/// backtracking.
///
/// Known differences: a group that can be empty, inside a repeat (`(a*)*b`), holds its last text that was not; an empty match
/// at the start of a line that begins with bytes that are not UTF-8 is found here and not there.
///
/// Compiled once, shared by its clones, and safe to use from many threads.
///
/// ```
/// use log_follow::Pattern;
///
/// let pattern: Pattern = r"MaxClients|MaxRequestWorkers(?! is)".parse().unwrap();
/// assert!(pattern.is_match(b"AH00161: server reached MaxRequestWorkers setting"));
/// assert!(Pattern::new("(").is_err());
/// ```
#[derive(Clone, Default)]
pub struct Pattern(Option<Arc<Compiled>>);

struct Compiled {
    text: String,
    engine: Engine,
    /// Of each group of the text, its numbers in the engine.
    groups: Vec<Vec<usize>>,
    required: Option<Vec<Vec<u8>>>,
    /// Made when it is first needed: most patterns never need it.
    required_search: OnceLock<Option<TextSearch>>,
}

/// A fast search for any of some texts.
#[derive(Debug)]
pub(crate) enum TextSearch {
    One(Box<memmem::Finder<'static>>),
    /// Vectorised, for some dozens of texts.
    Some(Box<aho_corasick::packed::Searcher>),
    Many(aho_corasick::AhoCorasick),
}

impl TextSearch {
    pub(crate) fn new(texts: &[Vec<u8>]) -> Option<Self> {
        match texts {
            [text] => Some(Self::One(Box::new(memmem::Finder::new(text).into_owned()))),
            texts => match aho_corasick::packed::Searcher::new(texts) {
                Some(search) => Some(Self::Some(Box::new(search))),
                None => aho_corasick::AhoCorasick::new(texts).ok().map(Self::Many),
            },
        }
    }

    /// Where the first of them begins.
    pub(crate) fn find(&self, buffer: &[u8]) -> Option<usize> {
        match self {
            Self::One(finder) => finder.find(buffer),
            Self::Some(search) => search.find(buffer).map(|m| m.start()),
            Self::Many(search) => search.find(buffer).map(|m| m.start()),
        }
    }
}

enum Engine {
    Literal(Box<memmem::Finder<'static>>),
    Linear(regex::bytes::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}, position {position}")]
pub struct PatternError {
    /// What is wrong, in PCRE2's words where it would refuse the pattern too.
    pub reason: String,
    /// Byte offset in the pattern.
    pub position: usize,
    /// PCRE2 would refuse it, too. Otherwise it is something that is not supported here.
    pub refused_by_pcre2: bool,
}

/// What the engine said about a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    No,
    Yes,
    /// The backtracking engine reached its limit.
    TooHard,
}

impl Pattern {
    /// The backtracking engine gives up on a line after so many steps. (PCRE2 counts its steps in another way; the agent's
    /// limit is the same number.)
    pub const STEP_LIMIT: usize = 1_000_000;

    /// Compiles `text` with capture groups.
    ///
    /// # Errors
    ///
    /// When PCRE2 would not compile it, when it needs something that is not supported, or when it is too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Self::compile(text, false)
    }

    /// Compiles `text` as the agent does for an item without an `output` template: plain parentheses do not capture (unless
    /// the text has a back-reference by number). Nothing matches differently, but a reference to such a group is an error.
    ///
    /// # Errors
    ///
    /// As [`Pattern::new`].
    pub fn without_groups(text: &str) -> Result<Self, PatternError> {
        Self::compile(text, true)
    }

    /// Whether plain parentheses capture even [without groups](Self::without_groups): the text looks to the agent as if it
    /// referred to a group by number.
    ///
    /// ```
    /// use log_follow::Pattern;
    ///
    /// assert!(Pattern::refers_by_number(r"(a)\1"));
    /// assert!(!Pattern::refers_by_number(r"(a)b"));
    /// ```
    #[must_use]
    pub fn refers_by_number(text: &str) -> bool {
        parse::has_numbered_reference(text)
    }

    fn compile(text: &str, no_capture: bool) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let parsed = parse::parse(text, no_capture)?;
        let required = literal::required(&parsed.node);
        let (engine, groups) = match literal::whole(&parsed.node) {
            Some(literal) => {
                (Engine::Literal(Box::new(memmem::Finder::new(&literal).into_owned())), vec![vec![0]])
            }
            None => engine(text, &parsed)?,
        };
        Ok(Self(Some(Arc::new(Compiled {
            text: text.into(),
            engine,
            groups,
            required,
            required_search: OnceLock::new(),
        }))))
    }

    /// The text that it was compiled from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().map_or("", |c| &c.text)
    }

    /// Whether `line` (without its end) matches. A line on which the backtracking engine reaches its limit does not.
    #[must_use]
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.verdict(line) == Verdict::Yes
    }

    /// The match in `line` and its groups.
    #[must_use]
    pub fn captures<'l>(&self, line: &'l [u8]) -> Option<Captures<'l>> {
        let Some(compiled) = self.0.as_deref() else {
            return Some(Captures { line, groups: vec![Some(0..line.len())] });
        };
        let found = match &compiled.engine {
            Engine::Literal(finder) => {
                let start = finder.find(line)?;
                return Some(Captures { line, groups: vec![Some(start..start + finder.needle().len())] });
            }
            Engine::Linear(regex) => {
                let captures = regex.captures(line)?;
                (0..captures.len()).map(|i| captures.get(i).map(|m| m.range())).collect()
            }
            Engine::Backtracking(regex) => backtracking_captures(regex, line)?,
        };
        Some(Captures { line, groups: compiled.original_groups(&found) })
    }

    pub(crate) fn verdict(&self, line: &[u8]) -> Verdict {
        let yes = match self.0.as_deref().map(|c| &c.engine) {
            None => true,
            Some(Engine::Literal(finder)) => finder.find(line).is_some(),
            Some(Engine::Linear(regex)) => regex.is_match(line),
            Some(Engine::Backtracking(regex)) => match regex.is_match(&as_text(line)) {
                Ok(yes) => yes,
                Err(_) => return Verdict::TooHard,
            },
        };
        if yes { Verdict::Yes } else { Verdict::No }
    }

    /// How to search a whole buffer of UTF-8 lines for it.
    pub(crate) fn searcher(&self) -> Searcher<'_> {
        match self.0.as_deref() {
            None => Searcher::EveryLine,
            Some(Compiled { engine: Engine::Literal(finder), .. }) => Searcher::Literal(finder),
            Some(Compiled { engine: Engine::Linear(regex), .. }) => Searcher::Linear(regex),
            Some(_) => Searcher::EachLine,
        }
    }

    /// Whether one line can take long.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self.0.as_deref(), Some(Compiled { engine: Engine::Backtracking(_), .. }))
    }

    /// A search for [`Pattern::required_texts`].
    pub(crate) fn required_search(&self) -> Option<&TextSearch> {
        let compiled = self.0.as_deref()?;
        compiled.required_search.get_or_init(|| TextSearch::new(compiled.required.as_deref()?)).as_ref()
    }

    /// Texts of which each matching line contains at least one.
    pub(crate) fn required_texts(&self) -> Option<&[Vec<u8>]> {
        self.0.as_deref()?.required.as_deref()
    }
}

/// How a buffer of lines is searched.
#[derive(Clone, Copy)]
pub(crate) enum Searcher<'p> {
    EveryLine,
    Literal(&'p memmem::Finder<'static>),
    Linear(&'p regex::bytes::Regex),
    /// Each line by itself.
    EachLine,
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pattern").field(&self.as_str()).finish()
    }
}

impl std::str::FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

impl Compiled {
    /// Groups by their number in the text: of several with one number, the one that took part.
    fn original_groups(&self, found: &[Option<Range<usize>>]) -> Vec<Option<Range<usize>>> {
        self.groups
            .iter()
            .map(|engine| engine.iter().find_map(|&i| found.get(i).cloned().flatten()))
            .collect()
    }
}

/// A match in a line.
#[derive(Debug, Clone)]
pub struct Captures<'l> {
    line: &'l [u8],
    groups: Vec<Option<Range<usize>>>,
}

impl<'l> Captures<'l> {
    /// The whole line.
    #[must_use]
    pub fn line(&self) -> &'l [u8] {
        self.line
    }

    /// Group 0 is the match; `None` for a group that took no part or does not exist.
    #[must_use]
    pub fn get(&self, group: usize) -> Option<&'l [u8]> {
        self.groups.get(group)?.clone().map(|range| &self.line[range])
    }

    /// The number of groups of the pattern, the match itself not counted.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups.len().saturating_sub(1)
    }
}

fn engine(text: &str, parsed: &parse::Parsed) -> Result<(Engine, Vec<Vec<usize>>), PatternError> {
    let error = |reason: String| PatternError { reason, position: text.len(), refused_by_pcre2: false };
    let backtracking = emit::needs_backtracking(&parsed.node);
    let dialect = if backtracking { Dialect::Backtracking } else { Dialect::Linear };
    let Some(Emitted { text, groups }) = emit::emit(&parsed.node, parsed.groups, dialect) else {
        return Err(error("references to a number that several groups have are not supported".into()));
    };
    if !backtracking {
        let regex = regex::bytes::Regex::new(&text).map_err(|e| error(too_large(&e.to_string())))?;
        return Ok((Engine::Linear(regex), groups));
    }
    let regex = fancy_regex::RegexBuilder::new(&text)
        .backtrack_limit(Pattern::STEP_LIMIT)
        .build()
        .map_err(|e| error(too_large(&e.to_string())))?;
    Ok((Engine::Backtracking(Box::new(regex)), groups))
}

/// The parser refused everything that is not a pattern, so what an engine refuses is size, or something unforeseen.
fn too_large(reason: &str) -> String {
    if reason.contains("size limit") { "regular expression is too large".into() } else { reason.into() }
}

fn backtracking_captures(regex: &fancy_regex::Regex, line: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
    let text = as_text(line);
    let captures = regex.captures(&text).ok()??;
    let original = |offset: usize| match &text {
        Cow::Borrowed(_) => offset,
        Cow::Owned(text) => original_offset(text, offset),
    };
    let range = |m: fancy_regex::Match<'_>| original(m.start())..original(m.end()).max(original(m.start()));
    Some((0..captures.len()).map(|i| captures.get(i).map(range)).collect())
}

/// The line as the backtracking engine takes it: each byte that is not UTF-8 becomes a character that nothing matches.
fn as_text(line: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(line) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(line.len() + 16);
    for chunk in line.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| NOT_UTF8));
    }
    Cow::Owned(text)
}

/// Back from an offset in what [`as_text`] made: each stand-in was one byte.
fn original_offset(text: &str, offset: usize) -> usize {
    offset - text[..offset].matches(NOT_UTF8).count() * (NOT_UTF8.len_utf8() - 1)
}

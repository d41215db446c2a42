//! Compiled patterns and their matches.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use memchr::memmem;

use super::emit::{self, Dialect, Emitted, NOT_UTF8};
use super::error::PatternError;
use super::parser::{self, Parsed};
use super::required;
use super::search::TextSearch;

/// A compiled pattern. The default pattern and the empty pattern match every line.
///
/// The syntax is that of PCRE2 10.42 with the options that the agent sets (UTF, not UCP). `\d`, `\w`, `\s`, `\b` and the
/// POSIX classes are ASCII, `.` is any character, and bytes that are not UTF-8 match nothing.
///
/// Patterns run on the regex crate in linear time, unless they contain look-around, back-references, possessive quantifiers,
/// atomic or conditional groups, `\K` or `\B`. Those run on a backtracking engine that gives up on a line after
/// [`Pattern::STEP_LIMIT`] steps, as the agent does.
///
/// Recursion, subroutine calls, `\X`, `\C`, `(*UCP)` and the verbs that control backtracking are refused with an error that
/// names them.
///
/// Known differences from PCRE2: a group inside a repeat that can be empty (`(a*)*b`) keeps its last text that was not empty.
/// An empty match at the start of a line that begins with bytes that are not UTF-8 is found here and not by PCRE2.
///
/// Clones share the compiled pattern. It may be used by many threads.
///
/// ```
/// use regex_dialects::pcre2::Pattern;
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
    /// The engine's numbers of each group in the text.
    groups: Vec<Vec<usize>>,
    required: Option<Vec<Vec<u8>>>,
    /// Built at first use, because most patterns never need it.
    required_search: OnceLock<Option<TextSearch>>,
}

enum Engine {
    Literal(Box<memmem::Finder<'static>>),
    Linear(regex::bytes::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

/// The engine's result for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The line does not match.
    No,
    /// The line matches.
    Yes,
    /// The backtracking engine reached its limit of steps.
    StepLimit,
}

impl Pattern {
    /// The backtracking engine gives up on a line after this many steps. The agent's limit is the same number, but PCRE2
    /// counts its steps differently.
    pub const STEP_LIMIT: usize = 1_000_000;

    /// Compiles `text` with capture groups.
    ///
    /// # Errors
    ///
    /// Returns an error if PCRE2 refuses the pattern, if it contains an unsupported construct, or if it is too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Self::compile(text, false)
    }

    /// Compiles `text` as the agent does for an item without an `output` template: plain parentheses do not capture, unless
    /// the text has a back-reference by number. The same lines match, but a reference to such a group is an error.
    ///
    /// # Errors
    ///
    /// The errors are those of [`Pattern::new`].
    pub fn without_groups(text: &str) -> Result<Self, PatternError> {
        Self::compile(text, true)
    }

    /// Returns whether plain parentheses capture even [without groups](Self::without_groups), because the agent finds a
    /// reference to a group by number in the text.
    ///
    /// ```
    /// use regex_dialects::pcre2::Pattern;
    ///
    /// assert!(Pattern::refers_by_number(r"(a)\1"));
    /// assert!(!Pattern::refers_by_number(r"(a)b"));
    /// ```
    #[must_use]
    pub fn refers_by_number(text: &str) -> bool {
        parser::has_numbered_reference(text)
    }

    fn compile(text: &str, no_capture: bool) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let parsed = parser::parse(text, no_capture)?;
        let required = required::required(&parsed.node);
        let (engine, groups) = match required::whole(&parsed.node) {
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

    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().map_or("", |c| &c.text)
    }

    /// Returns whether `line`, given without its line end, matches. If the backtracking engine reaches its limit, it does not.
    #[must_use]
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.verdict(line) == Verdict::Yes
    }

    /// Returns whether a name matches, such as a path. `^` and `$` would match in the middle of a name with a line end, which an
    /// ordinary user can give to a file, so such a name does not match.
    ///
    /// ```
    /// use regex_dialects::pcre2::Pattern;
    ///
    /// let pattern: Pattern = "^/var/log/".parse().unwrap();
    /// assert!(pattern.matches_name(b"/var/log/messages"));
    /// assert!(!pattern.matches_name(b"/home/user/a\n/var/log/messages"));
    /// ```
    #[must_use]
    pub fn matches_name(&self, name: &[u8]) -> bool {
        memchr::memchr2(b'\n', b'\r', name).is_none() && self.is_match(name)
    }

    /// Returns the match in `line` with its groups.
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

    /// Returns whether `line` matches, or that the engine gave up.
    #[must_use]
    pub fn verdict(&self, line: &[u8]) -> Verdict {
        let yes = match self.0.as_deref().map(|c| &c.engine) {
            None => true,
            Some(Engine::Literal(finder)) => finder.find(line).is_some(),
            Some(Engine::Linear(regex)) => regex.is_match(line),
            Some(Engine::Backtracking(regex)) => match regex.is_match(as_text(line).as_ref()) {
                Ok(yes) => yes,
                Err(_) => return Verdict::StepLimit,
            },
        };
        if yes { Verdict::Yes } else { Verdict::No }
    }

    /// Returns the way to search a buffer of UTF-8 lines for the pattern.
    #[must_use]
    pub fn searcher(&self) -> Searcher<'_> {
        match self.0.as_deref() {
            None => Searcher::EveryLine,
            Some(Compiled { engine: Engine::Literal(finder), .. }) => Searcher::Literal(finder),
            Some(Compiled { engine: Engine::Linear(regex), .. }) => Searcher::Linear(regex),
            Some(_) => Searcher::EachLine,
        }
    }

    /// Returns whether a single line may take long, because the pattern runs on the backtracking engine.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(self.0.as_deref(), Some(Compiled { engine: Engine::Backtracking(_), .. }))
    }

    /// Returns a search for [`Pattern::required_texts`].
    #[must_use]
    pub fn required_search(&self) -> Option<&TextSearch> {
        let compiled = self.0.as_deref()?;
        compiled.required_search.get_or_init(|| TextSearch::new(compiled.required.as_deref()?)).as_ref()
    }

    /// Returns texts of which each matching line contains at least one. `None` if the pattern requires no such text.
    #[must_use]
    pub fn required_texts(&self) -> Option<&[Vec<u8>]> {
        self.0.as_deref()?.required.as_deref()
    }
}

/// The way to search a buffer of lines for a pattern.
#[derive(Debug, Clone, Copy)]
pub enum Searcher<'p> {
    /// Every line matches.
    EveryLine,
    /// Lines with this text match.
    Literal(&'p memmem::Finder<'static>),
    /// The expression may run over several lines at once, because it never matches a line end.
    Linear(&'p regex::bytes::Regex),
    /// Each line is matched on its own.
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
    /// Orders groups by their number in the text. If several have one number, the group that matched is taken.
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

    /// Returns a group; group 0 is the match. `None` if the group did not match or does not exist.
    #[must_use]
    pub fn get(&self, group: usize) -> Option<&'l [u8]> {
        self.groups.get(group)?.clone().map(|range| &self.line[range])
    }

    /// The number of groups of the pattern, without the match itself.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups.len().saturating_sub(1)
    }
}

fn engine(text: &str, parsed: &Parsed) -> Result<(Engine, Vec<Vec<usize>>), PatternError> {
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

/// The parser has refused invalid patterns, so an engine refuses only patterns that are too large.
fn too_large(reason: &str) -> String {
    if reason.contains("size limit") { "regular expression is too large".into() } else { reason.into() }
}

fn backtracking_captures(regex: &fancy_regex::Regex, line: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
    let text = as_text(line);
    let captures = regex.captures(text.as_ref()).ok()??;
    let original = |offset: usize| match &text {
        Cow::Borrowed(_) => offset,
        Cow::Owned(text) => original_offset(text, offset),
    };
    let range = |m: fancy_regex::Match<'_>| original(m.start())..original(m.end()).max(original(m.start()));
    Some((0..captures.len()).map(|i| captures.get(i).map(range)).collect())
}

/// Converts a line for the backtracking engine: each byte that is not UTF-8 becomes a character that no class contains.
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

/// Converts an offset in the result of [`as_text`] back: each replacement was one byte.
fn original_offset(text: &str, offset: usize) -> usize {
    offset - text[..offset].matches(NOT_UTF8).count() * (NOT_UTF8.len_utf8() - 1)
}

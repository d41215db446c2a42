//! The state behind the log keys: the follower, and the items with their compiled patterns.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use agent2_plugin::ItemError;
use log_follow::{
    Encoding, Follower, FollowerStatus, Item, LogSource, LogSourceError, Pattern, PatternError,
    PendingCheckpoint, Query, Rotation, Settings, Start, Template,
};

use crate::config::Config;
use crate::deferred::Deferred;
use crate::parameters::{Arguments, WordTable, invalid, value_of, words_of};
use crate::purpose::Purpose;

/// Positions are synced this long after a poll.
const TIDY_AFTER: Duration = Duration::from_secs(5);
/// An item without a poll for this long is compiled again at its next poll.
const FORGET_ITEMS_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Items of a template share a few patterns. A compiled pattern can use more memory than everything else of its item.
const KEPT_PATTERNS: usize = 64;

/// The start of a new item.
const STARTS: WordTable<Start, 2> = [("all", Start::All), ("skip", Start::Skip)];
/// The words of `mode` if a new item begins at the first line by default.
pub(crate) const FROM_START_WORDS: &[&str] = &[STARTS[0].0, STARTS[1].0];
/// The words of `mode` if a new item begins at the end by default.
pub(crate) const FROM_END_WORDS: &[&str] = &[STARTS[1].0, STARTS[0].0];

const ROTATIONS: WordTable<Rotation, 4> = [
    ("rotate", Rotation::Reread),
    ("copytruncate", Rotation::CopyTruncate),
    ("mtime-reread", Rotation::Reread),
    ("mtime-noreread", Rotation::NoReread),
];
/// The words of `options` of the keys that take a pattern for file names.
pub(crate) const ROTATION_WORDS: &[&str] = &words_of(&ROTATIONS);
/// The words of `options` of the keys that take a fixed name.
pub(crate) const REREAD_WORDS: &[&str] = &[ROTATIONS[2].0, ROTATIONS[3].0];

/// The state that all log keys share.
pub(crate) struct Logs {
    config: Config,
    purpose: Purpose,
    /// Opened by the first log item, so that a plugin without log items does not touch the state directory.
    follower: OnceLock<Follower>,
    /// Requests for the thread that tidies up after polls.
    tidying: Arc<Deferred>,
    /// Items with their compiled patterns, and the time of each item's last poll.
    items: Mutex<HashMap<String, (Item, Instant)>>,
    /// Compiled patterns by their text, and whether parentheses capture.
    patterns: Mutex<HashMap<(String, bool), Pattern>>,
}

impl Logs {
    pub(crate) fn new(config: Config, purpose: Purpose) -> Arc<Self> {
        Arc::new(Self {
            config,
            purpose,
            follower: OnceLock::new(),
            tidying: Arc::default(),
            items: Mutex::default(),
            patterns: Mutex::default(),
        })
    }

    /// Commits a position, and has it synced.
    pub(crate) fn commit(&self, pending: PendingCheckpoint) {
        pending.commit();
        self.tidying.request();
    }

    /// Returns the follower for a poll.
    pub(crate) fn follower(self: &Arc<Self>) -> &Follower {
        self.tidying.request();
        self.follower.get_or_init(|| {
            let settings = Settings {
                state_dir: Some(self.config.state_dir.clone()),
                read_only: self.purpose == Purpose::ReadOnly,
                allow: self.config.log_allow_path.clone(),
            };
            let follower = Follower::open(settings);
            log_warnings(&follower);
            if self.purpose == Purpose::Serve {
                tidy_in_background(self);
            }
            follower
        })
    }

    /// Returns whether values are only shown: no position may move.
    pub(crate) fn is_read_only(&self) -> bool {
        self.purpose == Purpose::ReadOnly
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.config.state_dir
    }

    /// Returns the follower's health, if a log item was polled.
    pub(crate) fn status(&self) -> Option<FollowerStatus> {
        self.follower.get().map(Follower::status)
    }

    /// Marks all values as delivered to the agent.
    pub(crate) fn settle(&self) {
        if let Some(follower) = self.follower.get() {
            follower.settle(SystemTime::now());
        }
    }

    /// Returns the time after which it has to be called again if nothing is polled.
    fn tidy(&self) -> Option<Duration> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.retain(|_, (_, asked)| asked.elapsed() < FORGET_ITEMS_AFTER);
        drop(items);
        let follower = self.follower.get()?;
        let again = follower.tidy(SystemTime::now());
        log_warnings(follower);
        again
    }

    /// Returns the item with its compiled patterns, from the last poll or compiled now.
    pub(crate) fn item(&self, arguments: Arguments<'_>) -> Result<Item, ItemError> {
        let identity = arguments.identity();
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((item, polled)) = items.get_mut(&identity) {
            *polled = Instant::now();
            return Ok(item.clone());
        }
        drop(items);
        let item = Item::new(&identity, self.query(arguments)?);
        items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.insert(identity, (item.clone(), Instant::now()));
        Ok(item)
    }

    /// Checks the parameters in the built-in keys' order and with their error texts.
    pub(crate) fn query(&self, arguments: Arguments<'_>) -> Result<Query, ItemError> {
        if arguments.request().parameters().is_empty() {
            return Err(ItemError::new("Invalid number of parameters."));
        }
        if arguments.text(0).is_empty() {
            return Err(invalid(0));
        }
        let regexp = self.regexp(arguments.named("regexp"))?;
        let max_lines = self.max_lines(arguments)?;
        let start = start(arguments)?;
        let max_delay = max_delay(arguments)?;
        let rotation = rotation(arguments)?;
        if rotation == Rotation::CopyTruncate && max_delay.is_some() {
            return Err(ItemError::new("maxdelay > 0 is not supported with copytruncate option."));
        }
        // Without a pattern the built-in keys deliver whole lines and ignore the template.
        let output = if regexp.is_empty() { "" } else { arguments.named("output") };
        Ok(Query::new(self.source(arguments)?)
            .pattern(self.pattern(arguments, regexp, output)?)
            .template(Template::new(output))
            .encoding(encoding(arguments.named("encoding"))?)
            .start(start)
            .rotation(rotation)
            .max_lines_per_sec(max_lines)
            .max_delay(max_delay))
    }

    fn source(&self, arguments: Arguments<'_>) -> Result<LogSource, ItemError> {
        let path = self.on_host(arguments.text(0));
        if arguments.place("file_regexp").is_none() {
            return Ok(LogSource::file(path));
        }
        LogSource::names(&path.to_string_lossy()).map_err(|error| source_error(arguments, error))
    }

    /// Returns the path as this process sees it if the host's root is mounted elsewhere.
    fn on_host(&self, path: &str) -> PathBuf {
        if self.config.host_root == Path::new("/") {
            return PathBuf::from(path);
        }
        self.config.host_root.join(path.trim_start_matches('/'))
    }

    /// Returns the pattern's text. `@name` is one from the configuration.
    fn regexp<'a>(&'a self, given: &'a str) -> Result<&'a str, ItemError> {
        let Some(name) = given.strip_prefix('@') else { return Ok(given) };
        self.config.regexps.get(name).map(String::as_str).ok_or_else(|| {
            ItemError::new(format!(
                "Global regular expression \"{name}\" does not exist. A plugin does not receive the server's expressions: \
                 set Plugins.OomWatch.Regexp.{name} in the agent's configuration."
            ))
        })
    }

    fn pattern(&self, arguments: Arguments<'_>, regexp: &str, output: &str) -> Result<Pattern, ItemError> {
        let captures = !output.is_empty() || !arguments.is_mirror();
        let name = (regexp.to_owned(), captures);
        let patterns = || self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pattern) = patterns().get(&name) {
            return Ok(pattern.clone());
        }
        let compiled = if captures { Pattern::new(regexp) } else { Pattern::without_groups(regexp) };
        let pattern =
            compiled.map_err(|error| ItemError::new(compile_error(arguments, &error, captures, regexp)))?;
        let mut kept = patterns();
        if kept.len() >= KEPT_PATTERNS {
            kept.clear();
        }
        kept.insert(name, pattern.clone());
        Ok(pattern)
    }

    fn max_lines(&self, arguments: Arguments<'_>) -> Result<NonZeroU32, ItemError> {
        let (name, highest) = match arguments.place("maxproclines") {
            Some(_) => ("maxproclines", 10_000),
            None => ("maxlines", 1_000),
        };
        let text = arguments.named(name);
        if text.is_empty() {
            return Ok(self.config.log_max_lines);
        }
        NonZeroU32::new(leading_number(text)).filter(|lines| lines.get() <= highest).ok_or_else(|| invalid(3))
    }
}

fn log_warnings(follower: &Follower) {
    for warning in follower.take_warnings() {
        log::warn!("{warning}");
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.tidying.end();
    }
}

/// Ends when the plugin releases its log items.
fn tidy_in_background(logs: &Arc<Logs>) {
    let (tidying, logs) = (Arc::clone(&logs.tidying), Arc::downgrade(logs));
    let body = move || tidying.run(TIDY_AFTER, || Weak::upgrade(&logs)?.tidy());
    if let Err(error) = thread::Builder::new().name("tidy".to_owned()).spawn(body) {
        log::warn!("positions in logs are synced only by the system: no thread for it: {error}");
    }
}

/// Parses a number as the agent does (C's `atoi`): spaces and a plus before the digits, and everything after them, are ignored.
/// Without digits the number is 0.
fn leading_number(text: &str) -> u32 {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    text[..digits].parse().unwrap_or(0)
}

/// Returns the built-in keys' error text. If PCRE2 accepts the pattern, they have no text, so our reason is returned.
fn compile_error(arguments: Arguments<'_>, error: &PatternError, captures: bool, regexp: &str) -> String {
    if !error.refused_by_pcre2 {
        return format!("Cannot compile regular expression: {error}.");
    }
    if arguments.is_before_6_4() {
        return "cannot compile regular expression".into();
    }
    format!(
        "Invalid regular expression: {}",
        with_flags(error, captures || Pattern::refers_by_number(regexp))
    )
}

/// Adds PCRE2's options in the agent's form: MULTILINE, and `NO_AUTO_CAPTURE` if parentheses do not capture.
fn with_flags(error: &PatternError, captures: bool) -> String {
    format!("{error}, flags:{}", if captures { "0x400" } else { "0x2400" })
}

/// The error text of agent 7.0. Agent 6.0 takes the bytes unchanged if it does not know the encoding.
fn encoding(name: &str) -> Result<Encoding, ItemError> {
    Encoding::named(name).map_err(|_| {
        let name = name.to_uppercase();
        ItemError::new(format!(
            "Failed to convert from encoding {name} to utf8. Error: [22] Invalid argument."
        ))
    })
}

fn source_error(arguments: Arguments<'_>, error: LogSourceError) -> ItemError {
    match error {
        LogSourceError::Pattern(error) if error.refused_by_pcre2 => {
            let summary = "Cannot compile a regular expression describing filename pattern";
            let captures = Pattern::refers_by_number(arguments.text(0));
            let reason = if arguments.is_before_6_4() { error.reason } else { with_flags(&error, captures) };
            ItemError::new(format!("{summary}: {reason}"))
        }
        other => other.into(),
    }
}

fn start(arguments: Arguments<'_>) -> Result<Start, ItemError> {
    let Some(place) = arguments.place("mode") else { return Ok(Start::All) };
    arguments.word(place, |word| value_of(&STARTS, word))
}

fn max_delay(arguments: Arguments<'_>) -> Result<Option<Duration>, ItemError> {
    let text = arguments.named("maxdelay");
    if text.is_empty() {
        return Ok(None);
    }
    let delay = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match delay {
        Some(delay) => Ok(Some(delay).filter(|delay| !delay.is_zero())),
        None => Err(invalid(arguments.place("maxdelay").unwrap_or_default())),
    }
}

fn rotation(arguments: Arguments<'_>) -> Result<Rotation, ItemError> {
    let refused = || ItemError::new("Invalid parameter \"options\".");
    let Some(place) = arguments.place("options") else { return Ok(Rotation::Reread) };
    arguments.word(place, |word| value_of(&ROTATIONS, word)).map_err(|_| refused())
}

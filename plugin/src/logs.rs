//! The log keys: `log`, `log.count`, `log.total`, `log.last`, `log.groups`, and those with `logrt` that take a pattern
//! for file names.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use agent2_plugin::{self as sdk, ItemError, Reply, Request};
use log_follow::{
    Ask, Delivery, Encoding, Follower, Groups, Item, Last, Pattern, PatternError, Query, Rotation, Settings,
    Source, SourceError, Start, Status, Template, Total,
};
use serde::Serialize;

use crate::arguments::{Arguments, invalid};
use crate::config::Config;
use crate::exporter::{OomWatch, Purpose};
use crate::json;

/// How long before the poll's deadline reading stops, so that the reply can still be written in time.
const WRITING_TIME: Duration = Duration::from_millis(250);
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// An item that nobody asked for in so long is compiled anew when it is asked for again.
const FORGET_ITEMS_AFTER: Duration = Duration::from_secs(24 * 3600);
const DEFAULT_GROUPS: usize = 100;
/// The items of a template have the same few patterns, and one of them can take more memory than all else of its item.
const KEPT_PATTERNS: usize = 64;

/// What the log keys share.
pub(crate) struct Logs {
    config: Config,
    purpose: Purpose,
    /// Opened by the first log item, so that a plugin without any touches no state.
    follower: OnceLock<Follower>,
    /// Items with their compiled patterns, and when each was last asked for.
    items: Mutex<HashMap<String, (Item, Instant)>>,
    /// By their text, and whether parentheses capture: for new items with the same.
    patterns: Mutex<HashMap<(String, bool), Pattern>>,
}

impl Logs {
    pub(crate) fn new(config: Config, purpose: Purpose) -> Arc<Self> {
        Arc::new(Self {
            config,
            purpose,
            follower: OnceLock::new(),
            items: Mutex::default(),
            patterns: Mutex::default(),
        })
    }

    fn follower(self: &Arc<Self>) -> &Follower {
        self.follower.get_or_init(|| {
            let settings = Settings {
                state_dir: Some(self.config.state_dir.clone()),
                read_only: self.purpose == Purpose::Look,
                allow: self.config.log_allow_path.clone(),
            };
            let follower = Follower::open(settings);
            tell_warnings(&follower);
            if self.purpose == Purpose::Serve {
                tidy_in_background(Arc::downgrade(self));
            }
            follower
        })
    }

    pub(crate) fn state_dir(&self) -> &Path {
        &self.config.state_dir
    }

    /// The follower's health, if any log item was asked for.
    pub(crate) fn status(&self) -> Option<Status> {
        self.follower.get().map(Follower::status)
    }

    /// The agent has everything that it was told.
    pub(crate) fn settle(&self) {
        if let Some(follower) = self.follower.get() {
            follower.settle(SystemTime::now());
        }
    }

    fn tidy(&self) {
        if let Some(follower) = self.follower.get() {
            follower.tidy(SystemTime::now());
            tell_warnings(follower);
        }
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.retain(|_, (_, asked)| asked.elapsed() < FORGET_ITEMS_AFTER);
    }

    /// The item with its compiled patterns, from the last poll or made anew.
    fn item(&self, arguments: Arguments<'_>) -> Result<Item, ItemError> {
        let identity = arguments.identity();
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((item, asked)) = items.get_mut(&identity) {
            *asked = Instant::now();
            return Ok(item.clone());
        }
        drop(items);
        let item = Item::new(&identity, self.query(arguments)?);
        items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.insert(identity, (item.clone(), Instant::now()));
        Ok(item)
    }

    /// Checks in the built-in keys' order and words.
    fn query(&self, arguments: Arguments<'_>) -> Result<Query, ItemError> {
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
        // Without a pattern the built-in keys deliver whole lines, whatever the template says.
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

    fn source(&self, arguments: Arguments<'_>) -> Result<Source, ItemError> {
        let path = self.on_host(arguments.text(0));
        if arguments.place("file_regexp").is_none() {
            return Ok(Source::file(path));
        }
        Source::names(&path.to_string_lossy()).map_err(|error| source_error(arguments, error))
    }

    /// The path as this process sees it, where the watched machine's root is mounted elsewhere.
    fn on_host(&self, path: &str) -> PathBuf {
        if self.config.host_root == Path::new("/") {
            return PathBuf::from(path);
        }
        self.config.host_root.join(path.trim_start_matches('/'))
    }

    /// The pattern's text; `@name` is one from the configuration.
    fn regexp<'a>(&'a self, given: &'a str) -> Result<&'a str, ItemError> {
        let Some(name) = given.strip_prefix('@') else { return Ok(given) };
        self.config.regexps.get(name).map(String::as_str).ok_or_else(|| {
            ItemError::new(format!(
                "Global regular expression \"{name}\" does not exist. A plugin is not told the server's: \
                 set Plugins.OomWatch.Regexp.{name} in the agent's configuration."
            ))
        })
    }

    fn pattern(&self, arguments: Arguments<'_>, regexp: &str, output: &str) -> Result<Pattern, ItemError> {
        let captures = !output.is_empty() || !arguments.mirrors();
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

fn tell_warnings(follower: &Follower) {
    for warning in follower.take_warnings() {
        log::warn!("{warning}");
    }
}

/// Ends when the plugin lets go of its log items.
fn tidy_in_background(logs: Weak<Logs>) {
    let body = move || {
        while let Some(logs) = logs.upgrade() {
            logs.tidy();
            drop(logs);
            thread::sleep(TIDY_EVERY);
        }
    };
    if let Err(error) = thread::Builder::new().name("tidy".to_owned()).spawn(body) {
        log::warn!("positions in logs are synced only by the system: no thread for it: {error}");
    }
}

/// As the agent reads numbers (C's `atoi`): spaces and a plus before the digits and whatever follows them are ignored, and
/// without digits it is 0.
fn leading_number(text: &str) -> u32 {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    text[..digits].parse().unwrap_or(0)
}

/// As the built-in keys say it. What PCRE2 would take they cannot say, so there the reason counts.
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

/// PCRE2's options, as the agent tells them: MULTILINE, and `NO_AUTO_CAPTURE` where parentheses do not capture.
fn with_flags(error: &PatternError, captures: bool) -> String {
    format!("{error}, flags:{}", if captures { "0x400" } else { "0x2400" })
}

/// In the words of 7.0's built-in keys. 6.0's take the bytes as they are when they do not know the encoding.
fn encoding(name: &str) -> Result<Encoding, ItemError> {
    Encoding::named(name).map_err(|_| {
        let name = name.to_uppercase();
        ItemError::new(format!(
            "Failed to convert from encoding {name} to utf8. Error: [22] Invalid argument."
        ))
    })
}

fn source_error(arguments: Arguments<'_>, error: SourceError) -> ItemError {
    match error {
        SourceError::Pattern(error) if error.refused_by_pcre2 => {
            let why = "Cannot compile a regular expression describing filename pattern";
            let captures = Pattern::refers_by_number(arguments.text(0));
            let told = if arguments.is_before_6_4() { error.reason } else { with_flags(&error, captures) };
            ItemError::new(format!("{why}: {told}"))
        }
        other => other.into(),
    }
}

fn start(arguments: Arguments<'_>) -> Result<Start, ItemError> {
    let Some(place) = arguments.place("mode") else { return Ok(Start::All) };
    Ok(if arguments.word(place)? == "skip" { Start::Skip } else { Start::All })
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
    let by_names = arguments.place("file_regexp").is_some();
    match arguments.named("options") {
        "" | "mtime-reread" => Ok(Rotation::Reread),
        "mtime-noreread" => Ok(Rotation::NoReread),
        "rotate" if by_names => Ok(Rotation::Reread),
        "copytruncate" if by_names => Ok(Rotation::CopyTruncate),
        _ => Err(ItemError::new("Invalid parameter \"options\".")),
    }
}

/// The causes are in the texts already, where the built-in keys have them.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(error: log_follow::Error) -> ItemError {
    ItemError::new(error.to_string())
}

fn ask(request: &Request) -> Ask {
    let deadline = request.deadline();
    let early = WRITING_TIME.min(request.time_left() / 4);
    Ask { deadline: deadline.checked_sub(early).unwrap_or(deadline), now: SystemTime::now() }
}

/// `log[...]` and `logrt[...]`
pub(crate) fn lines(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let (logs, ask) = (&oomwatch.logs, ask(arguments.request()));
    let item = logs.item(arguments)?;
    if logs.purpose == Purpose::Look {
        return Ok(logs
            .follower()
            .peek_lines(&item, &ask)
            .map_err(told)?
            .map_or_else(Reply::none, Reply::value));
    }
    let Delivery { value, pending } = logs.follower().lines(&item, &ask).map_err(told)?;
    let Some(text) = value else {
        // Nothing that could be lost: the poll has only read on.
        pending.commit();
        return Ok(Reply::none());
    };
    Ok(commit_when_written(Reply::value(text), pending))
}

/// `log.count[...]` and `logrt.count[...]`
pub(crate) fn count(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let (logs, ask) = (&oomwatch.logs, ask(arguments.request()));
    let item = logs.item(arguments)?;
    if logs.purpose == Purpose::Look {
        return Ok(logs.follower().peek_count(&item, &ask).map_err(told)?.into());
    }
    let Delivery { value, pending } = logs.follower().count(&item, &ask).map_err(told)?;
    Ok(commit_when_written(value.into(), pending))
}

/// The position moves when the agent has the reply, and stays when it has not.
fn commit_when_written(reply: Reply, pending: log_follow::Pending) -> Reply {
    reply.on_delivery(move |delivery| {
        if delivery == sdk::Delivery::Written {
            pending.commit();
        }
    })
}

/// `log.total[...]` and `logrt.total[...]`
pub(crate) fn total(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let item = oomwatch.logs.item(arguments)?;
    let total = oomwatch.logs.follower().total(&item, &ask(arguments.request())).map_err(told)?;
    Ok(total.lines.into())
}

/// `log.last[...]` and `logrt.last[...]`
pub(crate) fn last(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let item = oomwatch.logs.item(arguments)?;
    let last = oomwatch.logs.follower().last(&item, &ask(arguments.request())).map_err(told)?;
    json::reply(&LastJson::of(&last))
}

/// `log.groups[...]`
pub(crate) fn groups(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let place = arguments.place("limit").unwrap_or_default();
    let limit = arguments.count(place, DEFAULT_GROUPS)?;
    let item = oomwatch.logs.item(arguments)?;
    let groups = oomwatch.logs.follower().groups(&item, limit, &ask(arguments.request())).map_err(told)?;
    json::reply(&GroupsJson::of(&groups))
}

#[derive(Serialize)]
struct TotalJson {
    count: u64,
    since: u64,
    complete: bool,
}

impl TotalJson {
    fn of(total: &Total) -> Self {
        let since = total.since.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        Self { count: total.lines, since, complete: total.complete }
    }
}

#[derive(Serialize)]
struct LastJson<'a> {
    #[serde(flatten)]
    total: TotalJson,
    line: Option<&'a str>,
    groups: &'a [Option<String>],
    time: Option<u64>,
    file: Option<&'a str>,
}

impl<'a> LastJson<'a> {
    fn of(last: &'a Last) -> Self {
        let line = last.last.as_ref();
        Self {
            total: TotalJson::of(&last.total),
            line: line.map(|line| line.text.as_str()),
            groups: line.map_or(&[], |line| &line.groups),
            time: line.map(|line| line.read_unix_secs),
            file: line.map(|line| line.file.as_str()),
        }
    }
}

#[derive(Serialize)]
struct GroupsJson<'a> {
    #[serde(flatten)]
    total: TotalJson,
    groups: Vec<GroupJson<'a>>,
    other: u64,
    exact: bool,
}

#[derive(Serialize)]
struct GroupJson<'a> {
    value: &'a str,
    count: u64,
    error: u64,
}

impl<'a> GroupsJson<'a> {
    fn of(groups: &'a Groups) -> Self {
        let list = groups.groups.iter().map(|group| GroupJson {
            value: &group.value,
            count: group.lines,
            error: group.error,
        });
        Self {
            total: TotalJson::of(&groups.total),
            groups: list.collect(),
            other: groups.other,
            exact: groups.exact,
        }
    }
}

//! The command line, for people.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use agent2_plugin::{Delivery, Exporter, ItemError, Node, Reply, Request};
use lexopt::prelude::*;
use proc_snapshot::TopBy;

use crate::config::Options;
use crate::explain::{ExplainError, Explainer, Form};
use crate::exporter::{NAME, OomWatch};
use crate::handlers::capacity::{self, Kind};
use crate::handlers::ranking::Ranking;
use crate::key_text::{KeyText, KeyTextError};
use crate::keys::{KEYS, find_key};
use crate::parameters::words_of;
use crate::text::{byte_size, printable};

/// Time limit of an item: longer than in an agent, because the user can interrupt it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long `get` waits for an item that has no value at first, such as a log without a new line.
const FIRST_VALUE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(250);
const DEFAULT_TOP: usize = 20;

const USAGE: &str = "\
OomWatch: items about processes and memory for Zabbix agent 2

Usage: zabbix-agent2-plugin-oomwatch [--config FILE]... COMMAND

Commands:
  get KEY                           prints the value of an item, without an agent
  top [rss|pss|swap|cpu] [COUNT]    ranks process names by their memory or CPU
  explain [--json] FILE...          prints every OOM report in logs (- for standard input), as text or one JSON object a line
  capacity [--json] [apache|phpfpm|mysql]...
                                    prints worker limits, the memory they need, and the limits that fit
  check                             checks the permissions of the items; run it as the agent's user

Options:
  -c, --config FILE   read Plugins.OomWatch.* from this agent configuration file (repeatable)
  -h, --help          print this text
  -V, --version       print the version

The agent starts this program if its configuration has
  Plugins.OomWatch.System.Path=";

/// The command that the arguments select.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Help,
    Version,
    Get { key: String },
    Top { by: TopBy, count: usize },
    Explain { form: Form, files: Vec<String> },
    Capacity { form: Form, kinds: Vec<Kind> },
    Check,
}

/// The reason of a failure. The exit code is 2 for a usage error and 1 for any other.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{0}")]
    Usage(String),
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot read {file}: {source}")]
    Explain { file: String, source: ExplainError },
    #[error("{0}")]
    Item(ItemError),
    #[error("no value within {} s", FIRST_VALUE.as_secs())]
    NoValue,
    #[error("{0} of the checks failed")]
    Check(usize),
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
}

impl From<lexopt::Error> for CliError {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<KeyTextError> for CliError {
    fn from(error: KeyTextError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<ItemError> for CliError {
    fn from(error: ItemError) -> Self {
        Self::Item(error)
    }
}

/// Runs the command given by the arguments of this process.
#[must_use]
pub fn command_line() -> ExitCode {
    match run(std::env::args_os().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader, such as `head`, has ended.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => print_error(&error),
    }
}

#[expect(clippy::print_stderr, reason = "a command line prints errors there")]
fn print_error(error: &CliError) -> ExitCode {
    eprintln!("zabbix-agent2-plugin-oomwatch: {error}");
    if matches!(error, CliError::Usage(_)) {
        eprintln!("Try --help.");
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), CliError> {
    let (command, configs) = parse(arguments)?;
    let text = match command {
        Command::Help => help(),
        Command::Version => format!("zabbix-agent2-plugin-oomwatch {}\n", env!("CARGO_PKG_VERSION")),
        Command::Get { key } => get(&exporter(&configs)?, &key)? + "\n",
        Command::Top { by, count } => top(&exporter(&configs)?, by, count)?,
        Command::Capacity { form, kinds } => capacities(&exporter(&configs)?, form, &kinds)?,
        Command::Check => return check(&configs),
        Command::Explain { form, files } => return explain(form, &files),
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<(Command, Vec<PathBuf>), CliError> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut configs = Vec::new();
    let mut words = Vec::new();
    let mut form = Form::Text;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok((Command::Help, configs)),
            Short('V') | Long("version") => return Ok((Command::Version, configs)),
            Long("json") => form = Form::Json,
            Short('c') | Long("config") => configs.push(parser.value()?.into()),
            Value(word) => words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["explain", ref files @ ..] if !files.is_empty() => {
            let files = files.iter().map(|&file| file.to_owned()).collect();
            Ok((Command::Explain { form, files }, configs))
        }
        ["capacity", ref kinds @ ..] => Ok((Command::Capacity { form, kinds: kinds_of(kinds)? }, configs)),
        _ if form == Form::Json => {
            Err(CliError::Usage("--json belongs to explain FILE and to capacity".to_owned()))
        }
        ref words => Ok((command(words)?, configs)),
    }
}

fn command(words: &[&str]) -> Result<Command, CliError> {
    let usage = |text: &str| CliError::Usage(text.to_owned());
    match *words {
        [] => Err(usage("no command is given")),
        ["help"] => Ok(Command::Help),
        ["get", key] => Ok(Command::Get { key: key.to_owned() }),
        ["get", ..] => Err(usage("get takes one item key (put it in quotes: the shell reads brackets, too)")),
        ["explain", ..] => Err(usage("explain takes one file or several")),
        ["check"] => Ok(Command::Check),
        ["top"] => top_command(&[]),
        ["top", ref rest @ ..] => top_command(rest),
        [other, ..] => Err(CliError::Usage(format!("there is no command `{other}`"))),
    }
}

fn kinds_of(words: &[&str]) -> Result<Vec<Kind>, CliError> {
    if words.is_empty() {
        return Ok(Kind::ALL.to_vec());
    }
    let named = |word: &&str| Kind::ALL.into_iter().find(|kind| kind.name() == *word);
    let kinds: Option<Vec<_>> = words.iter().map(named).collect();
    kinds.ok_or_else(|| {
        let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        CliError::Usage(format!("capacity takes {}", names.join(", ")))
    })
}

fn top_command(rest: &[&str]) -> Result<Command, CliError> {
    let (by, count) = match *rest {
        [] => (None, None),
        [word] if TopBy::from_word(word).is_none() => (None, Some(word)),
        [word] => (Some(word), None),
        [by, count] => (Some(by), Some(count)),
        _ => return Err(CliError::Usage("top takes a word and a number at most".to_owned())),
    };
    let by = by.map_or(Some(TopBy::Rss), TopBy::from_word);
    let count = count.map_or(Some(DEFAULT_TOP), |count| count.parse().ok());
    match (by, count) {
        (Some(by), Some(count)) => Ok(Command::Top { by, count }),
        _ => Err(CliError::Usage(format!(
            "top takes one of {} and a number",
            words_of(&TopBy::WORDS).join(", ")
        ))),
    }
}

fn help() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let mut text = format!("{USAGE}{}\n\nItem keys:\n", program.display());
    for key in KEYS {
        let _ = writeln!(text, "  {}\n      {}", key.signature(), key.summary);
    }
    text
}

fn exporter(configs: &[PathBuf]) -> Result<OomWatch, CliError> {
    let options: Options = Node::from_conf(NAME, &text_of(configs)?).options().map_err(ItemError::from)?;
    Ok(OomWatch::read_only(&options)?)
}

fn text_of(configs: &[PathBuf]) -> Result<String, CliError> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| CliError::Read { path: path.clone(), source })
    };
    Ok(configs.iter().map(read).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// Reads every file, even if another file cannot be read.
fn explain(form: Form, files: &[String]) -> Result<(), CliError> {
    // Output is written while reading, because a log may be larger than memory and may still grow.
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut explainer = Explainer::new(form, &mut out);
    let mut failed = None;
    for file in files {
        let name = (files.len() > 1).then(|| file.clone());
        let read = match file.as_str() {
            "-" => explainer.read(&mut std::io::stdin().lock(), name),
            path => File::open(path)
                .map_err(ExplainError::Read)
                .and_then(|mut log| explainer.read(&mut log, name)),
        };
        match read {
            Err(ExplainError::Output(error)) => return Err(CliError::Output(error)),
            Err(source) => {
                let error = CliError::Explain { file: file.clone(), source };
                if let Some(earlier) = failed.replace(error) {
                    let _ = print_error(&earlier);
                }
            }
            Ok(()) => {}
        }
    }
    explainer.finish()?;
    failed.map_or(Ok(()), Err)
}

fn check(configs: &[PathBuf]) -> Result<(), CliError> {
    let agent_conf = text_of(configs)?;
    let findings = crate::check::findings(exporter(configs)?.state(), &agent_conf, TIMEOUT)?;
    let mut out = std::io::stdout().lock();
    for finding in &findings {
        write!(out, "{finding}")?;
    }
    match findings.iter().filter(|finding| finding.is_failure()).count() {
        0 => Ok(()),
        problems => Err(CliError::Check(problems)),
    }
}

fn get(oomwatch: &OomWatch, key: &str) -> Result<String, CliError> {
    let KeyText { name, parameters } = KeyText::parse(key)?;
    let key = find_key(&name)
        .ok_or_else(|| CliError::Usage(format!("there is no key `{name}`; --help lists them all")))?;
    let parameters: Vec<_> = parameters.iter().map(String::as_str).collect();
    let give_up = Instant::now() + FIRST_VALUE;
    loop {
        let reply = oomwatch.export(&Request::new(key.name, &parameters, TIMEOUT))?;
        if let Some(value) = discard(reply) {
            return Ok(value);
        }
        if Instant::now() >= give_up {
            return Err(CliError::NoValue);
        }
        thread::sleep(PAUSE);
    }
}

/// Returns the value without acknowledging it, so that no log position moves.
fn discard(reply: Reply) -> Option<String> {
    let value = reply.text().map(str::to_owned);
    reply.settle(Delivery::Lost);
    value
}

fn top(oomwatch: &OomWatch, by: TopBy, count: usize) -> Result<String, CliError> {
    let request = Request::new("oomwatch.proc.top", &[], TIMEOUT);
    let ranking = Ranking::read(oomwatch.state(), by, count, &request)?;
    let figure = |value: f64| if ranking.unit == "%" { format!("{value:.1} %") } else { byte_size(value) };
    let mut table =
        format!("{:<24} {:>6} {:>11} {:>11} {:>11}\n", "NAME", "COUNT", "SUM", "AVERAGE", "LARGEST");
    for name in &ranking.names {
        let label = printable(&name.name);
        let [sum, avg, max] = [name.sum, name.avg, name.max].map(figure);
        let _ = writeln!(table, "{label:<24} {:>6} {sum:>11} {avg:>11} {max:>11}", name.count);
    }
    let _ = writeln!(
        table,
        "{:<24} {:>6} {:>11}",
        format!("all, by {}", ranking.by.word()),
        "",
        figure(ranking.total)
    );
    if ranking.unreadable > 0 {
        let _ = writeln!(
            table,
            "{} processes are missing: their smaps_rollup cannot be read",
            ranking.unreadable
        );
    }
    Ok(table)
}

/// Returns the capacity of each server, or the reason why it is not known. Reports an error if none is known.
fn capacities(oomwatch: &OomWatch, form: Form, kinds: &[Kind]) -> Result<String, CliError> {
    let mut found = String::new();
    let mut missing = Vec::new();
    for &kind in kinds {
        match capacity::read(oomwatch.state(), kind, None, &Request::new(kind.name(), &[], TIMEOUT)) {
            Ok(capacity) if form == Form::Json => {
                found += &serde_json::to_string(&capacity).map_err(ItemError::from)?;
                found.push('\n');
            }
            Ok(capacity) => {
                let gap = if found.is_empty() { "" } else { "\n" };
                let _ = write!(found, "{gap}{}", capacity::table(&capacity));
            }
            Err(error) => missing.push(error.to_string()),
        }
    }
    if found.is_empty() {
        return Err(CliError::Item(ItemError::new(missing.join("\n"))));
    }
    if form == Form::Text && !missing.is_empty() {
        missing.iter().for_each(|reason| found += &format!("\n{}\n", printable(reason.as_bytes())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(OsString::from))
            .map(|(command, _)| command)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn commands_are_read() {
        assert_eq!(parsed(&["get", "proc.num[httpd]"]), Ok(Command::Get { key: "proc.num[httpd]".into() }));
        assert_eq!(parsed(&["top"]), Ok(Command::Top { by: TopBy::Rss, count: DEFAULT_TOP }));
        assert_eq!(parsed(&["top", "5"]), Ok(Command::Top { by: TopBy::Rss, count: 5 }));
        assert_eq!(parsed(&["top", "swap"]), Ok(Command::Top { by: TopBy::Swap, count: DEFAULT_TOP }));
        assert_eq!(parsed(&["-c", "/x", "top", "cpu", "3"]), Ok(Command::Top { by: TopBy::Cpu, count: 3 }));
        assert_eq!(parsed(&["get", "--help"]), Ok(Command::Help));
        let explain = |form| Ok(Command::Explain { form, files: vec!["x.log".into()] });
        let several = Command::Explain { form: Form::Text, files: vec!["x.log".into(), "-".into()] };
        assert_eq!(parsed(&["explain", "x.log", "-"]), Ok(several));
        assert_eq!(parsed(&["explain", "x.log"]), explain(Form::Text));
        assert_eq!(parsed(&["explain", "--json", "x.log"]), explain(Form::Json));
        let capacity = |form, kinds: &[Kind]| Ok(Command::Capacity { form, kinds: kinds.to_vec() });
        assert_eq!(parsed(&["capacity"]), capacity(Form::Text, &Kind::ALL));
        assert_eq!(parsed(&["capacity", "--json", "phpfpm"]), capacity(Form::Json, &[Kind::PhpFpm]));
        assert_eq!(parsed(&["-V"]), Ok(Command::Version));
    }

    #[test]
    fn wrong_calls_are_named() {
        assert_eq!(parsed(&[]), Err("no command is given".into()));
        assert_eq!(parsed(&["gte", "x"]), Err("there is no command `gte`".into()));
        assert_eq!(
            parsed(&["top", "vsize"]),
            Err("top takes one of rss, pss, swap, cpu and a number".into())
        );
        assert_eq!(parsed(&["explain"]), Err("explain takes one file or several".into()));
        assert_eq!(parsed(&["top", "--json"]), Err("--json belongs to explain FILE and to capacity".into()));
        assert!(parsed(&["capacity", "nginx"]).unwrap_err().starts_with("capacity takes "));
        assert!(parsed(&["--what"]).unwrap_err().contains("--what"));
        assert!(parsed(&["get"]).unwrap_err().starts_with("get takes one item key"));
    }
}

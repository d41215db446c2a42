//! `log`, `log.count`, `log.total`, `log.last`, `log.groups`, and the `logrt` keys, which take a pattern for file names.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use agent2_plugin::{self as sdk, ItemError, Reply, Request};
use log_follow::{Groups, Last, Poll, PolledValue, Total};
use serde::Serialize;

use crate::deadline::reading_deadline;
use crate::json;
use crate::logs::Logs;
use crate::parameters::Arguments;
use crate::state::PluginState;

const DEFAULT_GROUPS: usize = 100;

/// The error texts contain their causes, as those of the built-in keys do.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn reported(error: log_follow::Error) -> ItemError {
    ItemError::new(error.to_string())
}

fn poll(request: &Request) -> Poll {
    Poll { deadline: reading_deadline(request), now: SystemTime::now() }
}

/// `log[...]` and `logrt[...]`
pub(crate) fn lines(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let (logs, poll) = (&plugin.logs, poll(arguments.request()));
    let item = logs.item(arguments)?;
    if logs.is_read_only() {
        return Ok(logs
            .follower()
            .peek_lines(&item, &poll)
            .map_err(reported)?
            .map_or_else(Reply::none, Reply::value));
    }
    let PolledValue { value, pending } = logs.follower().lines(&item, &poll).map_err(reported)?;
    let Some(text) = value else {
        // The value contains no line that could be lost, so the position moves at once.
        logs.commit(pending);
        return Ok(Reply::none());
    };
    Ok(commit_when_written(Reply::value(text), Arc::clone(logs), pending))
}

/// `log.count[...]` and `logrt.count[...]`
pub(crate) fn count(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let (logs, poll) = (&plugin.logs, poll(arguments.request()));
    let item = logs.item(arguments)?;
    if logs.is_read_only() {
        return Ok(logs.follower().peek_count(&item, &poll).map_err(reported)?.into());
    }
    let PolledValue { value, pending } = logs.follower().count(&item, &poll).map_err(reported)?;
    Ok(commit_when_written(value.into(), Arc::clone(logs), pending))
}

/// Moves the position when the agent has the reply, and leaves it otherwise.
fn commit_when_written(reply: Reply, logs: Arc<Logs>, pending: log_follow::PendingCheckpoint) -> Reply {
    reply.on_delivery(move |delivery| {
        if delivery == sdk::Delivery::Written {
            logs.commit(pending);
        }
    })
}

/// `log.total[...]` and `logrt.total[...]`
pub(crate) fn total(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let item = plugin.logs.item(arguments)?;
    let total = plugin.logs.follower().total(&item, &poll(arguments.request())).map_err(reported)?;
    Ok(total.lines.into())
}

/// `log.last[...]` and `logrt.last[...]`
pub(crate) fn last(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let item = plugin.logs.item(arguments)?;
    let last = plugin.logs.follower().last(&item, &poll(arguments.request())).map_err(reported)?;
    json::reply(&LastJson::of(&last))
}

/// `log.groups[...]`
pub(crate) fn groups(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let place = arguments.place("limit").unwrap_or_default();
    let limit = arguments.count(place, DEFAULT_GROUPS)?;
    let item = plugin.logs.item(arguments)?;
    let groups = plugin.logs.follower().groups(&item, limit, &poll(arguments.request())).map_err(reported)?;
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
    undercount_max: u64,
}

impl<'a> GroupsJson<'a> {
    fn of(groups: &'a Groups) -> Self {
        let list = groups.groups.iter().map(|group| GroupJson {
            value: &group.value,
            count: group.lines,
            undercount_max: group.error,
        });
        Self {
            total: TotalJson::of(&groups.total),
            groups: list.collect(),
            other: groups.other,
            exact: groups.exact,
        }
    }
}

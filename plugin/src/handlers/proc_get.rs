//! `proc.get`: the JSON of agent 7.0's own key.

use agent2_plugin::{ItemError, Reply};
use proc_snapshot::{NameSummary, Needs, ProcessDetails, Selector, ThreadDetails};
use serde::Serialize;

use crate::deadline::reading_deadline;
use crate::handlers::processes;
use crate::json;
use crate::parameters::{Arguments, WordTable, invalid, value_of, words_of};
use crate::state::PluginState;

/// The subject of one object of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Process,
    Thread,
    Summary,
}

const MODES: WordTable<Mode, 3> =
    [("process", Mode::Process), ("thread", Mode::Thread), ("summary", Mode::Summary)];
/// The words of `mode`.
pub(crate) const MODE_WORDS: &[&str] = &words_of(&MODES);

const NAME: usize = 0;
const USER: usize = 1;
const CMDLINE: usize = 2;
const MODE: usize = 3;

/// `proc.get[name,user,cmdline,mode]`
pub(crate) fn get(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let mode = arguments.word(MODE, |word| value_of(&MODES, word))?;
    if mode == Mode::Summary && arguments.filter(CMDLINE).is_some() {
        return Err(invalid(MODE));
    }
    let Some(uid) = processes::user(plugin, arguments, USER)? else { return Ok("[]".into()) };
    let cmdline = processes::pattern(arguments, CMDLINE).map_err(|error| {
        let text = arguments.text(CMDLINE);
        ItemError::new(format!("Failed to prepare query: cannot compile regex for {text}: {error}"))
    })?;
    let name = arguments.filter(NAME).map(|name| name.as_bytes().into());
    answer(plugin, arguments, mode, &Selector { name, uid, cmdline, state: None })
}

fn answer(
    plugin: &PluginState,
    arguments: Arguments<'_>,
    mode: Mode,
    selector: &Selector,
) -> Result<Reply, ItemError> {
    let request = arguments.request();
    let snapshot = plugin.snapshot(Needs::CMDLINE | Needs::OWNER | Needs::STATUS, request)?;
    let (users, deadline) = (&plugin.users, reading_deadline(request));
    match mode {
        Mode::Thread => list(snapshot.thread_details(selector, users, deadline)?, ThreadJson),
        Mode::Summary => list(snapshot.name_summaries(selector, users, deadline)?, SummaryJson),
        Mode::Process => list(snapshot.process_details(selector, users, deadline)?, ProcessJson),
    }
}

fn list<T, J: Serialize>(details: Vec<T>, view: fn(T) -> J) -> Result<Reply, ItemError> {
    json::reply(&details.into_iter().map(view).collect::<Vec<_>>())
}

/// [`ProcessDetails`] as the built-in key writes it.
#[derive(Serialize)]
#[serde(remote = "ProcessDetails")]
struct ProcessView {
    pid: u64,
    ppid: i64,
    #[serde(serialize_with = "json::bytes")]
    name: Vec<u8>,
    #[serde(serialize_with = "json::bytes")]
    cmdline: Vec<u8>,
    user: String,
    group: String,
    uid: i64,
    gid: i64,
    vsize: i64,
    #[serde(serialize_with = "json::number")]
    pmem: f64,
    rss: i64,
    data: i64,
    exe: i64,
    hwm: i64,
    lck: i64,
    lib: i64,
    peak: i64,
    pin: i64,
    pte: i64,
    size: i64,
    stk: i64,
    swap: i64,
    #[serde(serialize_with = "json::number")]
    cputime_user: f64,
    #[serde(serialize_with = "json::number")]
    cputime_system: f64,
    #[serde(serialize_with = "json::bytes")]
    state: Vec<u8>,
    ctx_switches: i64,
    threads: i64,
    page_faults: i64,
    pss: i64,
}

#[derive(Serialize)]
struct ProcessJson(#[serde(with = "ProcessView")] ProcessDetails);

/// [`ThreadDetails`] as the built-in key writes it.
#[derive(Serialize)]
#[serde(remote = "ThreadDetails")]
struct ThreadView {
    pid: i64,
    ppid: i64,
    #[serde(serialize_with = "json::bytes")]
    name: Vec<u8>,
    user: String,
    group: String,
    uid: i64,
    gid: i64,
    tid: u64,
    #[serde(serialize_with = "json::bytes")]
    tname: Vec<u8>,
    #[serde(serialize_with = "json::number")]
    cputime_user: f64,
    #[serde(serialize_with = "json::number")]
    cputime_system: f64,
    #[serde(serialize_with = "json::bytes")]
    state: Vec<u8>,
    ctx_switches: i64,
    page_faults: i64,
}

#[derive(Serialize)]
struct ThreadJson(#[serde(with = "ThreadView")] ThreadDetails);

/// [`NameSummary`] as the built-in key writes it.
#[derive(Serialize)]
#[serde(remote = "NameSummary")]
struct SummaryView {
    #[serde(serialize_with = "json::bytes")]
    name: Vec<u8>,
    processes: i64,
    vsize: i64,
    #[serde(serialize_with = "json::number")]
    pmem: f64,
    rss: i64,
    data: i64,
    exe: i64,
    lck: i64,
    lib: i64,
    pin: i64,
    pte: i64,
    size: i64,
    stk: i64,
    swap: i64,
    #[serde(serialize_with = "json::number")]
    cputime_user: f64,
    #[serde(serialize_with = "json::number")]
    cputime_system: f64,
    ctx_switches: i64,
    threads: i64,
    page_faults: i64,
    pss: i64,
}

#[derive(Serialize)]
struct SummaryJson(#[serde(with = "SummaryView")] NameSummary);

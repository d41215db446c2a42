//! `proc.get`: the JSON of agent 7.0's own key.

use agent2_plugin::{ItemError, Reply};
use proc_snapshot::{NameSummary, Needs, ProcessDetails, Selector, ThreadDetails};
use serde::Serialize;

use crate::arguments::{Arguments, invalid};
use crate::exporter::OomWatch;
use crate::json;
use crate::processes;

const NAME: usize = 0;
const USER: usize = 1;
const CMDLINE: usize = 2;
const MODE: usize = 3;

/// `proc.get[name,user,cmdline,mode]`
pub(crate) fn get(oomwatch: &OomWatch, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let mode = arguments.word(MODE)?;
    if mode == "summary" && arguments.filter(CMDLINE).is_some() {
        return Err(invalid(MODE));
    }
    let Some(uid) = processes::user(oomwatch, arguments, USER)? else { return Ok("[]".into()) };
    let cmdline = processes::pattern(arguments, CMDLINE).map_err(|error| {
        let text = arguments.text(CMDLINE);
        ItemError::new(format!("Failed to prepare query: cannot compile regex for {text}: {error}"))
    })?;
    let name = arguments.filter(NAME).map(|name| name.as_bytes().into());
    answer(oomwatch, arguments, mode, &Selector { name, uid, cmdline, state: None })
}

fn answer(
    oomwatch: &OomWatch,
    arguments: Arguments<'_>,
    mode: &str,
    selector: &Selector,
) -> Result<Reply, ItemError> {
    let request = arguments.request();
    let snapshot = oomwatch.snapshot(Needs::CMDLINE | Needs::OWNER | Needs::STATUS, request)?;
    let (users, deadline) = (&oomwatch.users, request.deadline());
    match mode {
        "thread" => list(snapshot.thread_details(selector, users, deadline)?, ThreadJson),
        "summary" => list(snapshot.name_summaries(selector, users, deadline)?, SummaryJson),
        _ => list(snapshot.process_details(selector, users, deadline)?, ProcessJson),
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

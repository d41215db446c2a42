//! The variables that determine memory: their defaults by server, and their values.

use std::collections::HashMap;

use super::buffer::Buffer;
use super::error::Error;
use super::option_file::{Setting, SettingOrigin};
use super::server::{Flavour, Server};
use crate::warnings::Warnings;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A variable with its default and bounds.
struct Variable {
    name: &'static str,
    default: fn(Server) -> u64,
    min: fn(Server) -> u64,
    max: u64,
}

const fn variable(name: &'static str, default: fn(Server) -> u64, min: fn(Server) -> u64) -> Variable {
    Variable { name, default, min, max: u64::MAX }
}

fn maria(server: Server) -> bool {
    server.flavour == Flavour::MariaDb
}

fn none(_: Server) -> u64 {
    0
}

/// From the manuals of both; compared with `--help --verbose` of MariaDB 10.11 and of MySQL 5.6 and 9.7.
const VARIABLES: [Variable; 16] = [
    Variable {
        name: "max_connections",
        default: |server| {
            if server.flavour == Flavour::MySql && (server.major, server.minor) < (5, 1) { 100 } else { 151 }
        },
        min: |server| if server.since(Flavour::MariaDb, 10, 2) { 10 } else { 1 },
        max: 100_000,
    },
    variable("key_buffer_size", |server| if maria(server) { 128 * MIB } else { 8 * MIB }, none),
    variable(
        "innodb_buffer_pool_size",
        |server| if (server.major, server.minor) < (5, 5) { 8 * MIB } else { 128 * MIB },
        |server| if maria(server) { 2 * MIB } else { 5 * MIB },
    ),
    variable("innodb_buffer_pool_chunk_size", |_| 128 * MIB, |_| MIB),
    variable("innodb_buffer_pool_instances", none, none),
    variable("innodb_log_buffer_size", log_buffer, none),
    variable("query_cache_size", query_cache, none),
    variable("aria_pagecache_buffer_size", |server| if maria(server) { 128 * MIB } else { 0 }, none),
    variable("read_buffer_size", |_| 128 * KIB, |_| 8 * KIB),
    variable("read_rnd_buffer_size", |_| 256 * KIB, none),
    variable("sort_buffer_size", sort_buffer, |server| if maria(server) { KIB } else { 32 * KIB }),
    variable("join_buffer_size", join_buffer, |_| 128),
    variable("thread_stack", thread_stack, |_| 128 * KIB),
    variable("binlog_cache_size", |_| 32 * KIB, |_| 4 * KIB),
    variable("tmp_table_size", |_| 16 * MIB, none),
    variable("max_heap_table_size", |_| 16 * MIB, |_| 16 * KIB),
];

fn log_buffer(server: Server) -> u64 {
    match () {
        () if server.since(Flavour::MySql, 8, 4) => 64 * MIB,
        () if server.since(Flavour::MySql, 5, 7) || server.since(Flavour::MariaDb, 10, 1) => 16 * MIB,
        () if (server.major, server.minor) >= (5, 5) => 8 * MIB,
        () => MIB,
    }
}

fn query_cache(server: Server) -> u64 {
    let in_mysql = server.since(Flavour::MySql, 5, 6) && !server.since(Flavour::MySql, 8, 0);
    if in_mysql || server.since(Flavour::MariaDb, 10, 1) { MIB } else { 0 }
}

fn sort_buffer(server: Server) -> u64 {
    if server.since(Flavour::MySql, 5, 6) { 256 * KIB } else { 2 * MIB }
}

fn join_buffer(server: Server) -> u64 {
    if server.since(Flavour::MySql, 5, 6) || server.since(Flavour::MariaDb, 10, 1) {
        256 * KIB
    } else {
        128 * KIB
    }
}

fn thread_stack(server: Server) -> u64 {
    match server.flavour {
        Flavour::MariaDb => 292 * KIB,
        // 8.0.27 raised it from 280 KiB. All releases of 8.0 count as this one.
        Flavour::MySql if server.since(Flavour::MySql, 8, 0) => MIB,
        Flavour::MySql => 256 * KIB,
    }
}

/// Abbreviated names that MariaDB, and MySQL before 8.0, accept because no other name begins like them.
const SHORT: [(&str, &str); 5] = [
    ("key_buffer", "key_buffer_size"),
    ("sort_buffer", "sort_buffer_size"),
    ("read_buffer", "read_buffer_size"),
    ("read_rnd_buffer", "read_rnd_buffer_size"),
    ("join_buffer", "join_buffer_size"),
];

/// Options that are on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Switches {
    innodb: bool,
    log_bin: bool,
    dedicated: bool,
}

/// A configured number and its origin.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) bytes: u64,
    applied: u64,
}

/// All variables with their values.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) server: Server,
    pub(super) socket: Option<String>,
    pub(super) port: u16,
    written: HashMap<&'static str, Written>,
    switches: Switches,
}

impl Values {
    pub(super) fn new(server: Server) -> Self {
        let log_bin = server.since(Flavour::MySql, 8, 0);
        let switches = Switches { innodb: true, log_bin, dedicated: false };
        Self { server, socket: None, port: 3306, written: HashMap::new(), switches }
    }

    /// Applies a setting; the last one wins. Settings that do not concern memory are ignored.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the value.
    pub(super) fn set(&mut self, setting: &Setting, warnings: &mut Warnings) -> Result<(), Error> {
        if self.switch(setting) || self.address(setting) {
            return Ok(());
        }
        let name = setting.name.as_str();
        let name = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
        let Some(variable) = VARIABLES.iter().find(|variable| variable.name == name) else { return Ok(()) };
        self.knows(setting, name)?;
        let bytes = number(name, setting, self.server)?;
        let applied = bytes.clamp((variable.min)(self.server), variable.max);
        if applied != bytes {
            let (place, word) = (&setting.place, if applied > bytes { "raised" } else { "lowered" });
            warnings.push(format!("{place}: {name} {bytes} is out of bounds: {word} to {applied}"));
        }
        self.written.insert(variable.name, Written { bytes, applied });
        Ok(())
    }

    /// MySQL accepts lower-case names only, and since 8.0 complete names only. MariaDB accepts all.
    fn knows(&self, setting: &Setting, name: &str) -> Result<(), Error> {
        let is_short = setting.name != name && self.server.since(Flavour::MySql, 8, 0);
        if self.server.flavour == Flavour::MySql && (setting.has_capitals || is_short) {
            let why = format!("MySQL does not know this name: it is written {name}");
            return Err(setting.place.error(why));
        }
        Ok(())
    }

    fn switch(&mut self, setting: &Setting) -> bool {
        let (name, on) = ["skip_", "disable_"]
            .iter()
            .find_map(|prefix| setting.name.strip_prefix(prefix))
            .map_or((setting.name.as_str(), true), |name| (name, false));
        let value = setting.value.as_deref().unwrap_or("1");
        let off = ["0", "off", "false"].iter().any(|word| word.eq_ignore_ascii_case(value));
        let switch = match name {
            "innodb" => &mut self.switches.innodb,
            "log_bin" => &mut self.switches.log_bin,
            "innodb_dedicated_server" => &mut self.switches.dedicated,
            _ => return false,
        };
        // The value of log_bin is the name of a file.
        *switch = on && (name == "log_bin" || !off);
        true
    }

    /// Port 0 means the default port.
    fn address(&mut self, setting: &Setting) -> bool {
        match (setting.name.as_str(), &setting.value) {
            ("socket", value) => self.socket.clone_from(value),
            ("port", Some(value)) => {
                self.port = value.parse().ok().filter(|&port| port != 0).unwrap_or(self.port);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn written(&self, name: &str) -> Option<Written> {
        self.written.get(name).cloned()
    }

    pub(super) fn get(&self, name: &str) -> u64 {
        let default = || VARIABLES.iter().find(|v| v.name == name).map_or(0, |v| (v.default)(self.server));
        self.written(name).map_or_else(default, |written| written.applied)
    }

    fn buffers(&self, names: &[&'static str]) -> Vec<Buffer> {
        let buffers = names.iter().map(|&name| Buffer { name, bytes: self.get(name) });
        buffers.filter(|buffer| buffer.bytes > 0).collect()
    }

    pub(super) fn per_connection(&self) -> Vec<Buffer> {
        let mut names = vec![
            "thread_stack",
            "read_buffer_size",
            "read_rnd_buffer_size",
            "sort_buffer_size",
            "join_buffer_size",
        ];
        if self.switches.log_bin {
            names.push("binlog_cache_size");
        }
        self.buffers(&names)
    }

    pub(super) fn global(&self, mem_total_bytes: u64) -> Vec<Buffer> {
        let mut buffers = Vec::new();
        if self.switches.innodb {
            buffers
                .push(Buffer { name: "innodb_buffer_pool_size", bytes: self.buffer_pool(mem_total_bytes) });
            buffers.extend(self.buffers(&["innodb_log_buffer_size"]));
        }
        buffers.extend(self.buffers(&["key_buffer_size", "aria_pagecache_buffer_size"]));
        // MySQL 8 does not start with unknown variables.
        if !self.server.since(Flavour::MySql, 8, 0) {
            buffers.extend(self.buffers(&["query_cache_size"]));
        }
        buffers
    }

    fn buffer_pool(&self, mem_total_bytes: u64) -> u64 {
        let size = self.get("innodb_buffer_pool_size");
        if self.switches.dedicated && self.written("innodb_buffer_pool_size").is_none() && mem_total_bytes > 0
        {
            return dedicated(mem_total_bytes);
        }
        if !self.server.since(Flavour::MySql, 5, 7) {
            return size;
        }
        // The size is rounded up to complete chunks in each instance.
        let default_instances = if size >= GIB && !self.server.since(Flavour::MySql, 8, 4) { 8 } else { 1 };
        let instances = match self.get("innodb_buffer_pool_instances") {
            0 => default_instances,
            _ if size < GIB => 1,
            written => written,
        };
        let unit = self.get("innodb_buffer_pool_chunk_size").saturating_mul(instances);
        if unit == 0 || size < unit { size } else { size.div_ceil(unit).saturating_mul(unit) }
    }
}

/// The buffer pool of `innodb_dedicated_server` on a machine.
fn dedicated(mem_total_bytes: u64) -> u64 {
    match mem_total_bytes {
        total if total < GIB => 128 * MIB,
        total if total <= 4 * GIB => total / 2,
        total => total / 4 * 3,
    }
}

/// Parses digits and one letter for a unit; the server ignores text after the letter. MySQL takes numbers below 0 for the
/// minimum.
fn number(name: &str, setting: &Setting, server: Server) -> Result<u64, Error> {
    let place: &SettingOrigin = &setting.place;
    let is_empty = |value: &String| value.is_empty() && server.since(Flavour::MySql, 8, 0);
    let Some(value) = setting.value.as_ref().filter(|value| !is_empty(value)) else {
        return Err(place.error(format!("{name} has no value")));
    };
    let text = value.trim_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    if text.starts_with('-') && server.flavour == Flavour::MySql {
        return Ok(0);
    }
    if text.starts_with('-') {
        return Err(place.error(format!("{name} = {value} is negative")));
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let shift = match unit.chars().next().map(|unit| unit.to_ascii_lowercase()) {
        None => 0,
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('t') => 40,
        Some('p') => 50,
        Some('e') => 60,
        Some(_) => return Err(place.error(format!("{name} = {value} is not a number"))),
    };
    let number = if digits.is_empty() { 0 } else { digits.parse::<u64>().unwrap_or(u64::MAX) };
    Ok(number.saturating_mul(1 << shift))
}

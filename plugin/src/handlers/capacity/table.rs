//! The output of the command `capacity`.

use std::fmt::Write as _;

use super::value::{Capacity, MemoryJson, SizingJson};
use crate::text::{byte_size, printable};

/// The start of the second column, and the width of a line.
const INDENT: usize = 16;
const WIDTH: usize = 100;

/// Returns the configured limit, the memory for it, the verdict and the recommended limit.
pub(crate) fn table(capacity: &Capacity) -> String {
    let mut text = String::new();
    let state = match capacity.running {
        Some(true) => "running",
        Some(false) => "not running",
        None => "perhaps running",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} ({}), {state}", capacity.pool, printable(capacity.conf.as_bytes()));
    row(&mut text, "configured", &configured(capacity));
    if let Some(now) = now(capacity) {
        row(&mut text, "now", &now);
    }
    if let Some(memory) = &capacity.memory {
        row(&mut text, "memory", &of_memory(capacity, memory));
        row(&mut text, "", &memory.accuracy);
    }
    if let Some(sizing) = &capacity.sizing {
        row(&mut text, "at the limit", &sizing.basis);
    }
    row(&mut text, "so", &verdict(capacity));
    for pool in &capacity.pools {
        let number =
            |number: Option<u64>, what| number.map_or(String::new(), |number| format!(", {number} {what}"));
        let workers = [
            number(pool.workers, "now"),
            number(pool.busy, "busy"),
            number(pool.queued.filter(|&queued| queued > 0), "WAITING"),
        ]
        .concat();
        row(
            &mut text,
            &format!("pool {}", pool.name),
            &format!("{}, {} at most{workers}", pool.pm, pool.limit),
        );
    }
    for warning in &capacity.warnings {
        row(&mut text, "warning", warning);
    }
    for note in &capacity.notes {
        row(&mut text, "note", note);
    }
    for ignored in &capacity.ignored {
        let user = ignored.user.as_deref().unwrap_or("an unknown user");
        row(&mut text, "ignored", &format!("process {} of {user}: {}", ignored.pid, ignored.reason));
    }
    text
}

fn configured(capacity: &Capacity) -> String {
    let mut text = format!("{} {}", capacity.limit_setting, capacity.limit);
    if let Some(written) = capacity.limit_configured.filter(|&written| written != capacity.limit) {
        let _ = write!(text, " ({written} as written)");
    }
    if capacity.pools.len() > 1 {
        text.push_str(" of all pools together");
    }
    for (name, value) in
        [("ServerLimit", capacity.server_limit), ("ThreadsPerChild", capacity.threads_per_child)]
    {
        if let Some(value) = value {
            let _ = write!(text, ", {name} {value}");
        }
    }
    if let Some(mpm) = capacity.mpm {
        let _ = write!(text, ", {mpm}");
    }
    text
}

fn now(capacity: &Capacity) -> Option<String> {
    capacity.running.filter(|&running| running)?;
    let mut parts = Vec::new();
    if let Some(workers) = capacity.workers {
        let noun = if capacity.limit_setting == "max_connections" { "connections" } else { "workers" };
        parts.push(format!("{workers} {noun}"));
    }
    if let Some(processes) = capacity.processes.filter(|_| capacity.workers != capacity.processes) {
        parts.push(format!("{processes} processes"));
    }
    if let Some(threads) = capacity.threads {
        parts.push(format!("{threads} threads"));
    }
    if let Some(busy) = capacity.busy {
        parts.push(format!("{busy} busy"));
    }
    if let Some(percent) = capacity.usage_percent {
        parts.push(format!("{percent} % of the limit"));
    }
    if capacity.at_limit == Some(true) {
        parts.push("AT THE LIMIT".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn of_memory(capacity: &Capacity, memory: &MemoryJson) -> String {
    let each =
        if capacity.threads_per_child.is_some_and(|threads| threads > 1) { "process" } else { "worker" };
    let each = if memory.source == "configured" { "connection" } else { each };
    let mut text = format!(
        "{} for each {each}, {} shared once ({})",
        byte_size(memory.private_bytes as f64),
        byte_size(memory.shared_bytes as f64),
        memory.source
    );
    if let Some(largest) = memory.largest_bytes {
        let _ = write!(text, "; the largest has {}", byte_size(largest as f64));
    }
    text
}

fn verdict(capacity: &Capacity) -> String {
    let Some(sizing) = &capacity.sizing else {
        return "no worker runs: whether the limit fits is known when one does".to_owned();
    };
    let name = capacity.limit_setting;
    match sizing {
        SizingJson { fits: true, .. } => "it fits: leave it, or look again under load".to_owned(),
        SizingJson { largest_limit: 0, .. } => {
            format!("DOES NOT FIT, and no {name} does: less memory for each, or a larger machine")
        }
        SizingJson { largest_limit, .. } if capacity.pools.len() > 1 => {
            format!("DOES NOT FIT: lower {name} of the pools to {largest_limit} or less together")
        }
        SizingJson { largest_limit, .. } => format!("DOES NOT FIT: set {name} to {largest_limit} or less"),
    }
}

/// Writes a line of two columns; long text continues in the second column.
fn row(text: &mut String, name: &str, content: &str) {
    let name = printable(name.as_bytes());
    let mut line = format!("  {name:<width$}", width = INDENT - 2);
    let mut length = line.chars().count();
    let mut first = true;
    for word in printable(content.as_bytes()).split(' ') {
        let long = word.chars().count();
        if !first && length + 1 + long > WIDTH {
            let _ = write!(line, "\n{:INDENT$}", "");
            (length, first) = (INDENT, true);
        }
        if !first || (length >= INDENT && !line.ends_with(' ')) {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += long;
        first = false;
    }
    let _ = writeln!(text, "{}", line.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::capacity::value::PoolJson;

    fn incident() -> Capacity {
        Capacity {
            pool: "apache",
            conf: "/etc/httpd/conf/httpd.conf".to_owned(),
            running: Some(true),
            mpm: Some("prefork"),
            limit: 256,
            limit_configured: Some(300),
            limit_setting: "MaxClients",
            processes: Some(256),
            workers: Some(256),
            usage_percent: Some(100.0),
            at_limit: Some(true),
            warnings: vec!["MaxClients 300 exceeds ServerLimit 256: lowered to 256".to_owned()],
            ..Capacity::default()
        }
    }

    fn does_not_fit() -> SizingJson {
        SizingJson {
            memory_at_limit_bytes: 0,
            mem_total_bytes: 0,
            cgroup: None,
            cgroup_max_bytes: None,
            limited_by: "machine",
            reserved_bytes: 0,
            available_bytes: 0,
            fits: false,
            largest_limit: 71,
            basis: "word ".repeat(40).trim_end().to_owned(),
        }
    }

    fn one_of_128(name: &str) -> PoolJson {
        PoolJson { name: name.to_owned(), limit: 128, ..PoolJson::default() }
    }

    #[test]
    fn columns_are_aligned_and_long_lines_broken() {
        let mut capacity = incident();
        capacity.sizing = Some(does_not_fit());
        let text = table(&capacity);
        assert!(text.starts_with(
            "apache (/etc/httpd/conf/httpd.conf), running\n  configured    MaxClients 256 (300 as"
        ));
        assert!(text.contains("\n  now           256 workers, 100 % of the limit, AT THE LIMIT\n"), "{text}");
        assert!(text.contains("\n  so            DOES NOT FIT: set MaxClients to 71 or less\n"), "{text}");
        assert!(text.contains("\n                word word"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn several_pools_share_one_recommended_sum() {
        let mut capacity = incident();
        (capacity.limit_setting, capacity.limit_configured) = ("pm.max_children", None);
        capacity.sizing = Some(does_not_fit());
        assert!(table(&capacity).contains("DOES NOT FIT: set pm.max_children to 71 or less\n"));
        capacity.pools = ["shop", "www"].map(one_of_128).into();
        let text = table(&capacity);
        assert!(text.contains("  configured    pm.max_children 256 of all pools together"), "{text}");
        assert!(
            text.contains("DOES NOT FIT: lower pm.max_children of the pools to 71 or less together\n"),
            "{text}"
        );
    }

    #[test]
    fn what_comes_from_files_cannot_reach_the_terminal() {
        let mut capacity = incident();
        capacity.conf = "/etc/\x1b[2J".to_owned();
        capacity.warnings = vec!["\x1b]0;x\x07".to_owned()];
        assert!(!table(&capacity).contains(['\x1b', '\x07']));
    }
}

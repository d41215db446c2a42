//! `proc.mem`, `proc.num` and `proc.cpu.util`: values equal to the built-in keys'.
//!
//! The order of the checks is the built-in's, too: it decides which error a key with two mistakes gets. Agents 6.0 and
//! 7.0 have different errors for a pattern that does not compile and for an unknown user; each agent gets its own.

use agent2_plugin::{ItemError, Reply};
use proc_snapshot::{
    CpuQuery, CpuType, CpuWindow, GoPattern, MemSummary, MemType, PatternError, ProcError, Selector,
    StateFilter,
};

use crate::deadline::reading_deadline;
use crate::parameters::{Arguments, WordTable, value_of, words_of};
use crate::state::PluginState;

const NOTHING: &str = "0";

/// The function that combines the values of several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Avg,
    Max,
    Min,
}

const AGGREGATES: WordTable<Aggregate, 4> =
    [("sum", Aggregate::Sum), ("avg", Aggregate::Avg), ("max", Aggregate::Max), ("min", Aggregate::Min)];
/// The words of `mode` of `proc.mem`.
pub(crate) const AGGREGATE_WORDS: &[&str] = &words_of(&AGGREGATES);

/// The states of `proc.num`: a filter, or `None` for all.
const STATES: WordTable<Option<StateFilter>, 6> = {
    let [disk, run, sleep, trace, zombie] = StateFilter::WORDS;
    [
        ("all", None),
        (disk.0, Some(disk.1)),
        (run.0, Some(run.1)),
        (sleep.0, Some(sleep.1)),
        (trace.0, Some(trace.1)),
        (zombie.0, Some(zombie.1)),
    ]
};
/// The words of `state`.
pub(crate) const STATE_WORDS: &[&str] = &words_of(&STATES);

/// `proc.mem[name,user,mode,cmdline,memtype]`
pub(crate) fn mem(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let Some(uid) = user(plugin, arguments, 1)? else { return Ok(NOTHING.into()) };
    let mode = arguments.word(2, |word| value_of(&AGGREGATES, word))?;
    let kind = arguments.word(4, MemType::from_word)?;
    let cmdline = match pattern(arguments, 3) {
        Ok(pattern) => pattern,
        Err(_) if arguments.is_before_6_4() => return Ok(NOTHING.into()),
        Err(error) => {
            let text = arguments.text(3);
            return Err(ItemError::new(format!("Failed to compile regular expression '{text}': {error}")));
        }
    };
    let selector = Selector { name: name(arguments), uid, cmdline, state: None };
    let request = arguments.request();
    let snapshot = plugin.snapshot(selector.needs(), request)?;
    match snapshot.memory(&selector, kind, reading_deadline(request)) {
        Ok(summary) if summary.unreadable > 0 => Err(maps_unreadable(summary.unreadable, summary.count)),
        Ok(summary) => Ok(amount(summary, mode, kind).into()),
        // The built-in key returns 0 on a machine without MemTotal.
        Err(ProcError::NoTotalMemory { .. }) => Ok(NOTHING.into()),
        Err(error) => Err(error.into()),
    }
}

/// Returns an error, because the sum over the readable processes would be wrong.
fn maps_unreadable(unreadable: u64, readable: u64) -> ItemError {
    let all = unreadable + readable;
    ItemError::new(format!(
        "smaps_rollup of {unreadable} of {all} processes cannot be read: the agent's unit needs \
         AmbientCapabilities=CAP_SYS_PTRACE, or poll rss"
    ))
}

/// An amount as agents print it: bytes as a whole number, averages and percentages with six decimals.
fn amount(summary: MemSummary, mode: Aggregate, kind: MemType) -> String {
    let value = match mode {
        Aggregate::Avg => return summary.avg().map_or_else(|| NOTHING.to_owned(), |avg| format!("{avg:.6}")),
        Aggregate::Max => summary.max,
        Aggregate::Min => summary.min,
        Aggregate::Sum => summary.sum,
    };
    match (summary.count, kind) {
        (0, _) => NOTHING.to_owned(),
        (_, MemType::Pmem) => format!("{value:.6}"),
        _ => format!("{value:.0}"),
    }
}

/// `proc.num[name,user,state,cmdline]`
pub(crate) fn num(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let state = arguments.word(2, |word| value_of(&STATES, word))?;
    let cmdline = match pattern(arguments, 3) {
        Ok(pattern) => pattern,
        Err(_) if arguments.is_before_6_4() => return Ok(NOTHING.into()),
        Err(error) => {
            let text = arguments.text(3);
            return Err(ItemError::new(format!(
                "Failed to prepare query: cannot compile regex for {text}: {error}"
            )));
        }
    };
    let Some(uid) = user(plugin, arguments, 1)? else { return Ok(NOTHING.into()) };
    let selector = Selector { name: name(arguments), uid, cmdline, state };
    let request = arguments.request();
    let snapshot = plugin.snapshot(selector.needs(), request)?;
    Ok(snapshot.count(&selector, reading_deadline(request))?.into())
}

/// `proc.cpu.util[name,user,type,cmdline,mode]`
pub(crate) fn cpu_util(plugin: &PluginState, arguments: Arguments<'_>) -> Result<Reply, ItemError> {
    let window = arguments.word(4, CpuWindow::from_word)?;
    let kind = arguments.word(2, CpuType::from_word)?;
    let query = CpuQuery {
        name: arguments.text(0).to_owned(),
        user: arguments.text(1).to_owned(),
        cmdline: arguments.text(3).to_owned(),
    };
    match plugin.sampler.utilization(&query, kind, window, reading_deadline(arguments.request())) {
        Ok(percent) => Ok(format!("{percent:.6}").into()),
        Err(ProcError::UnknownUser { name }) if arguments.is_before_6_4() => {
            Err(ItemError::new(format!("user: unknown user {name}")))
        }
        Err(ProcError::UnknownUser { .. }) => Ok(NOTHING.into()),
        Err(ProcError::Pattern(error)) if arguments.is_before_6_4() => Err(ItemError::new(error.to_string())),
        Err(ProcError::Pattern(error)) => {
            Err(ItemError::new(format!("cannot register CPU utilization query: {error}")))
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn name(arguments: Arguments<'_>) -> Option<Box<[u8]>> {
    arguments.filter(0).map(|name| name.as_bytes().into())
}

pub(crate) fn pattern(arguments: Arguments<'_>, place: usize) -> Result<Option<GoPattern>, PatternError> {
    arguments.filter(place).map(|text| GoPattern::new(text.as_bytes())).transpose()
}

/// Returns the user of the item: `None` if there is no such user, `Some(None)` for all users.
#[expect(clippy::option_option, reason = "three cases: no such user, any user, this user")]
pub(crate) fn user(
    plugin: &PluginState,
    arguments: Arguments<'_>,
    place: usize,
) -> Result<Option<Option<u32>>, ProcError> {
    match arguments.filter(place) {
        None => Ok(Some(None)),
        Some(name) => Ok(plugin.users.uid(name)?.map(Some)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_printed_as_agents_print_them() {
        let mut summary = MemSummary::default();
        assert_eq!(amount(summary, Aggregate::Avg, MemType::Rss), "0");
        assert_eq!(amount(summary, Aggregate::Sum, MemType::Pmem), "0");
        summary.add(1.0);
        summary.add(4.0);
        assert_eq!(amount(summary, Aggregate::Avg, MemType::Rss), "2.500000");
        assert_eq!(amount(summary, Aggregate::Sum, MemType::Rss), "5");
        assert_eq!(amount(summary, Aggregate::Min, MemType::Rss), "1");
        assert_eq!(amount(summary, Aggregate::Max, MemType::Pmem), "4.000000");
    }
}

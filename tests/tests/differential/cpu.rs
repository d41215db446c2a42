//! proc.cpu.util: the built-in key's first poll registers the query, and values follow seconds later. Ours has a value at once.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use oomwatch_tests::{Error, Generation, Key, RealAgent, Reply};

use crate::agent::agent;
use crate::cast::{Cast, STRANGER};
use crate::compare::{ItemReply, OURS, ask, built_in, report, same};

/// Limit for the built-in key's first poll: a 7.0 agent holds the connection for half a minute if it has no value.
const PRIME: Duration = Duration::from_millis(500);
/// Two samples, a second apart, give a value. The busy actor's average needs more of them to settle.
const SETTLE: Duration = Duration::from_secs(12);
const SAMPLES: u32 = 6;
/// In hundredths of one CPU. Both items read the same counters over windows of at least [`SETTLE`], whose ends differ by
/// up to a second. In those two seconds the actor may have had all of the CPU, or nothing of it.
const TOLERANCE: f64 = 2.0 * 100.0 / SETTLE.as_secs() as f64;
const BUSY_PERCENT: u8 = 40;

pub(crate) fn compare_all(generation: Generation) -> Result<(), Error> {
    let mut cast = Cast::new()?;
    let busy = cast.hire_worker(BUSY_PERCENT)?;
    let agent = agent(generation)?;
    let (idle, faulty, working) = (idle(&cast), faulty(&cast), working(&busy));
    let all: Vec<&Key> = idle.iter().chain(&faulty).chain(&working).collect();
    prime(&agent, &all);
    let first = first_polls(&agent, &all);
    let mut mismatches = first_replies(&agent, &refused_at_once(&cast));
    sleep(SETTLE);
    let of_idle = idle.iter().chain(&faulty).zip(&first);
    mismatches.extend(of_idle.filter_map(|(key, ours)| differs_from(&agent, key, ours)));
    assert_first_loads(&first[idle.len() + faulty.len()..]);
    mismatches.extend(idle.iter().chain(&faulty).filter_map(|key| differs(&agent, key)));
    mismatches.extend(differing_loads(&agent, &working)?);
    report(generation, all.len(), &mismatches);
    Ok(())
}

fn util<S: Into<String>>(parameters: impl IntoIterator<Item = S>) -> Key {
    Key::new("proc.cpu.util").params(parameters)
}

fn idle(cast: &Cast) -> Vec<Key> {
    let pool = cast.name("pool");
    let types = ["", "total", "user", "system"].into_iter();
    let kinds = types.flat_map(|kind| ["", "avg1", "avg5", "avg15"].map(|mode| (kind, mode)));
    let of_pool = kinds.map(|(kind, mode)| util([&pool, "", kind, "", mode]));
    let of_names = cast.names.iter().map(|name| util([name]));
    let stranger = STRANGER.to_string();
    let of_users = ["root", "nobody", &stranger].map(|user| util([&pool, user]));
    let patterns =
        ["^/usr/sbin/~pool", "~pool -D .*=[12]", "~(?:pool|other)", "^$"].map(|pattern| cast.tagged(pattern));
    let of_patterns = patterns.iter().map(|pattern| util([&pool, "", "", pattern]));
    of_pool.chain(of_names).chain(of_users).chain(of_patterns).collect()
}

/// Questions that are refused at the first poll.
fn refused_at_once(cast: &Cast) -> Vec<Key> {
    let pool = cast.name("pool");
    let words = ["", "wrong", "TOTAL"]
        .into_iter()
        .flat_map(|kind| ["", "wrong", "avg2", "AVG1"].map(|mode| (kind, mode)));
    let faults = words.filter(|words| *words != ("", ""));
    let users = ["", "no such user"];
    let patterns = ["", "(", "[a", "*", "~{2,1}", "(?=x)"];
    let with = |(kind, mode): (&str, &str)| {
        let pairs = users.into_iter().flat_map(|user| patterns.map(|pattern| (user, pattern)));
        pairs.map(|(user, pattern)| util([&pool, user, kind, pattern, mode])).collect::<Vec<_>>()
    };
    let invalid = patterns.into_iter().skip(1).map(|pattern| util([&pool, "", "", pattern]));
    let too_many = (6..9).map(|count| util(vec![""; count]));
    faults.flat_map(with).chain(invalid).chain(too_many).collect()
}

/// Users that do not exist: 6.0 and 7.0 differ, and both need a sample to detect it.
fn faulty(cast: &Cast) -> Vec<Key> {
    let users = ["no such user", "Root", "54321", "0", " root"];
    users
        .into_iter()
        .flat_map(|user| [util(["", user]), util([&cast.name("pool"), user, "user", "~", "avg5"])])
        .collect()
}

fn working(busy: &str) -> Vec<Key> {
    let kinds = [("", ""), ("total", "avg1"), ("user", "avg5"), ("system", "avg1"), ("user", "avg15")];
    kinds.map(|(kind, mode)| util([busy, "", kind, "", mode])).into()
}

fn prime(agent: &RealAgent, keys: &[&Key]) {
    for some in keys.chunks(16) {
        thread::scope(|scope| {
            for key in some {
                scope.spawn(|| agent.get_within(key.prefixed("").to_string(), PRIME));
            }
        });
    }
}

/// Returns our replies to first polls, many of which come at once.
fn first_polls(agent: &RealAgent, keys: &[&Key]) -> Vec<ItemReply> {
    let ask_all = |some: &[&Key]| -> Vec<ItemReply> {
        thread::scope(|scope| {
            let polls: Vec<_> =
                some.iter().map(|key| scope.spawn(|| ask(agent, &key.prefixed(OURS)))).collect();
            polls.into_iter().map(|poll| poll.join().expect("a poll does not panic")).collect()
        })
    };
    keys.chunks(16).flat_map(ask_all).collect()
}

/// The first value covers a second, in which the worker may have had any share of its CPU.
fn assert_first_loads(first: &[ItemReply]) {
    let loads: Vec<_> = first.iter().map(|answer| answer.as_ref().map_or(f64::NAN, load)).collect();
    assert!(loads.iter().all(|load| (0.0..=110.0).contains(load)), "{first:?}");
    assert!(loads[0] > 0.0, "the worker did not work: {first:?}");
}

fn first_replies(agent: &RealAgent, keys: &[Key]) -> Vec<String> {
    keys.iter().filter_map(|key| differs(agent, key)).collect()
}

fn differs(agent: &RealAgent, key: &Key) -> Option<String> {
    let ours = ask(agent, &key.prefixed(OURS));
    differs_from(agent, key, &ours)
}

fn differs_from(agent: &RealAgent, key: &Key, ours: &ItemReply) -> Option<String> {
    let theirs = built_in(agent, key);
    (!same(agent, &theirs, ours)).then(|| format!("{key}: built-in {theirs:?}; ours {ours:?}"))
}

fn differing_loads(agent: &RealAgent, keys: &[Key]) -> Result<Vec<String>, Error> {
    let mut sums = vec![(0.0, 0.0); keys.len()];
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for (key, sum) in keys.iter().zip(&mut sums) {
            sum.0 += load(&agent.get(key.clone())?);
            sum.1 += load(&agent.get(key.prefixed(OURS))?);
        }
        sleep(Duration::from_secs(1).saturating_sub(start.elapsed()));
    }
    let means = sums.iter().map(|(theirs, ours)| (theirs / f64::from(SAMPLES), ours / f64::from(SAMPLES)));
    let near = |(theirs, ours): (f64, f64)| (theirs - ours).abs() <= TOLERANCE;
    let mut loads: Vec<_> = keys.iter().zip(means).collect();
    // Two items that see nothing would agree too. On a busy machine the actor gets less CPU than it would use.
    assert!(loads[0].1.0 > 1.0, "the worker did not work: {loads:?}");
    loads.retain(|(_, means)| !near(*means));
    let show =
        |(key, (theirs, ours)): (&Key, (f64, f64))| format!("{key}: built-in {theirs:.1}; ours {ours:.1}");
    Ok(loads.into_iter().map(show).collect())
}

/// Parses a load. Text that is not a number has no load and no mean.
fn load(reply: &Reply) -> f64 {
    reply.value().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

//! proc.get, which only agent 7.0 has: JSON, compared key by key.

use std::collections::HashMap;
use std::fmt;
use std::thread::sleep;
use std::time::Instant;

use oomwatch_tests::{Error, Generation, Key, RealAgent, Reply};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::agent::agent;
use crate::cast::{Cast, STRANGER};
use crate::compare::{BETWEEN_TRIES, LIMIT, OURS, ask, built_in, report, same};

/// A process's share of common mappings changes whenever a process that has the mapping starts or ends; libc is mapped by
/// all of them.
const PSS_SLACK_BYTES: f64 = 65_536.0;
/// The members that identify a process, as opposed to its state.
const IDENTITY: [&str; 10] =
    ["pid", "ppid", "name", "cmdline", "user", "group", "uid", "gid", "tid", "tname"];

/// An object that keeps the order of its keys and the spelling of its numbers.
struct Object(Vec<(String, String)>);

pub(crate) fn compare_all() -> Result<(), Error> {
    let cast = Cast::new()?;
    let agent = agent(Generation::V7_0)?;
    let mut mismatches: Vec<String> =
        still(&cast).iter().filter_map(|key| differs(&agent, key, same_objects)).collect();
    mismatches.extend(moving().iter().filter_map(|key| differs(&agent, key, same_processes)));
    mismatches.extend(faulty().iter().filter_map(|key| differs_as_text(&agent, key)));
    report(Generation::V7_0, still(&cast).len() + moving().len() + faulty().len(), &mismatches);
    Ok(())
}

fn get<S: Into<String>>(parameters: impl IntoIterator<Item = S>) -> Key {
    Key::new("proc.get").params(parameters)
}

fn still(cast: &Cast) -> Vec<Key> {
    let names = cast.names.iter().cloned().chain(["kthreadd".into(), "no-such-name".into(), cast.name("")]);
    let of_names = names.flat_map(|name| {
        let modes = ["", "process", "thread", "summary"];
        modes.map(|mode| get([name.as_str(), "", "", mode]))
    });
    let stranger = STRANGER.to_string();
    let users = ["root", "nobody", "no such user", "0", stranger.as_str()];
    let names = ["pool", "nobody", "stranger"].map(|rest| cast.name(rest));
    let pairs = names.iter().flat_map(|name| users.map(|user| (name.clone(), user)));
    let of_users =
        pairs.flat_map(|(name, user)| ["", "thread", "summary"].map(|mode| get([&name, user, "", mode])));
    let patterns = ["~", "^/usr/sbin/~pool", "~pool.*=(1|3)$", "~[[:digit:]]+", "ümlaut", "~nothing"];
    let patterns = patterns.map(|pattern| cast.tagged(pattern));
    let of_patterns =
        patterns.iter().flat_map(|pattern| ["process", "thread"].map(|mode| get(["", "", pattern, mode])));
    of_names.chain(of_users).chain(of_patterns).collect()
}

fn moving() -> Vec<Key> {
    let modes = ["", "process", "thread", "summary"];
    let users = ["", "root"];
    let pairs = modes.iter().flat_map(|mode| users.map(|user| (mode, user)));
    pairs
        .map(|(mode, user)| get(["", user, "", mode]))
        .chain([get([""; 0]), get([""]), get(["", "", ""])])
        .collect()
}

fn faulty() -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for user in ["", "no such user"] {
        for pattern in ["", "x", "(", "[a", "*"] {
            for mode in ["wrong", "Process", "summary ", "summary", "thread"] {
                let quiet = pattern.is_empty() || pattern == "x";
                let answers = quiet && (mode == "thread" || (mode == "summary" && pattern.is_empty()));
                if !(answers && user.is_empty()) {
                    keys.push(get(["no-such-name", user, pattern, mode]));
                }
            }
        }
    }
    let too_many = (5..8).flat_map(|count| ["", "wrong", "("].map(|word| get(vec![word; count])));
    keys.into_iter().chain(too_many).collect()
}

type Compare = fn(&[Object], &[Object], &[Object]) -> Result<(), String>;

/// Asks ours between two of the agent's, until nothing changed or the time is over.
fn differs(agent: &RealAgent, key: &Key, compare: Compare) -> Option<String> {
    let end = Instant::now() + LIMIT;
    loop {
        let objects = |key: Key| parse(&agent.get(key).map_err(|error| error.to_string())?);
        let attempt = || {
            let (before, ours) = (objects(key.clone())?, objects(key.prefixed(OURS))?);
            compare(&before, &ours, &before).or_else(|_| compare(&before, &ours, &objects(key.clone())?))
        };
        match attempt() {
            Ok(()) => return None,
            Err(why) if Instant::now() >= end => return Some(format!("{key}: {why}")),
            Err(_) => sleep(BETWEEN_TRIES),
        }
    }
}

fn differs_as_text(agent: &RealAgent, key: &Key) -> Option<String> {
    let (theirs, ours) = (built_in(agent, key), ask(agent, &key.prefixed(OURS)));
    (!same(agent, &theirs, &ours)).then(|| format!("{key}: built-in {theirs:?}; ours {ours:?}"))
}

fn parse(reply: &Reply) -> Result<Vec<Object>, String> {
    let text = reply.value().ok_or_else(|| format!("{reply:?}"))?;
    serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))
}

/// The same objects in the same order, byte for byte; a number may also lie between the two around it.
fn same_objects(before: &[Object], ours: &[Object], after: &[Object]) -> Result<(), String> {
    if [ours.len(), after.len()] != [before.len(); 2] {
        return Err(format!("{} objects, then {}; ours {}", before.len(), after.len(), ours.len()));
    }
    before.iter().zip(ours).zip(after).try_for_each(|((before, ours), after)| {
        same_keys(before, ours)?;
        let mut fields = before.0.iter().zip(&ours.0).zip(&after.0);
        fields.try_for_each(|((b, o), a)| same_value(&b.0, &b.1, &o.1, &a.1))
    })
}

fn same_value(name: &str, before: &str, ours: &str, after: &str) -> Result<(), String> {
    let number = |text: &str| text.parse::<f64>();
    let between = match (number(before), number(ours), number(after)) {
        (Ok(b), Ok(o), Ok(a)) => b != a && (b.min(a)..=b.max(a)).contains(&o),
        _ => false,
    };
    let shares = match (name, number(before), number(ours)) {
        ("pss", Ok(b), Ok(o)) => (b - o).abs() <= PSS_SLACK_BYTES,
        _ => false,
    };
    if ours == before || ours == after || between || shares {
        return Ok(());
    }
    Err(format!("{name}: {before}, then {after}; ours {ours}"))
}

fn same_keys(theirs: &Object, ours: &Object) -> Result<(), String> {
    let names = |object: &Object| object.0.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(theirs) == names(ours) {
        Ok(())
    } else {
        Err(format!("{:?}; ours {:?}", names(theirs), names(ours)))
    }
}

/// For changing processes: each process in both of the agent's replies is in ours, with the same identity and the same
/// types of values. The identity of a summary is its name.
fn same_processes(before: &[Object], ours: &[Object], after: &[Object]) -> Result<(), String> {
    let before: HashMap<String, &Object> = before
        .iter()
        .filter(|object| !object.is_kworker())
        .map(|object| (object.identity(), object))
        .collect();
    let ours: HashMap<String, &Object> = ours.iter().map(|object| (object.identity(), object)).collect();
    let stayed = after.iter().map(Object::identity).filter(|identity| before.contains_key(identity));
    let mut compared = 0;
    for identity in stayed {
        let found = ours.get(&identity).ok_or_else(|| format!("ours has no {identity}"))?;
        same_kinds(before[&identity], found)?;
        compared += 1;
    }
    if compared > 0 { Ok(()) } else { Err("nobody stayed".into()) }
}

fn same_kinds(theirs: &Object, ours: &Object) -> Result<(), String> {
    same_keys(theirs, ours)?;
    let is_text = |value: &str| value.starts_with('"');
    let mut fields = theirs.0.iter().zip(&ours.0);
    match fields.find(|((_, theirs), (_, ours))| is_text(theirs) != is_text(ours)) {
        Some((theirs, ours)) => Err(format!("{}: {}; ours {}", theirs.0, theirs.1, ours.1)),
        None => Ok(()),
    }
}

impl Object {
    /// The kernel renames its workers according to their current work.
    fn is_kworker(&self) -> bool {
        self.0.iter().any(|(name, value)| name == "name" && value.starts_with("\"kworker/"))
    }

    fn identity(&self) -> String {
        let fields = self.0.iter().filter(|(name, _)| IDENTITY.contains(&name.as_str()));
        fields.map(|(name, value)| format!("{name}={value} ")).collect()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

/// A map type would lose the order of the keys.
struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            fields.push((name, spelling(&value)));
        }
        Ok(Object(fields))
    }
}

/// A number as it was written; a text in quotes, independent of its escapes.
fn spelling(value: &RawValue) -> String {
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) => format!("\"{text}\""),
        Err(_) => value.get().to_owned(),
    }
}

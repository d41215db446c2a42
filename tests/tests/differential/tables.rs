//! The questions about proc.mem and proc.num.

use crate::cast::{Cast, STRANGER};
use crate::compare::Case;

const MODES: [&str; 5] = ["", "sum", "avg", "min", "max"];
const MEMTYPES: [&str; 15] = [
    "", "vsize", "rss", "peak", "swap", "lib", "lck", "pin", "hwm", "data", "stk", "exe", "pte", "size",
    "pmem",
];
const STATES: [&str; 7] = ["", "all", "disk", "run", "sleep", "trace", "zomb"];
/// Kernel threads have no memory and no arguments.
const KERNEL_THREADS: [&str; 4] = ["kthreadd", "ksoftirqd/0", "migration/0", "rcu_sched"];
const ABSENT_USER: &str = "no such user";

/// Patterns; `~` is replaced by the tag. Invalid patterns are among them, because refusing them is part of the
/// behaviour.
const PATTERNS: &[&str] = &[
    "~",
    "^~",
    "~$",
    "^/usr/sbin/~pool",
    "~pool -D",
    "number=[12]$",
    "~pool.*number=(1|3)",
    "^.*~pool.*$",
    "~.+=2",
    "(~)(pool)",
    "(?:~)pool",
    "(?P<name>~pool)",
    "(?i)~POOL",
    "(?i:~POOL) -D",
    "~(?i)POOL -d",
    "~POOL",
    "\\b~pool\\b",
    "~\\w+",
    "~\\s",
    "~pool\\S*\\s+-D",
    "~[[:alpha:]]+",
    "~[[:digit:]]{10}",
    "~[^[:alpha:]]",
    "~\\d{10}",
    "~\\D",
    "~p[a-o]+l",
    "~p[^a-n]*l",
    "~[\\w]+=",
    "~po{2}l",
    "~po{2,}l",
    "~po{3}l",
    "~po*?l",
    "~po+?l",
    "~p(oo)?l",
    "\\Q~ a b\\E",
    "~\\)\\(x\\) y",
    "~[)(x]+",
    "~\\x61rg",
    "~.rg[0-3]",
    "~日本語",
    "~\\p{Han}+",
    "~\\pL+",
    "~[\\p{Han}]",
    "ümlaut",
    "\\A/usr",
    "~new\\nline|new\\nline",
    "tab\\there",
    "(?s)new.line",
    "new.line",
    "(?m)^line",
    "a=1,b=2",
    "c=\\{3\\}",
    "^$",
    "^ ~empty",
    "y{1000}",
    "(y{100}){10}",
    "~|pool",
    "(~|pool) -D",
    "()~",
    "~\\z",
    "[[:^alpha:]]~",
    "~[]x]",
    "x*",
    "(|~)pool",
];

/// Patterns that the agents refuse. The empty pattern selects all.
const NO_PATTERNS: &[&str] = &[
    "(",
    ")",
    "[",
    "[a",
    "*",
    "*~",
    "+~",
    "?",
    "~**",
    "~{2,1}",
    "~{1001}",
    "\\",
    "(?=~)",
    "(?!~)",
    "(?<=~)x",
    "\\1",
    "(~)\\1",
    "[z-a]",
    "[[:nosuch:]]",
    "\\p{Nosuch}",
    "(?<~>x",
    "(?z)~",
];

pub(crate) fn all(cast: &Cast) -> Vec<Case> {
    [sizes(cast), names(cast), states(cast), users(cast), patterns(cast), faults(cast), counts(cast)]
        .into_iter()
        .flatten()
        .collect()
}

/// Every memory type in every mode.
fn sizes(cast: &Cast) -> Vec<Case> {
    let pool = cast.name("pool");
    let pairs = MEMTYPES.iter().flat_map(|memtype| MODES.map(|mode| (mode, *memtype)));
    pairs.map(|(mode, memtype)| Case::still("proc.mem", [&pool, "", mode, "", memtype])).collect()
}

/// Every name, with some memory types and counted.
fn names(cast: &Cast) -> Vec<Case> {
    let absent = ["no-such-name", "~nothing", "~"].map(|name| cast.tagged(name));
    let kernel = KERNEL_THREADS.map(ToOwned::to_owned);
    let names = cast.names.iter().chain(&absent).chain(&kernel);
    let cases = |name: &String| {
        let kinds = [("sum", "rss"), ("avg", "vsize"), ("min", "size"), ("max", "pmem")];
        let sizes =
            kinds.map(|(mode, memtype)| Case::still("proc.mem", [name.as_str(), "", mode, "", memtype]));
        sizes.into_iter().chain([Case::still("proc.num", [name])])
    };
    names.flat_map(cases).collect()
}

fn states(cast: &Cast) -> Vec<Case> {
    let names = ["pool", "zombie", "stopped", "nobody", "threads", "nothing"].map(|rest| cast.name(rest));
    let of_names =
        names.iter().flat_map(|name| STATES.map(|state| Case::still("proc.num", [name, "", state])));
    let of_all = STATES.map(|state| Case::moving("proc.num", ["", "", state]));
    let of_root = STATES.map(|state| Case::moving("proc.num", ["", "root", state]));
    of_names.chain(of_all).chain(of_root).collect()
}

fn users(cast: &Cast) -> Vec<Case> {
    let stranger = STRANGER.to_string();
    let users =
        ["root", "nobody", "daemon", ABSENT_USER, "Root", "0", "65534", "-1", &stranger, " root", "root "];
    let names = ["pool", "nobody", "stranger", "zombie"].map(|rest| cast.name(rest));
    let pairs = names.iter().flat_map(|name| users.map(|user| (name.as_str(), user)));
    let of_names = pairs.flat_map(|(name, user)| {
        [Case::still("proc.num", [name, user]), Case::still("proc.mem", [name, user, "max", "", "rss"])]
    });
    let of_all = users.into_iter().flat_map(|user| {
        [Case::moving("proc.num", ["", user]), Case::moving("proc.mem", ["", user, "", "", "rss"])]
    });
    of_names.chain(of_all).collect()
}

fn patterns(cast: &Cast) -> Vec<Case> {
    let all = PATTERNS.iter().chain(NO_PATTERNS).map(|pattern| cast.tagged(pattern));
    let pool = cast.name("pool");
    let cases = |pattern: String| {
        [
            Case::still("proc.num", [&pool, "", "", &pattern]),
            Case::still("proc.mem", [&pool, "", "", &pattern, "rss"]),
            Case::moving("proc.num", ["", "", "", &pattern]),
        ]
    };
    all.flat_map(cases).collect()
}

/// Pairs of faults: which of two is reported depends on the order of the checks. (Memory types that only our key has are
/// not faults, so they are absent here.)
fn faults(cast: &Cast) -> Vec<Case> {
    let pool = cast.name("pool");
    let mut cases = Vec::new();
    for user in ["", ABSENT_USER] {
        for pattern in ["", "(", "[a"] {
            for word in ["", "wrong", "SUM", "sum ", " sum", "all "] {
                cases.push(Case::still("proc.num", [&pool, user, word, pattern]));
                for memtype in ["", "wrong", "RSS", "rss ", "pmem"] {
                    cases.push(Case::still("proc.mem", [&pool, user, word, pattern, memtype]));
                }
            }
        }
    }
    cases
}

/// Too few, too many, and empty parameters.
fn counts(cast: &Cast) -> Vec<Case> {
    let pool = cast.name("pool");
    let many = |key, count: usize, rest: &str| {
        let mut parameters = vec![pool.clone()];
        parameters.resize(count, rest.to_owned());
        Case::still(key, parameters)
    };
    let full = (1..9).flat_map(|count| {
        ["", "wrong", "("].map(|rest| [many("proc.mem", count, rest), many("proc.num", count, rest)])
    });
    let empty = (0..8).map(|count| vec![""; count]);
    let empty = empty.map(|none| [Case::moving("proc.mem", none.clone()), Case::moving("proc.num", none)]);
    full.chain(empty).flatten().collect()
}

//! The search for words without which a line says nothing about a kill.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, packed};

/// While no report is open, a line without one of these says nothing.
const WORDS: [&[u8]; 13] = [
    b"oom-kill",
    b"oomd",
    b"oom.group",
    b"illed process ",
    b"ill process ",
    b"illing process ",
    b"result of limit",
    b"limit reached",
    b"ut of memory",
    b"deadlocked on memory",
    b"total_vm",
    b"OOM killer.",
    b"sending SIG",
];

pub(crate) static FINDER: LazyLock<Finder> = LazyLock::new(Finder::new);

/// Searches for all words at once. The general automaton passes 0.5 GB over in a second here, the vectorised search 6;
/// but the latter is not to be had on every processor.
pub(crate) enum Finder {
    Vectorised(packed::Searcher),
    General(AhoCorasick),
}

impl Finder {
    fn new() -> Self {
        let general =
            || AhoCorasick::new(WORDS).unwrap_or_else(|error| unreachable!("constant words: {error}"));
        packed::Searcher::new(WORDS).map_or_else(|| Self::General(general()), Self::Vectorised)
    }

    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        let found = match self {
            Self::Vectorised(searcher) => searcher.find(text),
            Self::General(automaton) => automaton.find(text),
        };
        found.map(|found| found.start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the two is used depends on the processor, so tests of the parser see one alone.
    #[test]
    fn both_searches_find_every_word() {
        let general = Finder::General(AhoCorasick::new(WORDS).unwrap());
        let vectorised = packed::Searcher::new(WORDS).map(Finder::Vectorised);
        for finder in vectorised.iter().chain([&general]) {
            for word in WORDS {
                for at in [0, 1, 15, 16, 63, 1000] {
                    let text = [&vec![b'o'; at], word, &b"m".repeat(at)].concat();
                    assert_eq!(finder.find(&text), Some(at));
                }
            }
            assert_eq!(finder.find(b"oom kill"), None);
        }
    }
}

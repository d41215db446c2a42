//! A search for texts in a buffer.

use memchr::memmem;

/// A fast search for any of several texts.
#[derive(Debug)]
pub struct TextSearch(Engine);

#[derive(Debug)]
enum Engine {
    One(Box<memmem::Finder<'static>>),
    /// Vectorised, for some dozens of texts.
    Packed(Box<aho_corasick::packed::Searcher>),
    Automaton(aho_corasick::AhoCorasick),
}

impl TextSearch {
    /// Builds a search for `texts`. `None` if there are too many of them.
    #[must_use]
    pub fn new(texts: &[Vec<u8>]) -> Option<Self> {
        let engine = match texts {
            [text] => Engine::One(Box::new(memmem::Finder::new(text).into_owned())),
            texts => match aho_corasick::packed::Searcher::new(texts) {
                Some(search) => Engine::Packed(Box::new(search)),
                None => Engine::Automaton(aho_corasick::AhoCorasick::new(texts).ok()?),
            },
        };
        Some(Self(engine))
    }

    /// Returns the start of the first occurrence of any of the texts.
    #[must_use]
    pub fn find(&self, buffer: &[u8]) -> Option<usize> {
        match &self.0 {
            Engine::One(finder) => finder.find(buffer),
            Engine::Packed(search) => search.find(buffer).map(|found| found.start()),
            Engine::Automaton(search) => search.find(buffer).map(|found| found.start()),
        }
    }
}

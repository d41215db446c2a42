//! An item's parameters against the key's entry in the table, with errors in the built-in keys' words.

use agent2_plugin::{Generation, ItemError, Request};

use crate::keys::Key;

/// The parameters of one poll, checked as far as the table can check them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments<'a> {
    key: &'a Key,
    request: &'a Request,
}

/// As the built-in keys name them; no key has more parameters.
const ORDINALS: [&str; 9] =
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"];

impl<'a> Arguments<'a> {
    /// # Errors
    /// When there are more parameters than the key has.
    pub(crate) fn of(key: &'a Key, request: &'a Request) -> Result<Self, ItemError> {
        if request.parameters().len() > key.parameters.len() {
            return Err(ItemError::new("Too many parameters."));
        }
        Ok(Self { key, request })
    }

    pub(crate) fn request(self) -> &'a Request {
        self.request
    }

    /// Whether an agent before 6.4 asks, whose built-in keys differ here and there.
    pub(crate) fn is_before_6_4(self) -> bool {
        self.request.generation() == Generation::Before6_4
    }

    /// Whether the key answers like one of the agent's own.
    pub(crate) fn mirrors(self) -> bool {
        self.key.mirrors.is_some()
    }

    /// A parameter as it was given; empty when it was not.
    pub(crate) fn text(self, place: usize) -> &'a str {
        self.request.parameter(place)
    }

    /// A parameter whose empty form means that it does not restrict.
    pub(crate) fn filter(self, place: usize) -> Option<&'a str> {
        Some(self.text(place)).filter(|text| !text.is_empty())
    }

    /// One of the words that the table lists, the first where none is given.
    ///
    /// # Errors
    /// For any other word.
    pub(crate) fn word(self, place: usize) -> Result<&'static str, ItemError> {
        let words = self.key.parameters[place].words;
        let Some(text) = self.filter(place) else { return Ok(words[0]) };
        words.iter().copied().find(|&word| word == text).ok_or_else(|| invalid(place))
    }

    /// A parameter by its name in the table; empty where it was not given, or where the key has none of that name.
    pub(crate) fn named(self, name: &str) -> &'a str {
        self.place(name).map_or("", |place| self.text(place))
    }

    /// Where the key has the parameter of this name.
    pub(crate) fn place(self, name: &str) -> Option<usize> {
        self.key.parameters.iter().position(|parameter| parameter.name == name)
    }

    /// The key and all parameters as they were given, written so that no two items have the same text.
    pub(crate) fn identity(self) -> String {
        self.request
            .parameters()
            .iter()
            .fold(self.key.short_name().to_owned(), |identity, parameter| format!("{identity} {parameter:?}"))
    }

    /// A whole number of at least 1, or the given one where there is none.
    ///
    /// # Errors
    /// For anything else.
    pub(crate) fn count(self, place: usize, default: usize) -> Result<usize, ItemError> {
        let Some(text) = self.filter(place) else { return Ok(default) };
        text.parse().ok().filter(|&count| count > 0).ok_or_else(|| invalid(place))
    }
}

pub(crate) fn invalid(place: usize) -> ItemError {
    ItemError::new(format!("Invalid {} parameter.", ORDINALS[place]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with<T>(parameters: &[&str], look: impl FnOnce(Arguments<'_>) -> T) -> T {
        let key = Key::find("oomwatch.proc.top").unwrap();
        let request = Request::new(key.name, parameters, Duration::from_secs(1));
        look(Arguments::of(key, &request).unwrap())
    }

    #[test]
    fn words_and_counts_have_defaults_and_errors_that_name_the_place() {
        assert_eq!(with(&[], |a| a.word(0)), Ok("rss"));
        assert_eq!(with(&["", ""], |a| (a.word(0), a.count(1, 10))), (Ok("rss"), Ok(10)));
        assert_eq!(with(&["swap", "3"], |a| (a.word(0), a.count(1, 10))), (Ok("swap"), Ok(3)));
        assert_eq!(with(&["RSS"], |a| a.word(0)), Err(ItemError::new("Invalid first parameter.")));
        for wrong in ["0", "-1", "x", "1.5", "99999999999999999999"] {
            let outcome = with(&["", wrong], |a| a.count(1, 10));
            assert_eq!(outcome, Err(ItemError::new("Invalid second parameter.")), "{wrong}");
        }
    }

    #[test]
    fn too_many_parameters_are_refused() {
        let key = Key::find("oomwatch.proc.top").unwrap();
        let request = Request::new(key.name, &["", "", ""], Duration::from_secs(1));
        assert_eq!(Arguments::of(key, &request).unwrap_err(), ItemError::new("Too many parameters."));
    }

    #[test]
    fn no_key_has_more_parameters_than_there_are_ordinals() {
        assert!(crate::KEYS.iter().all(|key| key.parameters.len() <= ORDINALS.len()));
    }
}

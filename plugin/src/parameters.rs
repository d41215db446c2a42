//! Parameters of item keys: their declaration, and the arguments of one poll, with the built-in keys' error texts.

use agent2_plugin::{Generation, ItemError, Request};

/// One parameter of a key.
#[derive(Debug)]
pub struct Parameter {
    /// Its name, as the Zabbix manual writes it.
    pub name: &'static str,
    /// The words that it accepts, the default first; empty for free text.
    pub words: &'static [&'static str],
    /// What it does, without the words.
    pub meaning: &'static str,
}

impl Parameter {
    /// Declares a parameter of free text.
    pub(crate) const fn text(name: &'static str, meaning: &'static str) -> Self {
        Self { name, words: &[], meaning }
    }

    /// Declares a parameter that accepts some words, the default first. Pass the list from which the handler parses.
    pub(crate) const fn words(
        name: &'static str,
        words: &'static [&'static str],
        meaning: &'static str,
    ) -> Self {
        Self { name, words, meaning }
    }
}

/// Words of a parameter and their values: the one list from which the table and the handler take them.
pub(crate) type WordTable<T, const N: usize> = [(&'static str, T); N];

/// Returns the words of a table, for [`Parameter::words`].
pub(crate) const fn words_of<T, const N: usize>(table: &WordTable<T, N>) -> [&'static str; N] {
    let mut words = [""; N];
    let mut index = 0;
    while index < N {
        words[index] = table[index].0;
        index += 1;
    }
    words
}

/// Returns the value of a word.
pub(crate) fn value_of<T: Copy, const N: usize>(table: &WordTable<T, N>, word: &str) -> Option<T> {
    table.iter().find(|(name, _)| *name == word).map(|&(_, value)| value)
}

/// The declaration that the arguments of a poll are checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declaration {
    /// The key's name without its prefix.
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Parameter],
    /// Whether the key stands in for one of the agent's own.
    pub(crate) is_mirror: bool,
}

/// The arguments of one poll.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments<'a> {
    declaration: Declaration,
    request: &'a Request,
}

/// Names of positions in the built-in keys' errors. No key has more parameters.
pub(crate) const ORDINALS: [&str; 9] =
    ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"];

impl<'a> Arguments<'a> {
    /// # Errors
    /// If there are more arguments than parameters.
    pub(crate) fn new(declaration: Declaration, request: &'a Request) -> Result<Self, ItemError> {
        if request.parameters().len() > declaration.parameters.len() {
            return Err(ItemError::new("Too many parameters."));
        }
        Ok(Self { declaration, request })
    }

    pub(crate) fn request(self) -> &'a Request {
        self.request
    }

    /// Reports whether the agent is older than 6.4: its built-in keys have other error texts.
    pub(crate) fn is_before_6_4(self) -> bool {
        self.request.generation() == Generation::Before6_4
    }

    /// Reports whether the key stands in for one of the agent's own.
    pub(crate) fn is_mirror(self) -> bool {
        self.declaration.is_mirror
    }

    /// Returns an argument as it was given; empty if it was not.
    pub(crate) fn text(self, place: usize) -> &'a str {
        self.request.parameter(place)
    }

    /// Returns an argument that filters; `None` if it is empty.
    pub(crate) fn filter(self, place: usize) -> Option<&'a str> {
        Some(self.text(place)).filter(|text| !text.is_empty())
    }

    /// Returns the value of an argument that must be one of the parameter's words; an empty one has the first word's value.
    ///
    /// # Errors
    /// If it is another word.
    pub(crate) fn word<T>(self, place: usize, parse: impl Fn(&str) -> Option<T>) -> Result<T, ItemError> {
        let words = self.declaration.parameters[place].words;
        let given = self.filter(place).unwrap_or(words[0]);
        let declared = words.contains(&given).then_some(given);
        declared.and_then(parse).ok_or_else(|| invalid(place))
    }

    /// Returns an argument by its parameter's name; empty if it was not given or the key has no such parameter.
    pub(crate) fn named(self, name: &str) -> &'a str {
        self.place(name).map_or("", |place| self.text(place))
    }

    /// Returns the place of the parameter with this name.
    pub(crate) fn place(self, name: &str) -> Option<usize> {
        self.declaration.parameters.iter().position(|parameter| parameter.name == name)
    }

    /// Returns the key and all arguments as they were given, in a form that is unique for each item.
    pub(crate) fn identity(self) -> String {
        self.request
            .parameters()
            .iter()
            .fold(self.declaration.name.to_owned(), |identity, parameter| format!("{identity} {parameter:?}"))
    }

    /// Returns a whole number of at least 1; the default if the argument is empty.
    ///
    /// # Errors
    /// If it is anything else.
    pub(crate) fn count(self, place: usize, default: usize) -> Result<usize, ItemError> {
        let Some(text) = self.filter(place) else { return Ok(default) };
        text.parse().ok().filter(|&count| count > 0).ok_or_else(|| invalid(place))
    }
}

/// Returns the error of a wrong argument: `Invalid third parameter.`
pub(crate) fn invalid(place: usize) -> ItemError {
    ItemError::new(format!("Invalid {} parameter.", ORDINALS[place]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LETTERS: WordTable<u8, 2> = [("alpha", b'a'), ("beta", b'b')];
    const DECLARATION: Declaration = Declaration {
        name: "x",
        parameters: &[
            Parameter::words("letter", &words_of(&LETTERS), ""),
            Parameter::text("count", ""),
            // A list that the handler does not know.
            Parameter::words("other", &["alpha", "bogus"], ""),
        ],
        is_mirror: false,
    };

    fn with<T>(parameters: &[&str], read: impl FnOnce(Arguments<'_>) -> T) -> T {
        let request = Request::new("x", parameters, Duration::from_secs(1));
        read(Arguments::new(DECLARATION, &request).unwrap())
    }

    fn letter_at<const PLACE: usize>(arguments: Arguments<'_>) -> Result<u8, ItemError> {
        arguments.word(PLACE, |word| value_of(&LETTERS, word))
    }

    fn identity_of(arguments: Arguments<'_>) -> String {
        arguments.identity()
    }

    #[test]
    fn words_and_counts_have_defaults_and_errors_that_name_the_place() {
        let letter = letter_at::<0>;
        assert_eq!(with(&[], letter), Ok(b'a'));
        assert_eq!(with(&["", ""], |a| (letter(a), a.count(1, 10))), (Ok(b'a'), Ok(10)));
        assert_eq!(with(&["beta", "3"], |a| (letter(a), a.count(1, 10))), (Ok(b'b'), Ok(3)));
        assert_eq!(with(&["BETA"], letter), Err(ItemError::new("Invalid first parameter.")));
        for wrong in ["0", "-1", "x", "1.5", "99999999999999999999"] {
            let outcome = with(&["", wrong], |a| a.count(1, 10));
            assert_eq!(outcome, Err(ItemError::new("Invalid second parameter.")), "{wrong}");
        }
    }

    #[test]
    fn word_that_is_declared_but_not_parsed_is_an_error() {
        let other = letter_at::<2>;
        assert_eq!(with(&["", "", "bogus"], other), Err(ItemError::new("Invalid third parameter.")));
        assert_eq!(with(&["", "", "beta"], other), Err(ItemError::new("Invalid third parameter.")));
    }

    #[test]
    fn too_many_arguments_are_rejected() {
        let request = Request::new("x", &["", "", "", ""], Duration::from_secs(1));
        let error = Arguments::new(DECLARATION, &request).unwrap_err();
        assert_eq!(error, ItemError::new("Too many parameters."));
    }

    #[test]
    fn items_with_different_arguments_have_different_identities() {
        assert_eq!(with(&[r#"a" "b"#], identity_of), r#"x "a\" \"b""#);
        assert_eq!(with(&["a", "b"], identity_of), r#"x "a" "b""#);
    }
}

//! The text of an item key: `proc.mem[httpd,,avg,,rss]`.
//!
//! The syntax is the Zabbix manual's ("Item key format"): parameters are unquoted, or quoted with `\"` for a quote
//! inside, or arrays in brackets, which count as one parameter.

/// A key's name and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyText {
    pub(crate) name: String,
    pub(crate) parameters: Vec<String>,
}

/// An error in the text of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyTextError {
    #[error("`{0}` has no name before its parameters")]
    NoName(String),
    #[error("`{0}` does not end with `]`")]
    NotClosed(String),
    #[error("in `{0}` a quoted parameter is not closed")]
    OpenQuote(String),
    #[error("`{0}` has text between the end of a quoted parameter or an array and the next comma")]
    AfterParameter(String),
}

impl KeyText {
    pub(crate) fn parse(text: &str) -> Result<Self, KeyTextError> {
        let (name, list) = match text.split_once('[') {
            Some((name, list)) => (name, Some(list)),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(KeyTextError::NoName(text.to_owned()));
        }
        let parameters = list.map_or(Ok(Vec::new()), |list| Parameters { text, rest: list }.read())?;
        Ok(Self { name: name.to_owned(), parameters })
    }
}

struct Parameters<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Parameters<'_> {
    fn read(mut self) -> Result<Vec<String>, KeyTextError> {
        let mut parameters = Vec::new();
        loop {
            self.rest = self.rest.trim_start_matches(' ');
            parameters.push(self.parameter()?);
            match self.rest.chars().next() {
                Some(',') => self.rest = &self.rest[1..],
                Some(']') if self.rest.len() == 1 => return Ok(parameters),
                Some(_) => return Err(KeyTextError::AfterParameter(self.text.to_owned())),
                None => return Err(KeyTextError::NotClosed(self.text.to_owned())),
            }
        }
    }

    fn parameter(&mut self) -> Result<String, KeyTextError> {
        match self.rest.chars().next() {
            Some('"') => self.quoted(),
            Some('[') => self.array(),
            _ => Ok(self.unquoted()),
        }
    }

    fn unquoted(&mut self) -> String {
        let end = self.rest.find([',', ']']).unwrap_or(self.rest.len());
        let (parameter, rest) = self.rest.split_at(end);
        self.rest = rest;
        parameter.to_owned()
    }

    fn quoted(&mut self) -> Result<String, KeyTextError> {
        let (length, parameter) =
            read_quoted(&self.rest[1..]).ok_or_else(|| KeyTextError::OpenQuote(self.text.to_owned()))?;
        self.rest = self.rest[1 + length..].trim_start_matches(' ');
        Ok(parameter)
    }

    /// Returns the text of an array without its brackets.
    fn array(&mut self) -> Result<String, KeyTextError> {
        let mut rest = &self.rest[1..];
        loop {
            let Some(next) = rest.find(['"', ']']) else {
                return Err(KeyTextError::NotClosed(self.text.to_owned()));
            };
            if rest[next..].starts_with(']') {
                let array = &self.rest[1..self.rest.len() - rest.len() + next];
                self.rest = rest[next + 1..].trim_start_matches(' ');
                return Ok(array.to_owned());
            }
            let (length, _) = read_quoted(&rest[next + 1..])
                .ok_or_else(|| KeyTextError::OpenQuote(self.text.to_owned()))?;
            rest = &rest[next + 1 + length..];
        }
    }
}

/// Returns the length with the closing quote in bytes, and the text before it. Only `\"` is an escape.
fn read_quoted(text: &str) -> Option<(usize, String)> {
    let mut parameter = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((offset, character)) = characters.next() {
        match character {
            '"' => return Some((offset + 1, parameter)),
            '\\' if characters.next_if(|&(_, next)| next == '"').is_some() => parameter.push('"'),
            other => parameter.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_parsed_as_agents_parse_them() {
        let table: [(&str, &str, &[&str]); 10] = [
            ("a.b", "a.b", &[]),
            ("a[]", "a", &[""]),
            ("a[b]", "a", &["b"]),
            ("proc.mem[httpd,,avg,,rss]", "proc.mem", &["httpd", "", "avg", "", "rss"]),
            ("a[ b , c]", "a", &["b ", "c"]),
            (r#"a["b,c]",d]"#, "a", &["b,c]", "d"]),
            (r#"a["say \"hi\" \\d" , e]"#, "a", &["say \"hi\" \\\\d", "e"]),
            ("a[[b,c],d]", "a", &["b,c", "d"]),
            (r#"a[["]",c],d]"#, "a", &[r#""]",c"#, "d"]),
            ("a[b\"c]", "a", &["b\"c"]),
        ];
        for (text, name, parameters) in table {
            let key = KeyText::parse(text).unwrap();
            assert_eq!(
                (key.name.as_str(), key.parameters),
                (name, parameters.iter().map(|&p| p.to_owned()).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn syntax_errors_are_reported() {
        type Make = fn(String) -> KeyTextError;
        let table: [(&str, Make); 7] = [
            ("", KeyTextError::NoName),
            ("[a]", KeyTextError::NoName),
            ("a[b", KeyTextError::NotClosed),
            ("a[b]c", KeyTextError::AfterParameter),
            ("a[\"b\"c]", KeyTextError::AfterParameter),
            ("a[\"b]", KeyTextError::OpenQuote),
            ("a[[b]", KeyTextError::NotClosed),
        ];
        for (text, error) in table {
            assert_eq!(KeyText::parse(text), Err(error(text.to_owned())), "{text}");
        }
    }
}

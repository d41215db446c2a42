//! Parses one line of a php-fpm configuration. php-fpm passes its files to PHP's ini scanner line by line, so no element spans
//! lines.

use super::environment::Environment;
use crate::Limit;

/// A parsed line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Nothing,
    Section(Vec<u8>),
    /// Array entries, such as `env[PATH]`, have no index here: none of them concerns the limit.
    Entry {
        key: Vec<u8>,
        value: Value,
    },
}

/// The part after the `=`.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Value {
    pub(super) text: Vec<u8>,
    /// A variable that the server's environment may have and that is unknown here.
    pub(super) unknown_variable: Option<Vec<u8>>,
    /// Whether it is an expression, such as `4|1`.
    pub(super) expression: bool,
}

/// # Errors
///
/// Returns the reason why php-fpm refuses the line.
pub(super) fn parse(line: &[u8], environment: Environment<'_>) -> Result<Line, &'static str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = line.trim_ascii_start();
    match text.first() {
        None | Some(b';') => Ok(Line::Nothing),
        // After spaces PHP does not take it for a section.
        Some(b'[') if text.len() == line.len() => section(text),
        _ => entry(text, environment),
    }
}

fn section(text: &[u8]) -> Result<Line, &'static str> {
    let end = text.iter().position(|&byte| byte == b']').ok_or("the section's name is not closed by `]`")?;
    let rest = text[end + 1..].trim_ascii_start();
    if !rest.is_empty() && rest[0] != b';' {
        return Err("there is something behind the section's name");
    }
    let name = &text[1..end];
    let quoted = name.len() >= 2 && matches!(name[0], b'"' | b'\'') && name.last() == name.first();
    if !quoted && name.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        return Err("the quotes of the section's name are not closed");
    }
    Ok(Line::Section(if quoted { &name[1..name.len() - 1] } else { name }.to_vec()))
}

fn entry(text: &[u8], environment: Environment<'_>) -> Result<Line, &'static str> {
    let equals = text.iter().position(|&byte| byte == b'=').ok_or("there is no `=`")?;
    let key = text[..equals].trim_ascii_end();
    let key = key.split(|&byte| byte == b'[').next().unwrap_or(key);
    if key.is_empty() || key.contains(&b'"') {
        return Err("there is no name before the `=`");
    }
    let value = Scanner { rest: &text[equals + 1..], value: Value::default(), environment }.value()?;
    Ok(Line::Entry { key: key.to_vec(), value })
}

struct Scanner<'a> {
    rest: &'a [u8],
    value: Value,
    environment: Environment<'a>,
}

impl Scanner<'_> {
    fn value(mut self) -> Result<Value, &'static str> {
        if self.skip_space().first() == Some(&b'=') {
            return Err("there is a second `=`");
        }
        let plain = self.rest.iter().all(|byte| !b"\"';$".contains(byte));
        if plain && let Some(word) = constant(self.rest.trim_ascii()) {
            return Ok(Value { text: word.to_vec(), ..Value::default() });
        }
        let mut trimmed_to = 0;
        while let Some((&first, rest)) = self.rest.split_first() {
            match first {
                b';' => break,
                b'"' => self.quoted(rest)?,
                b'\'' => self.raw(rest)?,
                b'$' if rest.first() == Some(&b'{') => self.variable(&rest[1..])?,
                byte => {
                    self.value.expression |= b"|&^~!()".contains(&byte);
                    self.value.text.push(byte);
                    self.rest = rest;
                    if byte.is_ascii_whitespace() {
                        continue;
                    }
                }
            }
            trimmed_to = self.value.text.len();
        }
        self.value.text.truncate(trimmed_to);
        if !plain && let Some(word) = constant(&self.value.text) {
            self.value.text = word.to_vec();
        }
        Ok(self.value)
    }

    /// A variable may be longer than its name.
    fn push(&mut self, text: &[u8]) -> Result<(), &'static str> {
        if (self.value.text.len() + text.len()) as u64 > Limit::LineBytes.max() {
            return Err("the value is longer than 1 MiB with its variables: it is not read further");
        }
        self.value.text.extend_from_slice(text);
        Ok(())
    }

    fn skip_space(&mut self) -> &[u8] {
        self.rest = self.rest.trim_ascii_start();
        self.rest
    }

    /// Reads a text in double quotes: a backslash escapes a quote, a backslash or a dollar.
    fn quoted(&mut self, mut rest: &[u8]) -> Result<(), &'static str> {
        loop {
            let (&first, after) = rest.split_first().ok_or("the double quotes are not closed")?;
            match first {
                b'"' => {
                    self.rest = after_quote(self.rest, after);
                    self.skip_inner_space();
                    return Ok(());
                }
                b'\\' if after.first().is_some_and(|byte| b"\"\\$'".contains(byte)) => {
                    self.value.text.push(after[0]);
                    rest = &after[1..];
                }
                b'$' if after.first() == Some(&b'{') => rest = self.named(&after[1..])?,
                byte => {
                    self.value.text.push(byte);
                    rest = after;
                }
            }
        }
    }

    /// Reads a text in single quotes, which has no escapes.
    fn raw(&mut self, rest: &[u8]) -> Result<(), &'static str> {
        let end = rest.iter().position(|&byte| byte == b'\'').ok_or("the single quotes are not closed")?;
        self.value.text.extend_from_slice(&rest[..end]);
        self.rest = after_quote(self.rest, &rest[end + 1..]);
        self.skip_inner_space();
        Ok(())
    }

    /// Space between two strings joins them.
    fn skip_inner_space(&mut self) {
        let rest = self.rest.trim_ascii_start();
        if matches!(rest.first(), Some(b'"' | b'\'')) {
            self.rest = rest;
        }
    }

    fn variable(&mut self, rest: &[u8]) -> Result<(), &'static str> {
        let left = self.named(rest)?.len();
        self.rest = &self.rest[self.rest.len() - left..];
        Ok(())
    }

    /// Inserts the value of `NAME}` or, since PHP 8.3, `NAME:-default}`, and returns the rest.
    fn named<'r>(&mut self, rest: &'r [u8]) -> Result<&'r [u8], &'static str> {
        let end = rest.iter().position(|&byte| byte == b'}').ok_or("the `${` is not closed by `}`")?;
        let name = &rest[..end];
        let default_at = name.windows(2).position(|pair| pair == b":-");
        let (name, default) = match default_at {
            Some(at) => (&name[..at], Some(&name[at + 2..])),
            None => (name, None),
        };
        let value = match self.environment {
            Environment::Known(value) => value(name),
            Environment::Hidden => None,
        };
        match (value, default) {
            (Some(value), _) => self.push(&value)?,
            (None, Some(default)) => self.push(default)?,
            (None, None) => self.value.unknown_variable = Some(name.to_vec()),
        }
        Ok(&rest[end + 1..])
    }
}

/// Keeps the borrow of the line itself.
fn after_quote<'a>(line: &'a [u8], after: &[u8]) -> &'a [u8] {
    &line[line.len() - after.len()..]
}

/// Words that stand for a number or an empty value.
fn constant(word: &[u8]) -> Option<&'static [u8]> {
    let is = |words: &[&str]| words.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(word));
    if is(&["on", "yes", "true"]) {
        return Some(b"1");
    }
    is(&["off", "no", "false", "none", "null"]).then_some(b"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(name: &[u8]) -> Option<Vec<u8>> {
        (name == b"HOME").then(|| b"7".to_vec())
    }

    fn value(text: &str) -> Result<String, &'static str> {
        match parse(format!("key = {text}").as_bytes(), Environment::Known(&environment))? {
            Line::Entry { value, .. } => Ok(String::from_utf8(value.text).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// As php-fpm 8.2 reads them.
    #[test]
    fn values_are_read_as_php_reads_them() {
        for (written, read) in [
            ("5", "5"),
            ("  5  ", "5"),
            ("5;x", "5"),
            ("5 ; x \" '", "5"),
            ("\"5\"", "5"),
            ("'5'", "5"),
            ("5'6'", "56"),
            ("\"5\" \"6\"", "56"),
            ("\"5\"6", "56"),
            ("5 6", "5 6"),
            ("\"a;b\"", "a;b"),
            (r#""a;b\"c""#, "a;b\"c"),
            ("${HOME}1", "71"),
            ("\"${HOME}1\"", "71"),
            ("'${HOME}1'", "${HOME}1"),
            ("${UNSET}4", "4"),
            ("${UNSET:-6}", "6"),
            ("true", "1"),
            ("TRUE ; x", "1"),
            ("off", ""),
            ("None", ""),
            ("", ""),
            ("\"\"", ""),
            ("$pool", "$pool"),
            ("/run/$pool.sock", "/run/$pool.sock"),
        ] {
            assert_eq!(value(written).as_deref(), Ok(read), "{written}");
        }
        for broken in ["\"5", "'5", "${HOME", "= 6", "\"${HOME\""] {
            assert!(value(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn lines_are_sections_entries_or_nothing() {
        let line = |text: &str| parse(text.as_bytes(), Environment::Known(&environment));
        for nothing in ["", "  \t", "; x", "  ; [x]", "\r"] {
            assert_eq!(line(nothing), Ok(Line::Nothing), "{nothing}");
        }
        for (text, name) in [
            ("[www]", "www"),
            ("[x] ; hello", "x"),
            ("[ x ]", " x "),
            ("[\"x y\"]", "x y"),
            ("[]", ""),
            ("[x]\r", "x"),
        ] {
            assert_eq!(line(text), Ok(Line::Section(name.into())), "{text}");
        }
        for broken in ["[x", "[x']", "[x] junk", "  [x]", "# comment", "foo", "=6", "\"key\"=4"] {
            assert!(line(broken).is_err(), "{broken}");
        }
        let entry = line("env[PATH] = x").unwrap();
        assert!(matches!(entry, Line::Entry { key, .. } if key == b"env"));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&line, Environment::Known(&environment));
            let _ = parse(&[b"a=", &line[..]].concat(), Environment::Known(&environment));
        }

        #[test]
        fn no_text_of_special_bytes_makes_it_panic(line in "[\\[\\]=;\"'$\\{\\}:a -]{0,24}") {
            let _ = parse(line.as_bytes(), Environment::Known(&environment));
        }
    }
}

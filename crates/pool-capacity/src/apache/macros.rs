//! `<Macro>` and `Use`.

use std::collections::HashMap;
use std::rc::Rc;

use super::words::words;

/// The macros that are defined so far. Names are case-insensitive.
#[derive(Debug, Default)]
pub(super) struct Macros {
    by_name: HashMap<String, Rc<Macro>>,
}

#[derive(Debug)]
struct Macro {
    parameters: Vec<String>,
    lines: Vec<String>,
}

impl Macros {
    /// Stores a macro, in place of one with the same name. `arguments` is the text in `<Macro ...>`.
    pub(super) fn define(&mut self, arguments: &str, lines: Vec<String>) -> Result<(), String> {
        let mut words = words(arguments).into_iter();
        let name = words.next().filter(|name| !name.is_empty()).ok_or("<Macro has no name")?;
        if words.len() > PARAMETERS_MAX || lines.iter().any(|line| line.len() > LINE_BYTES_MAX) {
            return Err(format!("macro {name} is too large"));
        }
        let parameters = words.collect();
        self.by_name.insert(name.to_ascii_lowercase(), Rc::new(Macro { parameters, lines }));
        Ok(())
    }

    pub(super) fn undefine(&mut self, name: &str) {
        self.by_name.remove(&name.to_ascii_lowercase());
    }

    /// Returns the use of a macro with its arguments.
    pub(super) fn used(&self, arguments: &str) -> Result<MacroUse, String> {
        let mut words = words(arguments);
        if words.is_empty() {
            return Err("Use names no macro".to_owned());
        }
        let name = words.remove(0);
        let key = name.to_ascii_lowercase();
        let found = self.by_name.get(&key).ok_or_else(|| format!("macro {name} is not defined"))?;
        if found.parameters.len() != words.len() {
            let (given, wanted) = (words.len(), found.parameters.len());
            return Err(format!("macro {name} takes {wanted} arguments and is given {given}"));
        }
        Ok(MacroUse { name: key, definition: Rc::clone(found), values: words, next: 0 })
    }
}

/// A macro in use. Its lines are made one by one, because a macro may have many and be used within others.
#[derive(Debug)]
pub(super) struct MacroUse {
    /// The name in lower case.
    pub(super) name: String,
    definition: Rc<Macro>,
    values: Vec<String>,
    next: usize,
}

impl Iterator for MacroUse {
    type Item = Result<String, String>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.definition.lines.get(self.next)?;
        self.next += 1;
        Some(self.definition.replaced(line, &self.values))
    }
}

/// The limit of a line of a macro, as in httpd.
const LINE_BYTES_MAX: usize = 8191;
/// More parameters than any real macro has.
const PARAMETERS_MAX: usize = 100;

impl Macro {
    /// Replaces the first parameter in the line, the longest one if several begin there, and continues after it.
    fn replaced(&self, line: &str, values: &[String]) -> Result<String, String> {
        let mut result = String::with_capacity(line.len());
        let mut rest = line;
        while let Some((start, index)) = self.first_in(rest) {
            result.push_str(&rest[..start]);
            self.put(&mut result, index, &values[index]);
            rest = &rest[start + self.parameters[index].len()..];
            if result.len() > LINE_BYTES_MAX {
                return Err(format!(
                    "a line of the macro is longer than {LINE_BYTES_MAX} bytes with its arguments"
                ));
            }
        }
        result.push_str(rest);
        Ok(result)
    }

    /// `@name` puts its value between quotes.
    fn put(&self, result: &mut String, index: usize, value: &str) {
        if self.parameters[index].starts_with('@') {
            result.push('"');
            result.extend(value.chars().flat_map(|c| (c == '"').then_some('\\').into_iter().chain([c])));
            result.push('"');
        } else {
            result.push_str(value);
        }
    }

    fn first_in(&self, line: &str) -> Option<(usize, usize)> {
        line.char_indices().find_map(|(start, _)| {
            let named = self.parameters.iter().enumerate().filter(|(_, name)| !name.is_empty());
            let begins = named.filter(|(_, name)| line[start..].starts_with(name.as_str()));
            begins.max_by_key(|(_, name)| name.len()).map(|(index, _)| (start, index))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_replaced() {
        let mut macros = Macros::default();
        let lines = ["Listen $port", "Include $portal/$port.conf @dir"].map(ToOwned::to_owned);
        macros.define("Site $port $portal @dir", lines.to_vec()).unwrap();
        let used = macros.used("SITE 80 /etc 'a b'").unwrap();
        let (name, lines) = (used.name.clone(), used.collect::<Result<Vec<_>, _>>().unwrap());
        assert_eq!(
            (name.as_str(), &lines[..]),
            ("site", &["Listen 80".to_owned(), "Include /etc/80.conf \"a b\"".to_owned()][..])
        );
        assert!(macros.used("site 80").unwrap_err().contains("takes 3"));
        assert!(
            macros.used("other").is_err() && macros.used("").is_err() && macros.define("", vec![]).is_err()
        );
    }
}

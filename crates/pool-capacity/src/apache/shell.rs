//! Files with variables for start scripts: Debian's `envvars`, Red Hat's `sysconfig`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{BudgetError, Reading, fnmatch};

/// More lines than any real file has.
const LINES_MAX: usize = 10_000;
/// Longer values are not stored.
const VALUE_BYTES_MAX: usize = 64 << 10;

/// Reads assignments as a shell does, as far as such files need it: quotes, other variables, `if [ A = B ]`. An expression that
/// needs a real shell (a command's output) is ignored.
///
/// # Errors
///
/// [`BudgetError`] if the values become too large, or the deadline has passed.
pub(super) fn assignments(
    text: &str,
    known: BTreeMap<String, String>,
    reading: &Reading<'_>,
    path: &Path,
) -> Result<BTreeMap<String, String>, BudgetError> {
    let mut script = Script { variables: known, conditions: Vec::new() };
    for line in text.lines().take(LINES_MAX) {
        reading.check(path)?;
        let assigned = script.line(line.trim());
        reading.keep(assigned, path)?;
    }
    Ok(script.variables)
}

struct Script {
    variables: BTreeMap<String, String>,
    /// For each open `if`: whether its present branch is executed.
    conditions: Vec<bool>,
}

impl Script {
    /// Executes a line. Returns the size of the variable that it assigns.
    fn line(&mut self, line: &str) -> usize {
        let line = line.strip_prefix("export ").unwrap_or(line).trim();
        let taken = self.conditions.iter().all(|taken| *taken);
        if let Some(condition) = line.strip_prefix("if ") {
            let holds = taken && self.holds(condition);
            self.conditions.push(holds);
        } else if line == "else" {
            if let Some(innermost) = self.conditions.last_mut() {
                *innermost = !*innermost;
            }
        } else if line == "fi" {
            self.conditions.pop();
        } else if taken {
            return self.assign(line).unwrap_or(0);
        }
        0
    }

    fn assign(&mut self, line: &str) -> Option<usize> {
        if let Some(name) = line.strip_prefix("unset ") {
            self.variables.remove(name.trim());
            return None;
        }
        // `: ${NAME:=value}` sets a variable without a value.
        let default = line.strip_prefix(": ${").and_then(|rest| rest.strip_suffix('}')?.split_once(":="));
        let (name, value) = default.or_else(|| line.split_once('='))?;
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || (default.is_some() && self.variables.contains_key(name)) {
            return None;
        }
        let value = self.value(value)?;
        let size = name.len() + value.len();
        self.variables.insert(name.to_owned(), value);
        Some(size)
    }

    /// Evaluates `[ A = B ]`, `[ A != B ]`, `[ -z A ]`, `[ -n A ]`; every other condition is false.
    fn holds(&self, condition: &str) -> bool {
        let inside = condition.split_once('[').and_then(|(_, rest)| rest.rsplit_once(']'));
        let Some((inside, _)) = inside else { return false };
        let words: Option<Vec<String>> = split(inside).into_iter().map(|word| self.value(word)).collect();
        match words.unwrap_or_default().iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [left, "=" | "==", right] => left == right,
            [left, "!=", right] => left != right,
            ["-z", word] => word.is_empty(),
            ["-n", word] => !word.is_empty(),
            _ => false,
        }
    }

    /// Expands one word, up to a blank outside of quotes. `None` if it needs a shell.
    fn value(&self, word: &str) -> Option<String> {
        let mut result = String::new();
        let mut quote = None;
        let mut rest = word;
        while let Some(first) = rest.chars().next().filter(|_| result.len() < VALUE_BYTES_MAX) {
            let behind = &rest[first.len_utf8()..];
            rest = match (first, quote) {
                ('\'' | '"', None) => {
                    quote = Some(first);
                    behind
                }
                (found, Some(open)) if found == open => {
                    quote = None;
                    behind
                }
                ('`', _) => return None,
                ('$', None | Some('"')) => self.parameter(behind, &mut result)?,
                (' ' | '\t' | ';' | '#', None) => break,
                _ => {
                    result.push(first);
                    behind
                }
            };
        }
        Some(result)
    }

    /// Expands the text after a `$`; returns the rest.
    fn parameter<'a>(&self, text: &'a str, result: &mut String) -> Option<&'a str> {
        if text.starts_with('(') {
            return None;
        }
        if let Some(inside) = text.strip_prefix('{') {
            let (inside, rest) = inside.split_once('}')?;
            result.push_str(&self.braced(inside)?);
            return Some(rest);
        }
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        match end {
            0 => result.push('$'),
            _ => result.push_str(self.get(&text[..end])),
        }
        Some(&text[end..])
    }

    /// Expands `NAME`, `NAME:-default`, `NAME##pattern`.
    fn braced(&self, inside: &str) -> Option<String> {
        let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
        let (name, operation) = inside.split_at(end);
        let value = self.get(name);
        if operation.is_empty() {
            return Some(value.to_owned());
        }
        if let Some(default) = operation.strip_prefix(":-") {
            return if value.is_empty() { self.value(default) } else { Some(value.to_owned()) };
        }
        let pattern = operation.strip_prefix("##").filter(|pattern| pattern.len() < 256)?;
        Some(without_prefix(value, pattern).to_owned())
    }

    fn get(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }
}

/// Longer prefixes are not removed. Such files remove the start of a path.
const PREFIXES_MAX: usize = 1024;

/// Removes the longest matching prefix.
fn without_prefix<'a>(value: &'a str, pattern: &str) -> &'a str {
    let ends =
        value.char_indices().map(|(at, _)| at).chain([value.len()]).take(PREFIXES_MAX).collect::<Vec<_>>();
    let longest =
        ends.into_iter().rev().find(|end| fnmatch::matches(pattern.as_bytes(), &value.as_bytes()[..*end]));
    &value[longest.unwrap_or(0)..]
}

/// Splits at blanks outside of quotes; quotes are kept.
fn split(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quote) = (None, None);
    for (at, found) in text.char_indices() {
        match (found, quote) {
            (' ' | '\t', None) => words.extend(start.take().map(|start: usize| &text[start..at])),
            ('"' | '\'', None) => {
                quote = Some(found);
                start.get_or_insert(at);
            }
            (_, Some(open)) if found == open => quote = None,
            _ => {
                start.get_or_insert(at);
            }
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

/// Splits a command line into words without quotes, as in `OPTIONS="-D A -D B"`.
pub(super) fn options(text: &str) -> Vec<String> {
    let unquoted = |word: &str| word.trim_matches(['"', '\'']).to_owned();
    split(text).into_iter().map(unquoted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    /// The conditional of Debian's file.
    const ENVVARS: &str = r#"
unset HOME
if [ "${APACHE_CONFDIR##/etc/apache2-}" != "${APACHE_CONFDIR}" ] ; then
	SUFFIX="-${APACHE_CONFDIR##/etc/apache2-}"
else
	SUFFIX=
fi
export APACHE_RUN_USER=www-data
: ${APACHE_LOG_DIR:=/var/log/apache2$SUFFIX}
export APACHE_LOG_DIR
export APACHE_PID_FILE=/var/run/apache2$SUFFIX/apache2.pid
export NOW=`date`
export LATER=$(date)
## export APACHE_ULIMIT='x'
export APACHE_ARGUMENTS='-D ONE -D "TWO"' # both
PORT="${PORT:-8080}"
"#;

    fn assigned(text: &str, known: BTreeMap<String, String>) -> BTreeMap<String, String> {
        assignments(text, known, &Reading::new(&Tree::new()), Path::new("/envvars")).unwrap()
    }

    fn read(directory: &str) -> BTreeMap<String, String> {
        assigned(ENVVARS, BTreeMap::from([("APACHE_CONFDIR".to_owned(), directory.to_owned())]))
    }

    #[test]
    fn debians_variables_are_read() {
        let variables = read("/etc/apache2");
        assert_eq!(variables["APACHE_PID_FILE"], "/var/run/apache2/apache2.pid");
        assert_eq!(variables["APACHE_LOG_DIR"], "/var/log/apache2");
        assert_eq!(variables["PORT"], "8080");
        assert_eq!(options(&variables["APACHE_ARGUMENTS"]), ["-D", "ONE", "-D", "TWO"]);
        assert!(!variables.contains_key("NOW") && !variables.contains_key("LATER"));
        assert_eq!(read("/etc/apache2-intern")["APACHE_LOG_DIR"], "/var/log/apache2-intern");
    }

    #[test]
    fn conditions_that_only_a_shell_knows_do_not_hold() {
        let text = "if test -x /bin/true; then\nA=1\nelse\nA=2\nfi\nif [ -n \"$A\" ]; then\nB=3\nfi\nfi\n";
        let variables = assigned(text, BTreeMap::new());
        assert_eq!((variables["A"].as_str(), variables["B"].as_str()), ("2", "3"));
    }
}

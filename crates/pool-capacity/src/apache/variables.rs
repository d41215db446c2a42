//! `Define`, the environment, and `<IfDefine>`.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::Limit;

/// Names and values of one configuration. Names with values are case-insensitive, as in httpd; `<IfDefine>` is case-sensitive.
#[derive(Debug, Default)]
pub(super) struct Variables {
    defined: HashSet<String>,
    values: HashMap<String, String>,
    environment: BTreeMap<String, String>,
}

/// The number of unknown variables per line that are reported.
const UNKNOWN_MAX: usize = 10;

/// A line after expansion.
pub(super) struct Expanded {
    pub(super) line: String,
    /// The variables without a value, which stay unchanged.
    pub(super) unknown: Vec<String>,
}

impl Variables {
    pub(super) fn new(defines: &[String], environment: BTreeMap<String, String>) -> Self {
        Self { defined: defines.iter().cloned().collect(), environment, ..Self::default() }
    }

    pub(super) fn is_defined(&self, name: &str) -> bool {
        self.defined.contains(name)
    }

    pub(super) fn define(&mut self, name: &str, value: Option<&str>) {
        self.defined.insert(name.to_owned());
        if let Some(value) = value {
            self.values.insert(name.to_ascii_lowercase(), value.to_owned());
        }
    }

    pub(super) fn undefine(&mut self, name: &str) {
        self.defined.remove(name);
        self.values.remove(&name.to_ascii_lowercase());
    }

    /// Returns the defined names with their values, in order.
    pub(super) fn into_defines(self) -> BTreeMap<String, Option<String>> {
        let values = self.values;
        let value = |name: &String| values.get(&name.to_ascii_lowercase()).cloned();
        self.defined.iter().map(|name| (name.clone(), value(name))).collect()
    }

    fn value(&self, name: &str) -> Option<&str> {
        let defined = self.values.get(&name.to_ascii_lowercase());
        defined.or_else(|| self.environment.get(name)).map(String::as_str)
    }

    /// Replaces every `${NAME}` by its value, once: values are not expanded again. `None` if the line becomes longer than
    /// the limit. Each `Define A "${A}${A}"` would double it.
    pub(super) fn expand(&self, line: &str) -> Option<Expanded> {
        let mut expanded = Expanded { line: String::with_capacity(line.len()), unknown: Vec::new() };
        let mut rest = line;
        while let Some(start) = rest.find('$') {
            let (before, from) = rest.split_at(start);
            expanded.line.push_str(before);
            let (piece, behind) = match variable(from) {
                Some((name, behind)) => (self.piece(name, from, behind, &mut expanded.unknown), behind),
                None => (&from[..1], &from[1..]),
            };
            expanded.line.push_str(piece);
            if expanded.line.len() as u64 > Limit::LineBytes.max() {
                return None;
            }
            rest = behind;
        }
        expanded.line.push_str(rest);
        (expanded.line.len() as u64 <= Limit::LineBytes.max()).then_some(expanded)
    }

    fn piece<'a>(&'a self, name: &str, from: &'a str, behind: &str, unknown: &mut Vec<String>) -> &'a str {
        self.value(name).unwrap_or_else(|| {
            // `${map:key}` belongs to mod_rewrite.
            if !name.contains(':') && unknown.len() < UNKNOWN_MAX {
                unknown.push(name.to_owned());
            }
            &from[..from.len() - behind.len()]
        })
    }
}

fn variable(from: &str) -> Option<(&str, &str)> {
    from.strip_prefix("${")?.split_once('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_once() {
        let environment = BTreeMap::from([("RUN".to_owned(), "/run".to_owned())]);
        let mut variables = Variables::new(&["SSL".to_owned()], environment);
        variables.define("Limit", Some("${RUN}"));
        let expand = |line: &str| {
            let expanded = variables.expand(line).unwrap();
            (expanded.line, expanded.unknown.join(","))
        };
        assert_eq!(expand("a ${RUN}/b $x"), ("a /run/b $x".to_owned(), String::new()));
        assert_eq!(expand("${LIMIT}"), ("${RUN}".to_owned(), String::new()));
        assert_eq!(expand("${nO} ${m:k} ${"), ("${nO} ${m:k} ${".to_owned(), "nO".to_owned()));
        assert!(
            variables.is_defined("Limit") && !variables.is_defined("LIMIT") && variables.is_defined("SSL")
        );
        variables.undefine("Limit");
        assert_eq!(variables.expand("${Limit}").unwrap().line, "${Limit}");
    }

    #[test]
    fn doubling_ends() {
        let mut variables = Variables::default();
        variables.define("A", Some("aaaaaaaa"));
        let too_long = (0..64).find(|_| match variables.expand("${A}${A}") {
            Some(expanded) => {
                variables.define("A", Some(&expanded.line));
                false
            }
            None => true,
        });
        // 8 bytes become 1 MiB after 17 times.
        assert_eq!(too_long, Some(17));
    }
}

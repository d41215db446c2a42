//! The key reference for `docs/`, from the table.

use std::fmt::Write as _;

use crate::keys::{KEYS, Key};
use crate::parameters::Parameter;

/// The page that documents every item key, in Markdown.
#[must_use]
pub fn key_reference() -> String {
    let mut page = String::from(
        "# Item keys\n\n\
         This page is made from the table in `plugin/src/keys.rs`; a test keeps the two together.\n\n\
         Every key answers one string, works for passive and active checks, and can be tried without an agent:\n\
         `zabbix-agent2-plugin-oomwatch get 'KEY'`. A parameter that is left out, or empty, has its default: the first\n\
         word of its list.\n",
    );
    for key in KEYS {
        entry(&mut page, key);
    }
    page
}

fn entry(page: &mut String, key: &Key) {
    let _ = write!(page, "\n## `{}`\n\n{}\n\n", key.signature(), key.summary);
    for parameter in key.parameters {
        let _ = writeln!(page, "* `{}`: {}", parameter.name, meaning(parameter));
    }
    if !key.parameters.is_empty() {
        page.push('\n');
    }
    let _ = writeln!(page, "Answers: {}\n", key.answer);
    if let Some(builtin) = key.mirrors {
        let _ = writeln!(page, "In place of the agent's own key: `Alias={builtin}[*]:{}[*]`\n", key.name);
    }
    let _ = writeln!(page, "Source: {}\n\nExample: `{}`", key.source, key.example);
}

fn meaning(parameter: &Parameter) -> String {
    if parameter.words.is_empty() {
        return parameter.meaning.to_owned();
    }
    let words: Vec<_> = parameter.words.iter().map(|word| format!("`{word}`")).collect();
    format!("{}: {}", parameter.meaning, words.join(", "))
}

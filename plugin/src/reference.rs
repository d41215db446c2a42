//! The key reference for `docs/`, made from the table of item keys.

use std::fmt::Write as _;

use crate::keys::{FAMILIES, Key, Returns};
use crate::parameters::Parameter;

/// Returns the page that documents every item key, in Markdown.
#[must_use]
pub fn key_reference() -> String {
    let mut page = String::from(
        "# Item keys\n\n\
         This page is generated from the table in `plugin/src/keys/`; a test keeps both equal.\n\n\
         * Every key returns one value and works in passive and active checks.\n\
         * Every key returns a value or an error at its first poll. Only `log` and `logrt` have no value if there is no new line.\n\
         * An error has at most 300 characters. Control characters in it are escaped; the middle of a longer text is left out (`…`).\n\
         * Values of `proc`, `oom.risk` and `oom.cgroups` are complete. If the time, memory or open files do not suffice, the key \
         returns an error and never a smaller count.\n\
         * To try a key without an agent, run `zabbix-agent2-plugin-oomwatch get 'KEY'`.\n\
         * A parameter that is omitted or empty has its default: the first word of its list.\n\
         * Fields are JSON paths. `[]` stands for each element of a list, `*` for any name. *Unix time* is in seconds.\n",
    );
    for family in FAMILIES {
        let _ = write!(page, "\n## {}\n", family.title);
        for key in family.keys {
            write_key(&mut page, key);
        }
    }
    page
}

fn write_key(page: &mut String, key: &Key) {
    let _ = write!(page, "\n### `{}`\n\n{}\n\n", key.signature(), key.summary);
    if !key.parameters.is_empty() {
        page.push_str("| parameter | meaning |\n|---|---|\n");
        for parameter in key.parameters {
            let _ = writeln!(page, "| `{}` | {} |", parameter.name, cell(&meaning(parameter)));
        }
        page.push('\n');
    }
    write_returns(page, &key.returns);
    if let Some(builtin) = key.mirrors {
        let _ = writeln!(page, "In place of the agent's own key: `Alias={builtin}[*]:{}[*]`", key.name);
        // The agent's log keys send one value for each line.
        if key.name.starts_with("oomwatch.log") {
            page.push_str("**Not for existing triggers**: see [differences](logs.md#differences-from-the-built-in-log-keys).\n");
        }
        page.push('\n');
    }
    let _ = writeln!(page, "Source: {}\n\nExample: `{}`", key.source, key.example);
}

fn write_returns(page: &mut String, returns: &Returns) {
    let form = match returns {
        Returns::Text(_) => "",
        Returns::Json { .. } => "A JSON object.",
        Returns::List { .. } => "A JSON list of objects.",
    };
    let sentences = format!("{form} {}", returns.summary());
    let _ = writeln!(page, "**Returns:** {}\n", sentences.trim());
    if returns.fields().is_empty() {
        return;
    }
    page.push_str("| field | unit | meaning |\n|---|---|---|\n");
    for field in returns.fields() {
        let _ = writeln!(page, "| `{}` | {} | {} |", field.path, field.unit, cell(field.meaning));
    }
    page.push('\n');
}

fn meaning(parameter: &Parameter) -> String {
    if parameter.words.is_empty() {
        return parameter.meaning.to_owned();
    }
    let words: Vec<_> = parameter.words.iter().map(|word| format!("`{word}`")).collect();
    format!("{}: {}", parameter.meaning, words.join(", "))
}

/// Returns a text with the character that ends a table cell escaped.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

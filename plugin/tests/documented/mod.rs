//! Checks that the table of item keys documents each field of a reply.

use oomwatch::{Key, Returns, find_key};
use serde_json::Value;

/// Panics if the reply has a field that the table does not document, or has another form than the table says.
pub(crate) fn assert_documented(key: &str, reply: &Value) {
    let key = find_key(key).unwrap_or_else(|| panic!("no key {key}"));
    match (key.returns, reply) {
        (Returns::Text(_), _) => {}
        (Returns::Json { .. }, Value::Object(_)) => check(key, "", reply),
        (Returns::List { .. }, Value::Array(objects)) => objects.iter().for_each(|one| check(key, "", one)),
        (returns, _) => panic!("{}: the table says {returns:?}: {reply}", key.name),
    }
}

/// Checks the fields below a path.
fn check(key: &Key, path: &str, value: &Value) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let dot = if path.is_empty() { "" } else { "." };
            let [exact, any] = [name.as_str(), "*"].map(|name| format!("{path}{dot}{name}"));
            let is_documented = |path: &&String| key.returns.fields().iter().any(|field| field.path == *path);
            let documented = [&exact, &any].into_iter().find(is_documented);
            check(
                key,
                documented.unwrap_or_else(|| panic!("{} does not document `{exact}`", key.name)),
                value,
            );
        }),
        Value::Array(elements) => {
            elements.iter().for_each(|element| check(key, &format!("{path}[]"), element));
        }
        _ => {}
    }
}

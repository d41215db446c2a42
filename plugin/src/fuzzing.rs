//! Entry points of fuzz targets, which reach code that is not public. Not a part of the interface.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use agent2_plugin::Request;

use crate::config::Options;
use crate::explain::{ExplainError, Explainer, Form};
use crate::key_text::KeyText;
use crate::keys::find_key;
use crate::logs::Logs;
use crate::purpose::Purpose;

/// Parses the text of an item key, and checks its parameters as far as this reads no file.
pub fn parameters(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let Ok(KeyText { name, parameters }) = KeyText::parse(&text) else { return };
    assert!(parameters.iter().map(String::len).sum::<usize>() <= text.len());
    // The syntax cannot write a parameter that ends with a backslash.
    if !parameters.is_empty() && parameters.iter().all(|parameter| !parameter.contains('\\')) {
        assert_eq!(
            KeyText::parse(&quoted(&name, &parameters)).map(|key| key.parameters),
            Ok(parameters.clone())
        );
    }
    let Some(key) = find_key(&name) else { return };
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    let request = Request::new(&name, &parameters, Duration::from_secs(3));
    let Ok(arguments) = key.arguments(&request) else { return };
    assert!(arguments.identity().len() >= key.short_name().len());
    if arguments.place("regexp").is_some()
        && let Err(error) = logs().query(arguments)
    {
        assert!(!error.to_string().is_empty());
    }
}

/// Writes a key with all its parameters in quotes.
fn quoted(name: &str, parameters: &[String]) -> String {
    let quoted: Vec<_> =
        parameters.iter().map(|parameter| format!("\"{}\"", parameter.replace('"', "\\\""))).collect();
    format!("{name}[{}]", quoted.join(","))
}

fn logs() -> &'static Arc<Logs> {
    static LOGS: OnceLock<Arc<Logs>> = OnceLock::new();
    LOGS.get_or_init(|| {
        let config = Options::default().check().expect("the defaults are valid");
        Logs::new(config, Purpose::ReadOnly)
    })
}

/// Explains a log in both forms, and returns the text.
#[must_use]
pub fn explain(log: &[u8]) -> String {
    let lines = explained(log, Form::Json).unwrap_or_default();
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("each report is a line of JSON");
    }
    explained(log, Form::Text).unwrap_or_else(|error| error.to_string())
}

fn explained(log: &[u8], form: Form) -> Result<String, ExplainError> {
    let mut out = Vec::new();
    let mut explainer = Explainer::new(form, &mut out);
    explainer.read(&mut &*log, None)?;
    explainer.finish()?;
    Ok(String::from_utf8(out).expect("the text is UTF-8"))
}

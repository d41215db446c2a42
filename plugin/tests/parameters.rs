//! Every word that the table of keys documents is accepted by the handler, and no other word is.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use agent2_plugin::{FakeAgent, LaunchMode};
use oomwatch::{KEYS, Key};

const PROGRAM: &str = env!("CARGO_BIN_EXE_zabbix-agent2-plugin-oomwatch");

/// Returns the arguments of a key's example, with another one at one place.
fn with_argument(key: &Key, place: usize, argument: &str) -> Vec<String> {
    let list = key.example.strip_prefix(key.name).unwrap_or_default();
    let list = list.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or_default();
    let mut arguments: Vec<String> = list.split(',').map(str::to_owned).collect();
    arguments.resize(arguments.len().max(place + 1), String::new());
    arguments[place] = argument.to_owned();
    arguments
}

/// A refused word has one of the built-in keys' two error texts.
fn is_refused(agent: &mut FakeAgent, key: &Key, place: usize, word: &str) -> bool {
    let arguments = with_argument(key, place, word);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = agent.export(key.name, &arguments).unwrap();
    answer.is_err_and(|text| text.starts_with("Invalid ") && text.contains("parameter"))
}

#[test]
fn each_documented_word_is_accepted_and_any_other_is_rejected() {
    let state = tempfile::tempdir().unwrap();
    let mut agent = FakeAgent::launch(Path::new(PROGRAM), "OomWatch", LaunchMode::Serve).unwrap();
    agent.configure(&format!("Plugins.OomWatch.StateDir={}", state.path().display()), 10).unwrap();
    let mut polled = 0;
    for key in KEYS {
        for (place, parameter) in key.parameters.iter().enumerate().filter(|(_, one)| !one.words.is_empty()) {
            for word in parameter.words.iter().chain([&""]) {
                assert!(
                    !is_refused(&mut agent, key, place, word),
                    "{} {}: `{word}`",
                    key.name,
                    parameter.name
                );
                polled += 1;
            }
            for wrong in ["bogus", "RSS", " all"] {
                assert!(
                    is_refused(&mut agent, key, place, wrong),
                    "{} {}: `{wrong}`",
                    key.name,
                    parameter.name
                );
            }
        }
    }
    assert!(polled > 90, "only {polled} words were polled");
    agent.terminate().unwrap();
}

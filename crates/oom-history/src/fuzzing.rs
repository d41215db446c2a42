//! Entry points of fuzz targets, which reach code that is not public. Not a part of the interface.

use crate::history::{KillHistory, RECORDS_MAX};
use crate::state;

/// Reads a state file of any version. A history that is written again is equal.
pub fn state_file(text: &[u8]) {
    match state::decode(text) {
        Ok(history) => {
            read_values(&history);
            let again = state::encode(&history).expect("a history is written as JSON");
            assert_eq!(state::decode(&again).expect("it is read again"), history);
            if history.records.len() <= RECORDS_MAX {
                go_on(history);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Continues with a history: in the next boot, with each record once more.
fn go_on(mut history: KillHistory) {
    history.enter("fuzzed");
    for record in history.records.clone() {
        for source in record.sources.clone() {
            history.record(record.clone(), source, Some(0));
        }
    }
    assert!(history.records.len() <= RECORDS_MAX.max(1));
    read_values(&history);
}

/// Computes what items read from a history.
fn read_values(history: &KillHistory) {
    let _ = (history.total(), history.reports(), history.count_of_boot());
    for record in history.newest() {
        let _ = (record.time(), record.unix_seconds());
    }
}

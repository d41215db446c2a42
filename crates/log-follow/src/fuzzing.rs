//! Entry points of fuzz targets, which reach code that is not public. Not a part of the interface.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use crate::change::RecordChange;
use crate::chunk::replace_nul;
use crate::encoding::LineEnd;
use crate::journal::{self, Journal};
use crate::record::Record;
use crate::{Encoding, Groups, Total};

/// Splits a file into lines as the follower does, and decodes each line.
pub fn lines(encoding: Encoding, file: &[u8]) {
    let codec = encoding.for_file(&file[..file.len().min(4)]);
    let file = &mut file.to_vec();
    if codec.unit() == 1 {
        replace_nul(file);
    }
    let complete = codec.complete(file);
    let mut at = codec.bom_bytes;
    while let Some(LineEnd { end, next }) = codec.line_end(file, at) {
        assert!(at <= end && end < next && next <= file.len(), "{at} {end} {next}");
        let line = codec.decode(&file[at..end]);
        assert!(codec.is_utf8() || std::str::from_utf8(&line).is_ok(), "decoded text is UTF-8");
        assert!(codec.is_utf8() || !line.contains(&0), "NUL is replaced");
        at = next;
    }
    assert_eq!(at, complete.max(codec.bom_bytes), "the last line end is found");
}

/// Reads a position file. The checksums hide its lines from the fuzzer, so each line also gets a right one.
pub fn state_file(file: &[u8]) {
    if let Some(journal) = Journal::parse(file) {
        check_records(&journal);
    }
    let text = String::from_utf8_lossy(file);
    let lines = text.lines().filter(|line| !line.is_empty()).map(|line| journal::line(line, ""));
    let summed = journal::HEADER.to_owned() + &lines.collect::<String>();
    let journal = Journal::parse(summed.as_bytes()).expect("it has the header");
    check_records(&journal);
    check_changes(&journal);
}

/// Each record is equal after it is written again.
fn check_records(journal: &Journal) {
    for (identity, record) in &journal.records {
        let line = journal::record_line(7, identity, record).expect("a record is written as JSON");
        let again = parsed(&[line]);
        assert_eq!(again.get(&**identity), Some(record));
        if let Some(tally) = &record.tally {
            let total = Total { lines: tally.lines, since: SystemTime::UNIX_EPOCH, complete: true };
            assert!(tally.groups(total, Groups::MAX_VALUES).groups.len() <= Groups::MAX_VALUES);
        }
    }
}

/// The difference between two records, applied to the first, makes the second.
fn check_changes(journal: &Journal) {
    let mut records: Vec<_> = journal.records.iter().take(4).collect();
    records.sort_by_key(|(identity, _)| Arc::clone(identity));
    for pair in records.windows(2) {
        let [(_, old), (_, new)] = pair else { continue };
        let Some(change) = RecordChange::between(old, new) else { continue };
        let lines = [journal::record_line(7, "item", old), journal::change_line(7, 1, &change)];
        let after = parsed(&lines.map(|line| line.expect("it is written as JSON")));
        assert_eq!(after.get("item"), Some(*new), "from {old:?}");
    }
}

fn parsed(lines: &[String]) -> HashMap<Arc<str>, Record> {
    let text = journal::HEADER.to_owned() + &lines.concat();
    let journal = Journal::parse(text.as_bytes()).expect("it has the header");
    assert_eq!(journal.bad_lines, 0, "{text}");
    journal.records
}

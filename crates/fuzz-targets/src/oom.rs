//! Reports of OOM kills, and the formats in which they are transported.

use oom_evidence::{KmsgRecord, Origin, Parser, Report, parse_all};

/// Sizes of pieces. A report does not depend on them.
const PIECES_BYTES: [usize; 2] = [1, 97];

/// Parses a text in pieces of several sizes, as messages of a live source, and as `explain` does.
pub fn oom_text(input: &[u8]) {
    let reports = parse_all(Origin::Text, input);
    for size in PIECES_BYTES {
        assert_eq!(in_pieces(input, size), reports, "in pieces of {size} bytes");
    }
    for report in &reports {
        check(report);
    }
    for origin in [Origin::JournalKernel, Origin::KernelRing] {
        let mut parser = Parser::new(origin);
        parser.feed_message(None, None, input).for_each(|report| check(&report));
        parser.feed(input).for_each(|report| check(&report));
        parser.flush().iter().for_each(check);
    }
    assert!(!oomwatch::fuzzing::explain(input).is_empty());
}

fn in_pieces(text: &[u8], size: usize) -> Vec<Report> {
    let mut parser = Parser::new(Origin::Text);
    let mut reports = Vec::new();
    for piece in text.chunks(size) {
        reports.extend(parser.feed(piece));
    }
    reports.extend(parser.finish());
    reports
}

fn check(report: &Report) {
    assert!(report.victims.len() <= Report::VICTIMS_MAX && report.tasks.len() <= Report::TASKS_MAX);
    assert!(report.reaped.len() <= Report::VICTIMS_MAX);
    assert!(report.tasks.windows(2).all(|pair| pair[0].rss_bytes >= pair[1].rss_bytes), "largest first");
}

/// Parses a record of `/dev/kmsg`.
pub fn kmsg(input: &[u8]) {
    let Ok(record) = KmsgRecord::parse(input) else { return };
    assert!(record.level < 8 && record.text.len() <= input.len());
    // A newline at the end, or none, is the same record.
    if !input.ends_with(b"\n") {
        let ended = [input, b"\n"].concat();
        assert_eq!(KmsgRecord::parse(&ended).as_ref(), Ok(&record));
    }
    let mut parser = Parser::new(Origin::KernelRing);
    parser.feed_message(Some(record.since_boot), None, &record.text).for_each(|report| check(&report));
    parser.flush().iter().for_each(check);
}

/// Decodes the journal's export format. The entries do not depend on the sizes of the pieces.
pub fn journal_export(input: &[u8]) {
    let entries = oom_evidence::fuzzing::journal_export(input, usize::MAX);
    for size in PIECES_BYTES {
        assert_eq!(oom_evidence::fuzzing::journal_export(input, size), entries, "in pieces of {size} bytes");
    }
    assert!(entries.iter().all(|entry| !entry.cursor.is_empty()));
}

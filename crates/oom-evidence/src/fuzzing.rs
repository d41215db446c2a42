//! Entry points of fuzz targets, which reach code that is not public. Not a part of the interface.

use crate::JournalEntry;
use crate::export_format::ExportDecoder;

/// Decodes the journal's export format, passed in pieces of `piece_bytes`.
#[must_use]
pub fn journal_export(text: &[u8], piece_bytes: usize) -> Vec<JournalEntry> {
    let (mut decoder, mut entries) = (ExportDecoder::default(), Vec::new());
    for piece in text.chunks(piece_bytes.max(1)) {
        decoder.feed(piece, |entry| entries.push(entry));
    }
    entries
}

//! Parts of the pattern, written for the regex crate, and how they are joined.

use std::fmt::Write as _;

/// The shape of a piece, on which joining depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Literal { fold: bool },
    Concat,
    Alternate,
    Other,
}

/// A part of the pattern, written for the regex crate.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) shape: Shape,
    /// The largest product of nested counts.
    pub(super) copies: u32,
    /// The levels as Go counts them.
    pub(super) height: u32,
}

impl Piece {
    pub(super) fn leaf(text: impl Into<String>) -> Self {
        Self { text: text.into(), shape: Shape::Other, copies: 1, height: 1 }
    }
}

/// Joins pieces to a sequence. Adjacent literals count as one, and a sequence adds no level.
pub(super) fn join(pieces: &mut Vec<Piece>) -> Piece {
    if pieces.len() == 1
        && let Some(only) = pieces.pop()
    {
        return only;
    }
    let mut joined = Piece { shape: Shape::Concat, ..Piece::leaf(String::new()) };
    let first = pieces.first().map(|piece| piece.shape);
    let one_literal =
        matches!(first, Some(Shape::Literal { .. })) && pieces.iter().all(|p| Some(p.shape) == first);
    for piece in pieces.drain(..) {
        joined.text.push_str(&piece.text);
        joined.copies = joined.copies.max(piece.copies);
        joined.height =
            joined.height.max(piece.height + u32::from(piece.shape != Shape::Concat && !one_literal));
    }
    joined
}

pub(super) fn choose(alternatives: &[Piece]) -> Piece {
    let mut chosen = Piece { shape: Shape::Alternate, ..Piece::leaf(String::new()) };
    for (index, piece) in alternatives.iter().enumerate() {
        let bar = if index == 0 { "" } else { "|" };
        let _ = write!(chosen.text, "{bar}{}", piece.text);
        chosen.copies = chosen.copies.max(piece.copies);
        chosen.height = chosen.height.max(piece.height + u32::from(piece.shape != Shape::Alternate));
    }
    chosen
}

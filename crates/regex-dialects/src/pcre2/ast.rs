//! The tree of a pattern. Options are already applied: classes are sets of characters.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// A node of the tree. Lines contain no CR and no LF, so `^`, `\A` and `\G` are the same, as are `$`, `\Z` and `\z`.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Empty,
    Char(char),
    Class(ClassUnicode),
    Start,
    End,
    WordEdge,
    NotWordEdge,
    /// `\K`
    Keep,
    /// The number of the group in the pattern; `None` does not capture.
    Group(Option<usize>, Box<Node>),
    Concat(Vec<Node>),
    Alternatives(Vec<Node>),
    Repeat {
        node: Box<Node>,
        min: u32,
        max: Option<u32>,
        greed: Greed,
    },
    Look {
        behind: bool,
        negative: bool,
        node: Box<Node>,
    },
    Atomic(Box<Node>),
    Reference {
        number: usize,
        caseless: bool,
    },
    Condition {
        test: Test,
        yes: Box<Node>,
        no: Box<Node>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

/// The condition of a conditional group.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Group(usize),
    Look(Box<Node>),
    /// `(?(DEFINE)`: never true.
    Never,
}

/// Returns a set of inclusive ranges.
pub(super) fn set(ranges: &[(u32, u32)]) -> ClassUnicode {
    ClassUnicode::new(
        ranges
            .iter()
            .filter_map(|&(a, b)| Some(ClassUnicodeRange::new(char::from_u32(a)?, char::from_u32(b)?))),
    )
}

pub(super) fn negated(mut class: ClassUnicode) -> ClassUnicode {
    class.negate();
    class
}

/// Adds the other case of each character, by simple folding, as PCRE2 does: `k` is also the Kelvin sign.
pub(super) fn folded(mut class: ClassUnicode) -> ClassUnicode {
    // This fails only if Unicode tables are compiled out; the set is then unchanged.
    let _ = class.try_case_fold_simple();
    class
}

/// Returns the number of characters that a node matches, if it is always the same. Look-behind needs it.
pub(super) fn fixed_width(node: &Node) -> Option<usize> {
    match node {
        Node::Char(_) | Node::Class(_) => Some(1),
        Node::Empty
        | Node::Start
        | Node::End
        | Node::WordEdge
        | Node::NotWordEdge
        | Node::Keep
        | Node::Look { .. } => Some(0),
        Node::Group(_, inner) | Node::Atomic(inner) => fixed_width(inner),
        Node::Concat(nodes) => nodes.iter().try_fold(0_usize, |sum, n| sum.checked_add(fixed_width(n)?)),
        Node::Alternatives(nodes) => same_width(nodes.iter()),
        Node::Repeat { node, min, max, .. } if Some(*min) == *max => {
            fixed_width(node)?.checked_mul(usize::try_from(*min).ok()?)
        }
        Node::Repeat { .. } | Node::Reference { .. } => None,
        Node::Condition { test: Test::Never, .. } => Some(0),
        Node::Condition { yes, no, .. } => same_width([&**yes, &**no].into_iter()),
    }
}

fn same_width<'a>(mut nodes: impl Iterator<Item = &'a Node>) -> Option<usize> {
    let first = fixed_width(nodes.next()?)?;
    nodes.all(|n| fixed_width(n) == Some(first)).then_some(first)
}

/// Returns the alternatives at the top of a node.
pub(super) fn branches(node: &Node) -> &[Node] {
    match node {
        Node::Alternatives(nodes) => nodes,
        other => std::slice::from_ref(other),
    }
}

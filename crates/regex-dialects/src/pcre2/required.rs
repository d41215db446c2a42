//! Texts of which every matching line contains at least one, for a fast search.

use super::ast::Node;

/// Shorter texts are found too often.
const MIN_LENGTH: usize = 3;
const MAX_COUNT: usize = 32;

/// Returns texts of which every match contains one, case-sensitively. `None` if there are no such texts.
pub(super) fn required(node: &Node) -> Option<Vec<Vec<u8>>> {
    any_of(node).filter(|texts| texts.len() <= MAX_COUNT && shortest(texts) >= MIN_LENGTH)
}

/// Returns the whole pattern if it is a plain text.
pub(super) fn whole(node: &Node) -> Option<Vec<u8>> {
    let nodes = match node {
        Node::Concat(nodes) => nodes.as_slice(),
        other => std::slice::from_ref(other),
    };
    let text: String = nodes.iter().map(plain_char).collect::<Option<String>>()?;
    (!text.is_empty()).then(|| text.into_bytes())
}

fn plain_char(node: &Node) -> Option<char> {
    match node {
        Node::Char(c) if !matches!(c, '\n' | '\r') => Some(*c),
        _ => None,
    }
}

fn any_of(node: &Node) -> Option<Vec<Vec<u8>>> {
    match node {
        Node::Char(_) => whole(node).map(|text| vec![text]),
        Node::Group(_, inner) | Node::Atomic(inner) => any_of(inner),
        Node::Repeat { node, min: 1.., .. } => any_of(node),
        Node::Concat(nodes) => best_of_sequence(nodes),
        Node::Alternatives(nodes) => {
            let all: Option<Vec<_>> = nodes.iter().map(any_of).collect();
            all.map(|sets| sets.into_iter().flatten().collect())
        }
        _ => None,
    }
}

/// Joins runs of characters, and returns the set whose shortest member is longest.
fn best_of_sequence(nodes: &[Node]) -> Option<Vec<Vec<u8>>> {
    let mut candidates = Vec::new();
    let mut run = String::new();
    for node in nodes {
        if let Some(c) = plain_char(node) {
            run.push(c);
            continue;
        }
        candidates.push(vec![std::mem::take(&mut run).into_bytes()]);
        candidates.extend(any_of(node));
    }
    candidates.push(vec![run.into_bytes()]);
    candidates.into_iter().max_by_key(|texts| shortest(texts)).filter(|texts| shortest(texts) > 0)
}

fn shortest(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or(0)
}

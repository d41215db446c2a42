//! The order of imports: the standard library, external crates, own modules, with blank lines between.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use syn::{Item, ItemUse, UseTree, Visibility};

use super::failure::Failure;

/// Returns one message for each import below `directory` that is out of order.
pub(super) fn faults(directory: &Path) -> Result<Vec<String>, Failure> {
    let mut messages = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            messages.extend(faults(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let parsed = syn::parse_file(&fs::read_to_string(&path)?)?;
            let lines = lines_out_of_order(&parsed.items);
            let message =
                |line| format!("{}:{line}: imports are not in the order std, external, own", path.display());
            messages.extend(lines.into_iter().map(message));
        }
    }
    Ok(messages)
}

fn lines_out_of_order(items: &[Item]) -> Vec<usize> {
    let modules: BTreeSet<_> = items.iter().filter_map(|item| module(item).map(|(name, _)| name)).collect();
    let mut lines = Vec::new();
    for pair in items.windows(2) {
        let [Item::Use(first), Item::Use(second)] = pair else { continue };
        if [first, second].iter().any(|import| !matches!(import.vis, Visibility::Inherited)) {
            continue;
        }
        let (before, after) = (group(first, &modules), group(second, &modules));
        let start =
            second.attrs.first().map_or(second.use_token.span, |attribute| attribute.pound_token.span);
        let distance = start.start().line - first.semi_token.span.end().line;
        if before > after || (before < after) != (distance > 1) {
            lines.push(second.use_token.span.start().line);
        }
    }
    lines.extend(items.iter().filter_map(module).flat_map(|(_, content)| lines_out_of_order(content)));
    lines
}

fn module(item: &Item) -> Option<(String, &[Item])> {
    let Item::Mod(module) = item else { return None };
    Some((module.ident.to_string(), module.content.as_ref().map_or(&[], |(_, items)| items)))
}

fn group(import: &ItemUse, modules: &BTreeSet<String>) -> u8 {
    let name = match &import.tree {
        UseTree::Path(path) => path.ident.to_string(),
        UseTree::Name(name) => name.ident.to_string(),
        UseTree::Rename(rename) => rename.ident.to_string(),
        UseTree::Glob(_) | UseTree::Group(_) => return 1,
    };
    match name.as_str() {
        "std" | "core" | "alloc" => 0,
        "crate" | "self" | "super" => 2,
        name if modules.contains(name) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        lines_out_of_order(&syn::parse_file(text).expect("the text can be parsed").items)
    }

    #[test]
    fn imports_in_groups_with_blank_lines_pass() {
        assert!(
            lines("mod a;\n\nuse std::fs;\nuse std::io;\n\nuse syn::Item;\n\nuse a::A;\nuse crate::b;")
                .is_empty()
        );
        assert!(lines("pub use crate::a::A;\nuse std::fs;").is_empty());
    }

    #[test]
    fn wrong_order_and_wrong_blank_lines_are_reported() {
        assert_eq!(lines("use crate::a;\n\nuse std::fs;"), [3]);
        assert_eq!(lines("use std::fs;\nuse syn::Item;"), [2]);
        assert_eq!(lines("use std::fs;\n\nuse std::io;"), [3]);
        assert_eq!(lines("mod tests {\n    use super::*;\n    use syn::Item;\n}"), [3]);
    }
}

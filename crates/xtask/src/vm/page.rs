//! The page with the assertions and observations of each scene's last run.

use std::fs;
use std::io;
use std::path::Path;

use super::findings::{Finding, Findings};
use super::scenes::Scene;
use crate::generated::{self, with_part};

/// The introduction is written by hand.
const EMPTY: &str = "# A whole machine\n";
const SEEN_MAX: usize = 300;

/// Puts a scene's result into the page, in place of the one that was there.
pub(super) fn write(path: &Path, scene: Scene, machine: &str, findings: &Findings) -> io::Result<()> {
    let page = fs::read_to_string(path).unwrap_or_else(|_| EMPTY.to_owned());
    let text = format!("{}\n\n{machine}\n\n{}", scene.story(), table(findings));
    fs::write(path, with_part(&page, &format!("vm {}", scene.name()), scene.title(), &text))
}

fn table(findings: &Findings) -> String {
    let head = "| asserted | seen | held |\n|---|---|---|".to_owned();
    std::iter::once(head).chain(findings.all().iter().map(line)).collect::<Vec<_>>().join("\n")
}

fn line(finding: &Finding) -> String {
    let held = if finding.held { "yes" } else { "**no**" };
    format!("| {} | {} | {held} |", cell(&finding.what), cell(&finding.seen))
}

fn cell(text: &str) -> String {
    let mut cell: String = text.trim().chars().take(SEEN_MAX).collect();
    if cell.len() < text.trim().len() {
        cell.push_str(" ...");
    }
    generated::cell(&cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_an_end() {
        assert_eq!(cell("a|b\n"), "a\\|b");
        assert!(cell(&"x".repeat(1000)).len() < 400);
    }
}

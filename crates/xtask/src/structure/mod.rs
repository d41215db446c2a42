//! `cargo xtask structure`: the modules of the workspace, who imports whom, and the rules that they keep.
//!
//! Three rules: no circle of files inside a crate, no dependency between crates that ARCHITECTURE.md's table does not
//! permit, and one order of imports in every file. A parent that only declares or re-exports its children imports
//! nothing from them. Code under `#[cfg(test)]` is left out, except for the order of imports.

mod arrows;
mod attributes;
mod circles;
mod failure;
mod imports;
mod mentions;
mod picture;
mod rules;
mod source;
mod survey;
mod workspace;

use std::fs;
use std::path::Path;

use oomwatch_tests::binaries::workspace;

use self::survey::Survey;
use crate::output::{Done, say};

/// Where the picture is kept, below the workspace's root.
const PICTURE: &str = "docs/structure.svg";
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Prints the numbers and the faults of the workspace at `root`, and draws its picture. Without `root` it is this
/// workspace, and a fault is a failure.
pub(crate) fn run(root: Option<&Path>, picture: Option<&Path>) -> Done {
    let own = root.is_none();
    let root = root.unwrap_or(workspace());
    let survey = Survey::read(root)?;
    say(&survey.table());
    let path = picture.map_or_else(|| root.join(PICTURE), Path::to_owned);
    let (old, new) = (fs::read_to_string(&path).unwrap_or_default(), picture::draw(&survey));
    let stale = picture::without_numbers(&old) != picture::without_numbers(&new);
    fs::write(&path, new)?;
    say(&format!("drew {}{}", path.display(), if stale { ", which was stale" } else { "" }));
    let faults = faults(&survey, root);
    faults.iter().for_each(|fault| say(fault));
    if own && !faults.is_empty() {
        return Err(format!("{} faults in the structure; each is listed above", faults.len()).into());
    }
    Ok(())
}

/// Returns the circles, the dependencies that the table does not permit, and the imports out of order.
fn faults(survey: &Survey, root: &Path) -> Vec<String> {
    let mut faults = survey.circles();
    let page = fs::read_to_string(root.join(ARCHITECTURE)).unwrap_or_default();
    match rules::read(&page, &survey.packages) {
        Ok(rules) => faults.extend(rules::violations(&survey.packages, &rules)),
        Err(error) => faults.push(format!("{ARCHITECTURE}: {error}")),
    }
    for package in &survey.packages {
        match imports::faults(&root.join(&package.directory)) {
            Ok(found) => faults.extend(found),
            Err(error) => faults.push(format!("{}: {error}", package.directory.display())),
        }
    }
    faults
}

#[cfg(test)]
mod tests;

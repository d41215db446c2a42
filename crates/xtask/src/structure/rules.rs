//! The table of ARCHITECTURE.md that says which crate may depend on which.

use std::collections::{BTreeMap, BTreeSet};

use super::workspace::Package;

/// Which packages each package may use: in its product code, and in its tests besides.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) product: BTreeSet<String>,
    pub(crate) tests: BTreeSet<String>,
}

const CRATE: &str = "crate";
const MAY_DEPEND_ON: &str = "may depend on";
/// Separates the crates that only tests may use from those of the product.
const IN_TESTS: &str = "in tests";

/// Reads the table whose header has the columns `crate` and `may depend on`. Cells name crates in backticks, by
/// package or by directory. Directories without a package (`docs`) are left out.
pub(crate) fn read(page: &str, packages: &[Package]) -> Result<BTreeMap<String, Rule>, String> {
    let mut lines = page.lines();
    let columns = lines.find_map(|line| {
        let cells = cells(line);
        let column = |title: &str| cells.iter().position(|cell| *cell == title);
        Some((column(CRATE)?, column(MAY_DEPEND_ON)?))
    });
    let (krate, allowed) =
        columns.ok_or(format!("no table with the columns `{CRATE}` and `{MAY_DEPEND_ON}`"))?;
    let mut rules = BTreeMap::new();
    for line in lines.skip(1).take_while(|line| line.starts_with('|')) {
        let cells = cells(line);
        let cell = |column: usize| cells.get(column).copied().unwrap_or_default();
        let Some(name) = names(cell(krate), packages)?.pop_first() else { continue };
        let (product, tests) = cell(allowed).split_once(IN_TESTS).unwrap_or((cell(allowed), ""));
        rules.insert(name, Rule { product: names(product, packages)?, tests: names(tests, packages)? });
    }
    Ok(rules)
}

/// Returns one message for each dependency that the rules do not permit.
pub(crate) fn violations(packages: &[Package], rules: &BTreeMap<String, Rule>) -> Vec<String> {
    let mut messages = Vec::new();
    for package in packages {
        let name = &package.name;
        let Some(rule) = rules.get(name) else {
            messages.push(format!("`{name}` is missing in ARCHITECTURE.md's table of crates"));
            continue;
        };
        for other in package.dependencies.difference(&rule.product) {
            messages.push(format!(
                "`{name}` depends on `{other}`, which ARCHITECTURE.md's table does not permit"
            ));
        }
        let permitted: BTreeSet<_> = rule.product.union(&rule.tests).cloned().collect();
        for other in package.test_dependencies.difference(&permitted) {
            messages.push(format!(
                "the tests of `{name}` depend on `{other}`, which ARCHITECTURE.md's table does not permit"
            ));
        }
    }
    messages
}

fn cells(line: &str) -> Vec<&str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

/// Returns the packages named in backticks.
fn names(cell: &str, packages: &[Package]) -> Result<BTreeSet<String>, String> {
    let spans = cell.split('`').skip(1).step_by(2);
    let mut found = BTreeSet::new();
    for span in spans {
        let package =
            packages.iter().find(|package| package.name == span || package.directory.as_os_str() == span);
        match package {
            Some(package) => {
                found.insert(package.name.clone());
            }
            None if matches!(span, "templates" | "docs") => {}
            None => return Err(format!("ARCHITECTURE.md's table names `{span}`, which is not a crate")),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# Title

| crate | is | may depend on |
|---|---|---|
| `crates/base` | text | |
| `plugin` | text | `base`; in tests `extra` |
| `docs` | text | |
";

    fn package(name: &str, directory: &str, dependencies: &[&str], tests: &[&str]) -> Package {
        let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Package {
            name: name.to_owned(),
            directory: directory.into(),
            targets: Vec::new(),
            dependencies: set(dependencies),
            test_dependencies: set(tests),
        }
    }

    fn check(packages: &[Package]) -> Vec<String> {
        violations(packages, &read(PAGE, packages).expect("the table can be read"))
    }

    #[test]
    fn permitted_dependencies_pass() {
        let packages = [
            package("base", "crates/base", &[], &[]),
            package("extra", "extra", &[], &[]),
            package("the-plugin", "plugin", &["base"], &["extra"]),
        ];
        let messages = check(&packages);
        assert_eq!(messages, ["`extra` is missing in ARCHITECTURE.md's table of crates"]);
    }

    #[test]
    fn forbidden_dependencies_are_reported() {
        let packages = [
            package("base", "crates/base", &["the-plugin"], &[]),
            package("extra", "extra", &[], &[]),
            package("the-plugin", "plugin", &["extra"], &["base"]),
        ];
        let messages = check(&packages).join("\n");
        assert!(messages.contains("`base` depends on `the-plugin`"), "{messages}");
        assert!(messages.contains("`the-plugin` depends on `extra`"), "{messages}");
        assert!(!messages.contains("tests of"), "{messages}");
    }

    #[test]
    fn unknown_crates_and_missing_tables_are_errors() {
        assert!(read(PAGE, &[]).is_err());
        assert!(read("no table", &[]).is_err());
    }
}

//! The workspace's packages, from `cargo metadata`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::failure::Failure;

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Relative to the workspace's root, as ARCHITECTURE.md writes it.
    pub(crate) directory: PathBuf,
    pub(crate) targets: Vec<Target>,
    /// Packages of the workspace that the product code may use.
    pub(crate) dependencies: BTreeSet<String>,
    /// Packages of the workspace that only tests, benches and examples may use.
    pub(crate) test_dependencies: BTreeSet<String>,
}

/// One crate in the compiler's sense: a library, an executable, a test.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: TargetKind,
    pub(crate) root_file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetKind {
    Library,
    Executable,
    /// Tests, benches and examples.
    Test,
}

impl Package {
    pub(crate) fn library(&self) -> Option<&Target> {
        self.targets.iter().find(|target| target.kind == TargetKind::Library)
    }
}

/// Returns the packages of the workspace at `root`, ordered by name.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>, Failure> {
    let metadata = metadata(root)?;
    let listed: Vec<&Value> = array(&metadata["packages"]).collect();
    let names: BTreeSet<String> = listed.iter().map(|package| string(&package["name"])).collect();
    let mut packages: Vec<_> = listed.iter().map(|package| read_package(package, root, &names)).collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn metadata(root: &Path) -> Result<Value, Failure> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root);
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("`cargo metadata` in {} failed: {}", root.display(), output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn read_package(package: &Value, root: &Path, names: &BTreeSet<String>) -> Package {
    let name = string(&package["name"]);
    let manifest = PathBuf::from(string(&package["manifest_path"]));
    let directory = manifest.parent().unwrap_or(root);
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let directory = directory.strip_prefix(&root).unwrap_or(directory).to_owned();
    let (mut dependencies, mut test_dependencies) = (BTreeSet::new(), BTreeSet::new());
    for dependency in array(&package["dependencies"]) {
        let other = string(&dependency["name"]);
        if other == name || !names.contains(&other) {
            continue;
        }
        let for_tests = dependency["kind"] == "dev";
        if for_tests { &mut test_dependencies } else { &mut dependencies }.insert(other);
    }
    let targets = array(&package["targets"]).filter_map(read_target).collect();
    Package { name, directory, targets, dependencies, test_dependencies }
}

/// Returns `None` for build scripts and macros, of which the workspace has none.
fn read_target(target: &Value) -> Option<Target> {
    let kind = match target["kind"][0].as_str()? {
        "lib" => TargetKind::Library,
        "bin" => TargetKind::Executable,
        "test" | "bench" | "example" => TargetKind::Test,
        _ => return None,
    };
    Some(Target { name: string(&target["name"]), kind, root_file: string(&target["src_path"]).into() })
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

//! What the sources of all packages show: files, arrows, circles, and sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::arrows::{Arrows, arrows};
use super::circles::groups;
use super::failure::Failure;
use super::source::CrateSource;
use super::workspace::{Package, Target, TargetKind, packages};

/// The workspace's packages and crates.
pub(crate) struct Survey {
    pub(crate) packages: Vec<Package>,
    pub(crate) crates: Vec<CrateSurvey>,
}

/// One library, executable or test.
pub(crate) struct CrateSurvey {
    /// The package's place in [`Survey::packages`].
    pub(crate) package: usize,
    pub(crate) name: String,
    pub(crate) kind: TargetKind,
    pub(crate) source: CrateSource,
    pub(crate) arrows: Arrows,
    /// Groups of files each of which leads to all others of its group.
    pub(crate) circles: Vec<Vec<usize>>,
}

impl CrateSurvey {
    pub(crate) fn read(package: usize, target: &Target, crates: &BTreeSet<String>) -> Result<Self, Failure> {
        let source = CrateSource::read(&target.root_file)?;
        let found = arrows(&source, crates);
        let groups = groups(source.files.len(), found.files.keys().copied());
        let circles = groups.into_iter().filter(|group| group.len() > 1).collect();
        Ok(Self {
            package,
            name: target.name.clone(),
            kind: target.kind,
            source,
            arrows: found.files,
            circles,
        })
    }

    /// Describes each circle with its modules and one path for each of its arrows.
    pub(crate) fn describe_circles(&self) -> Vec<String> {
        let name = |file: usize| match self.source.files[file].module.as_str() {
            "" => "crate",
            module => module,
        };
        let describe = |circle: &Vec<usize>| {
            let modules: Vec<_> = circle.iter().map(|&file| name(file)).collect();
            let mut text =
                format!("circle of {} modules in `{}`: {}", circle.len(), self.name, modules.join(", "));
            for ((from, to), path) in &self.arrows {
                if circle.contains(from) && circle.contains(to) {
                    let _ = write!(text, "\n    {} uses {}: {path}", name(*from), name(*to));
                }
            }
            text + "\n    move the item that two of them share into a module below both"
        };
        self.circles.iter().map(describe).collect()
    }

    fn lines(&self) -> usize {
        self.source.files.iter().map(|file| file.lines).sum()
    }
}

impl Survey {
    pub(crate) fn read(root: &Path) -> Result<Self, Failure> {
        let packages = packages(root)?;
        let libraries = packages.iter().filter_map(Package::library);
        let names: BTreeSet<_> = libraries.map(|library| library.name.replace('-', "_")).collect();
        let mut crates = Vec::new();
        for (place, package) in packages.iter().enumerate() {
            for target in &package.targets {
                crates.push(CrateSurvey::read(place, target, &names)?);
            }
        }
        Ok(Self { packages, crates })
    }

    pub(crate) fn circles(&self) -> Vec<String> {
        self.crates.iter().flat_map(CrateSurvey::describe_circles).collect()
    }

    /// Returns the sizes as text: a line for each package, and one for the whole.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<16}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>11}{:>9}\n",
            "package", "modules", "lines", "tests", "circles", "in them", "fns", "fn median", "fn 90 %"
        );
        let mut total = Sizes::default();
        for (place, package) in self.packages.iter().enumerate() {
            let sizes = self.sizes(place);
            text += &sizes.row(&package.name);
            total.add(sizes);
        }
        text += &total.row("together");
        text += "lines: files of the library and the executables, unit tests included; tests: tests, benches, examples\n";
        text + "functions: those outside tests, from `fn` to the closing brace"
    }

    fn sizes(&self, package: usize) -> Sizes {
        let mut sizes = Sizes::default();
        for krate in self.crates.iter().filter(|krate| krate.package == package) {
            sizes.circles += krate.circles.len();
            sizes.in_circles += krate.circles.iter().map(Vec::len).sum::<usize>();
            if krate.kind == TargetKind::Test {
                sizes.test_lines += krate.lines();
                continue;
            }
            sizes.modules += krate.source.files.len();
            sizes.lines += krate.lines();
            let functions = krate.source.files.iter().flat_map(|file| &file.functions);
            sizes.functions.extend(functions);
        }
        sizes.lines += self.unit_test_lines(package);
        sizes
    }

    /// Returns the lines of files below `src` that are modules for tests only.
    fn unit_test_lines(&self, package: usize) -> usize {
        let crates = self.crates.iter().filter(|krate| krate.package == package);
        let product = crates.filter(|krate| krate.kind != TargetKind::Test);
        let files: BTreeMap<&Path, &CrateSurvey> = product
            .flat_map(|krate| krate.source.files.iter().map(move |file| (file.path.as_path(), krate)))
            .collect();
        let roots: BTreeSet<&Path> =
            files.keys().filter_map(|path| path.ancestors().find(|dir| dir.ends_with("src"))).collect();
        roots.iter().map(|root| lines_outside(root, &|path| files.contains_key(path))).sum()
    }
}

fn lines_outside(directory: &Path, counted: &impl Fn(&Path) -> bool) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let lines = entries.map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            lines_outside(&path, counted)
        } else if path.extension().is_some_and(|extension| extension == "rs") && !counted(&path) {
            fs::read_to_string(&path).map_or(0, |text| text.lines().count())
        } else {
            0
        }
    });
    lines.sum()
}

#[derive(Default)]
struct Sizes {
    modules: usize,
    lines: usize,
    test_lines: usize,
    circles: usize,
    in_circles: usize,
    functions: Vec<usize>,
}

impl Sizes {
    fn add(&mut self, other: Self) {
        self.modules += other.modules;
        self.lines += other.lines;
        self.test_lines += other.test_lines;
        self.circles += other.circles;
        self.in_circles += other.in_circles;
        self.functions.extend(other.functions);
    }

    fn row(&self, name: &str) -> String {
        let mut functions = self.functions.clone();
        functions.sort_unstable();
        let at = |percent: usize| functions.get(functions.len() * percent / 100).copied().unwrap_or(0);
        format!(
            "{name:<16}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}{:>11}{:>9}\n",
            self.modules,
            self.lines,
            self.test_lines,
            self.circles,
            self.in_circles,
            functions.len(),
            at(50),
            at(90)
        )
    }
}

//! Who imports from whom: arrows between the files of a crate, and from a crate to other crates of the workspace.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::mentions::Path;
use super::source::{CrateSource, Import};

/// An arrow between two files, with one path that makes it.
pub(crate) type Arrows = BTreeMap<(usize, usize), String>;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Module(usize),
    /// An item that this module defines.
    Item(usize),
    /// A crate of the workspace, by its name in code.
    Crate(String),
}

/// The arrows that a crate's source makes.
pub(crate) struct CrateArrows {
    pub(crate) files: Arrows,
    /// Names in code of crates that product code uses, with the file that uses them.
    pub(crate) crates: BTreeMap<String, usize>,
}

pub(crate) fn arrows(source: &CrateSource, crates: &BTreeSet<String>) -> CrateArrows {
    let resolver = Resolver { source, crates };
    let mut arrows = CrateArrows { files: Arrows::new(), crates: BTreeMap::new() };
    for (id, module) in source.modules.iter().enumerate() {
        let imports = module.imports.iter().filter_map(|import| {
            let found = resolver.resolve(id, &import.path, &mut HashSet::new())?;
            let own_child = matches!(found, Found::Item(target) if resolver.is_below(target, id));
            (!(import.reexport && own_child)).then_some((&import.path, found))
        });
        let mentions = module.mentions.iter().filter_map(|path| {
            let found = resolver.resolve(id, path, &mut HashSet::new());
            Some((path, found.or_else(|| resolver.macro_of_ancestor(id, path))?))
        });
        for (path, found) in imports.chain(mentions) {
            add(&mut arrows, source, id, path, found);
        }
    }
    arrows
}

/// A module by itself makes no arrow; a used item of it does.
fn add(arrows: &mut CrateArrows, source: &CrateSource, from: usize, path: &Path, found: Found) {
    let from = source.modules[from].file;
    match found {
        Found::Module(_) => {}
        Found::Item(target) => {
            let to = source.modules[target].file;
            if from != to {
                arrows.files.entry((from, to)).or_insert_with(|| path.join("::"));
            }
        }
        Found::Crate(name) => {
            arrows.crates.entry(name).or_insert(from);
        }
    }
}

/// Imports that are being followed, by module and place. They end the search if imports form a circle.
type Visited = HashSet<(usize, usize)>;

struct Resolver<'a> {
    source: &'a CrateSource,
    crates: &'a BTreeSet<String>,
}

impl Resolver<'_> {
    fn resolve(&self, from: usize, path: &[String], visited: &mut Visited) -> Option<Found> {
        let (mut found, rest) = self.start(from, path, visited)?;
        for (place, name) in rest.iter().enumerate() {
            let Found::Module(module) = found else { break };
            found = self.lookup(module, name, place + 1 == rest.len(), visited)?;
        }
        Some(found)
    }

    /// Resolves the first segment of a path: `crate`, `self`, `super`, or a name in scope, or a crate.
    fn start<'p>(
        &self,
        from: usize,
        path: &'p [String],
        visited: &mut Visited,
    ) -> Option<(Found, &'p [String])> {
        let (first, mut rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => 0,
            "self" => from,
            "super" => self.source.modules[from].parent?,
            "Self" => return None,
            name => {
                let found = self.lookup(from, name, rest.is_empty(), visited);
                let external = || self.crates.contains(name).then(|| Found::Crate(name.to_owned()));
                return Some((found.or_else(external)?, rest));
            }
        };
        while let Some((first, after)) = rest.split_first().filter(|(first, _)| *first == "super") {
            debug_assert_eq!(first, "super", "the filter above");
            module = self.source.modules[module].parent?;
            rest = after;
        }
        Some((Found::Module(module), rest))
    }

    /// Looks a name up in a module. The last segment of a path prefers an item to a module of the same name.
    fn lookup(&self, module: usize, name: &str, last: bool, visited: &mut Visited) -> Option<Found> {
        let scope = &self.source.modules[module];
        let child = scope.children.get(name).map(|&child| Found::Module(child));
        let item = scope.items.contains(name).then_some(Found::Item(module));
        let (first, second) = if last { (item, child) } else { (child, item) };
        first.or_else(|| self.imported(module, name, visited)).or(second)
    }

    fn imported(&self, module: usize, name: &str, visited: &mut Visited) -> Option<Found> {
        let imports = self.source.modules[module].imports.iter().enumerate();
        let named = imports.clone().filter(|(_, import)| import.name.as_deref() == Some(name));
        let mut globs = imports.filter(|(_, import)| import.name.is_none());
        named
            .map(|(place, import)| self.follow(module, place, import, visited))
            .find(Option::is_some)
            .flatten()
            .or_else(|| globs.find_map(|(place, glob)| self.through_glob(module, place, glob, name, visited)))
    }

    fn follow(&self, module: usize, place: usize, import: &Import, visited: &mut Visited) -> Option<Found> {
        if !visited.insert((module, place)) {
            return None;
        }
        let found = self.resolve(module, &import.path, visited);
        visited.remove(&(module, place));
        found
    }

    fn through_glob(
        &self,
        module: usize,
        place: usize,
        glob: &Import,
        name: &str,
        visited: &mut Visited,
    ) -> Option<Found> {
        if !visited.insert((module, place)) {
            return None;
        }
        let found = match self.resolve(module, &glob.path, visited) {
            Some(Found::Module(target)) if target != module => self.lookup(target, name, true, visited),
            _ => None,
        };
        visited.remove(&(module, place));
        found
    }

    /// A macro of `macro_rules!` is in scope in the modules below the one that defines it.
    fn macro_of_ancestor(&self, module: usize, path: &[String]) -> Option<Found> {
        let [name] = path else { return None };
        if !name.starts_with(char::is_lowercase) {
            return None;
        }
        let mut ancestor = self.source.modules[module].parent;
        while let Some(id) = ancestor {
            if self.source.modules[id].macros.contains(name) {
                return Some(Found::Item(id));
            }
            ancestor = self.source.modules[id].parent;
        }
        None
    }

    fn is_below(&self, module: usize, ancestor: usize) -> bool {
        let mut next = Some(module);
        while let Some(id) = next {
            if id == ancestor {
                return true;
            }
            next = self.source.modules[id].parent;
        }
        false
    }
}

//! Reads the modules of one crate: which items they define, what they import, and which paths their code uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, UseTree, Visibility};

use super::attributes::is_for_tests;
use super::failure::Failure;
use super::mentions::{Mentions, Path as ItemPath};

/// One file of a crate.
#[derive(Debug)]
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    /// The module's name below the crate, `a::b`; empty for the root.
    pub(crate) module: String,
    pub(crate) lines: usize,
    /// Lengths in lines of the functions outside tests.
    pub(crate) functions: Vec<usize>,
}

/// A module: a file, or an inline `mod` of the file that it shares.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) file: usize,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    pub(crate) items: BTreeSet<String>,
    /// The items that are macros of `macro_rules!`.
    pub(crate) macros: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
    pub(crate) mentions: Vec<ItemPath>,
}

/// One leaf of a `use`.
#[derive(Debug)]
pub(crate) struct Import {
    /// `None` for a glob.
    pub(crate) name: Option<String>,
    pub(crate) path: ItemPath,
    pub(crate) reexport: bool,
}

/// The modules of one crate. The root is the first of both lists.
#[derive(Debug, Default)]
pub(crate) struct CrateSource {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) modules: Vec<Module>,
}

impl CrateSource {
    /// Reads a crate from its root file. Modules and items under `#[cfg(test)]` are left out.
    pub(crate) fn read(root_file: &Path) -> Result<Self, Failure> {
        let mut source = Self::default();
        let directory = root_file.parent().unwrap_or(Path::new("")).to_owned();
        source.read_file(root_file, &directory, "", None)?;
        Ok(source)
    }

    /// Reads a file and the modules below it. `directory` is the place of its children's files.
    fn read_file(
        &mut self,
        path: &Path,
        directory: &Path,
        name: &str,
        parent: Option<usize>,
    ) -> Result<usize, Failure> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let parsed = syn::parse_file(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let file = self.files.len();
        let lines = text.lines().count();
        self.files.push(SourceFile {
            path: path.to_owned(),
            module: name.to_owned(),
            lines,
            functions: Vec::new(),
        });
        let module = self.add_module(file, parent);
        self.read_items(module, parsed.items, directory, name)?;
        Ok(module)
    }

    fn add_module(&mut self, file: usize, parent: Option<usize>) -> usize {
        self.modules.push(Module { file, parent, ..Module::default() });
        self.modules.len() - 1
    }

    fn read_items(
        &mut self,
        module: usize,
        items: Vec<Item>,
        directory: &Path,
        name: &str,
    ) -> Result<(), Failure> {
        for item in items {
            match item {
                Item::Mod(item) if is_for_tests(&item.attrs) => {}
                Item::Mod(item) => self.read_mod(module, item, directory, name)?,
                Item::Use(item) if is_for_tests(&item.attrs) => {}
                Item::Use(item) => {
                    let reexport = !matches!(item.vis, Visibility::Inherited);
                    add_imports(&item.tree, &[], reexport, &mut self.modules[module].imports);
                }
                other => self.read_item(module, &other),
            }
        }
        Ok(())
    }

    fn read_mod(
        &mut self,
        parent: usize,
        item: syn::ItemMod,
        directory: &Path,
        parent_name: &str,
    ) -> Result<(), Failure> {
        let ident = item.ident.to_string();
        let name = if parent_name.is_empty() { ident.clone() } else { format!("{parent_name}::{ident}") };
        let below = directory.join(&ident);
        let child = if let Some((_, items)) = item.content {
            let child = self.add_module(self.modules[parent].file, Some(parent));
            self.read_items(child, items, &below, &name)?;
            child
        } else {
            let file = match path_attribute(&item.attrs) {
                // Such a path starts at the directory of the file that declares the module.
                Some(path) => self.files[self.modules[parent].file].path.with_file_name(path),
                None => module_file(directory, &ident),
            };
            self.read_file(&file, &below, &name, Some(parent))?
        };
        self.modules[parent].children.insert(ident, child);
        Ok(())
    }

    fn read_item(&mut self, module: usize, item: &Item) {
        let mut found = Mentions::default();
        found.read(item);
        let file = self.modules[module].file;
        self.files[file].functions.append(&mut found.functions);
        let module = &mut self.modules[module];
        if found.skipped {
            return;
        }
        module.items.extend(defined_name(item));
        if matches!(item, Item::Macro(_)) {
            module.macros.extend(defined_name(item));
        }
        module.mentions.append(&mut found.paths);
        for tree in &found.uses {
            add_imports(tree, &[], false, &mut module.imports);
        }
    }
}

fn module_file(directory: &Path, ident: &str) -> PathBuf {
    let flat = directory.join(format!("{ident}.rs"));
    if flat.is_file() { flat } else { directory.join(ident).join("mod.rs") }
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    let syn::Meta::NameValue(pair) = &attribute.meta else { return None };
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

fn defined_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn add_imports(tree: &UseTree, prefix: &[String], reexport: bool, imports: &mut Vec<Import>) {
    let with = |ident: &syn::Ident| {
        let mut path = prefix.to_vec();
        path.push(ident.to_string());
        path
    };
    match tree {
        UseTree::Path(branch) => add_imports(&branch.tree, &with(&branch.ident), reexport, imports),
        UseTree::Group(group) => {
            group.items.iter().for_each(|tree| add_imports(tree, prefix, reexport, imports));
        }
        UseTree::Name(leaf) if leaf.ident == "self" => {
            let name = prefix.last().cloned();
            imports.push(Import { name, path: prefix.to_vec(), reexport });
        }
        UseTree::Name(leaf) => {
            imports.push(Import { name: Some(leaf.ident.to_string()), path: with(&leaf.ident), reexport });
        }
        UseTree::Rename(leaf) => {
            let path = if leaf.ident == "self" { prefix.to_vec() } else { with(&leaf.ident) };
            imports.push(Import { name: Some(leaf.rename.to_string()), path, reexport });
        }
        UseTree::Glob(_) => imports.push(Import { name: None, path: prefix.to_vec(), reexport }),
    }
}

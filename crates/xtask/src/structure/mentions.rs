//! The paths that the code of an item uses, those inside macro calls and serde attributes among them.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Item, Signature};

use super::attributes::is_for_tests;

/// The segments of a path, as written.
pub(crate) type Path = Vec<String>;

#[derive(Default)]
pub(crate) struct Mentions<'ast> {
    pub(crate) paths: Vec<Path>,
    /// The trees of `use` inside functions.
    pub(crate) uses: Vec<&'ast syn::UseTree>,
    /// Lengths in lines of functions.
    pub(crate) functions: Vec<usize>,
    /// The item as a whole belongs to tests.
    pub(crate) skipped: bool,
}

impl<'ast> Mentions<'ast> {
    pub(crate) fn read(&mut self, item: &'ast Item) {
        self.skipped = is_for_tests(item_attributes(item));
        if !self.skipped {
            self.visit_item(item);
        }
    }

    /// Adds the paths of more than one segment in a macro's arguments. A single name there is a variable, or an
    /// item that the module defines or imports.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path = Path::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add_token_path(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                TokenTree::Group(group) => {
                    self.add_token_path(&mut path);
                    self.add_tokens(group.stream());
                }
                _ => self.add_token_path(&mut path),
            }
        }
        self.add_token_path(&mut path);
    }

    fn add_token_path(&mut self, path: &mut Path) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.paths.push(path);
        }
    }

    fn add_function(&mut self, signature: &Signature, block: &Block) {
        let first = signature.fn_token.span.start().line;
        let last = block.brace_token.span.close().end().line;
        self.functions.push(last + 1 - first);
    }
}

impl<'ast> Visit<'ast> for Mentions<'ast> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.add_tokens(call.tokens.clone());
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.uses.push(&item.tree);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    /// serde names functions and modules in strings: `#[serde(with = "crate::text")]`.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if !attribute.path().is_ident("serde") {
            return;
        }
        let syn::Meta::List(list) = &attribute.meta else { return };
        for token in list.tokens.clone() {
            if let TokenTree::Literal(literal) = token {
                let text = literal.to_string();
                self.paths.push(text.trim_matches('"').split("::").map(str::to_owned).collect());
            }
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            self.add_function(&item.sig, &item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            self.add_function(&item.sig, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add_function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

fn item_attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        _ => &[],
    }
}

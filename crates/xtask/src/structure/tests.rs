//! The rules on small made-up crates, and on this workspace.

use std::collections::BTreeSet;

use tempfile::TempDir;

use super::survey::CrateSurvey;
use super::workspace::{Target, TargetKind};
use super::*;

/// Writes the files below a new directory and surveys the crate of its `lib.rs`.
fn survey(files: &[(&str, &str)]) -> CrateSurvey {
    let directory = TempDir::new().expect("a temporary directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("below the directory")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    let root_file = directory.path().join("lib.rs");
    let target = Target { name: "made_up".to_owned(), kind: TargetKind::Library, root_file };
    let crates = BTreeSet::from(["other_crate".to_owned()]);
    CrateSurvey::read(0, &target, &crates).expect("a crate that can be parsed")
}

/// Returns the arrows as `from > to`, and whether they make a circle.
fn arrows_of(files: &[(&str, &str)]) -> (Vec<String>, bool) {
    let survey = survey(files);
    let name = |file: usize| survey.source.files[file].module.clone();
    let arrows = survey.arrows.keys().map(|&(from, to)| format!("{}>{}", name(from), name(to)));
    (arrows.collect(), !survey.circles.is_empty())
}

#[test]
fn two_modules_that_import_each_other_are_a_circle() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::B; pub struct A(B);"),
        ("b.rs", "pub struct B; fn f() { super::a::A; }"),
    ];
    assert_eq!(arrows_of(&files), (vec!["a>b".to_owned(), "b>a".to_owned()], true));
    let described = survey(&files).describe_circles().join("\n");
    assert!(described.contains("circle of 2 modules in `made_up`: a, b"), "{described}");
    assert!(described.contains("b uses a: super::a::A"), "{described}");
}

#[test]
fn a_parent_that_reexports_its_child_makes_no_circle() {
    let files = [
        ("lib.rs", "mod a; pub use a::part::Part; pub use a::f;"),
        ("a/mod.rs", "pub mod part; pub use self::part::Part; pub fn f(_: u8) {}"),
        ("a/part.rs", "pub struct Part; fn g() { crate::f(1); }"),
    ];
    assert_eq!(arrows_of(&files), (vec!["a::part>a".to_owned()], false));
}

#[test]
fn a_parent_and_a_child_that_use_each_other_are_a_circle() {
    let files = [
        ("lib.rs", "mod a;"),
        ("a.rs", "mod part; use part::Part; pub enum Shared { One } fn f(_: Part) {}"),
        ("a/part.rs", "use super::Shared; pub struct Part(Shared);"),
    ];
    assert_eq!(arrows_of(&files), (vec!["a>a::part".to_owned(), "a::part>a".to_owned()], true));
}

#[test]
fn a_path_leads_to_the_module_that_defines_the_item() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; use c::C as Renamed; fn f(_: Renamed) {}"),
        ("a.rs", "pub use crate::b::*;"),
        ("b.rs", "pub struct B; pub use super::c::C;"),
        ("c.rs", "pub struct C;"),
        ("d.rs", "not even parsed"),
    ];
    assert_eq!(arrows_of(&files), (vec![">c".to_owned(), "b>c".to_owned()], false));
    let through_globs = [("lib.rs", "mod a; mod b; use a::*; fn f(_: B) {}"), files[1], files[2], files[3]];
    let (arrows, _) = arrows_of(&[through_globs.as_slice(), &[("b.rs", "pub struct B;")]].concat());
    assert_eq!(arrows, [">b"]);
}

#[test]
fn groups_macros_and_attributes_are_read() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; mod d; use {a::{A, deep::Deep}, std::fmt}; mod e;"),
        ("a.rs", "pub mod deep; pub struct A;"),
        ("a/deep.rs", "pub struct Deep;"),
        ("b.rs", "fn f() { println!(\"{}\", crate::c::value()); }"),
        ("c.rs", "pub fn value() {}"),
        ("d.rs", "struct D { #[serde(with = \"crate::c\", default = \"crate::c::value\")] field: u8 }"),
        ("e.rs", "fn f() { use super::c::value; value(); }"),
    ];
    let (arrows, circle) = arrows_of(&files);
    assert_eq!(arrows, [">a", ">a::deep", "b>c", "d>c", "e>c"]);
    assert!(!circle);
}

#[test]
fn tests_and_inline_modules_make_no_arrows_of_their_own() {
    let files = [
        ("lib.rs", "mod a; mod b; #[cfg(test)] mod tests { use super::a::A; }"),
        ("a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::b::B; } mod inline { use super::A; }"),
        ("b.rs", "use crate::a::A; pub struct B; #[cfg(all(test, unix))] use crate::a::Missing;"),
    ];
    assert_eq!(arrows_of(&files), (vec!["b>a".to_owned()], false));
}

#[test]
fn functions_are_measured_from_fn_to_the_closing_brace() {
    let survey = survey(&[("lib.rs", "/// Doc.\nfn f() {\n    1;\n}\n#[cfg(test)]\nfn g() {}\n")]);
    assert_eq!(survey.source.files[0].functions, [3]);
}

#[test]
fn workspace_has_no_circle_and_no_forbidden_dependency() {
    let survey = Survey::read(workspace()).expect("the workspace can be parsed");
    let faults = faults(&survey, workspace());
    assert!(faults.is_empty(), "see `cargo xtask structure`:\n{}", faults.join("\n"));
}

#[test]
fn picture_of_the_structure_is_current() {
    let survey = Survey::read(workspace()).expect("the workspace can be parsed");
    let path = workspace().join(PICTURE);
    let (stored, drawn) = (fs::read_to_string(&path).unwrap_or_default(), picture::draw(&survey));
    if picture::without_numbers(&stored) != picture::without_numbers(&drawn) {
        fs::write(&path, drawn).expect("the picture can be written");
        panic!("{} was stale and is renewed: commit it (`cargo xtask structure` draws it)", path.display());
    }
}

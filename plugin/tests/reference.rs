//! The generated page of the item keys is the table's.

use std::path::Path;

#[test]
fn key_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keys.md");
    let fresh = oomwatch::key_reference();
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    if stored != fresh {
        std::fs::write(&path, &fresh).unwrap();
        panic!("docs/keys.md was out of date and has been generated again: check the change and commit it");
    }
}

/// The Japanese page is written by hand, so it must have each key, parameter, word and field of the table.
#[test]
fn japanese_key_reference_has_every_key_parameter_word_and_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ja/keys.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut missing = Vec::new();
    for key in oomwatch::KEYS {
        let names: Vec<_> = key.parameters.iter().map(|parameter| parameter.name).collect();
        let parameters = if names.is_empty() { String::new() } else { format!("[{}]", names.join(",")) };
        let heading = format!("\n### `{}{parameters}`\n", key.name);
        let section = page.split_once(&heading).map_or("", |(_, rest)| rest);
        let section = section.split("\n#").next().unwrap_or_default();
        let words = key.parameters.iter().flat_map(|parameter| parameter.words.iter().copied());
        let alias = key.mirrors.map(|builtin| format!("Alias={builtin}[*]:{}[*]", key.name));
        let fields = key.returns.fields().iter().filter_map(|field| field.path.rsplit('.').next());
        let fields = fields.filter(|name| *name != "*");
        let wanted = names
            .iter()
            .copied()
            .chain(words)
            .chain(fields)
            .chain([key.example])
            .map(str::to_owned)
            .chain(alias);
        missing.extend(
            wanted
                .filter(|text| !section.contains(&format!("`{text}`")))
                .map(|text| format!("{heading}{text}")),
        );
    }
    assert!(missing.is_empty(), "docs/ja/keys.md has no {missing:#?}");
}

//! The generated page of the item keys is the table's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

#[test]
fn the_key_reference_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keys.md");
    let fresh = oomwatch::key_reference();
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    if stored != fresh {
        std::fs::write(&path, &fresh).unwrap();
        panic!("docs/keys.md was stale and has been made anew: look at it and commit it");
    }
}

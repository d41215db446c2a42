//! What must hold for every template; the real servers judge the rest.

use super::*;

#[test]
fn the_templates_are_fresh() {
    let stale = refresh().unwrap();
    assert!(
        stale.is_empty(),
        "these were stale and have been made anew: look at them and commit them: {stale:#?}"
    );
}

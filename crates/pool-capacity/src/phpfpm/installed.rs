//! Configurations of installed versions.

use std::path::{Path, PathBuf};

use super::glob;
use crate::{BudgetError, FileKind, Reading};

/// The paths of the configuration in distributions: Debian, Red Hat, remi's and Red Hat's collections, Alpine, Arch, php.net.
const PLACES: [&str; 7] = [
    "/etc/php/*/fpm/php-fpm.conf",
    "/etc/php-fpm.conf",
    "/etc/opt/remi/php*/php-fpm.conf",
    "/etc/opt/rh/rh-php*/php-fpm.conf",
    "/etc/php[0-9]*/php-fpm.conf",
    "/etc/php/php-fpm.conf",
    "/usr/local/etc/php-fpm.conf",
];

/// Returns the configurations of all installed versions.
///
/// # Errors
///
/// [`BudgetError`] if the directories have too many entries, or the deadline has passed.
pub fn find(reading: &Reading<'_>) -> Result<Vec<PathBuf>, BudgetError> {
    let found = |place: &&str| glob::glob(reading, Path::new(place)).unwrap_or_default();
    let paths = PLACES.iter().flat_map(found);
    let paths = paths.filter(|path| reading.kind(path) == Some(FileKind::File)).collect();
    reading.check(Path::new(PLACES[0])).map(|()| paths)
}

/// The paths that [`find`] tries, as patterns.
#[must_use]
pub fn places() -> &'static [&'static str] {
    &PLACES
}

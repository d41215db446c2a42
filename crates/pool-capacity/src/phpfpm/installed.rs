//! Configurations of installed versions.

use std::path::{Path, PathBuf};

use super::glob;
use crate::{FileKind, Files};

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
#[must_use]
pub fn find(files: &dyn Files) -> Vec<PathBuf> {
    let found = |place: &&str| glob::glob(files, Path::new(place)).unwrap_or_default();
    let paths = PLACES.iter().flat_map(found);
    paths.filter(|path| files.kind(path) == Some(FileKind::File)).collect()
}

/// The paths that [`find`] tries, as patterns.
#[must_use]
pub fn places() -> &'static [&'static str] {
    &PLACES
}

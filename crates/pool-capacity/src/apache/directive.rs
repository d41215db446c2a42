//! A directive and the sections around it.

use std::sync::Arc;

use super::error::Location;

/// A directive that says something about workers.
#[derive(Debug, Clone)]
pub(super) struct Directive {
    /// In lower case.
    pub(super) name: String,
    pub(super) written: String,
    /// What follows it, as written.
    pub(super) arguments: String,
    pub(super) at: Location,
    pub(super) place: Enclosure,
}

/// The sections that a directive stands in. Conditions are none.
#[derive(Debug, Clone, Default)]
pub(super) struct Enclosure {
    /// The outermost section's name as written, with the opening bracket.
    pub(super) section: Option<Arc<str>>,
    /// What `<VirtualHost ...>` says, with the closing bracket.
    pub(super) virtual_host: Option<Arc<str>>,
    /// What the innermost `<Location ...>` says, likewise.
    pub(super) location: Option<Arc<str>>,
}

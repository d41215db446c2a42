//! A directive and the sections around it.

use std::sync::Arc;

use super::error::Location;

/// A directive that concerns workers.
#[derive(Debug, Clone)]
pub(super) struct Directive {
    /// The name in lower case.
    pub(super) name: String,
    pub(super) written: String,
    /// The text after the name, as written.
    pub(super) arguments: String,
    pub(super) at: Location,
    pub(super) place: Enclosure,
}

/// The sections around a directive. Conditions are not sections.
#[derive(Debug, Clone, Default)]
pub(super) struct Enclosure {
    /// The outermost section's name as written, with the opening bracket.
    pub(super) section: Option<Arc<str>>,
    /// The argument of `<VirtualHost ...>`, with the closing bracket.
    pub(super) virtual_host: Option<Arc<str>>,
    /// The argument of the innermost `<Location ...>`, with the closing bracket.
    pub(super) location: Option<Arc<str>>,
}

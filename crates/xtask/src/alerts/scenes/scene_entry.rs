//! The entry of a scene in the lists, and the user of a scene's agents.

use std::path::Path;

use super::super::failure::Failure;
use super::super::scene::Scene;

/// Runs a program as a user without files, as agents run.
pub(super) const STRANGER: &[&str] =
    &["--reuid", "54398", "--regid", "54398", "--clear-groups", "--inh-caps=-all", "--ambient-caps=-all"];

/// A scene's name, and the function that prepares it in a directory of its own.
pub(super) type Make = (&'static str, fn(&'static str, &Path) -> Result<Scene, Failure>);

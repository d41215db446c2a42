//! All scenes: the causes, the problems that they must raise, and how they end.

mod hosts;
mod linux;
mod logs;
mod pools;
mod scene_entry;

use std::path::Path;

use super::failure::Failure;
use super::scene::Scene;

/// Prepares the scenes in a directory. If `only` names a scene, programs of the others are not started.
pub(super) fn all(directory: &Path, only: Option<&str>) -> Result<Vec<Scene>, Failure> {
    let mut scenes = Vec::new();
    for make in linux::SCENES.iter().chain(pools::SCENES).chain(logs::SCENES).chain(hosts::SCENES) {
        if only.is_none_or(|only| only == make.0) {
            scenes.push((make.1)(make.0, &directory.join(make.0))?);
        }
    }
    Ok(scenes)
}

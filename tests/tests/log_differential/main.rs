//! Compares the log items that mirror the agent's own with the agent's own: same agent, same file, same time.
//!
//! Both are active items of one agent, polled every second; a replacement for a server collects the values. The built-in
//! item sends a value for each line, ours one for each poll, with newlines between the lines. Split at the newlines, the
//! texts and their order must be equal. Counts must have the same sum. If one item is not supported, the other must give
//! the same reason. Each test reports all mismatches of its tables.

mod differences;
mod encodings;
mod files;
mod outcome;
mod parameters;
mod patterns;
mod scene;
mod templates;

use oomwatch_tests::{Error, Generation};

use scene::Scene;

fn patterns(generation: Generation) -> Result<(), Error> {
    let scene = Scene::new();
    let questions = patterns::questions(&scene, generation);
    scene.poll(generation, questions)?.compare();
    Ok(())
}

fn parameters(generation: Generation) -> Result<(), Error> {
    let scene = Scene::new();
    let questions = parameters::questions(&scene);
    scene.poll(generation, questions)?.compare();
    Ok(())
}

fn texts(generation: Generation) -> Result<(), Error> {
    let scene = Scene::new();
    let mut questions = templates::questions(&scene, generation);
    questions.extend(encodings::questions(&scene, generation));
    scene.poll(generation, questions)?.compare();
    Ok(())
}

fn files(generation: Generation) -> Result<(), Error> {
    files::compare_all(generation)
}

#[test]
fn patterns_as_built_in_6_0() -> Result<(), Error> {
    patterns(Generation::V6_0)
}

#[test]
fn patterns_as_built_in_7_0() -> Result<(), Error> {
    patterns(Generation::V7_0)
}

#[test]
fn texts_as_built_in_6_0() -> Result<(), Error> {
    texts(Generation::V6_0)
}

#[test]
fn texts_as_built_in_7_0() -> Result<(), Error> {
    texts(Generation::V7_0)
}

#[test]
fn parameters_as_built_in_6_0() -> Result<(), Error> {
    parameters(Generation::V6_0)
}

#[test]
fn parameters_as_built_in_7_0() -> Result<(), Error> {
    parameters(Generation::V7_0)
}

#[test]
fn files_as_built_in_6_0() -> Result<(), Error> {
    files(Generation::V6_0)
}

#[test]
fn files_as_built_in_7_0() -> Result<(), Error> {
    files(Generation::V7_0)
}

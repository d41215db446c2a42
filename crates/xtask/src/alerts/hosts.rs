//! Faults of the hosts at the end: unsupported items, items without a value, unexpected problems.

use std::collections::BTreeSet;

use super::checks::Checks;
use super::failure::Failure;
use super::play::RunningScene;
use super::scene::is_named;
use super::world::World;

/// A host on which nothing happened.
pub(super) struct HostReport {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) items: usize,
    pub(super) unsupported: Vec<String>,
    pub(super) absent: Vec<String>,
    pub(super) problems: Vec<String>,
}

/// Returns one report for each host scene. Its hosts must not differ, so they are reported together.
pub(super) fn reports(worlds: &[World], scenes: &[RunningScene]) -> Result<Vec<HostReport>, Failure> {
    let hosts = scenes.iter().filter(|running| running.scene.is_host);
    hosts.map(|running| report(worlds, running)).collect()
}

fn report(worlds: &[World], running: &RunningScene) -> Result<HostReport, Failure> {
    let (mut unsupported, mut absent, mut problems) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut items = 0;
    each_host(worlds, running, |world, host| {
        for item in world.items(host)? {
            items += 1;
            unsupported.extend(item.error.map(|why| format!("{} ({why})", item.key)));
        }
        absent.extend(world.without_a_value(host)?);
        problems.extend(world.observed.of_host(host).into_iter().map(|raised| raised.trigger));
        Ok(())
    })?;
    let sorted = |set: BTreeSet<String>| set.into_iter().collect();
    let (name, about) = (running.scene.name, running.scene.about);
    Ok(HostReport {
        name,
        about,
        items,
        unsupported: sorted(unsupported),
        absent: sorted(absent),
        problems: sorted(problems),
    })
}

fn each_host(
    worlds: &[World],
    running: &RunningScene,
    mut check: impl FnMut(&World, &str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for world in worlds {
        for checks in Checks::BOTH {
            check(world, &world.host(&running.scene_agents, running.scene.name, checks))?;
        }
    }
    Ok(())
}

/// Returns the unsupported items and the unexpected problems of all hosts.
pub(super) fn faults(worlds: &[World], scenes: &[RunningScene]) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    for running in scenes {
        each_host(worlds, running, |world, host| {
            let at = format!("{} {host}", world.generation());
            let unsupported = world.items(host)?.into_iter().filter_map(|item| Some((item.key, item.error?)));
            faults.extend(unsupported.map(|(key, why)| format!("{at}: {key} is not supported: {why}")));
            let raised = world.observed.of_host(host).into_iter();
            let unexpected = raised.filter(|raised| !is_expected(running, &raised.trigger));
            faults
                .extend(unexpected.map(|raised| {
                    format!("{at}: unexpected problem \"{}\": {}", raised.name, raised.opdata)
                }));
            Ok(())
        })
        .map_err(|why| format!("{}: {why}", running.scene.name))?;
    }
    Ok(faults)
}

fn is_expected(running: &RunningScene, trigger: &str) -> bool {
    let by_causes = running.scene.causes.iter().flat_map(|cause| cause.raises.iter().map(|(_, name)| *name));
    by_causes.chain(running.scene.expected.iter().copied()).any(|name| is_named(trigger, name))
}

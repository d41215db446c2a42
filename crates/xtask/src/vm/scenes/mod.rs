//! The scenes.

mod global;
mod limit;
mod oomd;
mod rights;
mod steps;

use super::findings::Findings;
use super::machine::Machine;
use steps::SceneResult;
pub(in crate::vm) use steps::install;

/// Something that happens on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scene {
    Limit,
    Group,
    Continue,
    Rights,
    Journal,
    Oomd,
    Global,
    Unprotected,
}

impl Scene {
    pub(crate) const ALL: [Self; 8] = [
        Self::Limit,
        Self::Group,
        Self::Continue,
        Self::Rights,
        Self::Journal,
        Self::Oomd,
        Self::Global,
        Self::Unprotected,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scene| scene.name() == name)
    }

    pub(in crate::vm) const fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Group => "group",
            Self::Continue => "continue",
            Self::Rights => "rights",
            Self::Journal => "journal",
            Self::Oomd => "oomd",
            Self::Global => "global",
            Self::Unprotected => "unprotected",
        }
    }

    pub(in crate::vm) const fn title(self) -> &'static str {
        match self {
            Self::Limit => "A service at its limit",
            Self::Group => "A service killed as a whole",
            Self::Continue => "A service that outlives kills",
            Self::Rights => "What the agent's user may read",
            Self::Journal => "The journal as the only source",
            Self::Oomd => "systemd-oomd",
            Self::Global => "The machine's memory runs out, with the drop-in",
            Self::Unprotected => "The machine's memory runs out, without the drop-in",
        }
    }

    pub(in crate::vm) const fn story(self) -> &'static str {
        match self {
            Self::Limit => limit::STORY,
            Self::Group => limit::GROUP_STORY,
            Self::Continue => limit::CONTINUE_STORY,
            Self::Rights => rights::STORY,
            Self::Journal => rights::JOURNAL_STORY,
            Self::Oomd => oomd::STORY,
            Self::Global => global::STORY,
            Self::Unprotected => global::UNPROTECTED_STORY,
        }
    }

    pub(in crate::vm) const fn memory_mib(self) -> u32 {
        match self {
            Self::Global | Self::Unprotected => 512,
            _ => 1024,
        }
    }

    pub(in crate::vm) fn play(self, machine: &mut Machine, findings: &mut Findings) -> SceneResult {
        match self {
            Self::Limit => limit::play(machine, findings),
            Self::Group => limit::play_group(machine, findings),
            Self::Continue => limit::play_continue(machine, findings),
            Self::Rights => rights::play(machine, findings),
            Self::Journal => rights::play_journal(machine, findings),
            Self::Oomd => oomd::play(machine, findings),
            Self::Global => global::play(machine, findings),
            Self::Unprotected => global::play_unprotected(machine, findings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scene_has_its_own_name() {
        for scene in Scene::ALL {
            assert_eq!(Scene::named(scene.name()), Some(scene));
        }
        assert_eq!(Scene::named("no such"), None);
    }

    #[test]
    fn scenes_on_one_machine_follow_each_other() {
        assert_eq!(Scene::ALL.chunk_by(|a, b| a.memory_mib() == b.memory_mib()).count(), 2);
    }
}
